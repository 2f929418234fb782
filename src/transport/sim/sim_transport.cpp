#include "transport_sim/sim_transport.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace paceline::transport::sim {
namespace {

Error killed(int rank) {
  return {ErrorCode::transport_failed,
          "rank " + std::to_string(rank) + " was killed in this simulation",
          {.rank = rank, .peer = rank}};
}

class SimRegistration final : public Registration {
 public:
  SimRegistration(std::shared_ptr<Core> core, int rank, const MemoryView& memory)
      : core_(std::move(core)),
        rank_(rank),
        reachable_(!core_->options().can_register || core_->options().can_register(memory)),
        number_(core_->add_memory(rank, memory, reachable_)) {}
  ~SimRegistration() override { core_->remove_memory(rank_, number_); }
  SimRegistration(const SimRegistration&) = delete;
  SimRegistration& operator=(const SimRegistration&) = delete;
  std::uint64_t key() const override { return reachable_ ? number_ : kNoKey; }

 private:
  std::shared_ptr<Core> core_;
  int rank_;
  bool reachable_;
  std::uint64_t number_;
};

class SimEndpoint final : public Endpoint {
 public:
  SimEndpoint(std::shared_ptr<Core> core, std::shared_ptr<Link> link, int side)
      : core_(std::move(core)), link_(std::move(link)), side_(side) {}
  ~SimEndpoint() override { core_->leave(link_, side_); }
  SimEndpoint(const SimEndpoint&) = delete;
  SimEndpoint& operator=(const SimEndpoint&) = delete;

  bool send(ConstBytes header, ConstBytes payload) override {
    check();
    const std::size_t length = header.size() + payload.size();
    if (length == 0 || length > kMaxMessage) {
      throw Error(ErrorCode::invalid_argument, "a message of " + std::to_string(length) +
                                                   " bytes was given to send(); 1 to " +
                                                   std::to_string(kMaxMessage) + " are allowed");
    }
    if (ours().uncredited >= core_->options().mailbox) return false;
    Bytes message;
    message.reserve(length);
    message.insert(message.end(), header.begin(), header.end());
    message.insert(message.end(), payload.begin(), payload.end());
    core_->post_message(link_, side_, std::move(message));
    return true;
  }

  ConstBytes front() override {
    check_alive();
    if (!ours().mailbox.empty()) return ours().mailbox.front();
    check();
    return {};
  }

  void pop() override {
    if (ours().mailbox.empty()) return;
    ours().mailbox.pop_front();
    core_->post_credit(link_, side_);
  }

  bool put(Lane lane, ConstBytes source, const Registration* /*not needed*/,
           RemoteAddress target) override {
    check();
    check_peer();
    check_lane(lane);
    if (ours().unplaced >= core_->options().queue_depth * core_->parts_of_a_put()) return false;
    const SimOptions& options = core_->options();
    if (options.on_put && !source.empty()) options.on_put(ours().rank, target);
    core_->post_put(link_, side_, lane, source, target);
    return true;
  }

  bool signal(Lane lane) override { return put(lane, {}, nullptr, {}); }

  std::uint64_t arrived(Lane lane) override {
    check_alive();
    check_lane(lane);
    return ours().arrived[lane];
  }

  bool flushed() override {
    check_alive();
    const bool dropped =
        std::ranges::any_of(ours().lane_stopped, [](bool stopped) { return stopped; });
    if (dropped || ours().unplaced > 0) check();
    return ours().unplaced == 0;
  }

  bool maps() const override { return core_->options().mappable && near(); }

  std::byte* map(RemoteAddress remote, std::size_t length) override {
    check();
    if (!maps() || remote.key == kNoKey) return nullptr;
    return require(core_->find(theirs().rank, remote, length), remote, length);
  }

  bool keeps_lines() const override {
    const auto& asked = core_->options().keeps_lines;
    return asked && asked(ours().rank);
  }

  bool streams() const override {
    const auto& asked = core_->options().streams;
    return asked && asked(ours().rank);
  }

  void expect(bool beyond_caches) override {
    const auto& told = core_->options().on_expect;
    if (told) told(ours().rank, beyond_caches);
  }

  bool can_get() const override { return core_->options().gettable && near(); }
  bool get_beats_copies() const override { return can_get() && core_->options().get_beats_copies; }

  bool get(std::span<std::byte> target, RemoteAddress source) override {
    check();
    if (!can_get()) return false;
    if (target.empty()) return true;
    if (core_->options().on_get) core_->options().on_get(ours().rank, target.size());
    if (source.key == kNoKey) {
      // All ranks are this process; the kernel knows which addresses are memory.
      iovec into{target.data(), target.size()};
      iovec from{reinterpret_cast<void*>(source.address), target.size()};
      const ssize_t n = ::process_vm_readv(::getpid(), &into, 1, &from, 1, 0);
      (void)require(n == static_cast<ssize_t>(target.size()) ? target.data() : nullptr, source,
                    target.size());
      return true;
    }
    const std::byte* from =
        require(core_->find(theirs().rank, source, target.size()), source, target.size());
    std::memcpy(target.data(), from, target.size());
    return true;
  }

  [[nodiscard]] Footprint footprint() const override { return {sizeof *this, 0}; }
  void close() noexcept override { core_->leave(link_, side_); }

 private:
  Side& ours() const { return link_->sides[static_cast<std::size_t>(side_)]; }
  Side& theirs() const { return link_->sides[static_cast<std::size_t>(1 - side_)]; }
  bool near() const { return core_->same_host(ours().rank, theirs().rank); }

  void check_alive() const {
    if (core_->dead(ours().rank)) throw killed(ours().rank);
    if (!ours().closed) return;
    throw Error(
        ErrorCode::transport_failed,
        "the simulated link to rank " + std::to_string(theirs().rank) + " was closed on this side",
        {.rank = ours().rank, .peer = theirs().rank});
  }
  void check() const {
    check_alive();
    if (ours().error) throw Error(*ours().error);
  }
  /// What was read of the memory of a peer that has closed may be another's.
  void check_peer() const {
    if (!maps() || !theirs().closed) return;
    throw Error(
        ErrorCode::peer_failed,
        "rank " + std::to_string(theirs().rank) + " has closed its end of the simulated link",
        {.rank = ours().rank, .peer = theirs().rank});
  }
  static void check_lane(Lane lane) {
    if (lane < kMaxLanes) return;
    throw Error(ErrorCode::invalid_argument, "lane " + std::to_string(lane) +
                                                 " was given; lanes are 0 to " +
                                                 std::to_string(kMaxLanes - 1));
  }
  template <class Pointer>
  Pointer require(Pointer found, RemoteAddress remote, std::size_t length) const {
    if (found != nullptr) return found;
    throw Error(ErrorCode::transport_failed,
                std::to_string(length) + " bytes at address " + std::to_string(remote.address) +
                    " are not registered by rank " + std::to_string(theirs().rank),
                {.rank = ours().rank, .peer = theirs().rank});
  }

  std::shared_ptr<Core> core_;  // outlives link_
  std::shared_ptr<Link> link_;
  int side_;
};

class SimConnector final : public Connector {
 public:
  SimConnector(std::shared_ptr<Core> core, int rank, int peer)
      : core_(std::move(core)), link_(core_->join(rank, peer)), side_(rank < peer ? 0 : 1) {}
  ~SimConnector() override {
    if (link_) core_->leave(link_, side_);
  }
  SimConnector(const SimConnector&) = delete;
  SimConnector& operator=(const SimConnector&) = delete;

  std::unique_ptr<Endpoint> poll() override {
    if (!link_) throw Error(ErrorCode::internal, "poll() was called again after the endpoint");
    const Side& ours = link_->sides[static_cast<std::size_t>(side_)];
    const Side& theirs = link_->sides[static_cast<std::size_t>(1 - side_)];
    if (core_->dead(ours.rank)) throw killed(ours.rank);
    if (core_->known_dead(theirs.rank) || ours.error) {
      throw Error(ErrorCode::peer_failed,
                  "the simulated link could not be made: rank " + std::to_string(theirs.rank) +
                      " died or gave up",
                  {.rank = ours.rank, .peer = theirs.rank});
    }
    if (!theirs.joined) return nullptr;
    return std::make_unique<SimEndpoint>(core_, std::move(link_), side_);
  }

 private:
  std::shared_ptr<Core> core_;  // outlives link_
  std::shared_ptr<Link> link_;
  int side_;
};

/// "PLSI": the description of anything else is not ours.
constexpr std::uint32_t kMagic = 0x504C5349;

class SimTransport final : public Transport {
 public:
  SimTransport(std::shared_ptr<Core> core, int rank) : core_(std::move(core)), rank_(rank) {}

  std::string_view name() const override { return "sim"; }

  Bytes describe() const override {
    return WireWriter().u32(kMagic).u64(reinterpret_cast<std::uintptr_t>(core_.get())).take();
  }
  Reachable reachable(ConstBytes peer_description) const override {
    WireReader in(peer_description);
    const std::uint32_t magic = in.u32();
    const std::uint64_t fabric = in.u64();
    if (!in.finished() || magic != kMagic) {
      return {.why_not = "the peer's sim description cannot be read"};
    }
    if (fabric != reinterpret_cast<std::uintptr_t>(core_.get())) {
      return {.why_not = "the ranks are in different simulations"};
    }
    return {.yes = true};
  }

  SocketNeed sockets() const override { return {.count = 0}; }
  std::unique_ptr<Connector> connect(int peer, Role /*both sides alike*/,
                                     std::vector<UniqueFd> /*none*/) override {
    return std::make_unique<SimConnector>(core_, rank_, peer);
  }

  std::unique_ptr<Registration> register_memory(const MemoryView& memory) override {
    return std::make_unique<SimRegistration>(core_, rank_, memory);
  }

  // Time moves by SimFabric::advance() only.
  void progress() override {}
  bool needs_progress() const override { return false; }
  bool prepare_sleep(std::vector<pollfd>& /*none*/) override { return true; }

 private:
  std::shared_ptr<Core> core_;
  int rank_;
};

}  // namespace

std::unique_ptr<Transport> make_transport(std::shared_ptr<Core> core, int rank) {
  return std::make_unique<SimTransport>(std::move(core), rank);
}

}  // namespace paceline::transport::sim
