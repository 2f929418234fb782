// The conformance suite over fake devices: prompt ones, reluctant ones, and ones with hardly any
// resources. On real devices it is run by tests/rdma.
#include "transport/conformance.h"
#include "transport/fake_cm.h"
#include "transport/fake_profiles.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::conformance {
namespace {

using verbs::FakeDevice;
using verbs::FakeNetwork;
using verbs::FakeVerbs;

struct Setup {
  unsigned reluctance = 0;
  VerbsOptions options = {};
  std::uint32_t max_message = ~0u;
  std::uint32_t max_inline = ~0u;
  verbs::FakeImmediates immediates = verbs::FakeImmediates::work;
  verbs::FakeDevice (*device)(int host) = verbs::roce_device;
};

class FakeWorld final : public World {
 public:
  explicit FakeWorld(const Setup& setup)
      : setup_(setup),
        iwarp_(setup.device(0).transport == IBV_TRANSPORT_IWARP),
        network_(std::make_shared<FakeNetwork>(setup.reluctance)),
        managers_(std::make_shared<verbs::FakeCmNetwork>(network_)) {
    setup_.options.rnr_retry = 0;
  }
  ~FakeWorld() override {
    const FakeNetwork::Book book = network_->book();
    EXPECT_EQ(book.live_objects, 0);
    EXPECT_EQ(book.teardown_errors, 0u);
    EXPECT_EQ(book.missing_receives, 0u);
    EXPECT_EQ(book.send_overflows, 0u);
    EXPECT_EQ(book.spoke_too_early, 0u);
    EXPECT_EQ(managers_->book().live_objects, 0);
    EXPECT_EQ(managers_->book().events_kept, 0u);
    EXPECT_EQ(book.completion_overflows, 0u);
    const bool by_send = setup_.options.notify == IbNotify::send ||
                         make_device(0).immediates != verbs::FakeImmediates::work;
    EXPECT_EQ(by_send ? book.immediates : book.sends, 0u) << "the other way was gone";
  }
  [[nodiscard]] std::unique_ptr<Transport> make_transport(int rank) override {
    const FakeDevice device = make_device(rank);
    auto host = std::make_shared<FakeVerbs>(network_, std::vector<FakeDevice>{device});
    auto manager = std::make_shared<verbs::FakeCm>(managers_, *host, device);
    return make_verbs_transport(setup_.options, host, manager);
  }
  // A reluctant network under a thread sanitizer, on a busy machine, is slow.
  [[nodiscard]] Nanoseconds patience() const override { return 4 * kPatience; }
  // A reluctant network moves only when somebody polls.
  [[nodiscard]] bool wakes_by_descriptor() const override {
    return setup_.reluctance == 0 && !iwarp_;
  }

 private:
  [[nodiscard]] FakeDevice make_device(int rank) const {
    FakeDevice device = setup_.device(rank);
    device.ports[0].max_message = std::min(device.ports[0].max_message, setup_.max_message);
    device.max_inline = std::min(device.max_inline, setup_.max_inline);
    device.immediates = std::max(device.immediates, setup_.immediates);
    return device;
  }

  Setup setup_;
  bool iwarp_;
  std::shared_ptr<FakeNetwork> network_;
  std::shared_ptr<verbs::FakeCmNetwork> managers_;
};

Wire wire(const char* name, const Setup& setup) {
  return {name, [setup] { return std::make_unique<FakeWorld>(setup); }};
}

VerbsOptions by(IbNotify notify) {
  VerbsOptions options;
  options.notify = notify;
  return options;
}

VerbsOptions by_manager() {
  VerbsOptions options;
  options.connect = IbConnect::cm;
  return options;
}

VerbsOptions tight(IbNotify notify = IbNotify::automatic) {
  VerbsOptions options = by(notify);
  options.send_depth = 16;
  options.receive_depth = 16;
  options.message_slots = 16;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    FakeVerbs, Conformance,
    ::testing::Values(
        wire("prompt", {}), wire("reluctant", {.reluctance = 3}),
        wire("tight", {.reluctance = 2, .options = tight(), .max_inline = 0}),
        // Every put of more than 8 KiB is several requests.
        wire("short_requests", {.options = tight(), .max_message = 8'192}),
        // Notified by sends: asked for, and because there are no immediates.
        wire("send_prompt", {.options = by(IbNotify::send)}),
        wire("send_reluctant", {.reluctance = 3, .immediates = verbs::FakeImmediates::refused}),
        wire("send_tight", {.reluctance = 2, .options = tight(IbNotify::send), .max_inline = 0}),
        wire("send_short_requests", {.options = tight(IbNotify::send), .max_message = 8'192}),
        // Connected by the manager: RoCE by choice, iWARP because it must.
        wire("cm", {.options = by_manager()}), wire("iwarp", {.device = verbs::iwarp_device}),
        wire("iwarp_reluctant", {.reluctance = 3, .device = verbs::iwarp_device}),
        wire("iwarp_tight", {.reluctance = 2,
                             .options = tight(),
                             .max_message = 8'192,
                             .device = verbs::iwarp_device})),
    wire_name);

// Devices with the limits and habits of real ones.
std::vector<Wire> profiles() {
  std::vector<Wire> wires;
  for (const verbs::FakeProfile& profile : verbs::profiles()) {
    wires.push_back(wire(profile.name, {.device = profile.device}));
  }
  return wires;
}

INSTANTIATE_TEST_SUITE_P(FakeProfiles, Conformance, ::testing::ValuesIn(profiles()), wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
