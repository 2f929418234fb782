#include "transport_verbs/device.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "paceline/error.h"
#include "transport_verbs/cm_address.h"
#include "transport_verbs/completion_text.h"
#include "transport_verbs/endpoint.h"

namespace paceline::transport::verbs {
namespace {

/// Memory safe across fork(): either the kernel copies registered pages for the child, or
/// libibverbs must keep them out of it. Must come before any other verb.
void prepare_for_fork(const VerbsApi& api) {
  // A failure means that somebody else used verbs first: then that somebody decided.
  // Both calls look at one variable of libibverbs and set it without a lock: two ranks of one
  // process that open the device at the same time would initialize twice.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (api.is_fork_initialized() == IBV_FORK_DISABLED) (void)api.fork_init();
}

/// Entries in use over all ports that are looked at. The kernel refuses a question of 64 KiB.
constexpr std::size_t kMostGids = 1024;

std::vector<GidEntry> read_gids(const VerbsApi& api, ibv_context* context, const Port& port) {
  std::vector<ibv_gid_entry> raw(kMostGids);
  const ssize_t count = api.query_gid_table(context, raw.data(), raw.size());
  std::vector<GidEntry> gids;
  for (ssize_t i = 0; i < count; ++i) {
    const ibv_gid_entry& entry = raw[static_cast<std::size_t>(i)];
    if (entry.port_num != port.number) continue;
    GidEntry gid;
    gid.index = static_cast<int>(entry.gid_index);
    std::memcpy(gid.gid.data(), entry.gid.raw, gid.gid.size());
    gid.kind = entry.gid_type == IBV_GID_TYPE_IB
                   ? LinkKind::infiniband
                   : kind_of_gid(gid.gid, entry.gid_type == IBV_GID_TYPE_ROCE_V2);
    if (!is_zero(gid.gid)) gids.push_back(gid);
  }
  return gids;
}

const GidEntry* find_gid(const Port& port, int index) {
  const auto found = std::find_if(port.gids.begin(), port.gids.end(),
                                  [&](const GidEntry& e) { return e.index == index; });
  return found == port.gids.end() ? nullptr : &*found;
}

/// Fills `port`; empty, or why it cannot be used.
std::string inspect_port(const VerbsApi& api, ibv_context* context, const VerbsOptions& options,
                         const std::string& label, Port& port) {
  ibv_port_attr attributes{};
  if (const int error = api.query_port(context, port.number, &attributes); error != 0) {
    return label + " cannot be asked (" + errno_text(error) + ")";
  }
  if (attributes.state != IBV_PORT_ACTIVE) return label + " is not active (no link)";
  port.lid = attributes.lid;
  port.mtu = static_cast<std::uint8_t>(attributes.active_mtu);
  port.max_message = attributes.max_msg_sz;
  // iWARP goes by IP addresses, which its connection manager knows.
  if (port.kind == LinkKind::iwarp) return {};
  port.gids = read_gids(api, context, port);
  // By the link layer and nothing else: an Ethernet port may have a LID.
  if (attributes.link_layer != IBV_LINK_LAYER_ETHERNET) {
    port.kind = LinkKind::infiniband;
    if (!port.gids.empty()) port.gid = port.gids.front();
    port.gid.kind = LinkKind::infiniband;
    return {};
  }
  if (options.gid_index) {
    const GidEntry* asked = find_gid(port, *options.gid_index);
    if (asked == nullptr) {
      std::string known;
      for (const GidEntry& e : port.gids) {
        known +=
            " " + std::to_string(e.index) + " (" + to_string(e.kind) + " " + to_text(e.gid) + ")";
      }
      throw Error(ErrorCode::invalid_configuration,
                  label + " has no GID " + std::to_string(*options.gid_index) +
                      "; PACELINE_IB_GID_INDEX may be one of:" + (known.empty() ? " none" : known));
    }
    port.gid = *asked;
  } else if (const auto chosen = choose_gid(port.gids, std::nullopt)) {
    port.gid = *chosen;
  } else {
    return label + " has no GID (give its network interface an address)";
  }
  port.kind = port.gid.kind;
  return {};
}

/// "mlx5_0:2" is device mlx5_0 and its port 2; without a port, 0.
std::pair<std::string, int> parse_device(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 0};
  const std::string digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != std::string::npos || std::stoi(digits) == 0) {
    throw Error(ErrorCode::invalid_configuration,
                "RDMA device \"" + text + "\" is not of the form mlx5_0 or mlx5_0:1");
  }
  return {text.substr(0, colon), std::stoi(digits)};
}

/// The devices of this process's machine, for as long as they are looked at.
class DeviceList {
 public:
  explicit DeviceList(const VerbsApi& api) : api_(api), list_(api.get_device_list(&count_)) {}
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  ~DeviceList() {
    if (list_ != nullptr) api_.free_device_list(list_);
  }
  [[nodiscard]] int count() const { return list_ == nullptr ? 0 : count_; }
  [[nodiscard]] ibv_device* at(int i) const { return list_[i]; }

 private:
  const VerbsApi& api_;
  int count_ = 0;
  ibv_device** list_;
};

/// Why memory could not be locked, as far as the limit tells.
std::string memlock_text() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return "locked memory is unlimited here (RLIMIT_MEMLOCK), so the device or the machine is out "
           "of memory";
  }
  return "RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) +
         " bytes for this process: raise it (`ulimit -l unlimited`, or memlock in "
         "/etc/security/limits.conf, or LimitMEMLOCK=infinity for a service)";
}

}  // namespace

std::shared_ptr<Device> Device::open(const VerbsOptions& options,
                                     std::shared_ptr<const VerbsApi> api, std::string& why_not,
                                     std::shared_ptr<const CmApi> cm) {
  prepare_for_fork(*api);
  const auto [wanted, wanted_port] = parse_device(options.device);
  const DeviceList list(*api);
  std::string reasons;
  std::string known;
  for (int i = 0; i < list.count(); ++i) {
    const std::string name = api->get_device_name(list.at(i));
    known += " " + name;
    if (!wanted.empty() && name != wanted) continue;
    std::shared_ptr<Device> device(new Device);
    device->api_ = api;
    device->cm_ = cm;
    const std::string reason = device->open_one(list.at(i), name, wanted_port, options);
    if (reason.empty()) {
      options.log.info(LogComponent::verbs, [&] { return device->summary(); });
      return device;
    }
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  if (reasons.empty() && !wanted.empty()) {
    throw Error(ErrorCode::invalid_configuration,
                "there is no RDMA device \"" + options.device +
                    "\" here; PACELINE_IB_DEVICE may be " +
                    (known.empty() ? "none: there are no RDMA devices" : "one of:" + known));
  }
  why_not = reasons.empty() ? "no RDMA device here" : "no usable RDMA device here: " + reasons;
  return nullptr;
}

std::string Device::open_one(ibv_device* device, const std::string& name, int wanted_port,
                             const VerbsOptions& options) {
  transport_ = device->transport_type;
  generation_ = process_generation();
  gid_index_ = options.gid_index;
  context_ = ContextHandle(api_->open_device(device), {api_.get()});
  if (!context_ || api_->query_device(context(), &limits_) != 0) {
    return name + " cannot be opened (" + errno_text(errno) + ")";
  }
  std::string reasons;
  for (int number = 1; number <= limits_.phys_port_cnt; ++number) {
    if (wanted_port != 0 && number != wanted_port) continue;
    Port port;
    port.number = static_cast<std::uint8_t>(number);
    label_ = name + " port " + std::to_string(number);
    if (transport_ == IBV_TRANSPORT_IWARP) port.kind = LinkKind::iwarp;
    std::string reason = inspect_port(*api_, context(), options, label_, port);
    if (reason.empty()) {
      port_ = std::move(port);
      reason = prepare_manager(name, options);
    }
    if (!reason.empty()) {
      reasons += (reasons.empty() ? "" : "; ") + reason;
      continue;
    }
    domain_ = DomainHandle(api_->alloc_pd(context()), {api_.get()});
    channel_ = ChannelHandle(api_->create_comp_channel(context()), {api_.get()});
    keep_clear_of_lost_offset();
    if (!domain_ || !channel_) return label_ + " has no resources left (" + errno_text(errno) + ")";
    // Nothing here may block, these two included.
    ::fcntl(channel()->fd, F_SETFL, O_NONBLOCK);
    ::fcntl(context()->async_fd, F_SETFL, O_NONBLOCK);
    return {};
  }
  return reasons.empty() ? name + " has no port " + std::to_string(wanted_port) : reasons;
}

/// siw's library maps queues at the offsets that the kernel gives, from 0 on without a gap, and
/// takes one of them for "none" (SIW_INVAL_UOBJ_KEY, of rdma-core 44): the queue whose turn that is
/// cannot be made, this time or any other. A queue that nobody uses, the first of all, covers the
/// place.
void Device::keep_clear_of_lost_offset() {
  constexpr std::uint32_t kSiw = 0x626d74;
  constexpr int kLostOffset = 0x90000;
  constexpr int kEntryBytes = 32;
  if (limits_.vendor_id != kSiw || transport_ != IBV_TRANSPORT_IWARP) return;
  const int entries = std::min(kLostOffset / kEntryBytes + 1, limits_.max_cqe);
  spacer_ =
      CompletionQueueHandle(api_->create_cq(context(), entries, nullptr, nullptr), {api_.get()});
}

std::string Device::prepare_manager(const std::string& name, const VerbsOptions& options) {
  const bool iwarp = port_.kind == LinkKind::iwarp;
  if (iwarp && options.connect == IbConnect::exchange) {
    return name +
           " is iWARP, which connects by rdma_cm only, and PACELINE_IB_CONNECT=exchange rules "
           "that out: take auto or cm";
  }
  connect_ = iwarp || options.connect == IbConnect::cm ? IbConnect::cm : IbConnect::exchange;
  if (connect_ == IbConnect::exchange) return {};
  const std::string needs =
      label_ + (iwarp ? " is iWARP and needs rdma_cm, but "
                      : " is to connect by rdma_cm (PACELINE_IB_CONNECT), but ");
  std::string reason;
  if (!cm_) cm_ = load_cm_api(reason);
  if (!cm_) return needs + reason;
  addresses_ = addresses_of(*cm_, *api_, name, port_.number);
  // The address is the GID there.
  if (gid_index_ && !iwarp && port_.kind != LinkKind::infiniband) {
    std::erase_if(addresses_, [&](const Gid& address) { return address != port_.gid.gid; });
  }
  if (!addresses_.empty()) return {};
  return needs + "none of this host's IP addresses belongs to it: give its network interface one" +
         (gid_index_ ? ", or leave PACELINE_IB_GID_INDEX alone" : "");
}

std::string Device::summary() const {
  std::string text = "RDMA device " + label_ + " on " + to_string(port_.kind);
  if (connect_ == IbConnect::cm) {
    return text + ", connected by rdma_cm as " + to_text(addresses_.front());
  }
  if (port_.kind == LinkKind::infiniband) return text + ", LID " + std::to_string(port_.lid);
  return text + ", GID " + std::to_string(port_.gid.index) + " (" + to_text(port_.gid.gid) +
         (gid_index_ ? ", as PACELINE_IB_GID_INDEX says)" : ", chosen from the table)");
}

NotifyWays Device::notify_ways(IbNotify asked) const {
  return verbs::notify_ways(asked, limits_.vendor_id, transport_);
}

GidEntry Device::gid_near(std::optional<Ipv4Network> network) const {
  if (port_.gids.empty() || port_.kind == LinkKind::infiniband || gid_index_ || !network) {
    return port_.gid;
  }
  const auto chosen = choose_gid(port_.gids, network);
  // Never another kind than the one we were described by.
  return chosen && chosen->kind == port_.kind ? *chosen : port_.gid;
}

RegionHandle Device::register_region(const void* address, std::size_t length, int access) const {
  check_process();
  RegionHandle region(api_->reg_mr(domain(), const_cast<void*>(address), length, access),
                      {api_.get()});
  if (region) return region;
  const int error = errno;
  const std::string what = "RDMA device " + label_ + " could not register " +
                           std::to_string(length) + " bytes of memory";
  if (error == ENOMEM) throw Error(ErrorCode::out_of_memory, what + ": " + memlock_text());
  throw Error(ErrorCode::transport_failed, what + ": " + errno_text(error));
}

void Device::check_process() const {
  if (is_child()) {
    throw Error(ErrorCode::unsupported,
                "RDMA device " + label_ +
                    " was opened before a fork(): only the parent can use it; make a new "
                    "communicator in the child");
  }
}

void Device::drain_channel() {
  ibv_cq* queue = nullptr;
  void* owner = nullptr;
  // The queues are polled anyway: what matters is that the descriptor is not ready any more.
  while (api_->get_cq_event(channel(), &queue, &owner) == 0) api_->ack_cq_events(queue, 1);
}

void Device::poll_events() {
  ibv_async_event event{};
  while (api_->get_async_event(context(), &event) == 0) {
    handle_event(event);
    api_->ack_async_event(&event);
  }
}

void Device::handle_event(const ibv_async_event& event) {
  const AsyncTrouble trouble = async_trouble(event.event_type);
  if (trouble.text == nullptr) return;
  for (VerbsEndpoint* endpoint : endpoints) {
    const bool meant =
        trouble.scope == AsyncTrouble::Scope::device ||
        (trouble.scope == AsyncTrouble::Scope::queue_pair && endpoint->owns(event.element.qp)) ||
        (trouble.scope == AsyncTrouble::Scope::completion_queue &&
         endpoint->owns(event.element.cq));
    if (meant) endpoint->fail(trouble.text);
  }
}

VerbsRegistration::VerbsRegistration(std::shared_ptr<const Device> device, const MemoryView& memory)
    : device_(std::move(device)) {
  if (!device_ || memory.length == 0) return;
  region_ = device_->register_region(
      memory.data, memory.length,
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
  static std::atomic<std::uint32_t> names{0};
  const std::uint64_t name = names.fetch_add(1, std::memory_order_relaxed);
  key_ = name << 33 | kMark | region_->rkey;
}

}  // namespace paceline::transport::verbs
