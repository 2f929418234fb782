// Carries out what was posted.
#include <utility>

#include "transport/fake_objects.h"

namespace paceline::transport::verbs {

// --- the network ---

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

void FakeNetwork::garble_next_notification() {
  const std::lock_guard lock(mutex_);
  garble_ = true;
}

void FakeNetwork::cut() {
  const std::lock_guard lock(mutex_);
  cut_ = true;
}

void FakeNetwork::break_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [number, pair] : pairs_) break_pair(*pair);
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

void FakeNetwork::connect_iwarp(std::uint32_t caller, std::uint32_t listener) {
  const std::lock_guard lock(mutex_);
  for (const auto& [own, other] : {std::pair(caller, listener), std::pair(listener, caller)}) {
    FakeQp& pair = *pairs_.at(own);
    pair.state = IBV_QPS_RTS;
    pair.attributes.dest_qp_num = other;
    pair.must_hear = own == listener;
  }
}

/// iWARP: what was posted goes to TCP, and with that it is complete; but for a read.
void FakeNetwork::hand_over(FakeQp& from) {
  while (!from.requests.empty()) {
    FakeRequest request = std::move(from.requests.front());
    from.requests.pop_front();
    const bool reads = request.wr.opcode == IBV_WR_RDMA_READ;
    const std::uint32_t length = request.wr.num_sge == 0 ? 0 : request.piece.length;
    if (!reads && (request.wr.send_flags & IBV_SEND_INLINE) == 0 && length > 0) {
      if (find(request.piece.lkey, from.pd, request.piece.addr, length, 0) == nullptr) {
        complete(*from.completions, failed(request.wr.wr_id, IBV_WC_LOC_PROT_ERR, from.qp_num));
        break_pair(from);
        return;
      }
      const auto* data = reinterpret_cast<const std::byte*>(request.piece.addr);
      request.inlined.assign(data, data + length);
      request.wr.send_flags |= IBV_SEND_INLINE;
    }
    if (!reads && (request.wr.send_flags & IBV_SEND_SIGNALED) != 0) {
      ibv_wc done{};
      done.wr_id = request.wr.wr_id;
      done.qp_num = from.qp_num;
      from.signalled[request.wr.wr_id] = request.number;
      ++book_.completions;
      complete(*from.completions, done);
    }
    if (!reads) request.wr.send_flags &= ~unsigned{IBV_SEND_SIGNALED};
    from.sent.push_back(std::move(request));
  }
}

void FakeNetwork::pump() {
  for (auto& [number, pair] : pairs_) {
    if (pair->is_iwarp() && pair->state == IBV_QPS_RTS) hand_over(*pair);
    while (!pair->line().empty() && (reluctance_ == 0 || random_() % reluctance_ == 0)) {
      if (!carry_out(*pair)) break;
    }
  }
}

bool FakeNetwork::path_works(FakeQp& from, FakeQp& to, std::uint64_t length) const {
  if (cut_ || to.state < IBV_QPS_RTR || to.state > IBV_QPS_RTS) return false;
  if (to.attributes.dest_qp_num != from.qp_num) return false;
  if (from.is_iwarp()) return true;
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
  for (const FakeReceive& receive : pair.receives) {
    complete(*pair.completions, failed(receive.wr_id, IBV_WC_WR_FLUSH_ERR, pair.qp_num));
  }
  pair.receives.clear();
  if (!pair.is_iwarp()) return;
  pair.sent.clear();
  const auto peer = pairs_.find(pair.attributes.dest_qp_num);
  if (peer != pairs_.end() && peer->second->attributes.dest_qp_num == pair.qp_num) {
    break_pair(*peer->second);
  }
}

void FakeNetwork::fail_head(FakeQp& pair, ibv_wc_status status) {
  if (pair.is_iwarp()) {
    break_pair(pair);  // it had completed: nothing is left that could fail
    return;
  }
  complete(*pair.completions, failed(pair.requests.front().wr.wr_id, status, pair.qp_num));
  pair.requests.pop_front();
  break_pair(pair);
}

/// The keys and bounds of the oldest request of `from`. If they are wrong the request fails.
bool FakeNetwork::is_allowed(FakeQp& from, FakeQp& to) {
  const FakeRequest& request = from.line().front();
  const ibv_send_wr& wr = request.wr;
  const std::uint64_t length = wr.num_sge == 0 ? 0 : request.piece.length;
  if (wr.opcode == IBV_WR_SEND) return true;
  const int access =
      wr.opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
  if (wr.opcode == IBV_WR_RDMA_WRITE_WITH_IMM &&
      to.owner->traits->immediates == FakeImmediates::fail_at_peer) {
    fail_head(from, IBV_WC_REM_INV_REQ_ERR);
    break_pair(to);
    return false;
  }
  if (length == 0 ||
      find(wr.wr.rdma.rkey, to.pd, wr.wr.rdma.remote_addr, length, access) != nullptr) {
    return true;
  }
  ibv_async_event event{};
  event.event_type = IBV_EVENT_QP_ACCESS_ERR;
  event.element.qp = &to;
  to.owner->events.push_back(event);
  wake(to.owner->async_fd);
  fail_head(from, IBV_WC_REM_ACCESS_ERR);
  break_pair(to);
  return false;
}

/// The receive that the oldest request of `from` takes; false if it must stay.
bool FakeNetwork::notify(FakeQp& from, FakeQp& to, const std::byte* source, std::uint64_t length) {
  const ibv_send_wr& wr = from.line().front().wr;
  const bool by_send = wr.opcode == IBV_WR_SEND;
  if (!by_send && to.owner->traits->immediates == FakeImmediates::swallowed) return true;
  if (to.receives.empty()) {
    ++book_.missing_receives;
    if (from.attributes.rnr_retry == 0 || from.is_iwarp())
      fail_head(from, IBV_WC_RNR_RETRY_EXC_ERR);
    return false;
  }
  const FakeReceive receive = to.receives.front();
  to.receives.pop_front();
  to.must_hear = false;
  ibv_wc arrival{};
  arrival.wr_id = receive.wr_id;
  arrival.opcode = by_send ? IBV_WC_RECV : IBV_WC_RECV_RDMA_WITH_IMM;
  arrival.byte_len = static_cast<std::uint32_t>(length);
  arrival.qp_num = to.qp_num;
  ++(by_send ? book_.sends : book_.immediates);
  if (by_send) {
    const bool fits = length <= receive.piece.length;
    if (!fits || (length > 0 && find(receive.piece.lkey, to.pd, receive.piece.addr, length,
                                     IBV_ACCESS_LOCAL_WRITE) == nullptr)) {
      complete(*to.completions,
               failed(receive.wr_id, fits ? IBV_WC_LOC_PROT_ERR : IBV_WC_LOC_LEN_ERR, to.qp_num));
      break_pair(to);
      fail_head(from, fits ? IBV_WC_REM_OP_ERR : IBV_WC_REM_INV_REQ_ERR);
      return false;
    }
    if (length > 0) std::memcpy(reinterpret_cast<void*>(receive.piece.addr), source, length);
    book_.last_send.assign(source, source + length);
  } else {
    arrival.wc_flags = IBV_WC_WITH_IMM;
    arrival.imm_data = wr.imm_data;
  }
  if (std::exchange(garble_, false)) {
    arrival.opcode = by_send ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV;
    arrival.wc_flags ^= IBV_WC_WITH_IMM;
  }
  complete(*to.completions, arrival);
  return true;
}

/// iWARP: the answer is a write of the peer's.
void FakeNetwork::read(FakeQp& from, const FakeRequest& request) {
  ++book_.reads;
  if (find(request.piece.lkey, from.pd, request.piece.addr, request.piece.length,
           IBV_ACCESS_REMOTE_WRITE) == nullptr) {
    complete(*from.completions, failed(request.wr.wr_id, IBV_WC_LOC_PROT_ERR, from.qp_num));
    break_pair(from);
    return;
  }
  std::memcpy(reinterpret_cast<void*>(request.piece.addr),
              reinterpret_cast<const void*>(request.wr.wr.rdma.remote_addr), request.piece.length);
}

/// The oldest request of `from`; false if it must stay.
bool FakeNetwork::carry_out(FakeQp& from) {
  FakeRequest& request = from.line().front();
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
  if (!inlined && length > 0 && wr.opcode != IBV_WR_RDMA_READ &&
      find(request.piece.lkey, from.pd, request.piece.addr, length, 0) == nullptr) {
    fail_head(from, IBV_WC_LOC_PROT_ERR);
    return false;
  }
  const auto found = pairs_.find(from.attributes.dest_qp_num);
  if (found == pairs_.end() || !path_works(from, *found->second, length)) {
    // TCP does not give up within any test's time.
    if (!from.is_iwarp() && ++request.tries > kMostTries) fail_head(from, IBV_WC_RETRY_EXC_ERR);
    return false;
  }
  FakeQp& to = *found->second;
  if (!is_allowed(from, to)) return false;
  const auto* source =
      inlined ? request.inlined.data() : reinterpret_cast<const std::byte*>(request.piece.addr);
  if (wr.opcode == IBV_WR_RDMA_READ) {
    read(from, request);
    if (from.state == IBV_QPS_ERR) return false;
  } else if (wr.opcode != IBV_WR_RDMA_WRITE && !notify(from, to, source, length)) {
    return false;
  }
  // The receive has completed, but nobody can look before this is over.
  if (wr.opcode != IBV_WR_SEND && wr.opcode != IBV_WR_RDMA_READ && length > 0) {
    std::memcpy(reinterpret_cast<void*>(wr.wr.rdma.remote_addr), source, length);
    book_.bytes_written += length;
  }
  if ((wr.send_flags & IBV_SEND_SIGNALED) != 0) {
    ibv_wc done{};
    done.wr_id = wr.wr_id;
    done.opcode = wr.opcode == IBV_WR_SEND ? IBV_WC_SEND : IBV_WC_RDMA_WRITE;
    done.qp_num = from.qp_num;
    from.signalled[wr.wr_id] = request.number;
    ++book_.completions;
    complete(*from.completions, done);
  }
  from.line().pop_front();
  return true;
}

}  // namespace paceline::transport::verbs
