// Ranks as threads of this process, each test with a time limit of its own.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "bootstrap/acceptor.h"
#include "bootstrap/addresses.h"
#include "bootstrap/bootstrap.h"
#include "support/patience.h"

namespace paceline::bootstrap {

using std::chrono::milliseconds;
using testing_support::patience;

/// Ends the process when a test takes longer: a hang is a failure with a name, not a lost hour.
class TimeLimit {
 public:
  explicit TimeLimit(std::chrono::seconds limit)
      : watch_([this, limit] {
          std::unique_lock lock(mutex_);
          if (done_signal_.wait_for(lock, limit, [&] { return done_; })) return;
          std::fprintf(stderr, "time limit of %lld s passed in %s\n",
                       static_cast<long long>(limit.count()),
                       testing::UnitTest::GetInstance()->current_test_info()->name());
          std::_Exit(3);
        }) {}
  ~TimeLimit() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    done_signal_.notify_all();
    watch_.join();
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable done_signal_;
  bool done_ = false;
  std::thread watch_;
};

class Timed : public testing::Test {
 private:
  TimeLimit limit_{std::chrono::seconds(100)};
};

/// Below those that the kernel hands out by itself, so that no connection of another test takes it
/// before it is used here.
inline std::uint16_t random_port() {
  std::random_device device;
  return std::uniform_int_distribution<std::uint16_t>(20'000, 29'990)(device);
}

/// A port that was free a moment ago, on `host` ("127.0.0.1" or "[::1]"), as "host:port".
inline std::string free_root(const std::string& host = "127.0.0.1") {
  for (int attempt = 0;; ++attempt) {
    const std::string root = host + ":" + std::to_string(random_port());
    try {
      (void)listen_tcp(resolve(root).front(), 0, 0, 0);
      return root;
    } catch (const Error&) {
      if (attempt == 1000) throw;
    }
  }
}

inline Config config_of(int rank, int size, const std::string& root = "") {
  Config config;
  config.rank = rank;
  config.size = size;
  config.root = root;
  config.timeout = milliseconds(30'000);
  config.heartbeat_timeout = milliseconds(30'000);
  return config;
}

/// What came of one rank: a Bootstrap or an Error.
struct Outcome {
  std::unique_ptr<Bootstrap> bootstrap = {};
  std::optional<Error> error = {};
};

/// Calls `body(i)` on `count` threads at once; an Error ends up in `errors[i]`.
inline std::vector<std::optional<Error>> in_parallel(int count,
                                                     const std::function<void(int)>& body) {
  std::vector<std::optional<Error>> errors(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        body(i);
      } catch (const Error& e) {
        errors[static_cast<std::size_t>(i)] = e;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

/// Creates one Bootstrap per Config, all at once.
inline std::vector<Outcome> create_all(const std::vector<Config>& configs,
                                       const std::shared_ptr<Store>& store = nullptr,
                                       const std::string& name = "world") {
  std::vector<Outcome> outcomes(configs.size());
  auto errors = in_parallel(static_cast<int>(configs.size()), [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    outcomes[at].bootstrap = create(configs[at], store, name);
  });
  for (std::size_t i = 0; i < configs.size(); ++i) outcomes[i].error = errors[i];
  return outcomes;
}

inline std::vector<Config> configs_of(int size, const std::string& root = "") {
  std::vector<Config> configs;
  for (int rank = 0; rank < size; ++rank) configs.push_back(config_of(rank, size, root));
  return configs;
}

inline std::string text_of(const std::optional<Error>& error) {
  return error ? error->what() : "(no error)";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline Bytes to_bytes(const std::string& text) {
  const auto span = std::as_bytes(std::span(text));
  return {span.begin(), span.end()};
}

/// Everybody's bytes are what everybody gave.
inline void expect_gathers(std::vector<Outcome>& ranks, const std::string& salt) {
  const int size = static_cast<int>(ranks.size());
  const auto given = [&](int rank) {
    return to_bytes(salt + std::string(static_cast<std::size_t>(rank * 37 % 300), 'x') +
                    std::to_string(rank));
  };
  const auto errors = in_parallel(size, [&](int rank) {
    const std::vector<Bytes> all =
        ranks[static_cast<std::size_t>(rank)].bootstrap->all_gather(given(rank));
    ASSERT_EQ(all.size(), static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], given(i));
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << text_of(error);
}

inline void expect_all_met(const std::vector<Outcome>& ranks) {
  for (const Outcome& rank : ranks) ASSERT_FALSE(rank.error) << text_of(rank.error);
}

/// Waits for the first failure of a Bootstrap.
class FailureWatch {
 public:
  void watch(Bootstrap& bootstrap) {
    bootstrap.watch({[this](const FailureNotice& notice) {
                       std::lock_guard lock(mutex_);
                       notice_ = notice;
                       ++count_;
                       news_.notify_all();
                     },
                     {}});
  }
  std::optional<FailureNotice> wait(milliseconds time) {
    std::unique_lock lock(mutex_);
    news_.wait_for(lock, time, [&] { return notice_.has_value(); });
    return notice_;
  }
  int count() {
    std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::optional<FailureNotice> notice_;
  int count_ = 0;
};

}  // namespace paceline::bootstrap
