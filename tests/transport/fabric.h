// What the conformance suite stands on: ranks of one process, linked to each other over one wire.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "paceline/error.h"
#include "transport/transport.h"

namespace paceline::transport::conformance {

/// How long anything that must happen may take, on a loaded machine under a sanitizer.
inline constexpr Nanoseconds kPatience = 30 * kSecond;

/// What a wire supplies to be tested. One World per test.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;
  [[nodiscard]] virtual std::unique_ptr<Transport> make_transport(int rank) = 0;
  /// How long this wire may take for what must happen.
  [[nodiscard]] virtual Nanoseconds patience() const { return kPatience; }
  /// Lets time pass between two rounds of progress. More ranks than cores is normal.
  virtual void pass_time() { std::this_thread::yield(); }
  /// True if each rank may live in a thread of its own (false: the ranks share a virtual clock).
  [[nodiscard]] virtual bool threads() const { return true; }
  /// True if a sleeper is always woken by a descriptor; false if news may come through memory.
  [[nodiscard]] virtual bool wakes_by_descriptor() const { return false; }
};

/// The parameter of the suite: one wire in one configuration.
struct Wire {
  std::string name;
  std::function<std::unique_ptr<World>()> make_world;
};

/// Fills with bytes that depend on `seed` and on the position, so that a shifted, torn or stale
/// copy differs.
inline void fill(std::span<std::byte> out, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 0x1234567;
  for (std::size_t i = 0; i < out.size(); i += sizeof(state)) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(out.data() + i, &state, std::min(sizeof(state), out.size() - i));
  }
}

inline Bytes pattern(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  fill(bytes, seed);
  return bytes;
}

inline bool same(ConstBytes a, ConstBytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// Zeroed memory that peers of this host may map, as Communicator::allocate makes it.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t size)
      : size_(size), fd_(::memfd_create("conformance", MFD_CLOEXEC)) {
    if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) std::abort();
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (address == MAP_FAILED) std::abort();
    data_ = static_cast<std::byte*>(address);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() { ::munmap(data_, size_); }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte> all() const { return {data_, size_}; }
  [[nodiscard]] std::span<std::byte> slice(std::size_t offset, std::size_t length) const {
    return all().subspan(offset, length);
  }
  [[nodiscard]] MemoryView view() const { return {data_, size_, fd_.get()}; }

 private:
  std::size_t size_;
  UniqueFd fd_;
  std::byte* data_ = nullptr;
};

/// The name by which peers put into `memory` from `offset` on.
inline RemoteAddress remote(const std::byte* memory, const Registration& registration,
                            std::size_t offset = 0) {
  return {reinterpret_cast<std::uint64_t>(memory) + offset, registration.key()};
}

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

/// `count` pairs of connected, non-blocking streams: first those of the dialer.
inline std::pair<std::vector<UniqueFd>, std::vector<UniqueFd>> stream_pairs(SocketNeed need) {
  std::pair<std::vector<UniqueFd>, std::vector<UniqueFd>> ends;
  for (int i = 0; i < need.count; ++i) {
    if (need.family == SocketNeed::Family::local) {
      int fds[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        std::abort();
      }
      ends.first.emplace_back(fds[0]);
      ends.second.emplace_back(fds[1]);
      continue;
    }
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    UniqueFd dialer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(listener.get(), plain, length) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), plain, &length) != 0 ||
        ::connect(dialer.get(), plain, length) != 0) {
      std::abort();
    }
    UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!accepted || ::fcntl(dialer.get(), F_SETFL, O_NONBLOCK) != 0) std::abort();
    const int on = 1;
    ::setsockopt(dialer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ends.first.push_back(std::move(dialer));
    ends.second.push_back(std::move(accepted));
  }
  return ends;
}

/// Ranks 0..size-1, every two of them linked; the lower one dialled.
class Fabric {
 public:
  explicit Fabric(const Wire& wire, int size = 2) : world(wire.make_world()) {
    for (int rank = 0; rank < size; ++rank) {
      transports.push_back(world->make_transport(rank));
      endpoints_.emplace_back(static_cast<std::size_t>(size));
    }
    for (int low = 0; low < size; ++low) {
      for (int high = low + 1; high < size; ++high) link(low, high);
    }
  }

  /// (Re)makes the link between two ranks.
  void link(int low, int high) {
    auto [dialed, accepted] = stream_pairs(transport(low).sockets());
    auto dialer = transport(low).connect(high, Role::dialer, std::move(dialed));
    auto listener = transport(high).connect(low, Role::listener, std::move(accepted));
    auto& at_low = slot(low, high);
    auto& at_high = slot(high, low);
    at_low.reset();
    at_high.reset();
    const bool linked = until([&] {
      if (!at_low) at_low = dialer->poll();
      if (!at_high) at_high = listener->poll();
      return at_low && at_high;
    });
    if (!linked) throw std::runtime_error("the link was not made in time");
  }

  /// One round of progress on every rank that is still there.
  void step() {
    for (auto& t : transports) {
      if (t) t->progress();
    }
    world->pass_time();
  }

  /// Steps until `done` holds; false if it did not in time.
  template <class Done>
  [[nodiscard]] bool until(Done done) {
    const Nanoseconds start = steady_now();
    while (!done()) {
      if (steady_now() - start > world->patience()) return false;
      step();
    }
    return true;
  }

  /// Steps until one of `actions` throws an Error, which is returned.
  [[nodiscard]] Error until_error(const std::vector<std::function<void()>>& actions) {
    const Nanoseconds start = steady_now();
    try {
      while (steady_now() - start < world->patience()) {
        for (const auto& action : actions) action();
        step();
      }
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error came";
    return Error(ErrorCode::internal, "none");
  }

  void step_some(int rounds = 50) {
    for (int i = 0; i < rounds; ++i) step();
  }

  /// Sends, stepping while the mailbox is full.
  void send(Endpoint& from, ConstBytes message) {
    ASSERT_TRUE(until([&] { return from.send(message, {}); }));
  }
  void put(Endpoint& from, Lane lane, ConstBytes source, const Registration* registration,
           RemoteAddress target) {
    ASSERT_TRUE(until([&] { return from.put(lane, source, registration, target); }));
  }
  void signal(Endpoint& from, Lane lane) {
    ASSERT_TRUE(until([&] { return from.signal(lane); }));
  }
  void expect_arrived(Endpoint& at, Lane lane, std::uint64_t count) {
    EXPECT_TRUE(until([&] { return at.arrived(lane) >= count; }));
    EXPECT_EQ(at.arrived(lane), count);
  }
  void flush(Endpoint& endpoint) {
    EXPECT_TRUE(until([&] { return endpoint.flushed(); }));
  }

  [[nodiscard]] Transport& transport(int rank) {
    return *transports[static_cast<std::size_t>(rank)];
  }
  /// Rank `of`'s side of its link to `to`.
  [[nodiscard]] Endpoint& endpoint(int of, int to) { return *slot(of, to); }
  [[nodiscard]] std::unique_ptr<Endpoint>& slot(int of, int to) {
    return endpoints_[static_cast<std::size_t>(of)][static_cast<std::size_t>(to)];
  }

  std::unique_ptr<World> world;
  std::vector<std::unique_ptr<Transport>> transports;

 private:
  std::vector<std::vector<std::unique_ptr<Endpoint>>> endpoints_;  // gone before the transports
};

/// The suite. A wire instantiates it with INSTANTIATE_TEST_SUITE_P; see conformance.h.
class Conformance : public ::testing::TestWithParam<Wire> {};

}  // namespace paceline::transport::conformance
