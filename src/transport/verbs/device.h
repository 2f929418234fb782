// One port of one RDMA device, opened: what endpoints and registrations are made from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/transport.h"
#include "transport_verbs/cm_api.h"
#include "transport_verbs/gid.h"
#include "transport_verbs/ibv_handles.h"
#include "transport_verbs/notify_choice.h"
#include "transport_verbs/verbs_transport.h"

namespace paceline::transport::verbs {

class VerbsEndpoint;

/// What of a port a link depends on.
struct Port {
  std::uint8_t number = 1;
  LinkKind kind = LinkKind::infiniband;
  std::uint16_t lid = 0;
  std::uint8_t mtu = IBV_MTU_256;  ///< ibv_mtu: 1 is 256 bytes, 5 is 4096
  std::uint32_t max_message = 0;
  GidEntry gid = {};                ///< of the whole table, the one to use
  std::vector<GidEntry> gids = {};  ///< all of the port
};

/// Shared by the transport, its endpoints and its registrations, whichever lives longest. Used by
/// one thread at a time, like the transport.
class Device {
 public:
  /// The first usable port that the options allow. Null if there is none, and then `why_not` says
  /// it in one sentence. Throws where the options ask for what is not there. `cm` is the process's
  /// librdmacm unless a test gives another; it is loaded only where it is needed.
  static std::shared_ptr<Device> open(const VerbsOptions& options,
                                      std::shared_ptr<const VerbsApi> api, std::string& why_not,
                                      std::shared_ptr<const CmApi> cm = nullptr);

  [[nodiscard]] const VerbsApi& api() const { return *api_; }
  [[nodiscard]] ibv_context* context() const { return context_.get(); }
  [[nodiscard]] ibv_pd* domain() const { return domain_.get(); }
  [[nodiscard]] ibv_comp_channel* channel() const { return channel_.get(); }
  [[nodiscard]] const ibv_device_attr& limits() const { return limits_; }
  [[nodiscard]] const Port& port() const { return port_; }
  /// How its queue pairs are connected: exchange or cm.
  [[nodiscard]] IbConnect connect() const { return connect_; }
  /// Where connect() is cm: the manager, and the addresses that it knows the port by, at least one.
  [[nodiscard]] const CmApi& cm() const { return *cm_; }
  [[nodiscard]] const std::vector<Gid>& addresses() const { return addresses_; }
  /// What a link over it can do to notify, given what was asked for.
  [[nodiscard]] NotifyWays notify_ways(IbNotify asked) const;
  /// "mlx5_0 port 1".
  [[nodiscard]] const std::string& label() const { return label_; }

  /// The device, and the address that it has on its network, in words.
  [[nodiscard]] std::string summary() const;

  /// The GID entry for a link whose ends met over that network.
  [[nodiscard]] GidEntry gid_near(std::optional<Ipv4Network> network) const;

  /// Registers memory; throws Error (out_of_memory, transport_failed) with the remedy.
  [[nodiscard]] RegionHandle register_region(const void* address, std::size_t length,
                                             int access) const;

  /// Reads the device's events and breaks the endpoints that they are fatal for.
  void poll_events();
  /// Takes the wake-ups out of the completion channel.
  void drain_channel();

  /// Throws in a child of the process that opened the device: there its memory is not registered.
  void check_process() const;
  [[nodiscard]] bool is_child() const { return generation_ != process_generation(); }

  /// Endpoints add and remove themselves.
  std::vector<VerbsEndpoint*> endpoints = {};

 private:
  Device() = default;
  /// Empty, or why no port of it can be used.
  std::string open_one(ibv_device* device, const std::string& name, int wanted_port,
                       const VerbsOptions& options);
  /// The same of the connection manager, where it is needed.
  std::string prepare_manager(const std::string& name, const VerbsOptions& options);
  void keep_clear_of_lost_offset();
  void handle_event(const ibv_async_event& event);

  std::shared_ptr<const VerbsApi> api_;
  std::shared_ptr<const CmApi> cm_;
  IbConnect connect_ = IbConnect::exchange;
  std::vector<Gid> addresses_;
  ContextHandle context_;
  DomainHandle domain_;
  ChannelHandle channel_;
  CompletionQueueHandle spacer_;  ///< null but for siw
  ibv_device_attr limits_ = {};
  ibv_transport_type transport_ = IBV_TRANSPORT_IB;
  Port port_ = {};
  std::string label_;
  std::optional<int> gid_index_;
  int generation_ = 0;
};

/// Memory of the caller's. The key that travels is the device's 32-bit one, a mark that makes it
/// different from kNoKey (a device's key may be 0), and a number that makes every registration's
/// name a new one (devices use theirs again).
class VerbsRegistration final : public Registration {
 public:
  VerbsRegistration(std::shared_ptr<const Device> device, const MemoryView& memory);
  [[nodiscard]] std::uint64_t key() const override { return key_; }
  /// Null where there is no device.
  [[nodiscard]] const ibv_mr* region() const { return region_.get(); }

  static constexpr std::uint64_t kMark = std::uint64_t{1} << 32;

 private:
  std::shared_ptr<const Device> device_;
  RegionHandle region_;
  std::uint64_t key_ = kNoKey;
};

}  // namespace paceline::transport::verbs
