// A stream of the bootstrap's frames, cut into pieces at will. No frame is longer than the limit,
// nothing comes after the end, and the end always comes.
#include "bootstrap/channel.h"

#include <sys/socket.h>

#include <array>
#include <future>

#include "fuzz/input.h"

namespace paceline::bootstrap {
namespace {

using fuzz::Input;
using fuzz::require;

/// Large enough for frames of many lengths, small enough to be exceeded.
constexpr std::size_t kLimit = 512;

struct Seen {
  std::promise<void> ended = {};
  bool closed = false;
  std::shared_ptr<Channel> channel = {};
};

std::shared_ptr<Channel> open(ServiceClient& service, UniqueFd fd, Seen& seen, bool answer) {
  Channel::Events events;
  events.frame = [&seen, answer](FrameType type, ConstBytes payload) {
    require(!seen.closed, "no frame comes after the end");
    require(payload.size() <= kLimit, "no frame is longer than the limit");
    if (answer) seen.channel->send(type, payload);
  };
  events.closed = [&seen](const std::string& why) {
    require(!seen.closed && !why.empty(), "the end comes once and says why");
    seen.closed = true;
    seen.ended.set_value();
  };
  return Channel::open(service, std::move(fd), kLimit, std::move(events));
}

// One client for all runs: a thread that starts and ends costs more than a run.
ServiceClient& service() {
  static ServiceClient client;
  return client;
}

void run(Input input) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0,
          "there is a socket");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const bool answer = input.byte() % 2 == 1;
  Seen seen;
  std::future<void> ended = seen.ended.get_future();
  std::promise<void> opened;
  service().post([&] {
    seen.channel = open(service(), std::move(ours), seen, answer);
    opened.set_value();
  });
  opened.get_future().wait();
  while (!input.empty()) {
    const ConstBytes piece = input.take(1 + input.byte());
    if (::send(theirs.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
  }
  // Both directions: an answer that nobody reads must not keep the channel.
  theirs.reset();
  ended.wait();
  std::promise<void> gone;
  service().post([&] {
    seen.channel.reset();
    gone.set_value();
  });
  gone.get_future().wait();
}

}  // namespace
}  // namespace paceline::bootstrap

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  paceline::bootstrap::run({data, size});
  return 0;
}
