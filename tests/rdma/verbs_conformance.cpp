// The conformance suite over real libibverbs and a real device. Runs where there is one, which is
// in the virtual machine of tests/rdma/run; anywhere else it fails and says what is missing.
#include "transport/conformance.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::conformance {
namespace {

VerbsOptions plain_options(IbNotify notify) {
  VerbsOptions options;
  options.notify = notify;
  options.rnr_retry = 0;  // a notification that finds no receive breaks the link
  return options;
}

class DeviceWorld final : public World {
 public:
  explicit DeviceWorld(const VerbsOptions& options) : options_(options) {
    const Reachable available = verbs_available(options_);
    if (!available.yes) throw std::runtime_error(available.why_not);
  }
  [[nodiscard]] std::unique_ptr<Transport> make_transport(int /*rank*/) override {
    return make_verbs_transport(options_);
  }
  // The processor, the device and its driver are emulated, maybe on a machine that is busy.
  [[nodiscard]] Nanoseconds patience() const override { return 8 * kPatience; }
  [[nodiscard]] bool wakes_by_descriptor() const override { return true; }

 private:
  VerbsOptions options_;
};

VerbsOptions tight_options(IbNotify notify) {
  VerbsOptions options = plain_options(notify);
  options.send_depth = 16;
  options.receive_depth = 16;
  options.message_slots = 16;
  options.inline_bytes = 0;
  return options;
}

Wire wire(const char* name, const VerbsOptions& options) {
  return {name, [options] { return std::make_unique<DeviceWorld>(options); }};
}

INSTANTIATE_TEST_SUITE_P(Verbs, Conformance,
                         ::testing::Values(wire("device", plain_options(IbNotify::immediate)),
                                           wire("tight", tight_options(IbNotify::immediate)),
                                           wire("send", plain_options(IbNotify::send)),
                                           wire("send_tight", tight_options(IbNotify::send))),
                         wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
