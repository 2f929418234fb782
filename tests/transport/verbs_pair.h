// Two ranks linked by the RDMA wire, on fake devices of the test's choice.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transport/fabric.h"
#include "transport/fake_profiles.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::verbs {

using conformance::pattern;
using conformance::remote;
using conformance::same;
using conformance::SharedMemory;
using conformance::stream_pairs;

/// Two ranks on devices of the test's choice.
struct Pair {
  explicit Pair(const VerbsOptions& options, FakeDevice device0 = roce_device(0),
                FakeDevice device1 = roce_device(1), unsigned reluctance = 0)
      : Pair(options, options, std::move(device0), std::move(device1), reluctance) {}
  Pair(const VerbsOptions& options0, const VerbsOptions& options1, FakeDevice device0,
       FakeDevice device1, unsigned reluctance)
      : network(std::make_shared<FakeNetwork>(reluctance)) {
    transports[0] = make_transport(options0, std::move(device0));
    transports[1] = make_transport(options1, std::move(device1));
  }
  std::unique_ptr<Transport> make_transport(VerbsOptions options, FakeDevice device) {
    options.rnr_retry = 0;
    return make_verbs_transport(
        options, std::make_shared<FakeVerbs>(network, std::vector<FakeDevice>{std::move(device)}));
  }
  void link() {
    auto [dialed, accepted] = stream_pairs({});
    auto dialer = transports[0]->connect(1, Role::dialer, std::move(dialed));
    auto listener = transports[1]->connect(0, Role::listener, std::move(accepted));
    ASSERT_TRUE(until([&] {
      if (!ends[0]) ends[0] = dialer->poll();
      if (!ends[1]) ends[1] = listener->poll();
      return ends[0] && ends[1];
    }));
  }
  /// The text of the error that linking ends with.
  std::string link_error() {
    try {
      link();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  template <class Done>
  [[nodiscard]] bool until(Done done) {
    const Nanoseconds start = steady_now();
    while (!done()) {
      if (steady_now() - start > conformance::kPatience) return false;
      transports[0]->progress();
      transports[1]->progress();
    }
    return true;
  }
  /// The text of the error that rank 0's or 1's end throws.
  std::string error_at(int rank) {
    std::string text;
    EXPECT_TRUE(until([&] {
      try {
        (void)ends[rank]->front();
        (void)ends[rank]->flushed();
        (void)ends[rank]->signal(0);
      } catch (const Error& error) {
        text = error.what();
      }
      return !text.empty();
    }));
    return text;
  }
  std::shared_ptr<FakeNetwork> network;
  std::unique_ptr<Transport> transports[2];
  std::unique_ptr<Endpoint> ends[2];
};

inline void expect_has(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

inline void expect_clean(const FakeNetwork::Book& book) {
  EXPECT_EQ(book.missing_receives, 0u);
  EXPECT_EQ(book.send_overflows, 0u);
  EXPECT_EQ(book.completion_overflows, 0u);
}

}  // namespace paceline::transport::verbs
