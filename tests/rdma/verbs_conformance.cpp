// The conformance suite over real libibverbs and a real device. Runs where there is one, which is
// in the virtual machine of tests/rdma/run; anywhere else it fails and says what is missing.
#include "transport/conformance.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::conformance {
namespace {

VerbsOptions plain_options(IbNotify notify, IbConnect connect = IbConnect::automatic) {
  VerbsOptions options;
  options.notify = notify;
  options.connect = connect;
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
  // The processor, the device and its driver are emulated, maybe on a machine that is busy. siw
  // takes two minutes for 200,000 messages.
  [[nodiscard]] Nanoseconds patience() const override { return 40 * kPatience; }
  [[nodiscard]] bool wakes_by_descriptor() const override { return true; }

 private:
  VerbsOptions options_;
};

VerbsOptions tight_options(IbNotify notify, IbConnect connect = IbConnect::automatic) {
  VerbsOptions options = plain_options(notify, connect);
  options.send_depth = 16;
  options.receive_depth = 16;
  options.message_slots = 16;
  options.inline_bytes = 0;
  return options;
}

/// siw of Linux 6.1 garbles a request of up to 44 bytes that is not inline and crosses a page
/// (siw_try_1seg copies the two parts with each other's lengths). The library always asks for
/// inline.
VerbsOptions tight_by_manager() {
  VerbsOptions options = tight_options(IbNotify::send, IbConnect::cm);
  options.inline_bytes = 64;
  return options;
}

Wire wire(const char* name, const VerbsOptions& options) {
  return {name, [options] { return std::make_unique<DeviceWorld>(options); }};
}

// What InfiniBand and RoCE have.
INSTANTIATE_TEST_SUITE_P(Verbs, Conformance,
                         ::testing::Values(wire("device", plain_options(IbNotify::immediate)),
                                           wire("tight", tight_options(IbNotify::immediate)),
                                           wire("send", plain_options(IbNotify::send)),
                                           wire("send_tight", tight_options(IbNotify::send))),
                         wire_name);

// What iWARP has too.
INSTANTIATE_TEST_SUITE_P(VerbsByManager, Conformance,
                         ::testing::Values(wire("cm",
                                                plain_options(IbNotify::automatic, IbConnect::cm)),
                                           wire("cm_tight", tight_by_manager())),
                         wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
