// Who am I, where are the others: rendezvous, an all-gather of endpoint descriptions, and a
// control plane that stays up and notices who died.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "base/wire.h"
#include "paceline/config.h"
#include "paceline/error.h"
#include "paceline/store.h"

namespace paceline::bootstrap {

/// News that travels over the control links to every rank: the communicator has failed.
struct FailureNotice {
  ErrorCode code = ErrorCode::internal;
  int origin = Error::kNoRank;   ///< who found out
  int culprit = Error::kNoRank;  ///< whose fault it is, if known
  std::uint64_t sequence = Error::kNoSequence;
  std::string text = {};  ///< one sentence; at most 1,000 bytes travel
};

/// A request for sockets from one rank to another, so that a transport can make its link.
struct LinkRequest {
  int peer = 0;
  std::uint8_t transport = 0;  ///< the transport's number, the same on all ranks
  bool local = false;          ///< AF_UNIX instead of TCP
  int count = 1;
};

/// The sockets: connected, authenticated, non-blocking. Delivered on both ranks.
struct Link {
  int peer = 0;
  std::uint8_t transport = 0;
  bool dialer = false;
  std::vector<UniqueFd> sockets = {};
};

/// What an inquiry is about.
enum class Topic : std::uint8_t {
  hang = 1,       ///< an operation does not go on: who is to blame?
  status = 2,     ///< somebody looks in from outside
  survivors = 3,  ///< the bootstrap's own
  departed = 4,   ///< the bootstrap's own: has this rank said goodbye to you?
};

/// What ranks said, by rank. One that did not answer in time is missing; an empty testimony is that
/// of a rank whose communicator is not made yet.
using Testimonies = std::map<int, Bytes>;

/// Calls made on the service thread: short, never blocking.
struct Events {
  /// The first failure only; afterwards nothing is called any more.
  std::function<void(const FailureNotice&)> failed = {};
  /// Something waits in take_links(), or a requested link could not be made (then `failed` says
  /// it).
  std::function<void()> link_ready = {};
  /// What this rank says to an inquiry, whatever its program is doing; at most 4 KiB. Also called
  /// after a failure.
  std::function<Bytes(Topic, ConstBytes question)> testify = {};
};

/// What a Bootstrap holds, and what it took to get there.
struct BootstrapUsage {
  int control_links = 0;
  int descriptors = 0;
  int rounds = 0;
};

/// One rank's membership in one communicator. Created by all ranks together. The service thread
/// of the process (base/service_thread.h) does heartbeats, accepts and handshakes for it.
/// All methods: any thread, unless they say otherwise.
class Bootstrap {
 public:
  virtual ~Bootstrap() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Everybody's bytes in rank order, in O(log size) rounds. `mine` is at most 64 KiB. All ranks
  /// call it together, from the thread that created the Bootstrap. Throws on time-out (naming who
  /// is missing, as far as known) and on failure.
  [[nodiscard]] virtual std::vector<Bytes> all_gather(ConstBytes mine) = 0;

  /// From now on failures are reported; a failure that happened before is reported at once.
  virtual void watch(Events events) = 0;

  /// Asks for a link. Only the higher rank of a pair dials; the lower one makes it, whatever its
  /// program is doing. Returns at once; asking again for the same link changes nothing.
  virtual void request_link(const LinkRequest& request) = 0;
  /// Links that have come up, whether asked for on this side or on the other.
  [[nodiscard]] virtual std::vector<Link> take_links() = 0;

  /// Tells all ranks, this one included, that the communicator has failed. Returns at once.
  virtual void announce_failure(const FailureNotice& notice) = 0;

  /// Asks all ranks; `done` is called once, on the service thread, within `limit` and a little. It
  /// gets nothing if a lower rank is asking the same at the same time and will make its verdict
  /// known (Topic::hang), or if this rank leaves. Returns at once.
  virtual void inquire(Topic topic, Bytes question, std::chrono::nanoseconds limit,
                       std::function<void(std::optional<Testimonies>)> done) = 0;

  /// After a failure: the ranks that are left and that call this too, ascending, the same list on
  /// all of them; ranks that do not call it within `limit` are left out. May be called again, when
  /// more have died. Throws Error (peer_failed) if the others go on without this rank.
  [[nodiscard]] virtual std::vector<int> survivors(std::chrono::nanoseconds limit) = 0;
  /// What one rank sets, all get, also after a failure. Not from the service thread.
  [[nodiscard]] virtual std::shared_ptr<Store> board() = 0;
  /// Under which the ranks have met; empty if there was none.
  [[nodiscard]] virtual const std::string& secret() const = 0;
  /// Eight hexadecimal digits, the same on all ranks, that tell this communicator from others;
  /// "alone" if it has one rank.
  [[nodiscard]] virtual std::string job() const = 0;
  /// Not from the service thread.
  [[nodiscard]] virtual BootstrapUsage usage() = 0;
  /// Ranks that have said goodbye to this one, ascending; each rank hears it of its neighbours in
  /// the control graph only. Service thread only.
  [[nodiscard]] virtual std::vector<int> departed() const = 0;

  /// Leaves in an orderly way: peers do not take the closing of our links for a death.
  /// The destructor does it too.
  virtual void leave() noexcept = 0;
};

/// Ranks meet: in `store` where one is given, else at Config::root, else through the launcher's own
/// channel (bootstrap/launcher_store.h). Blocks, at most Config::timeout. `name` tells
/// communicators apart. A size of one needs nobody: no socket is opened.
std::unique_ptr<Bootstrap> create(const Config& config, std::shared_ptr<Store> store = nullptr,
                                  const std::string& name = "world", const Logger& log = {});

/// "boot id:network namespace", what host ids default to.
std::string default_host_id();

}  // namespace paceline::bootstrap
