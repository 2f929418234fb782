// One end of a link through shared memory.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "paceline/error.h"
#include "transport/transport.h"
#include "transport_shm/control_socket.h"
#include "transport_shm/get_trial.h"
#include "transport_shm/inbox.h"
#include "transport_shm/mapping.h"
#include "transport_shm/peer_regions.h"
#include "transport_shm/store_pace.h"

namespace paceline::transport::shm {

class ShmEndpoint;

/// What the links of one transport share. Outlives them.
struct ShmCore {
  struct Export {
    std::uint64_t address = 0;
    std::uint64_t length = 0;
    int fd = -1;  ///< borrowed
  };
  std::map<std::uint64_t, Export> exports;  ///< our registered memory by region id, the key
  std::uint64_t last_id = 0;
  std::vector<ShmEndpoint*> endpoints;
  long processors = ::sysconf(_SC_NPROCESSORS_ONLN);

  /// Whether peers read on other cores than this one, as they do if there are enough. For a peer
  /// that shares this core, to hand lines over only costs.
  [[nodiscard]] bool apart() const { return std::ssize(endpoints) < processors; }
};

/// What a connector has put together.
struct LinkParts {
  int peer = Error::kNoRank;
  ControlSocket socket;
  Mapping own_inbox;   ///< we receive in it
  Mapping peer_inbox;  ///< we send into it
  pid_t peer_pid = 0;
  bool can_get = false;  ///< process_vm_readv was tried and worked
};

class ShmEndpoint final : public Endpoint {
 public:
  ShmEndpoint(ShmCore& core, LinkParts parts);
  ~ShmEndpoint() override;
  ShmEndpoint(const ShmEndpoint&) = delete;
  ShmEndpoint& operator=(const ShmEndpoint&) = delete;

  bool send(ConstBytes header, ConstBytes payload) override;
  ConstBytes front() override;
  void pop() override;

  bool put(Lane lane, ConstBytes source, const Registration* registration,
           RemoteAddress target) override;
  bool signal(Lane lane) override;
  std::uint64_t arrived(Lane lane) override;
  bool flushed() override;

  bool maps() const override { return true; }
  std::byte* map(RemoteAddress remote, std::size_t length) override;
  void store(std::byte* mapped, ConstBytes source) override {
    pace_->copy(mapped, source.data(), source.size(), core_.endpoints.size(), core_.apart());
  }
  bool streams() const override { return pace_->streams(); }
  bool keeps_lines() const override { return pace_->keeps_lines(); }
  void expect(bool beyond_caches) override { pace_ = &paces_[beyond_caches ? 1 : 0]; }
  void skipped(std::size_t bytes) override { pace_->skipped(bytes); }
  bool can_get() const override { return can_get_; }
  bool get_beats_copies() const override { return can_get_ && shm::get_beats_copies(); }
  bool get(std::span<std::byte> target, RemoteAddress source) override;

  /// The peer's inbox is the peer's.
  [[nodiscard]] Footprint footprint() const override {
    return {sizeof *this + own_inbox_.length(), 1};
  }
  void close() noexcept override;

  // --- for the transport -----------------------------------------------------------------------
  /// Tells the peer of memory that we have registered or no longer have.
  void announce(std::uint64_t id, const ShmCore::Export& memory);
  void withdraw(std::uint64_t id);
  /// Notices a peer that said goodbye, and sends frames that found no room. Never throws: what is
  /// wrong is thrown by the next call.
  void look() noexcept;
  /// Reads the socket: frames, and the end of a peer that could not say goodbye. Never throws.
  void read_socket() noexcept;
  void add_descriptors(std::vector<pollfd>& descriptors) const;

 private:
  /// open: both ways; broken: what has come may be read; closed: by us, nothing works.
  enum class State : std::uint8_t { open, broken, closed };

  void require_open() const {
    if (state_ != State::open) [[unlikely]]
      throw_why();
  }
  void require_lane(Lane lane) const;
  [[noreturn]] void throw_why() const;
  [[noreturn]] void refuse(const std::string& text);
  void break_link(ErrorCode code, const std::string& text) noexcept;
  void flush_frames();
  void handle(const ControlSocket::Received& received);
  void count_up(Lane lane);
  void notice_closed() noexcept;
  std::byte* resolve(RemoteAddress remote, std::size_t length);
  std::byte* not_found(RemoteAddress remote, std::size_t length);

  State state_ = State::open;
  bool can_get_;
  int peer_;
  Inbox* own_;    // null once closed
  Inbox* peers_;  // null once closed
  MailboxSender sender_;
  MailboxReceiver receiver_;
  std::uint64_t posted_[kMaxLanes] = {};
  std::uint64_t frames_read_ = 0;
  PeerRegions regions_;
  /// Of data that caches hold, and of longer, whose source takes its time.
  StorePace paces_[2] = {StorePace(store_limits()), StorePace(store_limits())};
  StorePace* pace_ = paces_;

  ShmCore& core_;
  ControlSocket socket_;
  Mapping own_inbox_;
  Mapping peer_inbox_;
  pid_t peer_pid_;
  std::uint64_t frames_sent_ = 0;
  std::optional<Error> why_;  // set when broken
};

}  // namespace paceline::transport::shm
