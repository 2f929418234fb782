#include "transport_verbs/verbs_transport.h"

#include <algorithm>
#include <utility>

#include "paceline/error.h"
#include "transport_verbs/connector.h"
#include "transport_verbs/device.h"
#include "transport_verbs/qp_info.h"

namespace paceline::transport {
namespace {

using namespace verbs;

/// Sockets and the device's events are looked at once in so many rounds of progress: they change
/// only when something goes wrong, and each look is a system call.
constexpr int kRareRounds = 128;

void check_options(const VerbsOptions& options) {
  const auto require = [](bool good, const char* text) {
    if (!good) throw Error(ErrorCode::invalid_configuration, text);
  };
  require(options.send_depth >= 4, "VerbsOptions::send_depth must be at least 4");
  require(options.receive_depth >= 16 && options.receive_depth <= 8191,
          "VerbsOptions::receive_depth must be 16 to 8191");
  require(options.message_slots >= 16 && options.message_slots <= kMostHigh,
          "VerbsOptions::message_slots must be 16 to 4095");
  require(options.timeout < 32, "VerbsOptions::timeout must be 0 to 31");
  require(options.retry_count < 8 && options.rnr_retry < 8,
          "VerbsOptions::retry_count and rnr_retry must be 0 to 7");
}

std::shared_ptr<Device> open_device(const VerbsOptions& options,
                                    std::shared_ptr<const VerbsApi> api,
                                    std::shared_ptr<const CmApi> cm, std::string& why_not) {
  if (!api) {
    std::string reason;
    api = load_verbs_api(reason);
    if (!api) {
      if (!options.device.empty()) {
        throw Error(ErrorCode::invalid_configuration,
                    "RDMA device \"" + options.device + "\" was asked for, but " + reason);
      }
      why_not = "no RDMA device here: " + reason;
      return nullptr;
    }
  }
  return Device::open(options, std::move(api), why_not, std::move(cm));
}

class VerbsTransport final : public Transport {
 public:
  VerbsTransport(const VerbsOptions& options, std::shared_ptr<const VerbsApi> api,
                 std::shared_ptr<const CmApi> cm)
      : options_(options), device_(open_device(options, std::move(api), std::move(cm), why_not_)) {}

  [[nodiscard]] std::string_view name() const override { return "verbs"; }

  [[nodiscard]] Bytes describe() const override {
    PortInfo info;
    info.usable = device_ != nullptr;
    if (device_) {
      info.kind = device_->port().kind;
      info.connect = device_->connect();
      info.lid = device_->port().lid;
      info.gid = device_->port().gid.gid;
      info.label = device_->label();
    }
    return info.pack();
  }

  [[nodiscard]] Reachable reachable(ConstBytes peer_description) const override {
    std::string why_not;
    const auto peer = PortInfo::unpack(peer_description, why_not);
    if (!peer) return {false, why_not};
    if (!device_) return {false, why_not_};
    if (!peer->usable) return {false, "the peer has no usable RDMA device"};
    if (peer->kind != device_->port().kind) {
      return {false, std::string("our RDMA device (") + device_->label() + ") is on " +
                         to_string(device_->port().kind) + " and the peer's (" + peer->label +
                         ") on " + to_string(peer->kind)};
    }
    if (peer->connect != device_->connect()) {
      return {false, "our RDMA device (" + device_->label() + ") connects by " +
                         std::string(to_string(device_->connect())) + " and the peer's (" +
                         peer->label + ") by " + std::string(to_string(peer->connect)) +
                         ": set PACELINE_IB_CONNECT to the same on all ranks"};
    }
    return {true};
  }

  [[nodiscard]] SocketNeed sockets() const override { return {SocketNeed::Family::inet, 1}; }

  [[nodiscard]] std::unique_ptr<Connector> connect(int peer, Role role,
                                                   std::vector<UniqueFd> sockets) override {
    if (!device_) throw Error(ErrorCode::unsupported, why_not_, {.peer = peer});
    if (sockets.size() != 1) {
      throw Error(ErrorCode::internal, "an RDMA link is made over one socket", {.peer = peer});
    }
    return std::make_unique<VerbsConnector>(device_, options_, peer, role,
                                            std::move(sockets.front()));
  }

  [[nodiscard]] std::unique_ptr<Registration> register_memory(const MemoryView& memory) override {
    return std::make_unique<VerbsRegistration>(device_, memory);
  }

  void progress() override {
    if (!device_) return;
    const bool rare = was_armed_ || ++rounds_ % kRareRounds == 0;
    if (was_armed_) device_->drain_channel();
    was_armed_ = false;
    if (rare) device_->poll_events();
    // By index: nothing in here makes or closes links, but a list that shrank would not be
    // followed.
    for (std::size_t i = 0; i < device_->endpoints.size(); ++i) {
      VerbsEndpoint& endpoint = *device_->endpoints[i];
      (void)endpoint.poll();
      if (rare) endpoint.check_socket();
    }
  }

  [[nodiscard]] bool needs_progress() const override { return device_ != nullptr; }

  [[nodiscard]] bool prepare_sleep(std::vector<pollfd>& descriptors) override {
    if (!device_) return true;
    device_->drain_channel();
    was_armed_ = true;
    bool news = false;
    for (VerbsEndpoint* endpoint : device_->endpoints) {
      // What completed before the arming gives no wake-up, so it is looked for after it.
      endpoint->arm();
      news = endpoint->poll() || news;
      if (endpoint->socket() >= 0) descriptors.push_back({endpoint->socket(), POLLIN, 0});
    }
    descriptors.push_back({device_->channel()->fd, POLLIN, 0});
    descriptors.push_back({device_->context()->async_fd, POLLIN, 0});
    return !news;
  }

 private:
  VerbsOptions options_;
  std::string why_not_;
  std::shared_ptr<Device> device_;
  int rounds_ = 0;
  bool was_armed_ = false;
};

}  // namespace

Reachable verbs_available(const VerbsOptions& options, std::shared_ptr<const VerbsApi> api,
                          std::shared_ptr<const CmApi> cm) {
  std::string why_not;
  const auto device = open_device(options, std::move(api), std::move(cm), why_not);
  return {device != nullptr, why_not};
}

std::unique_ptr<Transport> make_verbs_transport(const VerbsOptions& options,
                                                std::shared_ptr<const VerbsApi> api,
                                                std::shared_ptr<const CmApi> cm) {
  check_options(options);
  return std::make_unique<VerbsTransport>(options, std::move(api), std::move(cm));
}

}  // namespace paceline::transport
