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

/// No device is asked for more in one request, whatever it says.
constexpr std::uint32_t kMostPerRequest = std::uint32_t{1} << 30;

/// How long close() lets what was sent before leave. An acknowledgement takes microseconds, so
/// this is reached only if the peer's host is gone.
constexpr Nanoseconds kDrainTime = 50 * kMillisecond;
/// On iWARP it is TCP that repeats what was lost, after 0.2 s and then after twice that.
constexpr Nanoseconds kIwarpDrainTime = kSecond;

std::uint32_t bytes_of_mtu(std::uint8_t mtu) {
  return std::uint32_t{128} << mtu;
}

/// What close() reads of the peer's on iWARP; any of its memory would do.
constexpr std::uint32_t kReadBytes = 8;

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
                             Role role, std::optional<Ipv4Network> network, NotifyWays ways)
    : device_(std::move(device)),
      options_(options),
      peer_(peer),
      gid_(device_->gid_near(network)),
      shape_(choose_shape(*device_, options)),
      ways_(ways) {
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
  if (device_->connect() == IbConnect::cm) {
    manager_ = std::make_unique<CmLink>(device_, options_, peer_, role, network);
  }
  device_->endpoints.push_back(this);
}

VerbsEndpoint::~VerbsEndpoint() {
  close();
}

void VerbsEndpoint::make_memory() {
  const std::size_t mailbox = options_.message_slots * kSlotStride;
  const std::size_t notes = (shape_.receive_depth + shape_.send_depth) * kNoteBytes;
  const std::size_t own = mailbox + kBounceBytes + notes + kReadBytes;
  const std::size_t length = mailbox + own;
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
  notes_ = bounce_ + kBounceBytes;
  const int writable = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  // Only iWARP reads, to know what has arrived (drain()); there the answer to a read is a write of
  // the peer's.
  inbox_region_ = device_->register_region(inbox_, mailbox,
                                           writable | (is_iwarp() ? IBV_ACCESS_REMOTE_READ : 0));
  own_region_ =
      device_->register_region(outbox_, own, is_iwarp() ? writable : IBV_ACCESS_LOCAL_WRITE);
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
  info.notify_ways = ways_;
  info.connect = device_->connect();
  if (manager_) manager_->describe(info);
  return info;
}

void VerbsEndpoint::check_agreement(const QpInfo& peer) const {
  if (peer.kind != device_->port().kind) {
    throw Error(ErrorCode::transport_failed,
                "this rank's RDMA device " + device_->label() + " is on " +
                    to_string(device_->port().kind) + " and that of rank " + std::to_string(peer_) +
                    " on " + to_string(peer.kind) +
                    ": they cannot talk to each other; choose devices or GIDs of one kind "
                    "(PACELINE_IB_DEVICE, PACELINE_IB_GID_INDEX)",
                {.peer = peer_});
  }
  if (peer.connect != device_->connect()) {
    throw Error(ErrorCode::transport_failed,
                "this rank's RDMA device " + device_->label() + " connects by " +
                    std::string(to_string(device_->connect())) + " and that of rank " +
                    std::to_string(peer_) + " by " + std::string(to_string(peer.connect)) +
                    ": set PACELINE_IB_CONNECT to the same on all ranks",
                {.peer = peer_});
  }
}

void VerbsEndpoint::connect_to(const QpInfo& peer) {
  check_agreement(peer);
  const std::optional<Notify> way = agree(ways_, peer.notify_ways);
  if (!way) {
    const char* const ours = has(ways_, Notify::write_with_immediate) ? "immediates" : "sends";
    const char* const theirs = has(ways_, Notify::write_with_immediate) ? "sends" : "immediates";
    throw Error(ErrorCode::transport_failed,
                "this rank notifies over RDMA by " + std::string(ours) + " only and rank " +
                    std::to_string(peer_) + " by " + theirs +
                    " only: set PACELINE_IB_NOTIFY=send, or auto, on all ranks",
                {.peer = peer_});
  }
  far_ = peer;
  way_ = *way;
  notifier_ =
      make_notifier(way_, {.peer_address = peer.mailbox_address,
                           .peer_key = peer.mailbox_key,
                           .incoming = notes_,
                           .outgoing = notes_ + std::size_t{shape_.receive_depth} * kNoteBytes,
                           .outgoing_slots = shape_.send_depth,
                           .local_key = own_region_->lkey,
                           .inline_bytes = shape_.inline_bytes});
  allowed_ = peer.receives;
  slots_ = std::min(options_.message_slots, peer.message_slots);
  receives_ = ReceiveQueue(shape_.receive_depth - ReceiveQueue::kReserve, slots_);
  // Before the first packet can come in.
  post_receives(shape_.receive_depth);
  if (manager_) {
    manager_->start(pair_.get(), peer);
    return;
  }
  to_rtr(*device_, pair_.get(), peer, gid_, options_);
  to_rts(*device_, pair_.get(), packet_number_, options_);
}

void VerbsEndpoint::say_hello() {
  // A packet as large as this link will ever see, into the first slot, which is free.
  const std::uint32_t packet = bytes_of_mtu(std::min(device_->port().mtu, far_.mtu));
  ibv_sge piece{reinterpret_cast<std::uint64_t>(outbox_),
                std::min<std::uint32_t>(packet, static_cast<std::uint32_t>(kSlotStride)),
                own_region_->lkey};
  Posting posting;
  posting.write(piece, far_.mailbox_address, far_.mailbox_key, false);
  notifier_->tell(posting, {Immediate::Kind::hello, 0, 0});
  ++notified_;
  try {
    hello_number_ = post(posting, true);
  } catch (const Error&) {
    // fail() has kept it.
  }
}

// --- trouble and the end -------------------------------------------------------------------------

std::string VerbsEndpoint::link_text() const {
  return "the RDMA link to rank " + std::to_string(peer_) + " (" + device_->label() + ", " +
         to_string(device_->port().kind) + ", queue pair " +
         (pair_ ? std::to_string(pair_->qp_num) : std::string("closed")) + ", notified by " +
         to_string(way_) + ")";
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

/// The last request, which completes after all others.
void VerbsEndpoint::post_last() {
  Posting posting;
  posting.write({}, far_.mailbox_address, far_.mailbox_key, false);
  if (is_iwarp()) {
    ibv_send_wr& request = posting.requests[0];
    request.opcode = IBV_WR_RDMA_READ;
    const std::byte* place =
        notes_ + std::size_t{shape_.receive_depth + shape_.send_depth} * kNoteBytes;
    posting.payload = {reinterpret_cast<std::uint64_t>(place), kReadBytes, own_region_->lkey};
    request.sg_list = &posting.payload;
    request.num_sge = 1;
  }
  post(posting, true);
}

/// Lets what was posted arrive. A flush covers puts only, but the peer may still need the messages
/// and signals that were sent before we go. On InfiniBand and RoCE what has completed has arrived.
/// On iWARP it has been handed to TCP, which forgets it if the connection ends; but the answer to a
/// read comes after all before it was placed.
void VerbsEndpoint::drain() noexcept {
  if (broken_ || hung_up_ || flush_seen_ || notified_ == 0 || device_->is_child()) return;
  const Nanoseconds end = steady_now() + (is_iwarp() ? kIwarpDrainTime : kDrainTime);
  bool asked = !is_iwarp();
  try {
    while (!broken_ && !hung_up_ && !flush_seen_ && (current_ || !sends_.idle() || !asked)) {
      if (!current_ && (!asked || !sends_.last_is_signalled()) && sends_.has_room()) {
        post_last();
        asked = true;
      }
      poll();
      check_socket();
      if (steady_now() > end) break;
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
  manager_.reset();
  loans_.clear();
  // A queue is destroyed only after its events were taken.
  if (!device_->is_child()) device_->drain_channel();
  completions_.reset();
  own_region_.reset();
  inbox_region_.reset();
  if (socket_ && !device_->is_child()) ::shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
}

}  // namespace paceline::transport::verbs
