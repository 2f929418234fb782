// Requests to the device, and what it says of them.
#include <algorithm>
#include <cerrno>

#include "transport_verbs/completion_text.h"
#include "transport_verbs/endpoint.h"

namespace paceline::transport::verbs {
namespace {

/// Marks the wr_id of receives, above the number of their slot; requests count from 1.
constexpr std::uint64_t kReceive = std::uint64_t{1} << 63;

/// On iWARP the end of the peer's queue pair is the end of ours, and comes before the end of its
/// socket, which says that it was meant so.
constexpr Nanoseconds kHangUpPatience = kSecond;

/// Completions taken at a time: enough to make the call cheap, few enough for the stack.
constexpr int kPollBatch = 32;

}  // namespace

// --- requests ------------------------------------------------------------------------------------

/// In one call. A completion of the last request is one of all, but for siw: what asks for no
/// completion of its own it hands to TCP without a copy, and calls complete (when a later one is)
/// while TCP may still have to send it. So on iWARP every write of memory asks. The number of the
/// last.
std::uint64_t VerbsEndpoint::post(Posting& posting, bool want_completion) {
  SendQueue::Ticket ticket;
  for (std::size_t i = 0; i < posting.count; ++i) {
    const bool last = i + 1 == posting.count;
    ibv_send_wr& request = posting.requests[i];
    const bool by_reference = request.opcode == IBV_WR_RDMA_WRITE && request.num_sge > 0 &&
                              (request.send_flags & IBV_SEND_INLINE) == 0;
    ticket = sends_.take((last && want_completion) || (by_reference && is_iwarp()));
    request.wr_id = ticket.number;
    if (ticket.signalled) request.send_flags |= IBV_SEND_SIGNALED;
    request.next = last ? nullptr : &posting.requests[i + 1];
  }
  ibv_send_wr* bad = nullptr;
  const int error = device_->api().post_send(pair_.get(), posting.requests.data(), &bad);
  if (error == ENOTCONN && is_iwarp()) {
    see_flush();  // as if it had been posted just before
  } else if (error != 0) {
    fail("a request could not be posted (" + errno_text(error) + ")");
    throw *broken_;
  }
  return ticket.number;
}

void VerbsEndpoint::notify(Immediate immediate) {
  Posting posting;
  notifier_->tell(posting, immediate);
  post(posting, false);
}

void VerbsEndpoint::post_receives(std::uint32_t count) {
  std::array<ibv_recv_wr, ReceiveQueue::kBatch> batch;
  std::array<ibv_sge, ReceiveQueue::kBatch> pieces;
  while (count > 0) {
    const std::size_t size = std::min<std::size_t>(count, batch.size());
    for (std::size_t i = 0; i < size; ++i) {
      // Receives complete in the order in which they were posted, so slots come free in turn.
      const auto slot = static_cast<std::uint32_t>(receives_posted_++ % shape_.receive_depth);
      batch[i] = {};
      batch[i].wr_id = kReceive | slot;
      batch[i].next = i + 1 < size ? &batch[i + 1] : nullptr;
      notifier_->prepare(batch[i], pieces[i], slot);
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
  if (!receives_.owes_credits() || closed_ || broken_ || hung_up_ || flush_seen_) return;
  if (!sends_.has_room(notifier_->requests())) return;
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
    const bool waits = is_iwarp() && steady_now() - flush_seen_at_ < kHangUpPatience;
    if (!broken_ && !hung_up_ && !waits) fail(probable_cause(IBV_WC_WR_FLUSH_ERR));
    return news;
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
  } else if ((completion.wr_id & kReceive) != 0) {
    const auto slot = static_cast<std::uint32_t>(completion.wr_id & ~kReceive);
    // What cannot be read is of no kind.
    on_notification(notifier_->read(completion, slot).value_or(Immediate{.kind = {}}));
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

void VerbsEndpoint::see_flush() {
  if (!flush_seen_) flush_seen_at_ = steady_now();
  flush_seen_ = true;
}

void VerbsEndpoint::on_failure(const ibv_wc& completion) {
  if (completion.status == IBV_WC_WR_FLUSH_ERR) {
    see_flush();
    return;
  }
  // A peer that has left answers nothing: then its leaving is the news.
  if (completion.status == IBV_WC_RETRY_EXC_ERR && peer_hung_up()) {
    check_socket();
    return;
  }
  unanswered_ = unanswered_ || completion.status == IBV_WC_RETRY_EXC_ERR;
  fail(std::string(device_->api().wc_status_str(completion.status)) + " (vendor code " +
       std::to_string(completion.vendor_err) + "): " + probable_cause(completion.status));
}

void VerbsEndpoint::arm() {
  if (closed_ || broken_) return;
  if (device_->api().req_notify_cq(completions_.get(), 0) != 0) {
    fail("its completion queue cannot be armed");
  }
}

}  // namespace paceline::transport::verbs
