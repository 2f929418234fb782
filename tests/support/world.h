// Ranks as threads of this process: each gets a communicator of its own, and they meet in a store.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "paceline/paceline.hpp"
#include "support/patience.h"

namespace paceline::testing_support {

/// What every test starts from: short time-outs, no secret needed, all on loopback.
inline Config test_config() {
  Config config;
  config.timeout = std::chrono::seconds(60);
  config.heartbeat_timeout = std::chrono::seconds(30);
  config.eager_bytes = 4096;  // on all wires: longer data goes by puts, as short tests expect
  return config;
}

/// Runs `body(communicator)` on `size` threads. What a body throws fails the test, with the rank.
/// `adjust` may change each rank's Config first.
inline void run_world(int size, const std::function<void(Communicator&)>& body,
                      const std::function<void(Config&)>& adjust = {}) {
  const auto store = make_process_store();
  std::vector<std::thread> ranks;
  std::vector<std::string> failures(static_cast<std::size_t>(size));
  for (int rank = 0; rank < size; ++rank) {
    ranks.emplace_back([&, rank] {
      try {
        Config config = test_config();
        config.rank = rank;
        config.size = size;
        if (adjust) adjust(config);
        Communicator communicator = Communicator::create(config, store);
        body(communicator);
      } catch (const std::exception& error) {
        failures[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (int rank = 0; rank < size; ++rank) {
    const std::string& failure = failures[static_cast<std::size_t>(rank)];
    EXPECT_TRUE(failure.empty()) << "rank " << rank << ": " << failure;
  }
}

/// The text of the Error that `call` throws, with its code; fails the test if it throws none.
inline Error expect_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return {ErrorCode::internal, ""};
}

}  // namespace paceline::testing_support
