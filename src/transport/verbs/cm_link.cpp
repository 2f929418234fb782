#include "transport_verbs/cm_link.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "paceline/error.h"
#include "transport_verbs/completion_text.h"
#include "transport_verbs/queue_pair.h"

namespace paceline::transport::verbs {
namespace {

/// The kernel asks for the peer's hardware address again within this time. A route over Ethernet is
/// known at once; on InfiniBand the subnet manager is asked.
constexpr int kResolveMillis = 5000;

/// Calls that wait to be looked at. One is expected; others may be anybody's.
constexpr int kBacklog = 8;

/// How many ports are tried. The manager hands out ports of its own, but software iWARP listens and
/// calls at the TCP port of that number, which another socket of this host may have.
constexpr int kPortAttempts = 32;

/// What an event says that ends an attempt; null for those that do not.
const char* trouble_of(rdma_cm_event_type type) {
  // An integer, so that events of newer libraries end up below.
  switch (static_cast<int>(type)) {
    case RDMA_CM_EVENT_ADDR_ERROR:
      return "the peer's address leads to no RDMA device of ours";
    case RDMA_CM_EVENT_ROUTE_ERROR:
      return "there is no route to the peer's address";
    case RDMA_CM_EVENT_CONNECT_ERROR:
      return "the connection could not be made";
    case RDMA_CM_EVENT_UNREACHABLE:
      return "the peer's address does not answer";
    case RDMA_CM_EVENT_REJECTED:
      return "the peer refused the connection";
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return "the device was removed";
    case RDMA_CM_EVENT_DISCONNECTED:
      return "the peer ended the connection";
    default:
      return nullptr;
  }
}

/// Acknowledges an event when it has been looked at.
struct Acknowledger {
  const CmApi* cm = nullptr;
  void operator()(rdma_cm_event* event) const noexcept { (void)cm->ack_cm_event(event); }
};

}  // namespace

CmLink::CmLink(std::shared_ptr<const Device> device, const VerbsOptions& options, int peer,
               Role role, std::optional<Ipv4Network> network)
    : device_(std::move(device)),
      options_(options),
      peer_(peer),
      role_(role),
      address_(nearest(device_->addresses(), network)),
      channel_(device_->cm().create_event_channel(), {&device_->cm()}) {
  const CmApi& cm = device_->cm();
  if (!channel_) fail("its connection manager cannot be used: " + errno_text(errno));
  ::fcntl(channel_->fd, F_SETFL, O_NONBLOCK);
  ::fcntl(channel_->fd, F_SETFD, FD_CLOEXEC);
  if (role_ == Role::dialer) {
    id_ = make_id();
    return;
  }
  listener_ = make_id();
  while (cm.listen(listener_.get(), kBacklog) != 0) {
    require_taken_port("listen");
    listener_ = make_id();
  }
  port_ = cm.get_src_port(listener_.get());
  std::random_device random;
  for (std::uint8_t& byte : cookie_) byte = static_cast<std::uint8_t>(random());
}

/// Bound to this end's address, and a port that is free as far as the manager knows.
CmIdHandle CmLink::make_id() const {
  const CmApi& cm = device_->cm();
  rdma_cm_id* raw = nullptr;
  require(cm.create_id(channel_.get(), &raw), "make an id");
  CmIdHandle id(raw, {&cm});
  CmAddress own = CmAddress::from(address_, 0);
  require(cm.bind_addr(id.get(), own.get()), "use its own address");
  return id;
}

void CmLink::describe(QpInfo& info) const {
  info.cm_address = address_;
  info.cm_port = port_;
  info.cm_cookie = cookie_;
}

bool CmLink::must_hear_first() const {
  return role_ == Role::listener && device_->port().kind == LinkKind::iwarp;
}

void CmLink::start(ibv_qp* pair, const QpInfo& peer) {
  pair_ = pair;
  far_ = peer;
  if (role_ == Role::listener) return;
  if (peer.cm_port == 0) fail("the peer does not listen");
  resolve();
}

void CmLink::resolve() {
  CmAddress to = CmAddress::from(far_.cm_address, far_.cm_port);
  require(device_->cm().resolve_addr(id_.get(), to.get(), kResolveMillis), "resolve an address");
}

bool CmLink::poll() {
  const CmApi& cm = device_->cm();
  rdma_cm_event* raw = nullptr;
  while (!connected_ && cm.get_cm_event(channel_.get(), &raw) == 0) {
    const std::unique_ptr<rdma_cm_event, Acknowledger> event(raw, {&cm});
    handle(*event);
  }
  discarded_.clear();
  if (connected_) listener_.reset();
  return connected_;
}

void CmLink::handle(rdma_cm_event& event) {
  switch (static_cast<int>(event.event)) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      require(device_->cm().resolve_route(id_.get(), kResolveMillis), "resolve a route");
      return;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      connect();
      return;
    case RDMA_CM_EVENT_CONNECT_REQUEST:
      answer(event);
      return;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
      to_rts();
      require(device_->cm().establish(id_.get()), "establish the connection");
      connected_ = true;
      return;
    case RDMA_CM_EVENT_ESTABLISHED:
      connected_ = true;
      return;
    default:
      break;
  }
  const char* trouble = trouble_of(event.event);
  // A caller without the cookie who leaves is no news.
  if (trouble == nullptr || (role_ == Role::listener && event.id != id_.get())) return;
  fail(std::string(trouble) + (event.status < 0
                                   ? " (" + errno_text(-event.status) + ")"
                                   : " (status " + std::to_string(event.status) + ")"));
}

rdma_conn_param CmLink::parameters() const {
  rdma_conn_param parameters{};
  parameters.private_data = far_.cm_cookie.data();
  parameters.private_data_len = static_cast<std::uint8_t>(far_.cm_cookie.size());
  // close() reads once, on iWARP.
  parameters.responder_resources = 1;
  parameters.initiator_depth = 1;
  parameters.retry_count = options_.retry_count;
  parameters.rnr_retry_count = options_.rnr_retry;
  parameters.qp_num = pair_->qp_num;
  return parameters;
}

void CmLink::connect() {
  rdma_conn_param own = parameters();
  if (device_->cm().connect(id_.get(), &own) == 0) return;
  require_taken_port("connect");
  discarded_.push_back(std::move(id_));
  id_ = make_id();
  resolve();
}

/// Somebody calls. It may be anybody, but only the peer knows the cookie.
void CmLink::answer(rdma_cm_event& request) {
  const CmApi& cm = device_->cm();
  CmIdHandle caller(request.id, {&cm});
  const rdma_conn_param& said = request.param.conn;
  const bool known = !id_ && pair_ != nullptr && said.private_data != nullptr &&
                     said.private_data_len >= cookie_.size() &&
                     std::memcmp(said.private_data, cookie_.data(), cookie_.size()) == 0;
  if (!known) {
    (void)cm.reject(caller.get());
    discarded_.push_back(std::move(caller));
    return;
  }
  id_ = std::move(caller);
  if (device_->port().kind != LinkKind::iwarp) to_rts();
  rdma_conn_param own = parameters();
  require(cm.accept(id_.get(), &own), "accept the connection");
}

/// INIT → RTR → RTS, by the manager's word about the path and ours about the rest.
void CmLink::to_rts() {
  for (const ibv_qp_state state : {IBV_QPS_RTR, IBV_QPS_RTS}) {
    ibv_qp_attr attributes{};
    attributes.qp_state = state;
    int mask = 0;
    require(device_->cm().init_qp_attr(id_.get(), &attributes, &mask), "describe the path");
    to_state_of_manager(*device_, pair_, attributes, mask, far_, options_);
  }
}

/// What failed, failed because somebody has that port, and there are attempts left.
void CmLink::require_taken_port(const char* what) {
  const bool taken = errno == EADDRINUSE || errno == EADDRNOTAVAIL;
  require(taken && ++ports_taken_ < kPortAttempts ? 0 : -1, what);
}

void CmLink::require(int result, const char* what) const {
  if (result != 0) fail(std::string("it could not ") + what + ": " + errno_text(errno));
}

void CmLink::fail(const std::string& what) const {
  throw Error(ErrorCode::transport_failed,
              "the RDMA link to rank " + std::to_string(peer_) + " (" + device_->label() + ", " +
                  to_string(device_->port().kind) + ", from " + to_text(address_) +
                  (role_ == Role::dialer && far_.cm_port != 0
                       ? " to " + to_text(far_.cm_address) + " port " + std::to_string(far_.cm_port)
                       : std::string()) +
                  ") could not be connected by rdma_cm: " + what,
              {.peer = peer_});
}

}  // namespace paceline::transport::verbs
