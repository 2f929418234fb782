#include "transport/fake_verbs.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace paceline::transport::verbs {

struct FakeVerbs::Node : ibv_device {
  FakeDevice traits;
};

struct FakeContext : ibv_context {
  const FakeDevice* traits = nullptr;
  std::deque<ibv_async_event> events;
};

struct FakePd : ibv_pd {
  int children = 0;
};

struct FakeChannel : ibv_comp_channel {
  std::deque<FakeCq*> woken;
};

struct FakeCq : ibv_cq {
  FakeChannel* to = nullptr;
  std::deque<ibv_wc> entries;
  std::size_t capacity = 0;
  bool armed = false;
  unsigned unacknowledged = 0;
  int children = 0;
};

struct FakeRequest {
  ibv_send_wr wr = {};
  ibv_sge piece = {};
  std::vector<std::byte> inlined;
  std::uint64_t number = 0;
  unsigned tries = 0;
};

struct FakeQp : ibv_qp {
  FakeContext* owner = nullptr;
  FakeCq* completions = nullptr;
  ibv_qp_cap cap = {};
  ibv_qp_attr attributes = {};
  std::deque<FakeRequest> requests;
  std::deque<std::uint64_t> receives;
  std::uint64_t posted = 0;
  std::uint64_t retired = 0;                         ///< up to where slots are free again
  std::map<std::uint64_t, std::uint64_t> signalled;  ///< wr_id -> number

  [[nodiscard]] const FakePort& port() const {
    return owner->traits->ports[attributes.port_num - 1u];
  }
};

namespace {

/// Polls after which a request that gets no answer gives up.
constexpr unsigned kMostTries = 200;

const GidEntry* entry_at(const FakePort& port, int index) {
  const auto found = std::find_if(port.gids.begin(), port.gids.end(),
                                  [&](const GidEntry& e) { return e.index == index; });
  return found == port.gids.end() ? nullptr : &*found;
}

void wake(int fd) {
  const std::uint64_t one = 1;
  if (::write(fd, &one, sizeof(one)) < 0) std::abort();
}

bool take(int fd) {
  std::uint64_t one = 0;
  return ::read(fd, &one, sizeof(one)) == sizeof(one);
}

/// What a device leaves in a completion that failed.
ibv_wc failed(std::uint64_t wr_id, ibv_wc_status status, std::uint32_t number) {
  ibv_wc completion;
  std::memset(&completion, 0xA5, sizeof(completion));
  completion.wr_id = wr_id;
  completion.status = status;
  completion.qp_num = number;
  completion.vendor_err = 0x42;
  completion.opcode = IBV_WC_RECV_RDMA_WITH_IMM;  // the most misleading one
  return completion;
}

}  // namespace

// --- the network
// -----------------------------------------------------------------------------------

FakeNetwork::Book FakeNetwork::book() const {
  const std::lock_guard lock(mutex_);
  return book_;
}

void FakeNetwork::fail_registrations(int error) {
  const std::lock_guard lock(mutex_);
  registration_error_ = error;
}

void FakeNetwork::fail_next_request(ibv_wc_status status) {
  const std::lock_guard lock(mutex_);
  next_status_ = status;
}

void FakeNetwork::cut() {
  const std::lock_guard lock(mutex_);
  cut_ = true;
}

void FakeNetwork::report(ibv_event_type type) {
  const std::lock_guard lock(mutex_);
  for (FakeContext* context : contexts_) {
    ibv_async_event event{};
    event.event_type = type;
    context->events.push_back(event);
    wake(context->async_fd);
  }
}

void FakeNetwork::pump() {
  for (auto& [number, pair] : pairs_) {
    while (!pair->requests.empty() && (reluctance_ == 0 || random_() % reluctance_ == 0)) {
      if (!carry_out(*pair)) break;
    }
  }
}

bool FakeNetwork::path_works(FakeQp& from, FakeQp& to, std::uint64_t length) const {
  if (cut_ || to.state < IBV_QPS_RTR || to.state > IBV_QPS_RTS) return false;
  if (to.attributes.dest_qp_num != from.qp_num) return false;
  const ibv_ah_attr& address = from.attributes.ah_attr;
  if (from.port().link_layer == IBV_LINK_LAYER_INFINIBAND) {
    if (to.port().lid != address.dlid) return false;
  } else {
    const GidEntry* own = entry_at(from.port(), address.grh.sgid_index);
    const bool routed =
        own != nullptr && address.is_global == 1 &&
        std::any_of(to.port().gids.begin(), to.port().gids.end(), [&](const auto& e) {
          return e.kind == own->kind && std::memcmp(e.gid.data(), address.grh.dgid.raw, 16) == 0;
        });
    if (!routed) return false;
  }
  // A packet larger than the other side's port takes vanishes.
  const std::uint64_t packet = std::min<std::uint64_t>(length, 128u << from.attributes.path_mtu);
  return packet <= (128u << to.port().mtu);
}

ibv_mr* FakeNetwork::find(std::uint32_t key, const ibv_pd* domain, std::uint64_t address,
                          std::uint64_t length, int access) const {
  const auto found = regions_.find(key);
  if (found == regions_.end() || (found->second.second & access) != access) return nullptr;
  ibv_mr* region = found->second.first;
  const auto begin = reinterpret_cast<std::uint64_t>(region->addr);
  if (region->pd != domain || address < begin || length > region->length ||
      address - begin > region->length - length) {
    return nullptr;
  }
  return region;
}

void FakeNetwork::complete(FakeCq& queue, const ibv_wc& completion) {
  if (queue.entries.size() >= queue.capacity) {
    ++book_.completion_overflows;
    ibv_async_event event{};
    event.event_type = IBV_EVENT_CQ_ERR;
    event.element.cq = &queue;
    auto* context = static_cast<FakeContext*>(queue.context);
    context->events.push_back(event);
    wake(context->async_fd);
    return;
  }
  queue.entries.push_back(completion);
  if (queue.armed && queue.to != nullptr) {
    queue.armed = false;
    ++queue.unacknowledged;
    queue.to->woken.push_back(&queue);
    wake(queue.to->fd);
  }
}

void FakeNetwork::break_pair(FakeQp& pair) {
  if (pair.state == IBV_QPS_ERR) return;
  pair.state = IBV_QPS_ERR;
  for (const FakeRequest& request : pair.requests) {
    complete(*pair.completions, failed(request.wr.wr_id, IBV_WC_WR_FLUSH_ERR, pair.qp_num));
  }
  pair.requests.clear();
  for (const std::uint64_t wr_id : pair.receives) {
    complete(*pair.completions, failed(wr_id, IBV_WC_WR_FLUSH_ERR, pair.qp_num));
  }
  pair.receives.clear();
}

void FakeNetwork::fail_head(FakeQp& pair, ibv_wc_status status) {
  complete(*pair.completions, failed(pair.requests.front().wr.wr_id, status, pair.qp_num));
  pair.requests.pop_front();
  break_pair(pair);
}

/// The oldest request of `from`; false if it must stay.
bool FakeNetwork::carry_out(FakeQp& from) {
  FakeRequest& request = from.requests.front();
  const ibv_send_wr& wr = request.wr;
  const std::uint64_t length = wr.num_sge == 0 ? 0 : request.piece.length;
  if (next_status_ != IBV_WC_SUCCESS) {
    fail_head(from, next_status_);
    next_status_ = IBV_WC_SUCCESS;
    return false;
  }
  const bool inlined = (wr.send_flags & IBV_SEND_INLINE) != 0;
  if (length > from.port().max_message) {
    fail_head(from, IBV_WC_LOC_LEN_ERR);
    return false;
  }
  if (!inlined && length > 0 &&
      find(request.piece.lkey, from.pd, request.piece.addr, length, 0) == nullptr) {
    fail_head(from, IBV_WC_LOC_PROT_ERR);
    return false;
  }
  const auto found = pairs_.find(from.attributes.dest_qp_num);
  if (found == pairs_.end() || !path_works(from, *found->second, length)) {
    if (++request.tries > kMostTries) fail_head(from, IBV_WC_RETRY_EXC_ERR);
    return false;
  }
  FakeQp& to = *found->second;
  if (length > 0 && find(wr.wr.rdma.rkey, to.pd, wr.wr.rdma.remote_addr, length,
                         IBV_ACCESS_REMOTE_WRITE) == nullptr) {
    fail_head(from, IBV_WC_REM_ACCESS_ERR);
    ibv_async_event event{};
    event.event_type = IBV_EVENT_QP_ACCESS_ERR;
    event.element.qp = &to;
    to.owner->events.push_back(event);
    wake(to.owner->async_fd);
    break_pair(to);
    return false;
  }
  const bool notifies = wr.opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
  if (notifies && to.receives.empty()) {
    ++book_.missing_receives;
    if (from.attributes.rnr_retry == 0) fail_head(from, IBV_WC_RNR_RETRY_EXC_ERR);
    return false;
  }
  const void* source = inlined ? static_cast<const void*>(request.inlined.data())
                               : reinterpret_cast<const void*>(request.piece.addr);
  if (length > 0) std::memcpy(reinterpret_cast<void*>(wr.wr.rdma.remote_addr), source, length);
  if (notifies) {
    ibv_wc arrival{};
    arrival.wr_id = to.receives.front();
    arrival.opcode = IBV_WC_RECV_RDMA_WITH_IMM;
    arrival.wc_flags = IBV_WC_WITH_IMM;
    arrival.imm_data = wr.imm_data;
    arrival.byte_len = static_cast<std::uint32_t>(length);
    arrival.qp_num = to.qp_num;
    to.receives.pop_front();
    complete(*to.completions, arrival);
  }
  if ((wr.send_flags & IBV_SEND_SIGNALED) != 0) {
    ibv_wc done{};
    done.wr_id = wr.wr_id;
    done.opcode = IBV_WC_RDMA_WRITE;
    done.qp_num = from.qp_num;
    from.signalled[wr.wr_id] = request.number;
    ++book_.completions;
    complete(*from.completions, done);
  }
  from.requests.pop_front();
  return true;
}

// --- devices
// ---------------------------------------------------------------------------------------

FakeVerbs::FakeVerbs(std::shared_ptr<FakeNetwork> network, std::vector<FakeDevice> devices)
    : network_(std::move(network)) {
  for (FakeDevice& device : devices) {
    auto node = std::make_unique<Node>();
    static_cast<ibv_device&>(*node) = {};
    node->transport_type = device.transport;
    node->traits = std::move(device);
    devices_.push_back(std::move(node));
  }
}

FakeVerbs::~FakeVerbs() = default;

int FakeVerbs::fork_init() const {
  const std::lock_guard lock(network_->mutex_);
  ++network_->book_.fork_inits;
  return 0;
}

ibv_fork_status FakeVerbs::is_fork_initialized() const {
  const std::lock_guard lock(network_->mutex_);
  return network_->book_.fork_inits == 0 ? IBV_FORK_DISABLED : IBV_FORK_ENABLED;
}

ibv_device** FakeVerbs::get_device_list(int* count) const {
  const std::lock_guard lock(network_->mutex_);
  if (network_->book_.fork_inits == 0) ++network_->book_.verbs_before_fork_init;
  ++network_->book_.live_objects;
  auto** list = new ibv_device*[devices_.size() + 1];
  for (std::size_t i = 0; i < devices_.size(); ++i) list[i] = devices_[i].get();
  list[devices_.size()] = nullptr;
  *count = static_cast<int>(devices_.size());
  return list;
}

void FakeVerbs::free_device_list(ibv_device** list) const {
  const std::lock_guard lock(network_->mutex_);
  --network_->book_.live_objects;
  delete[] list;
}

const char* FakeVerbs::get_device_name(ibv_device* device) const {
  return static_cast<Node*>(device)->traits.name.c_str();
}

ibv_context* FakeVerbs::open_device(ibv_device* device) const {
  const std::lock_guard lock(network_->mutex_);
  auto* context = new FakeContext;
  static_cast<ibv_context&>(*context) = {};
  context->device = device;
  context->traits = &static_cast<Node*>(device)->traits;
  context->async_fd = ::eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
  network_->contexts_.push_back(context);
  ++network_->book_.live_objects;
  return context;
}

int FakeVerbs::close_device(ibv_context* context) const {
  const std::lock_guard lock(network_->mutex_);
  std::erase(network_->contexts_, static_cast<FakeContext*>(context));
  ::close(context->async_fd);
  delete static_cast<FakeContext*>(context);
  --network_->book_.live_objects;
  return 0;
}

int FakeVerbs::query_device(ibv_context* context, ibv_device_attr* attributes) const {
  const FakeDevice& traits = *static_cast<FakeContext*>(context)->traits;
  *attributes = {};
  attributes->max_qp_wr = traits.max_qp_wr;
  attributes->max_cqe = traits.max_cqe;
  attributes->phys_port_cnt = static_cast<std::uint8_t>(traits.ports.size());
  return 0;
}

int FakeVerbs::query_port(ibv_context* context, std::uint8_t number,
                          ibv_port_attr* attributes) const {
  const FakePort& port = static_cast<FakeContext*>(context)->traits->ports.at(number - 1u);
  *attributes = {};
  attributes->state = port.state;
  attributes->active_mtu = port.mtu;
  attributes->max_mtu = IBV_MTU_4096;
  attributes->max_msg_sz = port.max_message;
  attributes->lid = port.lid;
  attributes->link_layer = port.link_layer;
  attributes->gid_tbl_len = 256;
  return 0;
}

ssize_t FakeVerbs::query_gid_table(ibv_context* context, ibv_gid_entry* entries,
                                   std::size_t most) const {
  if (most * sizeof(*entries) >= 65536) return -EINVAL;  // as the kernel's
  const FakeDevice& traits = *static_cast<FakeContext*>(context)->traits;
  std::size_t count = 0;
  for (std::size_t p = 0; p < traits.ports.size(); ++p) {
    for (const GidEntry& gid : traits.ports[p].gids) {
      if (count == most) return -ENOMEM;
      ibv_gid_entry& entry = entries[count++];
      entry = {};
      std::memcpy(entry.gid.raw, gid.gid.data(), gid.gid.size());
      entry.gid_index = static_cast<std::uint32_t>(gid.index);
      entry.port_num = static_cast<std::uint32_t>(p + 1);
      entry.gid_type = gid.kind == LinkKind::infiniband ? IBV_GID_TYPE_IB
                       : gid.kind == LinkKind::roce_v1  ? IBV_GID_TYPE_ROCE_V1
                                                        : IBV_GID_TYPE_ROCE_V2;
    }
  }
  return static_cast<ssize_t>(count);
}

int FakeVerbs::get_async_event(ibv_context* context, ibv_async_event* event) const {
  const std::lock_guard lock(network_->mutex_);
  auto& events = static_cast<FakeContext*>(context)->events;
  if (events.empty()) {
    errno = EAGAIN;
    return -1;
  }
  (void)take(context->async_fd);
  *event = events.front();
  events.pop_front();
  return 0;
}

void FakeVerbs::ack_async_event(ibv_async_event* /*event*/) const {}

// --- memory
// ----------------------------------------------------------------------------------------

ibv_pd* FakeVerbs::alloc_pd(ibv_context* context) const {
  const std::lock_guard lock(network_->mutex_);
  auto* domain = new FakePd;
  static_cast<ibv_pd&>(*domain) = {};
  domain->context = context;
  ++network_->book_.live_objects;
  return domain;
}

int FakeVerbs::dealloc_pd(ibv_pd* domain) const {
  const std::lock_guard lock(network_->mutex_);
  auto* fake = static_cast<FakePd*>(domain);
  if (fake->children != 0) ++network_->book_.teardown_errors;
  delete fake;
  --network_->book_.live_objects;
  return 0;
}

ibv_mr* FakeVerbs::reg_mr(ibv_pd* domain, void* address, std::size_t length, int access) const {
  const std::lock_guard lock(network_->mutex_);
  if (network_->registration_error_ != 0) {
    errno = network_->registration_error_;
    return nullptr;
  }
  auto* region = new ibv_mr{};
  region->context = domain->context;
  region->pd = domain;
  region->addr = address;
  region->length = length;
  region->lkey = region->rkey = network_->next_key_++;
  network_->regions_[region->rkey] = {region, access};
  ++static_cast<FakePd*>(domain)->children;
  ++network_->book_.live_objects;
  return region;
}

int FakeVerbs::dereg_mr(ibv_mr* region) const {
  const std::lock_guard lock(network_->mutex_);
  network_->regions_.erase(region->rkey);
  --static_cast<FakePd*>(region->pd)->children;
  --network_->book_.live_objects;
  delete region;
  return 0;
}

// --- completions
// -----------------------------------------------------------------------------------

ibv_comp_channel* FakeVerbs::create_comp_channel(ibv_context* context) const {
  const std::lock_guard lock(network_->mutex_);
  auto* channel = new FakeChannel;
  static_cast<ibv_comp_channel&>(*channel) = {};
  channel->context = context;
  channel->fd = ::eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
  ++network_->book_.live_objects;
  return channel;
}

int FakeVerbs::destroy_comp_channel(ibv_comp_channel* channel) const {
  const std::lock_guard lock(network_->mutex_);
  if (channel->refcnt != 0) ++network_->book_.teardown_errors;
  ::close(channel->fd);
  delete static_cast<FakeChannel*>(channel);
  --network_->book_.live_objects;
  return 0;
}

ibv_cq* FakeVerbs::create_cq(ibv_context* context, int entries, void* cq_context,
                             ibv_comp_channel* channel) const {
  const std::lock_guard lock(network_->mutex_);
  if (entries < 1 || entries > static_cast<FakeContext*>(context)->traits->max_cqe) {
    errno = EINVAL;
    return nullptr;
  }
  auto* queue = new FakeCq;
  static_cast<ibv_cq&>(*queue) = {};
  queue->context = context;
  queue->cq_context = cq_context;
  queue->capacity = static_cast<std::size_t>(entries);
  queue->to = static_cast<FakeChannel*>(channel);
  if (channel != nullptr) ++channel->refcnt;
  ++network_->book_.live_objects;
  return queue;
}

int FakeVerbs::destroy_cq(ibv_cq* queue) const {
  const std::lock_guard lock(network_->mutex_);
  auto* fake = static_cast<FakeCq*>(queue);
  // A real library would wait here for ever for the acknowledgement.
  if (fake->children != 0 || fake->unacknowledged != 0) ++network_->book_.teardown_errors;
  if (fake->to != nullptr) --fake->to->refcnt;
  delete fake;
  --network_->book_.live_objects;
  return 0;
}

int FakeVerbs::req_notify_cq(ibv_cq* queue, int /*solicited_only*/) const {
  const std::lock_guard lock(network_->mutex_);
  static_cast<FakeCq*>(queue)->armed = true;
  return 0;
}

int FakeVerbs::get_cq_event(ibv_comp_channel* channel, ibv_cq** queue, void** cq_context) const {
  const std::lock_guard lock(network_->mutex_);
  auto& woken = static_cast<FakeChannel*>(channel)->woken;
  if (woken.empty()) {
    errno = EAGAIN;
    return -1;
  }
  (void)take(channel->fd);
  *queue = woken.front();
  *cq_context = woken.front()->cq_context;
  woken.pop_front();
  return 0;
}

void FakeVerbs::ack_cq_events(ibv_cq* queue, unsigned count) const {
  const std::lock_guard lock(network_->mutex_);
  static_cast<FakeCq*>(queue)->unacknowledged -= count;
}

int FakeVerbs::poll_cq(ibv_cq* queue, int most, ibv_wc* completions) const {
  const std::lock_guard lock(network_->mutex_);
  network_->pump();
  auto* fake = static_cast<FakeCq*>(queue);
  int count = 0;
  for (; count < most && !fake->entries.empty(); ++count) {
    const ibv_wc& completion = completions[count] = fake->entries.front();
    fake->entries.pop_front();
    const auto pair = network_->pairs_.find(completion.qp_num);
    if (pair == network_->pairs_.end()) continue;
    // Only now are the slots of the requests up to this one free.
    const auto found = pair->second->signalled.find(completion.wr_id);
    if (found == pair->second->signalled.end()) continue;
    pair->second->retired = found->second;
    pair->second->signalled.erase(found);
  }
  return count;
}

const char* FakeVerbs::wc_status_str(ibv_wc_status status) const {
  return status == IBV_WC_REM_ACCESS_ERR      ? "remote access error"
         : status == IBV_WC_RETRY_EXC_ERR     ? "transport retry counter exceeded"
         : status == IBV_WC_RNR_RETRY_EXC_ERR ? "RNR retry counter exceeded"
                                              : "some other status";
}

// --- queue pairs
// -----------------------------------------------------------------------------------

ibv_qp* FakeVerbs::create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) const {
  const std::lock_guard lock(network_->mutex_);
  auto* context = static_cast<FakeContext*>(domain->context);
  const auto most = static_cast<std::uint32_t>(context->traits->max_qp_wr);
  const ibv_qp_cap& cap = attributes->cap;
  if (cap.max_send_wr == 0 || cap.max_recv_wr == 0 || cap.max_send_wr > most ||
      cap.max_recv_wr > most || cap.max_inline_data > context->traits->max_inline) {
    errno = EINVAL;
    return nullptr;
  }
  auto* pair = new FakeQp;
  static_cast<ibv_qp&>(*pair) = {};
  pair->context = context;
  pair->pd = domain;
  pair->qp_num = network_->next_number_++;
  pair->state = IBV_QPS_RESET;
  pair->owner = context;
  pair->completions = static_cast<FakeCq*>(attributes->send_cq);
  pair->cap = cap;
  ++pair->completions->children;
  ++static_cast<FakePd*>(domain)->children;
  network_->pairs_[pair->qp_num] = pair;
  ++network_->book_.live_objects;
  return pair;
}

int FakeVerbs::destroy_qp(ibv_qp* pair) const {
  const std::lock_guard lock(network_->mutex_);
  auto* fake = static_cast<FakeQp*>(pair);
  network_->pairs_.erase(pair->qp_num);
  for (FakeContext* context : network_->contexts_) {
    std::erase_if(context->events, [&](const ibv_async_event& event) {
      return event.event_type == IBV_EVENT_QP_ACCESS_ERR && event.element.qp == pair;
    });
  }
  --fake->completions->children;
  --static_cast<FakePd*>(fake->pd)->children;
  delete fake;
  --network_->book_.live_objects;
  return 0;
}

int FakeVerbs::modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int /*mask*/) const {
  const std::lock_guard lock(network_->mutex_);
  auto& fake = *static_cast<FakeQp*>(pair);
  ibv_qp_attr& kept = fake.attributes;
  if (attributes->qp_state == IBV_QPS_ERR) {
    network_->break_pair(fake);
    return 0;
  }
  if (attributes->qp_state == IBV_QPS_INIT && fake.state == IBV_QPS_RESET) {
    kept.port_num = attributes->port_num;
  } else if (attributes->qp_state == IBV_QPS_RTR && fake.state == IBV_QPS_INIT) {
    if (attributes->path_mtu > fake.port().mtu) return EINVAL;
    kept.path_mtu = attributes->path_mtu;
    kept.dest_qp_num = attributes->dest_qp_num;
    kept.rq_psn = attributes->rq_psn;
    kept.ah_attr = attributes->ah_attr;
    network_->book_.last_path_mtu = attributes->path_mtu;
    network_->book_.last_address = attributes->ah_attr;
  } else if (attributes->qp_state == IBV_QPS_RTS && fake.state == IBV_QPS_RTR) {
    kept.sq_psn = attributes->sq_psn;
    kept.rnr_retry = attributes->rnr_retry;
  } else {
    return EINVAL;
  }
  fake.state = attributes->qp_state;
  return 0;
}

int FakeVerbs::post_one(FakeQp& pair, const ibv_send_wr& request) const {
  FakeNetwork::Book& book = network_->book_;
  if (pair.state != IBV_QPS_RTS && pair.state != IBV_QPS_ERR) return EINVAL;
  if (request.num_sge > static_cast<int>(pair.cap.max_send_sge)) return EINVAL;
  if (request.opcode != IBV_WR_RDMA_WRITE && request.opcode != IBV_WR_RDMA_WRITE_WITH_IMM) {
    return EOPNOTSUPP;
  }
  FakeRequest kept;
  kept.wr = request;
  if (request.num_sge > 0) kept.piece = *request.sg_list;
  if ((request.send_flags & IBV_SEND_INLINE) != 0) {
    if (kept.piece.length > pair.cap.max_inline_data) return EINVAL;
    const auto* data = reinterpret_cast<const std::byte*>(kept.piece.addr);
    kept.inlined.assign(data, data + kept.piece.length);
    book.largest_inline = std::max(book.largest_inline, kept.piece.length);
  }
  if (pair.state == IBV_QPS_ERR) {
    network_->complete(*pair.completions, failed(request.wr_id, IBV_WC_WR_FLUSH_ERR, pair.qp_num));
    return 0;
  }
  if (pair.posted - pair.retired >= pair.cap.max_send_wr) {
    ++book.send_overflows;
    return ENOMEM;
  }
  kept.number = ++pair.posted;
  ++book.requests;
  book.last_immediate = request.imm_data;
  pair.requests.push_back(std::move(kept));
  return 0;
}

int FakeVerbs::post_send(ibv_qp* pair, ibv_send_wr* request, ibv_send_wr** bad) const {
  const std::lock_guard lock(network_->mutex_);
  for (; request != nullptr; request = request->next) {
    if (const int error = post_one(*static_cast<FakeQp*>(pair), *request); error != 0) {
      *bad = request;
      return error;
    }
  }
  if (network_->reluctance_ == 0) network_->pump();
  return 0;
}

int FakeVerbs::post_recv(ibv_qp* pair, ibv_recv_wr* request, ibv_recv_wr** bad) const {
  const std::lock_guard lock(network_->mutex_);
  auto& fake = *static_cast<FakeQp*>(pair);
  ++network_->book_.receive_calls;
  for (; request != nullptr; request = request->next) {
    if (fake.state == IBV_QPS_RESET || fake.receives.size() >= fake.cap.max_recv_wr) {
      *bad = request;
      return fake.state == IBV_QPS_RESET ? EINVAL : ENOMEM;
    }
    ++network_->book_.receives_posted;
    if (fake.state == IBV_QPS_ERR) {
      network_->complete(*fake.completions,
                         failed(request->wr_id, IBV_WC_WR_FLUSH_ERR, fake.qp_num));
    } else {
      fake.receives.push_back(request->wr_id);
    }
  }
  return 0;
}

// --- ready-made
// --------------------------------------------------------------------------------------

Gid ipv4_gid(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

FakeDevice roce_device(int host) {
  FakeDevice device;
  device.ports[0].gids = {
      {0,
       {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(host + 1)},
       LinkKind::roce_v2_ipv6},
      {1, ipv4_gid(10, 0, 0, static_cast<std::uint8_t>(host + 1)), LinkKind::roce_v2_ipv4}};
  return device;
}

}  // namespace paceline::transport::verbs
