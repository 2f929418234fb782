// Garbage, idlers, port scanners, other versions and other secrets, on every listener, while a job
// starts and after: the job is unharmed.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "bootstrap/dial.h"
#include "bootstrap/handshake.h"
#include "bootstrap/messages.h"
#include "support.h"

namespace paceline::bootstrap {
namespace {

class Strangers : public Timed {};

UniqueFd knock(const SocketAddress& address) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), address.data(), address.length()) != 0) return {};
  const timeval longest{30, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
  return fd;
}

void put(const UniqueFd& fd, ConstBytes bytes) {
  (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

// Everything until the peer closes or `bytes` have come.
Bytes take(const UniqueFd& fd, std::size_t bytes = 1 << 20) {
  Bytes result;
  while (result.size() < bytes) {
    std::array<std::byte, 512> part;
    const ssize_t n =
        ::recv(fd.get(), part.data(), std::min(part.size(), bytes - result.size()), 0);
    if (n <= 0) break;
    result.insert(result.end(), part.begin(), part.begin() + n);
  }
  return result;
}

std::optional<Refusal> refusal_in(const Bytes& bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const Header header = decode_header(ConstBytes(bytes).first(kHeaderBytes));
  if (header.type != FrameType::refused) return std::nullopt;
  return Refusal::decode(ConstBytes(bytes).subspan(kHeaderBytes));
}

Hello plausible(Purpose purpose) {
  Hello hello;
  hello.purpose = purpose;
  hello.name = "world";
  hello.from = 1;
  hello.size = 4;
  return hello;
}

Bytes with_version(Bytes frame, std::uint16_t version) {
  frame[4] = static_cast<std::byte>(version >> 8);
  frame[5] = static_cast<std::byte>(version);
  return frame;
}

// All kinds at one listener; those that hold on are kept open in `kept`.
void molest(const SocketAddress& address, std::vector<UniqueFd>& kept) {
  put(knock(address), to_bytes("GET / HTTP/1.1\r\n\r\n"));
  put(knock(address), Bytes(5000, std::byte{0xff}));
  kept.push_back(knock(address));  // silent
  DialerHandshake half("whatever it may be", plausible(Purpose::control));
  const Bytes hello = encode_frame(FrameType::hello, half.hello_payload());
  kept.push_back(knock(address));  // half a hello
  put(kept.back(), ConstBytes(hello).first(hello.size() / 2));
  kept.push_back(knock(address));  // a whole one, and then nothing
  put(kept.back(), hello);
  put(knock(address), with_version(hello, 9));
  Bytes huge = hello;
  huge[8] = std::byte{0x7f};  // claims two gigabytes
  put(knock(address), huge);
  (void)knock(address);  // comes and goes
}

// Listening TCP ports and abstract sockets of this process, found as a scanner on the host would.
std::vector<SocketAddress> listeners_of_this_process() {
  std::vector<SocketAddress> result;
  for (int fd = 3; fd < 1024; ++fd) {
    int listening = 0;
    socklen_t length = sizeof listening;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0) continue;
    if (listening != 0) result.push_back(SocketAddress::local_end(fd));
  }
  return result;
}

TEST_F(Strangers, HarmNobodyWhileAJobStarts) {
  auto configs = configs_of(4, free_root());
  for (Config& config : configs) config.secret = "the secret of this job";
  const SocketAddress root = resolve(configs[0].root).front();
  std::vector<Outcome> ranks(4);
  std::vector<std::thread> starting;
  std::vector<UniqueFd> kept;
  const auto start = [&](int rank) {
    starting.emplace_back([&, rank] {
      const auto at = static_cast<std::size_t>(rank);
      try {
        ranks[at].bootstrap = create(configs[at]);
      } catch (const Error& e) {
        ranks[at].error = e;
      }
    });
  };
  // Root, and listeners of those that wait for the last one.
  start(0);
  while (!knock(root)) std::this_thread::sleep_for(milliseconds(2));
  molest(root, kept);
  start(1);
  start(2);
  // Root's, and TCP and local ones of three ranks.
  auto listening = listeners_of_this_process();
  while (listening.size() < 7) {
    std::this_thread::sleep_for(milliseconds(10));
    listening = listeners_of_this_process();
  }
  for (const SocketAddress& address : listening) molest(address, kept);
  start(3);
  for (std::thread& thread : starting) thread.join();
  expect_all_met(ranks);
  for (const SocketAddress& address : listeners_of_this_process()) molest(address, kept);
  expect_gathers(ranks, "after strangers");
}

// Ranks drop what they no longer need, links at the end of a job among it: that is no news.
TEST_F(Strangers, WhoLeavesIsNotWarnedOf) {
  const std::string path = testing::TempDir() + "strangers_log." + std::to_string(::getpid());
  auto configs = configs_of(2, free_root());
  configs[0].log_file = path;
  configs[1].size = 3;  // so that rank 0 gives up when it comes
  const SocketAddress root = resolve(configs[0].root).front();
  const auto logged = [&] {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  std::atomic<bool> over{false};
  std::thread visitors([&] {
    const auto until = [&](const std::function<bool()>& condition) {
      while (!over && !condition()) std::this_thread::sleep_for(milliseconds(2));
    };
    until([&] { return static_cast<bool>(knock(root)); });
    DialerHandshake half("whatever it may be", plausible(Purpose::control));
    put(knock(root), encode_frame(FrameType::hello, half.hello_payload()));
    put(knock(root), to_bytes("GET / HTTP/1.1\r\n\r\n"));
    until([&] { return contains(logged(), "it does not speak Paceline"); });
    if (!over) (void)create_all({configs[1]});
  });
  {
    const Logger log(configs[0], "world");
    EXPECT_THROW((void)create(configs[0], nullptr, "world", log), Error);
    over = true;
  }
  visitors.join();
  const std::string text = logged();
  EXPECT_TRUE(contains(text, "it does not speak Paceline")) << text;
  EXPECT_FALSE(contains(text, "connection closed")) << text;
  (void)std::remove(path.c_str());
}

TEST_F(Strangers, AreToldWhy) {
  auto configs = configs_of(2, free_root());
  for (Config& config : configs) config.secret = "the secret of this job";
  auto ranks = create_all(configs);
  expect_all_met(ranks);
  const auto listening = listeners_of_this_process();
  ASSERT_EQ(listening.size(), 4U);  // the root's own is closed by now
  for (const SocketAddress& address : listening) {
    DialerHandshake dialer("the secret of this job", plausible(Purpose::control));
    const Bytes hello = encode_frame(FrameType::hello, dialer.hello_payload());

    const UniqueFd ninth = knock(address);
    put(ninth, with_version(hello, 9));
    const auto version = refusal_in(take(ninth));
    ASSERT_TRUE(version);
    EXPECT_EQ(version->code, RefusalCode::wrong_version);
    EXPECT_TRUE(contains(version->text, "version 1 is spoken here, you said 9"));

    const UniqueFd guess = knock(address);
    put(guess, hello);
    const std::size_t challenge_bytes = kHeaderBytes + kNonceBytes + 4 + kMacBytes;
    EXPECT_GE(take(guess, challenge_bytes).size(), challenge_bytes);
    // Rank 0's challenge carries the session as well.
    pollfd more{guess.get(), POLLIN, 0};
    if (::poll(&more, 1, 100) > 0) (void)take(guess, 16);
    put(guess, encode_frame(FrameType::proof, Bytes(kMacBytes)));
    const auto secret = refusal_in(take(guess));
    ASSERT_TRUE(secret);
    EXPECT_EQ(secret->code, RefusalCode::wrong_secret);
    EXPECT_TRUE(contains(secret->text, "wrong secret"));
  }
  expect_gathers(ranks, "unharmed");
}

// A dialer that knows the secret, and asks for something that is not here.
TEST_F(Strangers, WithTheSecretButOfAnotherCommunicatorAreTold) {
  auto configs = configs_of(2, free_root());
  for (Config& config : configs) config.secret = "the secret of this job";
  auto ranks = create_all(configs);
  expect_all_met(ranks);
  for (const SocketAddress& address : listeners_of_this_process()) {
    for (const Purpose purpose : {Purpose::rendezvous, Purpose::control, Purpose::link}) {
      std::mutex mutex;
      std::condition_variable news;
      std::string text;
      ServiceClient service;
      DialPlan plan;
      plan.candidates = {address};
      plan.secret = "the secret of this job";
      plan.deadline = steady_now() + 5 * kSecond;
      plan.hello = [purpose](int) { return plausible(purpose); };
      const auto say = [&](const std::string& said) {
        std::lock_guard lock(mutex);
        text = said;
        news.notify_all();
      };
      std::shared_ptr<Dial> dial;  // the service thread's
      service.post([&] {
        dial = Dial::start(
            service, plan, [&](UniqueFd, const Bytes&) { say("let in"); },
            [&](const DialFailure& failure) { say(failure.text); });
      });
      {
        std::unique_lock lock(mutex);
        news.wait(lock, [&] { return !text.empty(); });
      }
      service.detach();
      EXPECT_TRUE(contains(text, "no such communicator")) << text;
    }
  }
  expect_gathers(ranks, "unharmed");
}

TEST_F(Strangers, ManyIdleOnesDoNotKeepTheJobOut) {
  auto configs = configs_of(3, free_root());
  const SocketAddress root = resolve(configs[0].root).front();
  Outcome zero;
  std::thread first([&] {
    try {
      zero.bootstrap = create(configs[0]);
    } catch (const Error& e) {
      zero.error = e;
    }
  });
  while (!knock(root)) std::this_thread::sleep_for(milliseconds(2));
  // More than the acceptor keeps at a time.
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 300; ++i) idle.push_back(knock(root));
  auto others = create_all({configs[1], configs[2]});
  first.join();
  ASSERT_FALSE(zero.error) << text_of(zero.error);
  expect_all_met(others);
}

}  // namespace
}  // namespace paceline::bootstrap
