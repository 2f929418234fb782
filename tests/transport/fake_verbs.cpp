// The verbs themselves: book-keeping and the checks that devices make.
#include "transport/fake_verbs.h"

#include <bit>
#include <cerrno>

#include "transport/fake_objects.h"

namespace paceline::transport::verbs {

namespace {

/// Of a queue of siw's, whose entries are so long.
std::size_t bytes_of(std::uint32_t entries, std::size_t each) {
  return std::bit_ceil(entries) * each;
}

}  // namespace

struct FakeVerbs::Node : ibv_device {
  FakeDevice traits;
};

// --- devices ---

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

ibv_device* FakeVerbs::device(std::size_t number) const {
  return devices_.at(number).get();
}

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
  attributes->vendor_id = traits.vendor;
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

// --- memory ---

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

// --- completions ---

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
  if (!static_cast<FakeContext*>(context)->map(
          {bytes_of(static_cast<std::uint32_t>(entries), 32) + 8}))
    return nullptr;
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

// --- queue pairs ---

ibv_qp* FakeVerbs::create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) const {
  const std::lock_guard lock(network_->mutex_);
  auto* context = static_cast<FakeContext*>(domain->context);
  const auto most = static_cast<std::uint32_t>(context->traits->max_qp_wr);
  const ibv_qp_cap& cap = attributes->cap;
  if (cap.max_send_wr == 0 || cap.max_recv_wr == 0 || cap.max_send_wr > most ||
      cap.max_recv_wr > most || cap.max_inline_data > context->traits->max_inline ||
      cap.max_send_sge > context->traits->max_send_sge ||
      cap.max_recv_sge > context->traits->max_recv_sge) {
    errno = EINVAL;
    return nullptr;
  }
  if (!context->map({bytes_of(cap.max_send_wr, 120), bytes_of(cap.max_recv_wr, 112)})) {
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
  network_->break_pair(*fake);
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
  } else if (fake.is_iwarp()) {
    return EINVAL;  // the connection manager does it
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
    network_->book_.last_retries = attributes->retry_cnt;
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
  if (request.opcode != IBV_WR_RDMA_WRITE && request.opcode != IBV_WR_RDMA_WRITE_WITH_IMM &&
      request.opcode != IBV_WR_SEND && request.opcode != IBV_WR_RDMA_READ) {
    return EOPNOTSUPP;
  }
  if (pair.must_hear) ++book.spoke_too_early;
  if (request.opcode == IBV_WR_RDMA_WRITE_WITH_IMM &&
      pair.owner->traits->immediates == FakeImmediates::refused) {
    return EINVAL;
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
  // The device of an iWARP link hands things to TCP, which takes its time in any case.
  if (network_->reluctance_ == 0 && !static_cast<FakeQp*>(pair)->is_iwarp()) network_->pump();
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
      fake.receives.push_back(
          {request->wr_id, request->num_sge > 0 ? *request->sg_list : ibv_sge{}});
    }
  }
  return 0;
}

}  // namespace paceline::transport::verbs
