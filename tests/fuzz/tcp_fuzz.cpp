// A peer on a tcp link that sends what it likes after its greeting, and knows where our memory is.
// It may write there and nowhere else: the memory around is a heap block of its own, which the
// address sanitizer watches.
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>

#include "fuzz/input.h"
#include "paceline/error.h"
#include "transport_tcp/frame.h"
#include "transport_tcp/tcp_transport.h"

namespace paceline::transport {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr std::size_t kRegistered = 256;
/// Turns of progress per run; each takes all that is there.
constexpr int kTurns = 4;

// One frame out of a few decisions, so that most runs get past the header. The last choice is 32
// bytes as they are.
Bytes make_frame(Input& input, RemoteAddress memory) {
  tcp::Frame frame;
  const std::uint8_t kind = input.byte() % 6;
  frame.lane = input.byte() % 16;
  frame.pieces = input.byte();
  frame.sequence = input.byte();
  switch (kind) {
    case 0:  // aimed at our memory, or just beside it
      frame.type = tcp::FrameType::put;
      frame.address = memory.address + input.word() - 16;
      frame.key = memory.key + (input.byte() == 1 ? 1 : 0);
      frame.length = input.word() % 512;
      break;
    case 1:
      frame.type = tcp::FrameType::message;
      frame.lane = frame.pieces = 0;
      frame.length = input.word() % (tcp::kLongestMessage + 2);
      break;
    case 2:
      frame.type = tcp::FrameType::credit;
      frame.lane = frame.pieces = 0;
      break;
    case 3:
      frame.type = tcp::FrameType::put;  // a signal
      frame.pieces = 1;
      break;
    case 4:
      frame.type = tcp::FrameType::refuse;
      frame.pieces = 0;
      break;
    default: {
      const ConstBytes raw = input.take(tcp::kFrameBytes);
      return {raw.begin(), raw.end()};
    }
  }
  const tcp::FrameImage image = tcp::encode(frame);
  Bytes bytes(image.begin(), image.end());
  const ConstBytes payload = input.take(frame.length);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

void use(Transport& transport, Endpoint& endpoint) {
  std::array<std::uint64_t, kMaxLanes> before{};
  for (int turn = 0; turn < kTurns; ++turn) {
    transport.progress();
    for (Lane lane = 0; lane < kMaxLanes; ++lane) {
      const std::uint64_t now = endpoint.arrived(lane);
      require(now >= before[lane], "a counter does not go back");
      before[lane] = now;
    }
    for (ConstBytes message = endpoint.front(); !message.empty(); message = endpoint.front()) {
      require(message.size() <= tcp::kLongestMessage, "a message is within its limit");
      endpoint.pop();
    }
    (void)endpoint.signal(0);
    (void)endpoint.flushed();
  }
}

void run(Input input) {
  const auto transport = make_tcp_transport({.links = 2});
  std::array<UniqueFd, 2> theirs;
  std::vector<UniqueFd> ours;
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0,
            "there is a socket");
    ours.emplace_back(ends[0]);
    theirs[i].reset(ends[1]);
  }
  const auto memory = std::make_unique<std::byte[]>(kRegistered);
  const auto registration = transport->register_memory({memory.get(), kRegistered});
  const RemoteAddress address{reinterpret_cast<std::uint64_t>(memory.get()), registration->key()};
  try {
    const auto connector = transport->connect(1, Role::listener, std::move(ours));
    const bool raw_greeting = input.byte() == 1;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const Bytes hello =
          tcp::encode(tcp::Hello{.links = 2, .index = static_cast<std::uint8_t>(i)});
      const ConstBytes said = raw_greeting ? input.take(tcp::kHelloBytes) : ConstBytes(hello);
      (void)!::send(theirs[i].get(), said.data(), said.size(), MSG_NOSIGNAL);
    }
    const auto endpoint = connector->poll();
    if (!endpoint) return;
    while (!input.empty()) {
      const Bytes frame = make_frame(input, address);
      const int link = theirs[input.byte() % theirs.size()].get();
      (void)!::send(link, frame.data(), frame.size(), MSG_NOSIGNAL);
    }
    use(*transport, *endpoint);
  } catch (const Error& error) {
    require(*error.what() != '\0', "what is refused is refused in words");
  }
}

}  // namespace
}  // namespace paceline::transport

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  paceline::transport::run({data, size});
  return 0;
}
