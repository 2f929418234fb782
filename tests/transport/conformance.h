// The conformance suite: the contract of src/transport/transport.h as tests, written once. A wire
// is tested by a program of its own, which supplies a World and instantiates the suite:
//
//   #include "transport/conformance.h"
//   namespace paceline::transport::conformance {
//   class MyWorld final : public World {
//     std::unique_ptr<Transport> make_transport(int rank) override { ... }
//   };
//   INSTANTIATE_TEST_SUITE_P(MyWire, Conformance,
//                            ::testing::Values(Wire{"plain", [] {
//                              return std::make_unique<MyWorld>();
//                            }}),
//                            wire_name);
//   }
//
// Several values are several configurations (streams per link, seeds of a simulation).
#pragma once

#include "transport/conformance_life.h"
#include "transport/conformance_messages.h"
#include "transport/conformance_puts.h"

namespace paceline::transport::conformance {

inline std::string wire_name(const ::testing::TestParamInfo<Wire>& info) {
  return info.param.name;
}

}  // namespace paceline::transport::conformance
