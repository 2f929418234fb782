#include "bootstrap/member.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "bootstrap/graph.h"
#include "bootstrap/secret.h"
#include "bootstrap/text.h"

namespace paceline::bootstrap {

namespace {

/// How long leave() waits for the peers to have read our goodbye: they answer at once unless they
/// are stopped.
constexpr auto kLeaveTime = std::chrono::milliseconds(500);
/// A refused link may mean that the peer just died. Its control links say so within this time, in
/// better words.
constexpr Nanoseconds kLinkPatience = kSecond;
/// A rank that leaves stops listening and says goodbye at the same time: which one is noticed
/// first?
constexpr Nanoseconds kGoodbyeTime = kSecond / 10;
/// Who waits in a late round of an all_gather waits for somebody who waits himself; who waits in
/// the first knows the culprit, and gets this much time to say it.
constexpr Nanoseconds kLateRound = kSecond / 5;
/// A dead process's port refuses at once; a dead host's says nothing.
constexpr Nanoseconds kRelinkTime = kSecond;
/// A rank that has left answers "refused" at once; one whose host is gone does not answer.
constexpr Nanoseconds kRingDial = 5 * kSecond;

std::string fresh_local_name() {
  return "paceline-" + hex(random_bytes(16));
}

}  // namespace

Member::Member(const Config& config, std::string name, MeetingPlace place, Nanoseconds deadline,
               const Logger& log)
    : config_(config),
      name_(std::move(name)),
      network_(default_host_id()),
      local_name_(fresh_local_name()),
      secret_(place.secret),
      deadline_(deadline),
      log_(log),
      place_(std::move(place)),
      directory_(static_cast<std::size_t>(config.size)),
      acceptor_(service_, place_.secret, {},
                {[this](const Hello& h) { return judge(h); },
                 [this](const Hello& h, UniqueFd fd, const SocketAddress& from) {
                   accepted(h, std::move(fd), from);
                 },
                 [this](const std::string& who_and_why, bool stranger) {
                   log_.say(stranger ? LogLevel::warning : LogLevel::debug, LogComponent::bootstrap,
                            [&] { return "refused " + who_and_why; });
                 }}),
      control_(service_, config.rank, config.heartbeat_timeout, control_events()),
      all_gather_(config.rank, config.size, all_gather_events()),
      inquiries_(service_, config.rank, config.size,
                 {[this] { return control_.neighbours(); },
                  [this](int peer, FrameType type, ConstBytes payload) {
                    control_.send(peer, type, payload);
                  },
                  [this](int asker, Topic topic, ConstBytes question) {
                    return testify(asker, topic, question);
                  }}),
      agreement_(service_, config.rank, config.size, agreement_events()),
      links_(service_, config.rank, config.timeout,
             {[this](const LinkRequest& r) {
                DialPlan plan = plan_for(r.peer, r.local);
                plan.patience = kLinkPatience;
                return plan;
              },
              [this](int peer, Bytes body) { return hello(Purpose::link, peer, std::move(body)); },
              [this](Link link) { on_link(std::move(link)); },
              [this](const LinkRequest& r, const DialFailure& f) { on_link_failed(r, f); }}),
      ring_(config.rank, config.size,
            {[this](int peer) { return control_.linked(peer); },
             [this](int peer) { return control_.gone(peer); },
             [this](int peer, std::function<void()> gone) {
               dial_control(peer, steady_now() + kRingDial, false,
                            [gone = std::move(gone)](const DialFailure&) { gone(); });
             }}),
      board_(std::make_shared<Board>([this](Note note) {
        service_.post([this, note = std::move(note)] {
          on_group_message(config_.rank, FrameType::note, note.encode());
        });
      })) {}

Control::Events Member::control_events() {
  Control::Events events;
  events.who = [this](int peer) { return who(peer); };
  events.failed = [this](const FailureNotice& notice) { on_failure(notice); };
  events.block = [this](int peer, ConstBytes payload) {
    if (all_gather_.on_blocks(peer, payload) || control_.failure()) return;
    fail(ErrorCode::internal, peer, who(peer) + " sent a block that fits no all_gather");
  };
  events.linked = [this](int peer) { on_linked(peer); };
  events.left = [this](int peer, int next) {
    ring_.left(peer, next);
    all_gather_.on_left();
  };
  events.broken = [this](int peer, const std::string& why) { on_broken(peer, why); };
  events.lost = [this](int peer) { inquiries_.on_lost(peer); };
  events.gone = [this](int rank) { on_gone(rank); };
  events.declared_dead = [this] { agreement_.on_declared_dead(); };
  events.group = [this](int peer, FrameType type, ConstBytes payload) {
    return on_group_message(peer, type, payload);
  };
  return events;
}

AllGather::Events Member::all_gather_events() {
  AllGather::Events events;
  events.send = [this](int peer, ConstBytes block) {
    control_.send(peer, FrameType::block, block);
  };
  events.has_left = [this](int peer) { return control_.has_left(peer); };
  events.done = [this](std::vector<Bytes> blocks) {
    service_.cancel(std::exchange(gather_timer_, ServiceClient::kNoTimer));
    std::lock_guard lock(mutex_);
    gathered_ = std::move(blocks);
    rounds_taken_ = all_gather_.rounds_taken();
    news_.notify_all();
  };
  events.hopeless = [this](int peer) {
    fail(ErrorCode::peer_failed, peer,
         who(peer) + " left before it had taken part in an all_gather");
  };
  return events;
}

Member::~Member() {
  leave();
}

// --- the caller's threads -----------------------------------------------------------------------

void Member::meet() {
  if (config_.size == 1) return;
  const Nanoseconds begin_time = steady_now();
  service_.post([this] { begin(); });
  {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return met_ || failure_; });
    if (failure_) raise(*failure_);
  }
  const Nanoseconds left = std::max(deadline_, steady_now() + kSecond / 10);
  const std::vector<Bytes> records = gather(own_record().encode(), left);
  service_.post([this, records] { set_directory(records); });
  tell_meeting(begin_time);
}

void Member::tell_meeting(Nanoseconds begin) {
  log_.info(LogComponent::bootstrap, [&] {
    const std::string place = config_.root.empty() ? "" : " at " + config_.root;
    return "launcher " + std::string(to_string(config_.launcher)) + ": " +
           std::to_string(config_.size) + " ranks have met" + place + " within " +
           seconds(std::chrono::nanoseconds(steady_now() - begin)) + ", told each other about " +
           "themselves in " + std::to_string(rounds_taken()) + " rounds";
  });
}

std::vector<Bytes> Member::all_gather(ConstBytes mine) {
  if (mine.size() > kMaxBlock) {
    throw Error(ErrorCode::invalid_argument,
                "all_gather takes at most " + std::to_string(kMaxBlock) + " bytes per rank, not " +
                    std::to_string(mine.size()));
  }
  return gather(mine, steady_now() + std::chrono::nanoseconds(config_.timeout).count());
}

std::vector<Bytes> Member::gather(ConstBytes mine, Nanoseconds deadline) {
  if (config_.size == 1) return {Bytes(mine.begin(), mine.end())};
  service_.post([this, deadline, bytes = Bytes(mine.begin(), mine.end())] {
    if (control_.failure()) return;
    gather_time_ = deadline - steady_now();
    gather_timer_ = service_.after(std::chrono::nanoseconds(gather_time_),
                                   [this] { on_gather_late(kLateRound); });
    all_gather_.begin(bytes);
  });
  std::unique_lock lock(mutex_);
  news_.wait(lock, [&] { return gathered_ || failure_ || leaving_; });
  if (!gathered_ && failure_) raise(*failure_);
  if (!gathered_) throw Error(ErrorCode::invalid_argument, "all_gather after leave()");
  std::vector<Bytes> result = *std::move(gathered_);
  gathered_.reset();
  return result;
}

void Member::raise(const FailureNotice& notice) const {
  throw Error(notice.code, notice.text,
              Error::Where{config_.rank, notice.culprit, "", notice.sequence});
}

void Member::watch(paceline::bootstrap::Events events) {
  service_.post([this, events = std::move(events)] {
    events_ = events;
    watched_ = true;
    if (control_.failure()) {
      if (events_.failed) events_.failed(*control_.failure());
      return;
    }
    bool waiting = false;
    {
      std::lock_guard lock(mutex_);
      waiting = !arrived_links_.empty();
    }
    if (waiting && events_.link_ready) events_.link_ready();
  });
}

void Member::request_link(const LinkRequest& request) {
  if (request.peer < 0 || request.peer >= config_.size || request.peer == config_.rank ||
      request.count < 1 || request.count > kMaxSockets) {
    throw Error(ErrorCode::invalid_argument,
                "a link of " + std::to_string(request.count) + " sockets with rank " +
                    std::to_string(request.peer) + ": rank " + std::to_string(config_.rank) +
                    " of " + std::to_string(config_.size) + " can have 1 to " +
                    std::to_string(kMaxSockets) + " with any other rank");
  }
  service_.post([this, request] { request_on_service_thread(request); });
}

std::vector<Link> Member::take_links() {
  std::lock_guard lock(mutex_);
  std::vector<Link> result(std::make_move_iterator(arrived_links_.begin()),
                           std::make_move_iterator(arrived_links_.end()));
  arrived_links_.clear();
  return result;
}

void Member::announce_failure(const FailureNotice& notice) {
  service_.post([this, notice] { control_.fail(notice); });
}

void Member::leave() noexcept {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(leaving_, true)) return;
    news_.notify_all();
  }
  board_->close();
  if (service_.on_service_thread()) {
    leave_on_service_thread();
  } else if (config_.size > 1) {
    service_.post([this] { leave_on_service_thread(); });
    std::unique_lock lock(mutex_);
    news_.wait_for(lock, kLeaveTime, [&] { return left_; });
  }
  service_.detach();
}

std::string Member::job() const {
  if (config_.size == 1) return "alone";
  return hex(ConstBytes(session_).first(4));
}

int Member::rounds_taken() {
  std::lock_guard lock(mutex_);
  return rounds_taken_;
}

// --- the service thread -------------------------------------------------------------------------

void Member::fail(ErrorCode code, int culprit, std::string text) {
  control_.fail({code, config_.rank, culprit, Error::kNoSequence, std::move(text)});
}

void Member::on_failure(const FailureNotice& notice) {
  {
    std::lock_guard lock(mutex_);
    failure_ = notice;
    news_.notify_all();
  }
  service_.cancel(std::exchange(gather_timer_, ServiceClient::kNoTimer));
  // While the ranks meet, the one who makes the communicator gets the Error itself.
  log_.say(watched_ ? LogLevel::warning : LogLevel::info, LogComponent::bootstrap, [&] {
    return "the communicator has failed (" + std::string(to_string(notice.code)) +
           "): " + notice.text;
  });
  if (watched_ && events_.failed) events_.failed(notice);
}

void Member::on_link(Link link) {
  {
    std::lock_guard lock(mutex_);
    arrived_links_.push_back(std::move(link));
  }
  if (!control_.failure() && events_.link_ready) events_.link_ready();
}

void Member::request_on_service_thread(const LinkRequest& request) {
  if (control_.failure()) return;
  if (control_.has_left(request.peer)) return link_with_departed(request.peer);
  links_.request(request);
}

void Member::link_with_departed(int peer) {
  fail(ErrorCode::peer_failed, peer,
       who(config_.rank) + " wants a link with " + who(peer) + ", which has left the communicator");
}

void Member::on_link_failed(const LinkRequest& request, const DialFailure& failure) {
  const std::string text = who(config_.rank) + " could not make a " +
                           (request.local ? "local" : "tcp") + " link with " + who(request.peer) +
                           " at " + failure.text;
  ask_whether_left(request.peer, [this, peer = request.peer, text](bool left) {
    if (left) {
      link_with_departed(peer);
    } else {
      fail(ErrorCode::transport_failed, peer, text);
    }
    if (events_.link_ready) events_.link_ready();
  });
}

void Member::on_gather_late(Nanoseconds grace) {
  gather_timer_ = ServiceClient::kNoTimer;
  const std::optional<AllGather::Waiting> waiting = all_gather_.waiting();
  if (!waiting) return;
  if (waiting->round > 0 && grace > 0) {
    gather_timer_ = service_.after(std::chrono::nanoseconds(grace), [this] { on_gather_late(0); });
    return;
  }
  const auto time = std::chrono::milliseconds(gather_time_ / kMillisecond);
  fail(ErrorCode::timeout, waiting->peer,
       who(waiting->peer) + " has not " + (waiting->round == 0 ? "taken part in" : "got on with") +
           " an all_gather that " + who(config_.rank) + " began " + seconds(time) + " ago (round " +
           std::to_string(waiting->round + 1) + " of " + std::to_string(rounds(config_.size)) +
           ")");
}

// Firewalls and reset connections cut links between ranks that are alive. While blocks of an
// all_gather may have been lost with the link, that is the end all the same.
void Member::on_broken(int peer, const std::string& why) {
  const std::string how = "died: its control link closed (" + why + ")";
  if (meeting_ || all_gather_.waiting()) return control_.died(peer, how);
  dial_control(peer, steady_now() + kRelinkTime, false, [this, peer, how](const DialFailure&) {
    if (!control_.linked(peer) && !control_.has_left(peer)) control_.died(peer, how);
  });
}

void Member::leave_on_service_thread() {
  acceptor_.close();
  links_.close();
  inquiries_.close();
  agreement_.close();
  dials_.clear();
  root_dial_.reset();
  root_channel_.reset();
  rendezvous_.reset();
  control_.leave(ring_.next(), [this] {
    std::lock_guard lock(mutex_);
    left_ = true;
    news_.notify_all();
  });
}

std::string Member::who(int rank) const {
  if (rank == config_.rank) return own_record().who();
  if (rank < 0 || rank >= config_.size || !directory_[static_cast<std::size_t>(rank)]) {
    return "rank " + std::to_string(rank);
  }
  return directory_[static_cast<std::size_t>(rank)]->who();
}

MemberRecord Member::own_record() const {
  return {static_cast<std::uint32_t>(config_.rank),
          static_cast<std::uint64_t>(getpid()),
          host_name(),
          network_,
          own_addresses_,
          local_name_};
}

}  // namespace paceline::bootstrap
