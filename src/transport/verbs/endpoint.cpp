#include "transport_verbs/endpoint.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/layout.h"
#include "transport_verbs/completion_text.h"

namespace paceline::transport::verbs {
namespace {

/// Slots keep whole lines to themselves.
constexpr std::size_t kSlotStride = round_up(kMaxMessage, kCacheLine);

/// A put without a registration is copied if it is at most this long: about where copying (10 GB/s)
/// takes as long as pinning the pages does (1-2 us and more), and longer ones are registered for
/// the time of the put. 128 KiB of copies may be under way.
constexpr std::size_t kMostBounced = 16 * 1024;
constexpr std::uint32_t kBounceBytes = 128 * 1024;

/// No device is asked for more in one request, whatever it says.
constexpr std::uint32_t kMostPerRequest = std::uint32_t{1} << 30;

/// wr_id of receives; requests count from 1.
constexpr std::uint64_t kReceive = ~std::uint64_t{0};

/// Completions taken at a time: enough to make the call cheap, few enough for the stack.
constexpr int kPollBatch = 32;

/// How long close() lets what was sent before leave. An acknowledgement takes microseconds, so
/// this is reached only if the peer's host is gone.
constexpr Nanoseconds kDrainTime = 50 * kMillisecond;

std::uint32_t bytes_of_mtu(std::uint8_t mtu) {
  return std::uint32_t{128} << mtu;
}

/// What the device's limits leave of what the options ask for.
QueuePairShape choose_shape(const Device& device, const VerbsOptions& options) {
  const auto limit = [](int value) { return static_cast<std::uint32_t>(std::max(value, 0)); };
  const std::uint32_t requests = limit(device.limits().max_qp_wr);
  const std::uint32_t entries = limit(device.limits().max_cqe);
  QueuePairShape shape;
  // Every request and every receive may complete: a completion queue that holds them all cannot
  // overflow. A small one is shared half and half.
  shape.send_depth = std::min({options.send_depth, requests, entries / 2});
  shape.receive_depth = std::min({options.receive_depth + ReceiveQueue::kReserve, requests,
                                  entries - std::min(entries, shape.send_depth)});
  shape.inline_bytes = options.inline_bytes;
  // Below 16 receives a quarter of them would not be worth a credit.
  if (device.port().max_message < kSlotStride) {
    throw Error(ErrorCode::unsupported,
                "RDMA device " + device.label() + " takes requests of at most " +
                    std::to_string(device.port().max_message) + " bytes, less than a message");
  }
  if (shape.send_depth < 4 || shape.receive_depth < ReceiveQueue::kReserve + 16) {
    throw Error(ErrorCode::unsupported, "RDMA device " + device.label() + " has queues of " +
                                            std::to_string(requests) + " requests and " +
                                            std::to_string(entries) +
                                            " completions, which is too little for a link");
  }
  return shape;
}

}  // namespace

void Unmapper::operator()(std::byte* memory) const noexcept {
  ::munmap(memory, length);
}

VerbsEndpoint::VerbsEndpoint(std::shared_ptr<Device> device, const VerbsOptions& options, int peer,
                             std::optional<Ipv4Network> network)
    : device_(std::move(device)),
      options_(options),
      peer_(peer),
      gid_(device_->gid_near(network)),
      shape_(choose_shape(*device_, options)) {
  device_->check_process();
  const VerbsApi& api = device_->api();
  make_memory();
  const std::uint32_t entries = shape_.send_depth + shape_.receive_depth;
  completions_ = CompletionQueueHandle(
      api.create_cq(device_->context(), static_cast<int>(entries), this, device_->channel()),
      {&api});
  if (!completions_) {
    throw Error(errno == ENOMEM ? ErrorCode::out_of_memory : ErrorCode::transport_failed,
                "RDMA device " + device_->label() + " did not create a completion queue of " +
                    std::to_string(entries) + " entries: " + errno_text(errno),
                {.peer = peer_});
  }
  pair_ = create_queue_pair(*device_, completions_.get(), shape_);
  to_init(*device_, pair_.get());
  sends_ = SendQueue(shape_.send_depth);
  bounce_ring_ = BounceRing(kBounceBytes);
  max_piece_ = std::min(device_->port().max_message, kMostPerRequest);
  // Where the numbering of packets starts should not be guessed right by an older connection.
  packet_number_ = std::random_device{}() & 0xffffff;
  post_receives(shape_.receive_depth);
  device_->endpoints.push_back(this);
}

VerbsEndpoint::~VerbsEndpoint() {
  close();
}

void VerbsEndpoint::make_memory() {
  const std::size_t mailbox = options_.message_slots * kSlotStride;
  const std::size_t length = 2 * mailbox + kBounceBytes;
  void* memory =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::out_of_memory,
                "no memory for the mailboxes of a link (" + std::to_string(length) + " bytes)",
                {.peer = peer_});
  }
  memory_ = {static_cast<std::byte*>(memory), Unmapper{length}};
  inbox_ = memory_.get();
  outbox_ = inbox_ + mailbox;
  bounce_ = outbox_ + mailbox;
  inbox_region_ =
      device_->register_region(inbox_, mailbox, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  outbox_region_ =
      device_->register_region(outbox_, mailbox + kBounceBytes, IBV_ACCESS_LOCAL_WRITE);
  lengths_.resize(options_.message_slots);
}

// --- making the link -----------------------------------------------------------------------------

QpInfo VerbsEndpoint::info() const {
  QpInfo info;
  info.kind = device_->port().kind;
  info.mtu = device_->port().mtu;
  info.lid = device_->port().lid;
  info.gid = gid_.gid;
  info.qp_number = pair_->qp_num;
  info.packet_number = packet_number_;
  info.mailbox_address = reinterpret_cast<std::uint64_t>(inbox_);
  info.mailbox_key = inbox_region_->rkey;
  info.message_slots = options_.message_slots;
  info.receives = shape_.receive_depth - ReceiveQueue::kReserve;
  return info;
}

void VerbsEndpoint::connect_to(const QpInfo& peer) {
  if (peer.kind != device_->port().kind) {
    throw Error(ErrorCode::transport_failed,
                "this rank's RDMA device " + device_->label() + " is on " +
                    to_string(device_->port().kind) + " and that of rank " + std::to_string(peer_) +
                    " on " + to_string(peer.kind) +
                    ": they cannot talk to each other; choose devices or GIDs of one kind "
                    "(PACELINE_IB_DEVICE, PACELINE_IB_GID_INDEX)",
                {.peer = peer_});
  }
  far_ = peer;
  allowed_ = peer.receives;
  slots_ = std::min(options_.message_slots, peer.message_slots);
  receives_ = ReceiveQueue(shape_.receive_depth - ReceiveQueue::kReserve, slots_);
  to_rtr(*device_, pair_.get(), peer, gid_, options_);
  to_rts(*device_, pair_.get(), packet_number_, options_);
}

void VerbsEndpoint::say_hello() {
  // A packet as large as this link will ever see, into the first slot, which is free.
  const std::uint32_t packet = bytes_of_mtu(std::min(device_->port().mtu, far_.mtu));
  ibv_sge piece{reinterpret_cast<std::uint64_t>(outbox_),
                std::min<std::uint32_t>(packet, static_cast<std::uint32_t>(kSlotStride)),
                outbox_region_->lkey};
  ibv_send_wr request{};
  request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  request.imm_data = to_wire({Immediate::Kind::hello, 0, 0});
  request.sg_list = &piece;
  request.num_sge = 1;
  request.wr.rdma.remote_addr = far_.mailbox_address;
  request.wr.rdma.rkey = far_.mailbox_key;
  ++notified_;
  hello_number_ = post(request, true);
}

bool VerbsEndpoint::said_and_heard_hello() {
  poll();
  check_usable();
  return hello_heard_ && sends_.done() >= hello_number_;
}

// --- messages ------------------------------------------------------------------------------------

bool VerbsEndpoint::send(ConstBytes header, ConstBytes payload) {
  check_usable();
  const std::size_t length = header.size() + payload.size();
  if (length == 0 || length > kMaxMessage) {
    throw Error(ErrorCode::invalid_argument,
                "a message of " + std::to_string(length) + " bytes; 1 to " +
                    std::to_string(kMaxMessage) + " are allowed",
                {.peer = peer_});
  }
  if (!may_notify() || messages_sent_ - messages_freed_ >= slots_) return false;
  // Our copy is free again when the peer's slot is: that was popped after our write was done.
  const std::uint64_t slot = messages_sent_ % slots_;
  std::byte* copy = outbox_ + slot * kSlotStride;
  if (!header.empty()) std::memcpy(copy, header.data(), header.size());
  if (!payload.empty()) std::memcpy(copy + header.size(), payload.data(), payload.size());
  ibv_sge piece{reinterpret_cast<std::uint64_t>(copy), static_cast<std::uint32_t>(length),
                outbox_region_->lkey};
  ibv_send_wr request{};
  request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  request.imm_data = to_wire({Immediate::Kind::message, static_cast<std::uint16_t>(slot),
                              static_cast<std::uint16_t>(length)});
  request.sg_list = &piece;
  request.num_sge = 1;
  request.wr.rdma.remote_addr = far_.mailbox_address + slot * kSlotStride;
  request.wr.rdma.rkey = far_.mailbox_key;
  if (length <= shape_.inline_bytes) request.send_flags = IBV_SEND_INLINE;
  ++messages_sent_;
  ++notified_;
  post(request, false);
  return true;
}

ConstBytes VerbsEndpoint::front() {
  if (messages_received_ != messages_popped_ && !closed_ && !broken_) {
    const std::uint64_t slot = messages_popped_ % slots_;
    return {inbox_ + slot * kSlotStride, lengths_[slot]};
  }
  check_usable();
  return {};
}

void VerbsEndpoint::pop() {
  if (messages_received_ == messages_popped_) return;
  ++messages_popped_;
  receives_.freed_slot();
  send_credits();
}

// --- puts ----------------------------------------------------------------------------------------

bool VerbsEndpoint::signal(Lane lane) {
  check_usable();
  check_lane(lane);
  if (current_ || !may_notify()) return false;
  ++notified_;
  notify({Immediate::Kind::put, 0, static_cast<std::uint16_t>(lane)});
  return true;
}

bool VerbsEndpoint::put(Lane lane, ConstBytes source, const Registration* registration,
                        RemoteAddress target) {
  if (source.empty()) return signal(lane);
  check_usable();
  check_lane(lane);
  if ((target.key & VerbsRegistration::kMark) == 0 ||
      target.address + source.size() < target.address) {
    throw Error(ErrorCode::transport_failed,
                "a put of " + std::to_string(source.size()) + " bytes to rank " +
                    std::to_string(peer_) + " names memory that is not registered there",
                {.peer = peer_});
  }
  if (current_ || !may_notify()) return false;
  Put put;
  put.lane = lane;
  put.left = source.size();
  put.target = target.address;
  put.remote_key = static_cast<std::uint32_t>(target.key);
  put.source = source.data();
  current_ = put;
  if (!lend_source(source, registration)) {
    current_.reset();
    return false;
  }
  ++notified_;
  continue_put();
  return true;
}

/// Makes the source of the current put readable by the device: inside the request, in the caller's
/// registration, as a copy, or registered for this put. False if it must wait.
bool VerbsEndpoint::lend_source(ConstBytes source, const Registration* registration) {
  Put& put = *current_;
  const ibv_mr* region = registration == nullptr
                             ? nullptr
                             : static_cast<const VerbsRegistration*>(registration)->region();
  if (source.size() <= std::min(shape_.inline_bytes, max_piece_)) {
    put.is_inline = true;
  } else if (region != nullptr) {
    put.local_key = region->lkey;
  } else if (source.size() <= kMostBounced) {
    const std::uint32_t at = bounce_ring_.take(static_cast<std::uint32_t>(source.size()));
    if (at == BounceRing::kNone) return false;
    std::memcpy(bounce_ + at, source.data(), source.size());
    put.source = bounce_ + at;
    put.is_copied = true;
    put.local_key = outbox_region_->lkey;
    loans_.push_back({.bounce_mark = bounce_ring_.end()});
  } else {
    // Read by the device only, so memory that is mapped read-only will do.
    RegionHandle own = device_->register_region(source.data(), source.size(), 0);
    put.local_key = own->lkey;
    loans_.push_back({.region = std::move(own)});
  }
  return true;
}

/// Posts as much of the current put as there is room for. A put longer than what the device takes
/// in one request is several; the rest follows as earlier ones complete.
void VerbsEndpoint::continue_put() {
  while (current_ && sends_.has_room()) {
    Put& put = *current_;
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(put.left, max_piece_));
    const bool last = size == put.left;
    ibv_sge piece{reinterpret_cast<std::uint64_t>(put.source), size, put.local_key};
    ibv_send_wr request{};
    request.opcode = last ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
    request.imm_data = to_wire({Immediate::Kind::put, 0, static_cast<std::uint16_t>(put.lane)});
    request.sg_list = &piece;
    request.num_sge = 1;
    request.wr.rdma.remote_addr = put.target;
    request.wr.rdma.rkey = put.remote_key;
    if (put.is_inline) request.send_flags = IBV_SEND_INLINE;
    // Whoever lent the source wants it back, so the last one says when it is done.
    const std::uint64_t number = post(request, last && !put.is_inline);
    put.source += size;
    put.target += size;
    put.left -= size;
    if (!last) continue;
    if (!loans_.empty() && loans_.back().number == 0) loans_.back().number = number;
    if (!put.is_inline && !put.is_copied) source_needed_until_ = number;
    current_.reset();
  }
}

void VerbsEndpoint::return_loans() {
  while (!loans_.empty() && loans_.front().number != 0 && loans_.front().number <= sends_.done()) {
    if (loans_.front().bounce_mark != 0) bounce_ring_.release(loans_.front().bounce_mark);
    loans_.pop_front();
  }
}

std::uint64_t VerbsEndpoint::arrived(Lane lane) {
  check_lane(lane);
  // That the peer has left takes nothing back of what it put before.
  if (closed_ || broken_) check_usable();
  return arrived_[lane];
}

bool VerbsEndpoint::flushed() {
  if (!current_ && !closed_ && !broken_ && sends_.done() >= source_needed_until_) return true;
  check_usable();
  return false;
}

// --- requests ------------------------------------------------------------------------------------

std::uint64_t VerbsEndpoint::post(ibv_send_wr& request, bool want_completion) {
  const SendQueue::Ticket ticket = sends_.take(want_completion);
  request.wr_id = ticket.number;
  if (ticket.signalled) request.send_flags |= IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  const int error = device_->api().post_send(pair_.get(), &request, &bad);
  if (error != 0) {
    fail("a request could not be posted (" + errno_text(error) + ")");
    throw *broken_;
  }
  return ticket.number;
}

/// A write of nothing with an immediate.
void VerbsEndpoint::notify(Immediate immediate) {
  ibv_send_wr request{};
  request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  request.imm_data = to_wire(immediate);
  request.wr.rdma.remote_addr = far_.mailbox_address;
  request.wr.rdma.rkey = far_.mailbox_key;
  post(request, false);
}

void VerbsEndpoint::post_receives(std::uint32_t count) {
  // They have no memory of their own: a receive is only the place of a notification.
  std::array<ibv_recv_wr, ReceiveQueue::kBatch> batch;
  while (count > 0) {
    const std::size_t size = std::min<std::size_t>(count, batch.size());
    for (std::size_t i = 0; i < size; ++i) {
      batch[i] = {};
      batch[i].wr_id = kReceive;
      batch[i].next = i + 1 < size ? &batch[i + 1] : nullptr;
    }
    ibv_recv_wr* bad = nullptr;
    const int error = device_->api().post_recv(pair_.get(), batch.data(), &bad);
    if (error != 0) {
      fail("receives could not be posted (" + errno_text(error) + ")");
      throw *broken_;
    }
    count -= static_cast<std::uint32_t>(size);
  }
}

void VerbsEndpoint::send_credits() {
  if (!receives_.owes_credits() || !sends_.has_room() || closed_ || broken_ || hung_up_) return;
  const ReceiveQueue::Credits credits = receives_.take_credits();
  notify({Immediate::Kind::credits, static_cast<std::uint16_t>(credits.slots),
          static_cast<std::uint16_t>(credits.receives)});
}

// --- completions ---------------------------------------------------------------------------------

bool VerbsEndpoint::poll() {
  if (closed_ || broken_) return false;
  bool news = false;
  std::array<ibv_wc, kPollBatch> completions;
  for (int count = kPollBatch; count == kPollBatch && !broken_;) {
    count = device_->api().poll_cq(completions_.get(), kPollBatch, completions.data());
    if (count < 0) fail("its completion queue cannot be read");
    for (int i = 0; i < count; ++i) on_completion(completions[static_cast<std::size_t>(i)]);
    news = news || count > 0;
  }
  // A flushed request says only that something failed before; the device may say what.
  if (flush_seen_ && !broken_) {
    device_->poll_events();
    if (!broken_ && peer_hung_up()) check_socket();
    if (!broken_ && !hung_up_) fail(probable_cause(IBV_WC_WR_FLUSH_ERR));
  }
  if (broken_ || hung_up_) return news;
  try {
    if (const std::uint32_t count = receives_.to_post(); count > 0) {
      post_receives(count);
      receives_.posted();
    }
    return_loans();
    continue_put();
    send_credits();
  } catch (const Error&) {
    // fail() has kept it for the next call on this endpoint.
  }
  return news;
}

void VerbsEndpoint::on_completion(const ibv_wc& completion) {
  // In a failed completion nothing but wr_id, status, qp_num and vendor_err means anything.
  if (completion.status != IBV_WC_SUCCESS) {
    on_failure(completion);
  } else if (completion.wr_id == kReceive) {
    on_notification(from_wire(completion.imm_data));
  } else if (!sends_.complete(completion.wr_id)) {
    fail("the device completed request " + std::to_string(completion.wr_id) +
         ", which is not under way");
  }
}

void VerbsEndpoint::on_notification(Immediate immediate) {
  if (immediate.kind == Immediate::Kind::credits) {
    receives_.took_credits();
    allowed_ += immediate.low;
    messages_freed_ += immediate.high;
    if (messages_freed_ > messages_sent_) fail("the peer freed messages that were never sent");
    return;
  }
  receives_.took_data();
  switch (immediate.kind) {
    case Immediate::Kind::put:
      if (immediate.low < kMaxLanes) {
        ++arrived_[immediate.low];
        return;
      }
      break;
    case Immediate::Kind::message:
      if (immediate.high == messages_received_ % slots_ && immediate.low > 0 &&
          immediate.low <= kMaxMessage && messages_received_ - messages_popped_ < slots_) {
        lengths_[immediate.high] = immediate.low;
        ++messages_received_;
        return;
      }
      break;
    case Immediate::Kind::hello:
      hello_heard_ = true;
      return;
    case Immediate::Kind::credits:
      break;
  }
  fail("the peer sent a notification that makes no sense (a defect, or another version)");
}

void VerbsEndpoint::on_failure(const ibv_wc& completion) {
  if (completion.status == IBV_WC_WR_FLUSH_ERR) {
    flush_seen_ = true;
    return;
  }
  // A peer that has left answers nothing: then its leaving is the news.
  if (completion.status == IBV_WC_RETRY_EXC_ERR && peer_hung_up()) {
    check_socket();
    return;
  }
  fail(std::string(device_->api().wc_status_str(completion.status)) + " (vendor code " +
       std::to_string(completion.vendor_err) + "): " + probable_cause(completion.status));
}

void VerbsEndpoint::arm() {
  if (closed_ || broken_) return;
  if (device_->api().req_notify_cq(completions_.get(), 0) != 0) {
    fail("its completion queue cannot be armed");
  }
}

// --- trouble and the end -------------------------------------------------------------------------

std::string VerbsEndpoint::link_text() const {
  return "the RDMA link to rank " + std::to_string(peer_) + " (" + device_->label() + ", " +
         to_string(device_->port().kind) + ", queue pair " +
         (pair_ ? std::to_string(pair_->qp_num) : std::string("closed")) + ")";
}

void VerbsEndpoint::fail(const std::string& why) {
  if (broken_ || closed_) return;
  broken_.emplace(ErrorCode::transport_failed, link_text() + " failed: " + why,
                  Error::Where{.peer = peer_});
}

bool VerbsEndpoint::peer_hung_up() const {
  if (!socket_) return false;
  std::byte nothing{};
  const ssize_t got = ::recv(socket_.get(), &nothing, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void VerbsEndpoint::check_socket() {
  if (closed_ || broken_ || hung_up_ || !peer_hung_up()) return;
  hung_up_.emplace(ErrorCode::peer_failed,
                   "rank " + std::to_string(peer_) + " closed its RDMA link or died",
                   Error::Where{.peer = peer_});
  // What it had sent before is here by now: its device waited for ours to acknowledge it.
  if (!flush_seen_) poll();
}

void VerbsEndpoint::check_usable() const {
  if (closed_) {
    throw Error(ErrorCode::transport_failed,
                "the RDMA link to rank " + std::to_string(peer_) + " was closed by this rank",
                {.peer = peer_});
  }
  if (broken_) throw *broken_;
  if (hung_up_) throw *hung_up_;
  device_->check_process();
}

void VerbsEndpoint::check_lane(Lane lane) const {
  if (lane >= kMaxLanes) {
    throw Error(
        ErrorCode::invalid_argument,
        "lane " + std::to_string(lane) + "; lanes are 0 to " + std::to_string(kMaxLanes - 1),
        {.peer = peer_});
  }
}

/// Lets what was posted arrive. A flush covers puts only, but the peer may still need the messages
/// and signals that were sent before we go.
void VerbsEndpoint::drain() noexcept {
  if (broken_ || hung_up_ || flush_seen_ || notified_ == 0 || device_->is_child()) return;
  const Nanoseconds start = steady_now();
  try {
    while (!broken_ && !hung_up_ && (current_ || !sends_.idle())) {
      if (!current_ && !sends_.last_is_signalled() && sends_.has_room()) {
        ibv_send_wr request{};
        request.opcode = IBV_WR_RDMA_WRITE;
        request.wr.rdma.remote_addr = far_.mailbox_address;
        request.wr.rdma.rkey = far_.mailbox_key;
        post(request, true);
      }
      poll();
      check_socket();
      if (steady_now() - start > kDrainTime) break;
      std::this_thread::yield();
    }
  } catch (const Error&) {
    // Then it cannot arrive.
  }
}

void VerbsEndpoint::close() noexcept {
  if (closed_) return;
  drain();
  closed_ = true;
  std::erase(device_->endpoints, this);
  // After this no request of the peer finds our memory, whatever it still has under way.
  if (!device_->is_child()) to_error(*device_, pair_.get());
  pair_.reset();
  loans_.clear();
  // A queue is destroyed only after its events were taken.
  if (!device_->is_child()) device_->drain_channel();
  completions_.reset();
  outbox_region_.reset();
  inbox_region_.reset();
  if (socket_ && !device_->is_child()) ::shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
}

}  // namespace paceline::transport::verbs
