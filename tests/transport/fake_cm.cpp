#include "transport/fake_cm.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/fake_objects.h"

namespace paceline::transport::verbs {

struct FakeCmEvent : rdma_cm_event {
  std::vector<std::uint8_t> said;  ///< private data
};

struct FakeCmChannel : rdma_event_channel {
  std::deque<std::unique_ptr<FakeCmEvent>> events;
};

struct FakeCmId : rdma_cm_id {
  const FakeDevice* traits = nullptr;
  std::uint16_t port_of_peer = 0;
  std::uint16_t listens_at = 0;
  FakeCmId* other = nullptr;  ///< the other end of its connection
  std::uint32_t number = 0;   ///< of its queue pair
  int unacknowledged = 0;
};

FakeCmNetwork::Book FakeCmNetwork::book() const {
  const std::lock_guard lock(mutex_);
  return book_;
}

void FakeCmNetwork::fail_with(rdma_cm_event_type type) {
  const std::lock_guard lock(mutex_);
  answer_ = type;
}

void FakeCmNetwork::send_stranger() {
  const std::lock_guard lock(mutex_);
  stranger_ = true;
}

void FakeCmNetwork::take_ports(int count) {
  const std::lock_guard lock(mutex_);
  taken_ports_ = count;
}

int FakeCmNetwork::use_port() {
  if (taken_ports_ == 0) return 0;
  --taken_ports_;
  errno = EADDRINUSE;
  return -1;
}

void FakeCmNetwork::tell(FakeCmId& id, rdma_cm_event_type type, int status, FakeCmId* listener) {
  auto event = std::make_unique<FakeCmEvent>();
  static_cast<rdma_cm_event&>(*event) = {};
  event->id = &id;
  event->listen_id = listener;
  event->event = type;
  event->status = status;
  auto* channel = static_cast<FakeCmChannel*>(id.channel);
  channel->events.push_back(std::move(event));
}

FakeCm::FakeCm(std::shared_ptr<FakeCmNetwork> network, const FakeVerbs& verbs,
               const FakeDevice& device)
    : network_(std::move(network)), device_(device) {
  context_.device = verbs.device(0);
}

// --- events and ids ---

rdma_event_channel* FakeCm::create_event_channel() const {
  const std::lock_guard lock(network_->mutex_);
  auto* channel = new FakeCmChannel;
  static_cast<rdma_event_channel&>(*channel) = {};
  channel->fd = ::eventfd(0, EFD_CLOEXEC);
  ++network_->book_.live_objects;
  return channel;
}

void FakeCm::destroy_event_channel(rdma_event_channel* channel) const {
  const std::lock_guard lock(network_->mutex_);
  ::close(channel->fd);
  delete static_cast<FakeCmChannel*>(channel);
  --network_->book_.live_objects;
}

FakeCmId* FakeCm::make_id(rdma_event_channel* channel) const {
  auto* id = new FakeCmId;
  static_cast<rdma_cm_id&>(*id) = {};
  id->channel = channel;
  id->traits = &device_;
  ++network_->book_.live_objects;
  return id;
}

int FakeCm::create_id(rdma_event_channel* channel, rdma_cm_id** id) const {
  const std::lock_guard lock(network_->mutex_);
  *id = make_id(channel);
  return 0;
}

int FakeCm::destroy_id(rdma_cm_id* id) const {
  const std::lock_guard lock(network_->mutex_);
  auto* fake = static_cast<FakeCmId*>(id);
  // A real library would wait here for ever for the acknowledgement.
  if (fake->unacknowledged != 0) ++network_->book_.events_kept;
  if (fake->other != nullptr) fake->other->other = nullptr;
  network_->listeners_.erase(fake->listens_at);
  auto& events = static_cast<FakeCmChannel*>(id->channel)->events;
  for (const auto& event : events) {
    // A caller that nobody has looked at goes with the listener.
    if (event->listen_id == id && event->id != id) {
      delete static_cast<FakeCmId*>(event->id);
      --network_->book_.live_objects;
      event->id = id;
    }
  }
  std::erase_if(events, [&](const auto& event) { return event->id == id; });
  delete fake;
  --network_->book_.live_objects;
  return 0;
}

int FakeCm::get_cm_event(rdma_event_channel* channel, rdma_cm_event** event) const {
  const std::lock_guard lock(network_->mutex_);
  auto& events = static_cast<FakeCmChannel*>(channel)->events;
  if (events.empty()) {
    errno = EAGAIN;
    return -1;
  }
  ++static_cast<FakeCmId*>(events.front()->id)->unacknowledged;
  *event = events.front().release();
  events.pop_front();
  return 0;
}

int FakeCm::ack_cm_event(rdma_cm_event* event) const {
  const std::lock_guard lock(network_->mutex_);
  --static_cast<FakeCmId*>(event->id)->unacknowledged;
  delete static_cast<FakeCmEvent*>(event);
  return 0;
}

// --- who and where ---

int FakeCm::bind_addr(rdma_cm_id* id, sockaddr* /*address*/) const {
  id->verbs = &context_;
  id->port_num = 1;
  return 0;
}

int FakeCm::resolve_addr(rdma_cm_id* id, sockaddr* to, int /*timeout_ms*/) const {
  const std::lock_guard lock(network_->mutex_);
  auto& fake = *static_cast<FakeCmId*>(id);
  // All hosts are this one, so the port says it all.
  sockaddr_in address{};
  std::memcpy(&address, to, sizeof(address));
  fake.port_of_peer = ntohs(address.sin_port);
  network_->tell(fake, RDMA_CM_EVENT_ADDR_RESOLVED);
  return 0;
}

int FakeCm::resolve_route(rdma_cm_id* id, int /*timeout_ms*/) const {
  const std::lock_guard lock(network_->mutex_);
  network_->tell(*static_cast<FakeCmId*>(id), RDMA_CM_EVENT_ROUTE_RESOLVED);
  return 0;
}

std::uint16_t FakeCm::get_src_port(rdma_cm_id* id) const {
  return static_cast<FakeCmId*>(id)->listens_at;
}

// --- connections ---

int FakeCm::listen(rdma_cm_id* id, int /*backlog*/) const {
  const std::lock_guard lock(network_->mutex_);
  if (network_->use_port() != 0) return -1;
  auto* fake = static_cast<FakeCmId*>(id);
  fake->listens_at = network_->next_port_++;
  network_->listeners_[fake->listens_at] = fake;
  return 0;
}

/// A request arrives; of a stranger if there is no caller.
void FakeCm::call(FakeCmId& listener, FakeCmId* caller, const rdma_conn_param& said) const {
  FakeCmId* id = make_id(listener.channel);
  id->traits = listener.traits;
  id->other = caller;
  if (caller != nullptr) caller->other = id;
  network_->tell(*id, RDMA_CM_EVENT_CONNECT_REQUEST, 0, &listener);
  FakeCmEvent& event = *static_cast<FakeCmChannel*>(listener.channel)->events.back();
  const auto* bytes = static_cast<const std::uint8_t*>(said.private_data);
  event.said.assign(bytes, bytes + said.private_data_len);
  event.param.conn.private_data = event.said.data();
  event.param.conn.private_data_len = static_cast<std::uint8_t>(event.said.size());
}

int FakeCm::connect(rdma_cm_id* id, rdma_conn_param* parameters) const {
  const std::lock_guard lock(network_->mutex_);
  if (network_->use_port() != 0) return -1;
  auto& fake = *static_cast<FakeCmId*>(id);
  fake.number = parameters->qp_num;
  const auto found = network_->listeners_.find(fake.port_of_peer);
  if (network_->answer_ != RDMA_CM_EVENT_ESTABLISHED || found == network_->listeners_.end()) {
    network_->tell(
        fake,
        network_->answer_ == RDMA_CM_EVENT_ESTABLISHED ? RDMA_CM_EVENT_REJECTED : network_->answer_,
        -ETIMEDOUT);
    return 0;
  }
  if (std::exchange(network_->stranger_, false)) {
    const std::uint8_t guess[16] = {};
    rdma_conn_param said{};
    said.private_data = guess;
    said.private_data_len = sizeof(guess);
    call(*found->second, nullptr, said);
  }
  call(*found->second, &fake, *parameters);
  return 0;
}

int FakeCm::accept(rdma_cm_id* id, rdma_conn_param* parameters) const {
  const std::lock_guard lock(network_->mutex_);
  auto& fake = *static_cast<FakeCmId*>(id);
  fake.number = parameters->qp_num;
  if (fake.other == nullptr) {
    errno = EINVAL;
    return -1;
  }
  ++network_->book_.connections;
  if (!is_iwarp()) {
    network_->tell(*fake.other, RDMA_CM_EVENT_CONNECT_RESPONSE);
    return 0;
  }
  network_->network_->connect_iwarp(fake.other->number, fake.number);
  network_->tell(*fake.other, RDMA_CM_EVENT_ESTABLISHED);
  network_->tell(fake, RDMA_CM_EVENT_ESTABLISHED);
  return 0;
}

int FakeCm::reject(rdma_cm_id* id) const {
  const std::lock_guard lock(network_->mutex_);
  ++network_->book_.rejections;
  FakeCmId* caller = static_cast<FakeCmId*>(id)->other;
  if (caller != nullptr) network_->tell(*caller, RDMA_CM_EVENT_REJECTED, 28);
  return 0;
}

int FakeCm::establish(rdma_cm_id* id) const {
  const std::lock_guard lock(network_->mutex_);
  auto& fake = *static_cast<FakeCmId*>(id);
  if (fake.other != nullptr) network_->tell(*fake.other, RDMA_CM_EVENT_ESTABLISHED);
  return 0;
}

int FakeCm::init_qp_attr(rdma_cm_id* id, ibv_qp_attr* attributes, int* mask) const {
  const std::lock_guard lock(network_->mutex_);
  const auto& fake = *static_cast<FakeCmId*>(id);
  if (fake.other == nullptr) {
    errno = EINVAL;
    return -1;
  }
  *mask = IBV_QP_STATE;
  if (attributes->qp_state == IBV_QPS_RTS) {
    attributes->retry_cnt = 7;
    attributes->rnr_retry = 7;
    *mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
             IBV_QP_MAX_QP_RD_ATOMIC;
    return 0;
  }
  const GidEntry& peer = fake.other->traits->ports[0].gids.back();
  attributes->path_mtu = IBV_MTU_4096;
  attributes->dest_qp_num = fake.other->number;
  attributes->ah_attr.is_global = 1;
  attributes->ah_attr.grh.sgid_index =
      static_cast<std::uint8_t>(fake.traits->ports[0].gids.back().index);
  std::memcpy(attributes->ah_attr.grh.dgid.raw, peer.gid.data(), peer.gid.size());
  *mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
           IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  return 0;
}

}  // namespace paceline::transport::verbs
