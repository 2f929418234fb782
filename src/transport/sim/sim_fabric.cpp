#include "transport_sim/sim_fabric.h"

#include "transport_sim/core.h"
#include "transport_sim/sim_transport.h"

namespace paceline::transport {
namespace {

void check_rank(const sim::Core& core, int rank) {
  if (rank >= 0 && rank < core.options().ranks) return;
  throw Error(ErrorCode::invalid_argument, "rank " + std::to_string(rank) +
                                               " was given; the fabric has ranks 0 to " +
                                               std::to_string(core.options().ranks - 1));
}

}  // namespace

SimFabric::SimFabric(const SimOptions& options) : core_(std::make_shared<sim::Core>(options)) {}
SimFabric::~SimFabric() = default;

std::unique_ptr<Transport> SimFabric::make_transport(int rank) {
  check_rank(*core_, rank);
  return sim::make_transport(core_, rank);
}

Nanoseconds SimFabric::now() const {
  return core_->now();
}
bool SimFabric::advance() {
  return core_->advance();
}
std::span<const int> SimFabric::woken() const {
  return core_->woken();
}
std::uint64_t SimFabric::events() const {
  return core_->events();
}

void SimFabric::wake_at(int rank, Nanoseconds when) {
  check_rank(*core_, rank);
  core_->post({.kind = sim::Event::Kind::wake, .rank = rank}, when);
}

void SimFabric::kill(int rank) {
  check_rank(*core_, rank);
  core_->kill(rank);
}

void SimFabric::kill_at(int rank, Nanoseconds when) {
  check_rank(*core_, rank);
  core_->post({.kind = sim::Event::Kind::kill, .rank = rank}, when);
}

std::pair<std::unique_ptr<Endpoint>, std::unique_ptr<Endpoint>> link_ranks(Transport& a, int rank_a,
                                                                           Transport& b,
                                                                           int rank_b) {
  auto dialer = a.connect(rank_b, Role::dialer, {});
  auto listener = b.connect(rank_a, Role::listener, {});
  auto at_a = dialer->poll();
  return {std::move(at_a), listener->poll()};
}

}  // namespace paceline::transport
