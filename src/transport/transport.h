// The contract that every wire fulfils: one-sided, after RDMA.
//
// The primitive is put-with-signal: write a local slice into a peer's slice, then add one to a
// 64-bit counter there. Counters belong to an (endpoint, lane). A counter that has reached n says
// that the first n puts and signals of that lane, in the order they were posted, are visible in
// the peer's memory. That is all an algorithm may assume: nothing is promised across lanes, across
// endpoints, or between puts and messages.
//
// Beside it each endpoint carries short messages (announcements, and the payload of tiny
// operations) in order, into a mailbox that the transport owns and flow-controls itself.
//
// Threads: a Transport with all its Endpoints and Registrations is used by one thread at a time
// (the owner of progress, docs/design/threads.md). The only exceptions say so.
//
// Blocking: nothing here blocks. What cannot be done now returns false and is asked again.
//
// Errors: a broken wire throws paceline::Error (transport_failed or peer_failed, with the peer's
// rank set) from whatever is called on it next; nothing can be sent from then on. What had come
// before can still be read, for a peer may be done and gone before we look: front() throws only
// after the last message, and arrived() goes on to say the count and leaves the throwing to
// front(), which a waiting loop therefore calls too.
//
// Lifetimes: Endpoints, Connectors and Registrations are destroyed before their Transport, and
// among themselves in any order.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/copy.h"
#include "base/unique_fd.h"
#include "base/wire.h"

namespace paceline::transport {

/// Lanes of an endpoint, numbered from 0; each costs a counter per endpoint. Eight pipelines hide
/// the latency of any wire that the segment size suits. Two more are for messages between two
/// ranks, which must not count as a collective's: one for what they tell each other, one for data.
using Lane = std::uint32_t;
inline constexpr Lane kPipelineLanes = 8;
inline constexpr Lane kMaxLanes = kPipelineLanes + 2;

/// Every endpoint takes messages up to this long: a 4 KiB payload and its header. What fits is
/// cheaper to copy than to announce. Some wires take longer ones: Transport::longest_message().
inline constexpr std::size_t kMaxMessage = 4096 + 64;

/// How a peer names one of our registrations: `key` is what the transport's own register_memory
/// gave out, `address` is the owner's virtual address. Fixed width, so it travels in announcements.
struct RemoteAddress {
  std::uint64_t address = 0;
  std::uint64_t key = 0;
  bool operator==(const RemoteAddress&) const = default;
};

/// Key of memory that this transport could not register: peers cannot put into it.
inline constexpr std::uint64_t kNoKey = 0;

/// Memory as the transports are offered it for registration.
struct MemoryView {
  std::byte* data = nullptr;
  std::size_t length = 0;
  /// A file that peers on this host may map, which holds exactly this memory from offset 0; -1 if
  /// there is none. Borrowed: it outlives the registration.
  int shareable_fd = -1;
};

/// One piece of memory made known to one transport. Destroying it deregisters: a put by a peer
/// that arrives later is an error at the peer, never a write.
class Registration {
 public:
  virtual ~Registration() = default;
  /// kNoKey if peers cannot put into it by this transport ("staged").
  [[nodiscard]] virtual std::uint64_t key() const = 0;
};

/// What one end of a link holds of its process's resources.
struct Footprint {
  std::size_t bytes = 0;  ///< of user memory; what the kernel buffers is not counted
  int descriptors = 0;
};

/// Our side of a link to one peer.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  // --- messages ------------------------------------------------------------------------------
  /// Sends header and payload as one message, together no longer than the transport's
  /// longest_message(). Both are copied before it returns. False if the peer's mailbox is full for
  /// now.
  [[nodiscard]] virtual bool send(ConstBytes header, ConstBytes payload) = 0;
  /// The oldest message that has not been popped; empty span if there is none. Stays valid until
  /// pop(). A message is never empty. Cheap: it is what waiting loops call.
  [[nodiscard]] virtual ConstBytes front() = 0;
  virtual void pop() = 0;

  // --- puts ----------------------------------------------------------------------------------
  /// Writes `source` into the peer's memory at `target` (whose registration must cover it), then
  /// adds one to the peer's counter of `lane`. `source` must stay as it is until flushed().
  /// `registration` is our own registration that covers `source`, or null if there is none (a
  /// transport that needs one copies or registers). `source` may be empty: then target is ignored
  /// and this is signal(). False if the queue is full for now, and then nothing has been done.
  /// A target outside of what the peer has registered is never written: the link breaks, and one
  /// of its two ends says why.
  [[nodiscard]] virtual bool put(Lane lane, ConstBytes source, const Registration* registration,
                                 RemoteAddress target) = 0;
  /// A put of nothing: adds one to the peer's counter of `lane`, after everything put on it. Where
  /// maps() holds, this throws once the peer has closed: what was read there may be another's.
  [[nodiscard]] virtual bool signal(Lane lane) = 0;
  /// How many puts and signals of the peer on `lane` are visible here; never decreases. Throws
  /// after our own close() only; see "Errors" above.
  [[nodiscard]] virtual std::uint64_t arrived(Lane lane) = 0;
  /// True if every put so far no longer needs its source, and everything so far (messages too)
  /// reaches the peer even if close() is what comes next.
  [[nodiscard]] virtual bool flushed() = 0;

  // --- optional abilities, found by asking ------------------------------------------------------
  /// True if every memory with a key, on either side, can be mapped by the other. The same answer
  /// on both ends, fixed for the life of the link.
  [[nodiscard]] virtual bool maps() const { return false; }
  /// Where the peer's memory can be loaded and stored by this process; null if it cannot. Stores
  /// made through it before a put or signal on any lane are visible with that signal. Where
  /// maps() holds, null means not yet, ask again, and what the peer has not registered throws.
  [[nodiscard]] virtual std::byte* map(RemoteAddress remote, std::size_t length) {
    (void)remote, (void)length;
    return nullptr;
  }
  /// As memcpy, into memory that map() has given, or that the peer has mapped.
  virtual void store(std::byte* mapped, ConstBytes source) {
    copy_bytes(mapped, source.data(), source.size());
  }
  /// Whether what is stored there otherwise is sooner with the peer, all in all, if the stores go
  /// past this core's caches. May change from call to call; put() and store() see to it by
  /// themselves.
  [[nodiscard]] virtual bool streams() const { return false; }
  /// Whether a line of memory that both have mapped is best written by who was the last to load it:
  /// this core has it then, as far as has been seen. May change from call to call.
  [[nodiscard]] virtual bool keeps_lines() const { return false; }
  /// What is put and stored from here on belongs to data that caches cannot hold, or to shorter:
  /// what streams() and keeps_lines() say is found out for each of the two.
  virtual void expect(bool beyond_caches) { (void)beyond_caches; }
  /// The peer gets so much that would have been put otherwise: streams() counts it as if it had.
  virtual void skipped(std::size_t bytes) { (void)bytes; }
  /// True if get() works with this peer, and that for any memory of its process, registered or
  /// not (kNoKey).
  [[nodiscard]] virtual bool can_get() const { return false; }
  /// Whether get() of long data takes less time than two copies by processors, one at each end.
  [[nodiscard]] virtual bool get_beats_copies() const { return can_get(); }
  /// Reads the peer's memory into `target`; the data is there when it returns true. False: ask
  /// again, or, where can_get() is false, do not.
  [[nodiscard]] virtual bool get(std::span<std::byte> target, RemoteAddress source) {
    (void)target, (void)source;
    return false;
  }

  [[nodiscard]] virtual Footprint footprint() const = 0;

  /// Ends the link so that nothing the peer still does reaches this process's memory through it,
  /// and the peer notices. Idempotent, never throws. Everything else throws afterwards.
  virtual void close() noexcept = 0;
};

/// A link that is being made. See Transport::connect.
class Connector {
 public:
  virtual ~Connector() = default;
  /// Goes on with it; the endpoint once it is ready on both sides, null until then. Throws if it
  /// cannot be made.
  [[nodiscard]] virtual std::unique_ptr<Endpoint> poll() = 0;
};

/// What kind of stream, and how many, a transport wants for making a link.
struct SocketNeed {
  enum class Family : std::uint8_t { inet, local };  ///< local: AF_UNIX, which can pass fds
  Family family = Family::inet;
  int count = 1;
};

/// Which of the two ends: the dialer opened the sockets.
enum class Role : std::uint8_t { dialer, listener };

/// Whether two ranks can be linked, and if not, why not in one sentence without a full stop.
struct Reachable {
  bool yes = false;
  std::string why_not = {};
};

class Transport {
 public:
  virtual ~Transport() = default;

  /// "shm", "verbs", "tcp", "sim".
  [[nodiscard]] virtual std::string_view name() const = 0;

  /// What peers must know before a link is made; at most 512 bytes, exchanged over the bootstrap.
  [[nodiscard]] virtual Bytes describe() const = 0;
  /// Reads a peer's describe(). Both ends come to the same answer. What cannot be read is not
  /// reachable.
  [[nodiscard]] virtual Reachable reachable(ConstBytes peer_description) const = 0;

  /// The longest message that its endpoints take, header and payload together; the same on all
  /// ranks, at least kMaxMessage. Longer where it costs more to ask for the target than to copy.
  [[nodiscard]] virtual std::size_t longest_message() const { return kMaxMessage; }

  [[nodiscard]] virtual SocketNeed sockets() const = 0;
  /// Starts to make a link to `peer` over connected, authenticated, non-blocking sockets (as many
  /// as sockets() says, in the same order on both ends). The transport may keep them.
  [[nodiscard]] virtual std::unique_ptr<Connector> connect(int peer, Role role,
                                                           std::vector<UniqueFd> sockets) = 0;

  /// Registers memory for as long as the result lives. Never null: memory the transport cannot
  /// use has key() == kNoKey. Throws Error (out_of_memory) where a limit was hit.
  [[nodiscard]] virtual std::unique_ptr<Registration> register_memory(const MemoryView& memory) = 0;

  /// Moves everything along: bytes in and out of sockets, completions. Called often; cheap when
  /// nothing is going on. A transport whose links need no help (shm) returns at once.
  virtual void progress() = 0;
  /// False if progress() has nothing to do, ever: waiting loops leave it out.
  [[nodiscard]] virtual bool needs_progress() const = 0;
  /// True if Endpoint::flushed() of each of its links always is: then nobody need ask.
  [[nodiscard]] virtual bool always_flushed() const { return false; }
  /// Called before the owner of progress sleeps: adds descriptors that become ready when
  /// progress() or an endpoint has news, and arms them. While it waits for something the owner
  /// sleeps for a millisecond at most, because what comes through shared memory makes no
  /// descriptor ready. Returns false if there is news already: do not sleep.
  [[nodiscard]] virtual bool prepare_sleep(std::vector<pollfd>& descriptors) = 0;
};

}  // namespace paceline::transport
