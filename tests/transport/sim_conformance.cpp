#include "transport/conformance.h"
#include "transport_sim/sim_fabric.h"

namespace paceline::transport::conformance {
namespace {

class SimWorld final : public World {
 public:
  explicit SimWorld(const SimOptions& options) : fabric_(options) {}
  std::unique_ptr<Transport> make_transport(int rank) override {
    return fabric_.make_transport(rank);
  }
  void pass_time() override {
    // A few events at a time: the ranks look at moments in between, and the tests stay short.
    for (int i = 0; i < 4 && fabric_.advance(); ++i) {
    }
  }
  bool threads() const override { return false; }

 private:
  SimFabric fabric_;
};

Wire network(const std::string& name, SimOptions options) {
  options.ranks = 8;
  return {name, [options] { return std::make_unique<SimWorld>(options); }};
}

INSTANTIATE_TEST_SUITE_P(
    Sim, Conformance,
    ::testing::Values(
        network("plain", {}),
        network("one_host", {.ranks_per_host = 8, .mappable = true, .gettable = true}),
        network("staged_and_shallow",
                {.queue_depth = 1,
                 .mailbox = 2,
                 .ranks_per_host = 8,
                 .gettable = true,
                 .can_register = [](const MemoryView& m) { return m.shareable_fd >= 0; }}),
        network("lossy", {.seed = 8, .extra_delay = 20'000, .reorder = true, .loss = 0.2})),
    wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
