// The wires of one rank: which transport links it to which peer, and the endpoints that have been
// made so far. A link is made when an algorithm first asks for it.
//
// Threads: the owner of progress only, but for news_arrived().
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "bootstrap/bootstrap.h"
#include "communicator/roster.h"
#include "engine/engine.h"
#include "paceline/communicator.h"
#include "transport/transport.h"

namespace paceline {

class Links final : public engine::Peers {
 public:
  /// Makes the transports that the Config allows and this machine has.
  Links(const Config& config, const std::string& host_id, const Logger& log);
  ~Links() override;

  /// What the peers must know of them.
  void describe(RankCard& card) const;
  /// Chooses a wire for each peer. Throws Error (unsupported) if one cannot be reached.
  void choose(const Roster& roster, bootstrap::Bootstrap& bootstrap);

  [[nodiscard]] std::vector<transport::Transport*> transports() const;
  [[nodiscard]] std::vector<Wire> wires() const;
  /// Name of the transport that leads to `peer`; any thread once they are chosen.
  [[nodiscard]] std::string wire(int peer) const;
  /// True if every peer's memory can be mapped: they all are linked by shared memory.
  [[nodiscard]] bool all_mapped() const { return all_mapped_; }

  transport::Endpoint* endpoint(int peer) override;
  bool linked(int peer) override { return endpoints_[static_cast<std::size_t>(peer)] != nullptr; }
  std::size_t transport_of(int peer) override;
  std::string name(int peer) override;

  /// Of all links together; how many there are.
  [[nodiscard]] transport::Footprint footprint(int& links) const;

  /// Moves the wires and the links that are being made. Throws what breaks.
  void progress();
  /// Any thread: sockets wait in Bootstrap::take_links().
  void news_arrived() { news_.store(true, std::memory_order_release); }
  /// True while links are being made.
  [[nodiscard]] bool making() const { return !making_.empty(); }
  /// True if what was put and sent has left, but to peers that are gone.
  [[nodiscard]] bool flushed() noexcept;
  /// As Transport::prepare_sleep, for all of them.
  [[nodiscard]] bool prepare_sleep(std::vector<pollfd>& descriptors);

  /// Ends all links: nothing that a peer still does reaches our memory through them.
  void close() noexcept;

 private:
  struct Choice {
    std::size_t transport = 0;  ///< index into transports_
    std::string reason = {};
  };
  struct Making {
    int peer;
    std::unique_ptr<transport::Connector> connector;
  };

  Choice choose_for(const Roster& roster, int peer) const;
  void take_links();
  void poll_connectors();
  [[nodiscard]] std::size_t index_of(std::uint8_t number) const;

  void tell_wires() const;
  [[nodiscard]] LogComponent component(std::size_t index) const;

  int rank_;
  Logger log_;
  struct Slot {
    std::uint8_t number;
    std::unique_ptr<transport::Transport> transport;
  };
  std::vector<Slot> transports_;
  std::vector<transport::Transport*> moving_;  ///< those that need progress and have links
  std::string why_not_[kWireCount];            ///< why a transport is not in transports_

  const Roster* roster_ = nullptr;
  bootstrap::Bootstrap* bootstrap_ = nullptr;
  std::vector<Choice> choices_;  ///< by rank
  bool all_mapped_ = false;
  std::vector<bool> requested_;
  std::vector<std::unique_ptr<transport::Endpoint>> endpoints_;  ///< by rank
  std::vector<transport::Endpoint*> holding_;  ///< those whose output may have to wait
  std::vector<Making> making_;
  std::atomic<bool> news_{false};
};

}  // namespace paceline
