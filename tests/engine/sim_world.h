// Engines of many ranks in one thread, over the simulated wire and in its virtual time.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "memory/registrar.h"
#include "transport_sim/sim_fabric.h"

namespace paceline::engine {

/// One host, where callers' memory cannot be mapped and scratch can.
inline transport::SimOptions plain_memory(int ranks) {
  transport::SimOptions sim;
  sim.ranks = sim.ranks_per_host = ranks;
  sim.mappable = true;
  sim.can_register = [](const transport::MemoryView& view) { return view.shareable_fd >= 0; };
  return sim;
}

class SimWorld {
 public:
  SimWorld(const transport::SimOptions& sim, PlanOptions plan, Nanoseconds timeout = 100 * kSecond)
      : fabric_(sim) {
    plan.size = sim.ranks;
    for (int r = 0; r < sim.ranks; ++r) {
      auto rank = std::make_unique<Rank>();
      rank->world = this;
      rank->number = r;
      rank->transport = fabric_.make_transport(r);
      rank->registrar = std::make_shared<memory::Registrar>(
          std::vector<transport::Transport*>{rank->transport.get()},
          std::make_shared<std::recursive_mutex>());
      plan.rank = r;
      if (plan.lap_bytes != 0) plan.lap_bytes += 4096;  // each has its own
      rank->engine = std::make_unique<Engine>(plan, timeout, *rank, rank->registrar);
      ranks_.push_back(std::move(rank));
    }
  }
  ~SimWorld() {
    for (auto& rank : ranks_) {
      rank->engine.reset();
      rank->registrar->close(memory::Registrar::Sever::no);
    }
    for (auto& rank : ranks_) rank->endpoints.clear();
  }

  [[nodiscard]] int size() const { return static_cast<int>(ranks_.size()); }
  Engine& engine(int rank) { return *ranks_[static_cast<std::size_t>(rank)]->engine; }
  memory::Registrar& registrar(int rank) {
    return *ranks_[static_cast<std::size_t>(rank)]->registrar;
  }
  transport::SimFabric& fabric() { return fabric_; }

  /// What rank's engine has thrown; empty if nothing.
  [[nodiscard]] const std::optional<Error>& error(int rank) const {
    return ranks_[static_cast<std::size_t>(rank)]->error;
  }

  /// Polls everybody once.
  void poll_all() {
    for (auto& rank : ranks_) poll(*rank);
  }

  /// Polls everybody, in turn with the passing of time, until all engines are idle or have
  /// failed; false if nothing can move any more.
  bool run() {
    bool all = true;
    for (auto& rank : ranks_) all &= poll(*rank);
    while (!all) {
      if (!fabric_.advance()) return false;
      const auto woken = fabric_.woken();
      const std::vector<int> news(woken.begin(), woken.end());
      for (int r : news) poll(*ranks_[static_cast<std::size_t>(r)]);
      all = true;
      for (auto& rank : ranks_) all &= rank->error.has_value() || rank->engine->idle();
    }
    return true;
  }

 private:
  struct Rank final : Peers {
    transport::Endpoint* endpoint(int peer) override {
      const auto found = endpoints.find(peer);
      if (found != endpoints.end()) return found->second.get();
      Rank& other = *world->ranks_[static_cast<std::size_t>(peer)];
      auto [mine, theirs] = transport::link_ranks(*transport, number, *other.transport, peer);
      other.endpoints[number] = std::move(theirs);
      return (endpoints[peer] = std::move(mine)).get();
    }
    bool linked(int peer) override { return endpoints.contains(peer); }
    std::size_t transport_of(int) override { return 0; }
    std::string name(int peer) override { return "rank " + std::to_string(peer); }

    SimWorld* world = nullptr;
    int number = 0;
    std::unique_ptr<transport::Transport> transport;
    std::shared_ptr<memory::Registrar> registrar;
    std::map<int, std::unique_ptr<transport::Endpoint>> endpoints;
    std::unique_ptr<Engine> engine;
    std::optional<Error> error;
  };

  // True if the rank has nothing more to do.
  bool poll(Rank& rank) {
    if (rank.error) return true;
    try {
      rank.transport->progress();
      while (rank.engine->poll(fabric_.now() + 1)) rank.transport->progress();
      rank.engine->examine_stall(fabric_.now() + 1);
    } catch (const Error& error) {
      rank.error = error;
      rank.engine->fail(error);
    }
    return rank.engine->idle();
  }

  transport::SimFabric fabric_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

}  // namespace paceline::engine
