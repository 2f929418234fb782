#include "transport_tcp/endpoint.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace paceline::transport::tcp {
namespace {

/// After the first link of a peer has ended the others may still bring what was sent before: as
/// long as a lost packet takes to be sent again a few times.
constexpr Nanoseconds kStragglers = 1 * kSecond;

}  // namespace

TcpEndpoint::TcpEndpoint(std::shared_ptr<Hub> hub, int peer, std::vector<UniqueFd> sockets)
    : hub_(std::move(hub)), peer_(peer), open_links_(sockets.size()) {
  for (UniqueFd& socket : sockets) {
    Link& link = links_.emplace_back(this, static_cast<int>(links_.size()), std::move(socket));
    watch(link, true);
  }
  hub_->endpoints.push_back(this);
}

TcpEndpoint::~TcpEndpoint() {
  release_links();
  closed_ = true;
  update_restless();
  std::erase(hub_->endpoints, this);
}

Footprint TcpEndpoint::footprint() const {
  Footprint f{sizeof *this, 0};
  for (const Link& link : links_) {
    f.bytes += sizeof link + ReceiveStream::kBufferBytes;
    if (link.socket) ++f.descriptors;
  }
  for (const auto& window : windows_) {
    if (window != nullptr) f.bytes += sizeof *window;
  }
  return f;
}

void TcpEndpoint::close() noexcept {
  closed_ = true;
  release_links();
  update_restless();
}

// --- messages --------------------------------------------------------------------------------

bool TcpEndpoint::send(ConstBytes header, ConstBytes payload) {
  check_sendable();
  const std::size_t length = header.size() + payload.size();
  if (length == 0 || length > kLongestMessage) {
    throw Error(ErrorCode::invalid_argument, "a message of " + std::to_string(length) +
                                                 " bytes was given to send(); 1 to " +
                                                 std::to_string(kLongestMessage) + " are allowed");
  }
  Link& link = links_.front();
  if (messages_sent_ - messages_credited_ >= kMailbox ||
      bytes_under_way_ + length > kMailboxBytes || link.out.full()) {
    return false;
  }
  const Frame frame{.type = FrameType::message,
                    .length = static_cast<std::uint32_t>(length),
                    .sequence = messages_sent_};
  if (const int error = link.out.post_copy(frame, header, payload); error != 0) {
    sending_broke(error);
  }
  lengths_[messages_sent_ % kMailbox] = frame.length;
  bytes_under_way_ += length;
  ++messages_sent_;
  update_restless();
  return true;
}

ConstBytes TcpEndpoint::front() {
  // Who waits for a message asks for it again and again. A recv() of the one link that it comes by
  // takes a fifth of the time off a short exchange, as against asking epoll first.
  if (mailbox_.empty() && links_.front().watched) {
    hub_->asked = true;
    readable(links_.front());
  }
  if (!mailbox_.empty() && !closed_) {
    const Message& oldest = *mailbox_.front();
    return {oldest.data.get(), oldest.length};
  }
  if (error_) throw *error_;
  if (closed_) check_sendable();
  return {};
}

void TcpEndpoint::pop() {
  if (mailbox_.empty()) return;
  bytes_popped_ += mailbox_.front()->length;
  bytes_waiting_ -= mailbox_.front()->length;
  hub_->messages.give_back(std::move(mailbox_.front()));
  mailbox_.pop_front();
  ++messages_popped_;
  return_credits();
}

void TcpEndpoint::return_credits() {
  // Half a mailbox at a time: a frame for 32 messages costs nothing, and the sender's other half
  // covers the time until it gets there.
  if (closed_ || send_error_ || !credits_due()) return;
  Link& link = links_.front();
  if (!link.out.full()) {
    const Frame frame{.type = FrameType::credit, .sequence = messages_popped_};
    const int error = link.out.post_copy(frame, {}, {});
    credits_returned_ = messages_popped_;
    bytes_popped_ = 0;
    if (error != 0) send_error_ = lost(error);
  }
  update_restless();
}

// --- puts ------------------------------------------------------------------------------------

bool TcpEndpoint::put(Lane lane, ConstBytes source, const Registration* /*not needed*/,
                      RemoteAddress target) {
  check_sendable();
  if (lane >= kMaxLanes) {
    throw Error(ErrorCode::invalid_argument, "lane " + std::to_string(lane) +
                                                 " was given; lanes are 0 to " +
                                                 std::to_string(kMaxLanes - 1));
  }
  // Lanes begin at different links, so that small puts of different lanes do not wait for each
  // other, and a lane's own small puts need no reordering.
  const std::size_t n = source.size();
  const std::size_t wide = std::clamp(n / kMinPiece, std::size_t{1}, links_.size());
  const std::size_t piece = std::clamp((n + wide - 1) / wide, std::size_t{1}, kMaxPiece);
  const std::size_t pieces = std::max<std::size_t>(1, (n + piece - 1) / piece);
  if (pieces > kMaxPieces) {
    throw Error(ErrorCode::invalid_argument,
                "a put of " + std::to_string(n) + " bytes was given; at most " +
                    std::to_string(kMaxPieces * kMaxPiece) + " are allowed");
  }
  const auto link_of = [&](std::size_t i) -> Link& { return links_[(lane + i) % links_.size()]; };
  for (std::size_t i = 0; i < std::min(pieces, links_.size()); ++i) {
    if (link_of(i).out.full()) return false;
  }
  for (std::size_t i = 0; i < pieces; ++i) {
    const ConstBytes payload = source.subspan(i * piece, std::min(piece, n - i * piece));
    const Frame frame{.type = FrameType::put,
                      .lane = static_cast<std::uint8_t>(lane),
                      .pieces = static_cast<std::uint8_t>(pieces),
                      .length = static_cast<std::uint32_t>(payload.size()),
                      .sequence = posted_[lane],
                      .address = n == 0 ? 0 : target.address + i * piece,
                      .key = n == 0 ? kNoKey : target.key};
    if (const int error = link_of(i).out.post(frame, payload); error != 0) sending_broke(error);
  }
  ++posted_[lane];
  update_restless();
  return true;
}

std::uint64_t TcpEndpoint::arrived(Lane lane) {
  if (closed_) check_sendable();
  return windows_.at(lane) ? windows_[lane]->arrived() : 0;
}

bool TcpEndpoint::flushed() {
  if (closed_) check_sendable();
  const bool empty = std::ranges::all_of(links_, [](const Link& link) { return link.out.empty(); });
  if (!empty || dropped_) check_sendable();
  return empty;
}

// --- progress --------------------------------------------------------------------------------

void TcpEndpoint::readable(Link& link) noexcept {
  if (!link.watched) return;  // it ended in the same turn
  receive(link);
  // A gap that this link closed may be what another one waited for.
  for (Link& other : links_) {
    if (other.held && other.socket) receive(other);
  }
  update_restless();
}

void TcpEndpoint::receive(Link& link) {
  try {
    const ReceiveStream::State state = link.in.receive(*this);
    link.held = state == ReceiveStream::State::held;
    if (state == ReceiveStream::State::ended) {
      link_ended(link);
    } else {
      watch(link, !link.held);
    }
  } catch (const Error& error) {
    fail(error.peer() == Error::kNoRank ? violation(error.what()) : error);
  }
}

void TcpEndpoint::tend() noexcept {
  for (Link& link : links_) {
    if (link.socket && !link.out.empty()) flush(link);
  }
  return_credits();
  if (give_up_at_ != 0 && !error_ && steady_now() > give_up_at_) fail(lost(end_reason_));
  update_restless();
}

void TcpEndpoint::flush(Link& link) {
  const int error = link.out.flush();
  if (error != 0 && !send_error_) send_error_ = lost(error);
  if (error != 0) drop_output(link);
}

void TcpEndpoint::add_blocked(std::vector<pollfd>& descriptors) const {
  for (const Link& link : links_) {
    if (link.socket && !link.out.empty()) descriptors.push_back({link.socket.get(), POLLOUT, 0});
  }
}

void TcpEndpoint::watch(Link& link, bool on) {
  if (link.watched == on) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &link;
  const int operation = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
  if (::epoll_ctl(hub_->epoll.get(), operation, link.socket.get(), &event) != 0 && on) {
    throw Error(ErrorCode::out_of_memory,
                std::string("the tcp link to rank ") + std::to_string(peer_) +
                    " cannot be watched: epoll_ctl: " + std::strerror(errno),
                {.peer = peer_});
  }
  link.watched = on;
}

void TcpEndpoint::update_restless() {
  const bool now =
      !closed_ && !error_ &&
      (give_up_at_ != 0 || credits_due() ||
       std::ranges::any_of(links_, [](const Link& link) { return !link.out.empty(); }));
  if (now == restless_) return;
  restless_ = now;
  if (now) {
    ++hub_->restless;
  } else {
    --hub_->restless;
  }
}

// --- what comes in -----------------------------------------------------------------------------

FrameHandler::Admission TcpEndpoint::admit(int stream, const Frame& frame) {
  switch (frame.type) {
    case FrameType::put:
      return admit_put(frame);
    case FrameType::message:
      if (stream != 0 || frame.sequence != messages_received_)
        throw violation("a message out of order");
      if (messages_received_ - messages_popped_ >= kMailbox ||
          bytes_waiting_ + frame.length > kMailboxBytes) {
        throw violation("a message that the mailbox had no room for");
      }
      incoming_ = hub_->messages.take(frame.length);
      return Admission::take;
    case FrameType::credit:
      if (stream != 0 || frame.sequence <= messages_credited_ || frame.sequence > messages_sent_) {
        throw violation("a credit for messages that were not sent");
      }
      return Admission::take;
    case FrameType::refuse:
      throw Error(ErrorCode::transport_failed,
                  "rank " + std::to_string(peer_) + " refused a put of lane " +
                      std::to_string(frame.lane) + " to address " + std::to_string(frame.address) +
                      ": its memory is not registered there, or no longer",
                  {.peer = peer_});
  }
  throw violation("a frame of unknown type");
}

FrameHandler::Admission TcpEndpoint::admit_put(const Frame& frame) {
  std::unique_ptr<LaneWindow>& window = windows_[frame.lane];
  if (!window) window = std::make_unique<LaneWindow>();
  switch (window->judge(frame)) {
    case LaneWindow::Verdict::wrong:
      throw violation("put " + std::to_string(frame.sequence) + " of lane " +
                      std::to_string(frame.lane) + ", of which " +
                      std::to_string(window->arrived()) + " have arrived");
    case LaneWindow::Verdict::early:
      return Admission::later;
    case LaneWindow::Verdict::fits:
      break;
  }
  if (frame.length > 0 &&
      hub_->registrations.find(frame.key, frame.address, frame.length) == nullptr) {
    refuse(frame);
  }
  return Admission::take;
}

std::byte* TcpEndpoint::place(int /*stream*/, const Frame& frame, std::size_t offset) {
  if (frame.type == FrameType::message) return incoming_->data.get() + offset;
  std::byte* to =
      hub_->registrations.find(frame.key, frame.address + offset, frame.length - offset);
  if (to == nullptr) refuse(frame);  // deregistered half-way
  return to;
}

void TcpEndpoint::complete(int /*stream*/, const Frame& frame) {
  switch (frame.type) {
    case FrameType::put:
      if (!windows_[frame.lane]->complete(frame)) throw violation("a piece too many of a put");
      return;
    case FrameType::message:
      bytes_waiting_ += incoming_->length;
      mailbox_.push_back(std::move(incoming_));
      ++messages_received_;
      return;
    case FrameType::credit:
      for (; messages_credited_ < frame.sequence; ++messages_credited_) {
        bytes_under_way_ -= lengths_[messages_credited_ % kMailbox];
      }
      return;
    case FrameType::refuse:
      return;
  }
}

// --- the end -----------------------------------------------------------------------------------

void TcpEndpoint::check_sendable() const {
  if (closed_) {
    throw Error(ErrorCode::transport_failed,
                "the tcp link to rank " + std::to_string(peer_) + " was closed on this side",
                {.peer = peer_});
  }
  if (error_) throw *error_;
  if (send_error_) throw *send_error_;
}

void TcpEndpoint::sending_broke(int error) {
  // What the peer sent before it went can still be read, so this is not yet the end.
  if (!send_error_) send_error_ = lost(error);
  dropped_ = true;
  for (Link& link : links_) {
    drop_output(link);
    if (link.socket) receive(link);  // it may say there why it went
  }
  update_restless();
  throw error_ ? *error_ : *send_error_;
}

void TcpEndpoint::link_ended(Link& link) {
  watch(link, false);
  if (end_reason_ == 0) end_reason_ = link.in.error();
  if (!send_error_) send_error_ = lost(end_reason_);
  drop_output(link);
  link.socket.reset();
  if (--open_links_ == 0) {
    fail(lost(end_reason_));
  } else if (give_up_at_ == 0) {
    give_up_at_ = steady_now() + kStragglers;
  }
}

void TcpEndpoint::drop_output(Link& link) noexcept {
  dropped_ = dropped_ || !link.out.empty();
  link.out.clear();
}

void TcpEndpoint::refuse(const Frame& put) {
  // Tell the peer, so that the error shows where the mistake was made. If it cannot be said at
  // once, the end of the link has to do.
  Link& link = links_.front();
  if (link.socket && link.out.empty()) {
    Frame answer = put;
    answer.type = FrameType::refuse;
    answer.pieces = 0;
    answer.length = 0;
    (void)link.out.post_copy(answer, {}, {});
  }
  throw violation("a put of " + std::to_string(put.length) + " bytes to address " +
                  std::to_string(put.address) + ", where no memory is registered by that key");
}

Error TcpEndpoint::violation(const std::string& what) const {
  return {ErrorCode::transport_failed,
          "rank " + std::to_string(peer_) + " sent over its tcp link what it must not: " + what,
          {.peer = peer_}};
}

Error TcpEndpoint::lost(int error) const {
  return {ErrorCode::peer_failed,
          "the tcp link to rank " + std::to_string(peer_) +
              " ended: " + (error == 0 ? std::string("the peer closed it") : std::strerror(error)) +
              "; its process died or left, look for its own error first",
          {.peer = peer_}};
}

void TcpEndpoint::fail(const Error& error) noexcept {
  if (!error_) error_ = error;
  release_links();
  update_restless();
}

void TcpEndpoint::release_links() noexcept {
  for (Link& link : links_) {
    drop_output(link);
    link.held = false;
    if (!link.socket) continue;
    watch(link, false);
    // The kernel goes on with what it has taken: a refusal, or the last puts before the end.
    hub_->lingering.add(std::move(link.socket));
  }
}

}  // namespace paceline::transport::tcp
