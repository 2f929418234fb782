#include "transport/conformance.h"
#include "transport_shm/shm_transport.h"

namespace paceline::transport::conformance {
namespace {

class ShmWorld final : public World {
 public:
  std::unique_ptr<Transport> make_transport(int /*rank*/) override {
    return make_shm_transport({.host_id = "here"});
  }
};

INSTANTIATE_TEST_SUITE_P(Shm, Conformance,
                         ::testing::Values(Wire{"plain",
                                                [] { return std::make_unique<ShmWorld>(); }}),
                         wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
