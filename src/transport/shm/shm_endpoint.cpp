#include "transport_shm/shm_endpoint.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace paceline::transport::shm {
namespace {

Inbox* inbox_in(const Mapping& mapping) {
  return reinterpret_cast<Inbox*>(mapping.data());
}

}  // namespace

ShmEndpoint::ShmEndpoint(ShmCore& core, LinkParts parts)
    : can_get_(parts.can_get),
      peer_(parts.peer),
      own_(inbox_in(parts.own_inbox)),
      peers_(inbox_in(parts.peer_inbox)),
      sender_(*peers_),
      receiver_(*own_),
      core_(core),
      socket_(std::move(parts.socket)),
      own_inbox_(std::move(parts.own_inbox)),
      peer_inbox_(std::move(parts.peer_inbox)),
      peer_pid_(parts.peer_pid) {
  for (const auto& [id, memory] : core_.exports) {
    socket_.push({FrameType::region, id, memory.address, memory.length}, memory.fd);
  }
  // Numbers given out before this link that are not among those: the peer must not wait for them.
  if (core_.last_id != 0 && !core_.exports.contains(core_.last_id)) {
    socket_.push({FrameType::gone, core_.last_id, 0, 0});
  }
  peers_->announcements.registered.store(core_.last_id, std::memory_order_release);
  flush_frames();
  core_.endpoints.push_back(this);
}

ShmEndpoint::~ShmEndpoint() {
  close();
  std::erase(core_.endpoints, this);
}

// --- messages ----------------------------------------------------------------------------------

bool ShmEndpoint::send(ConstBytes header, ConstBytes payload) {
  require_open();
  const std::size_t length = header.size() + payload.size();
  if (length - 1 >= kMaxMessage) [[unlikely]] {
    throw Error(ErrorCode::invalid_argument, "a message has " + std::to_string(length) +
                                                 " bytes; 1.." + std::to_string(kMaxMessage) +
                                                 " are allowed");
  }
  return sender_.send(header, payload, core_.apart());
}

ConstBytes ShmEndpoint::front() {
  if (state_ == State::closed) [[unlikely]]
    throw_why();
  const ConstBytes message = receiver_.front();
  if (message.empty()) {
    require_open();
  } else if (message.size() > kMaxMessage) [[unlikely]] {
    refuse("the peer wrote a message longer than any may be");
  }
  return message;
}

void ShmEndpoint::pop() {
  if (state_ == State::closed) [[unlikely]]
    throw_why();
  receiver_.pop();
}

// --- puts --------------------------------------------------------------------------------------

bool ShmEndpoint::put(Lane lane, ConstBytes source, const Registration* /*registration*/,
                      RemoteAddress target) {
  if (source.empty()) return signal(lane);
  require_lane(lane);
  std::byte* to = resolve(target, source.size());
  if (to == nullptr) return false;
  store(to, source);
  count_up(lane);
  return true;
}

bool ShmEndpoint::signal(Lane lane) {
  notice_closed();
  require_open();
  require_lane(lane);
  count_up(lane);
  return true;
}

void ShmEndpoint::count_up(Lane lane) {
  peers_->lanes[lane].value.store(++posted_[lane], std::memory_order_release);
}

std::uint64_t ShmEndpoint::arrived(Lane lane) {
  if (state_ == State::closed) [[unlikely]]
    throw_why();
  require_lane(lane);
  return own_->lanes[lane].value.load(std::memory_order_acquire);
}

bool ShmEndpoint::flushed() {
  if (state_ == State::closed) throw_why();
  return true;  // whatever was sent is in the peer's memory already
}

// A rank that gives up says so before it touches its buffers again. So whoever has read them
// through a mapping, and now tells somebody that it has, must look whether the rank was still
// there.
void ShmEndpoint::notice_closed() noexcept {
  if (state_ != State::open) return;
  if (own_->announcements.closed.load(std::memory_order_acquire) != 0) [[unlikely]]
    look();
}

void ShmEndpoint::require_lane(Lane lane) const {
  if (lane >= kMaxLanes) [[unlikely]] {
    throw Error(ErrorCode::invalid_argument,
                "lane " + std::to_string(lane) + " is not in 0.." + std::to_string(kMaxLanes - 1));
  }
}

// --- the peer's memory ---------------------------------------------------------------------------

std::byte* ShmEndpoint::map(RemoteAddress remote, std::size_t length) {
  return resolve(remote, length);
}

/// Where the peer's slice lies here; null if its file is on its way. Every call looks whether the
/// peer has changed what it has registered, so a slice that the peer gave up is never written by a
/// put that comes after.
std::byte* ShmEndpoint::resolve(RemoteAddress remote, std::size_t length) {
  notice_closed();
  require_open();
  if (own_->announcements.frames.load(std::memory_order_acquire) != frames_read_) [[unlikely]] {
    read_socket();
    require_open();
  }
  const PeerRegions::Region* region = regions_.find(remote.key);
  std::byte* data = region == nullptr ? nullptr : region->at(remote.address, length);
  return data != nullptr ? data : not_found(remote, length);
}

std::byte* ShmEndpoint::not_found(RemoteAddress remote, std::size_t length) {
  if (remote.key == kNoKey) {
    refuse("the target has no key: that memory can be reached by staging or get() only");
  }
  if (regions_.find(remote.key) != nullptr) {
    refuse(std::to_string(length) + " bytes at address " + std::to_string(remote.address) +
           " are not inside the memory that the peer registered with key " +
           std::to_string(remote.key));
  }
  const bool on_its_way =
      remote.key > regions_.highest() &&
      remote.key <= own_->announcements.registered.load(std::memory_order_acquire);
  if (on_its_way) return nullptr;
  refuse("key " + std::to_string(remote.key) +
         " names no memory of the peer (it was deregistered, or never registered)");
}

bool ShmEndpoint::get(std::span<std::byte> target, RemoteAddress source) {
  require_open();
  if (!can_get_) return false;
  std::size_t done = 0;
  while (done < target.size()) {
    iovec into{target.data() + done, target.size() - done};
    iovec from{reinterpret_cast<void*>(source.address + done), target.size() - done};
    const ssize_t n = ::process_vm_readv(peer_pid_, &into, 1, &from, 1, 0);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n < 0 && errno == ESRCH) {
      // The process is gone: soon the socket says so, and what that says is told.
      read_socket();
      require_open();
      return false;
    } else if (n == 0 || errno != EINTR) {
      const int error = n == 0 ? EFAULT : errno;
      refuse("cannot read " + std::to_string(target.size()) +
             " bytes of the peer's memory (process_vm_readv): " + errno_text(error));
    }
  }
  return true;
}

// --- the socket ----------------------------------------------------------------------------------

void ShmEndpoint::announce(std::uint64_t id, const ShmCore::Export& memory) {
  if (state_ != State::open) return;
  peers_->announcements.registered.store(id, std::memory_order_release);
  socket_.push({FrameType::region, id, memory.address, memory.length}, memory.fd);
  flush_frames();
}

void ShmEndpoint::withdraw(std::uint64_t id) {
  if (state_ != State::open) return;
  if (!socket_.withdraw(id)) socket_.push({FrameType::gone, id, 0, 0});
  flush_frames();
}

void ShmEndpoint::flush_frames() {
  const std::uint64_t complete = socket_.flush();
  if (complete == 0) return;
  frames_sent_ += complete;
  peers_->announcements.frames.store(frames_sent_, std::memory_order_release);
}

void ShmEndpoint::look() noexcept {
  if (state_ != State::open) return;
  if (own_->announcements.closed.load(std::memory_order_acquire) != 0) {
    break_link(ErrorCode::peer_failed, "the peer has closed its end");
    return;
  }
  if (socket_.waiting()) flush_frames();
}

void ShmEndpoint::read_socket() noexcept {
  while (state_ == State::open) {
    const ControlSocket::Received received = socket_.receive();
    switch (received.status) {
      case ControlSocket::Status::nothing:
        return;
      case ControlSocket::Status::frame:
        try {
          handle(received);
        } catch (const Error& error) {
          break_link(error.code(), error.what());
        }
        break;
      case ControlSocket::Status::closed:
        break_link(ErrorCode::peer_failed, "the peer's process has ended or closed its end");
        return;
      case ControlSocket::Status::malformed:
        break_link(ErrorCode::transport_failed, "the peer sent something that is not a frame");
        return;
    }
  }
}

void ShmEndpoint::handle(const ControlSocket::Received& received) {
  switch (received.frame.type) {
    case FrameType::region:
      regions_.add(received.frame, received.fd.get());
      break;
    case FrameType::gone:
      regions_.remove(received.frame.id);
      break;
    case FrameType::hello:
    case FrameType::ready:
      throw Error(ErrorCode::transport_failed, "the peer greeted twice");
  }
  ++frames_read_;
}

void ShmEndpoint::add_descriptors(std::vector<pollfd>& descriptors) const {
  if (state_ != State::open) return;
  const int events = POLLIN | (socket_.waiting() ? POLLOUT : 0);
  descriptors.push_back({socket_.fd(), static_cast<short>(events), 0});
}

// --- the end -------------------------------------------------------------------------------------

void ShmEndpoint::throw_why() const {
  if (why_) throw Error(*why_);
  throw Error(ErrorCode::transport_failed,
              "the link to rank " + std::to_string(peer_) + " was closed by this rank",
              {.peer = peer_});
}

void ShmEndpoint::refuse(const std::string& text) {
  break_link(ErrorCode::transport_failed, text);
  throw_why();
}

void ShmEndpoint::break_link(ErrorCode code, const std::string& text) noexcept {
  if (state_ != State::open) return;
  state_ = State::broken;
  why_.emplace(code,
               "the link to rank " + std::to_string(peer_) + " through shared memory: " + text,
               Error::Where{.peer = peer_});
  peers_->announcements.closed.store(1, std::memory_order_release);
  socket_.close();
}

void ShmEndpoint::close() noexcept {
  if (state_ == State::closed) return;
  peers_->announcements.closed.store(1, std::memory_order_release);
  state_ = State::closed;
  why_.reset();
  socket_.close();
  regions_.clear();
  own_inbox_.reset();
  peer_inbox_.reset();
  own_ = nullptr;
  peers_ = nullptr;
}

}  // namespace paceline::transport::shm
