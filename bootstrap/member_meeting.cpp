// How a Member comes to know the others: rendezvous, control links, directory. All of it runs on
// the service thread.
#include <algorithm>
#include <utility>

#include "bootstrap/graph.h"
#include "bootstrap/member.h"
#include "bootstrap/secret.h"
#include "bootstrap/text.h"

namespace paceline::bootstrap {

void Member::begin() {
  try {
    acceptor_.add_listener(listen_local(local_name_));
  } catch (const Error& e) {
    return fail(e.code(), config_.rank, e.what());
  }
  for (UniqueFd& fd : place_.listeners) {
    own_addresses_.push_back(SocketAddress::local_end(fd.get()));
  }
  if (config_.rank == 0) {
    begin_as_root();
  } else {
    dial_root();
  }
  for (UniqueFd& fd : place_.listeners) acceptor_.add_listener(std::move(fd));
  place_.listeners.clear();
  deadline_timer_ =
      service_.after(std::chrono::nanoseconds(std::max<Nanoseconds>(deadline_ - steady_now(), 0)),
                     [this] { on_time_out(); });
}

void Member::begin_as_root() {
  const Bytes session = random_bytes(session_.size());
  std::copy(session.begin(), session.end(), session_.begin());
  has_session_ = true;
  acceptor_.set_info(session);
  std::vector<SocketAddress> fixed;
  for (UniqueFd& fd : place_.fixed) {
    fixed.push_back(SocketAddress::local_end(fd.get()));
    acceptor_.add_listener(std::move(fd));
  }
  const auto stop_listening = [this, fixed] {
    acceptor_.close_listeners([&](const SocketAddress& address) {
      return std::find(fixed.begin(), fixed.end(), address) != fixed.end();
    });
  };
  Rendezvous::Events events;
  events.complete = [this, stop_listening](const std::vector<MemberRecord>& records) {
    // Closed before anyone can be so far as to come here again for a next communicator.
    stop_listening();
    for (const int peer : neighbours(config_.rank, config_.size)) {
      directory_[static_cast<std::size_t>(peer)] = records[static_cast<std::size_t>(peer)];
    }
    has_table_ = true;
  };
  events.failed = [this, stop_listening](const RendezvousFailure& failure) {
    stop_listening();
    fail(failure.code, failure.culprit, failure.text);
  };
  events.hints = [this] { return acceptor_.refusals(); };
  rendezvous_ = std::make_unique<Rendezvous>(service_, own_record(), config_.size,
                                             std::chrono::nanoseconds(config_.timeout).count(),
                                             deadline_, std::move(events));
}

void Member::dial_root() {
  DialPlan plan;
  plan.candidates = place_.root;
  plan.source = place_.source;
  plan.secret = place_.secret;
  plan.deadline = deadline_;
  plan.patience = deadline_;  // rank 0 may not have started: refused means later
  plan.wait_for_communicator = true;
  plan.hello = [this](int fd) { return greet_root(fd); };
  root_dial_ = Dial::start(
      service_, std::move(plan),
      [this](UniqueFd fd, const Bytes& info) { on_root_connected(std::move(fd), info); },
      [this](const DialFailure& failure) {
        const bool late = failure.code == ErrorCode::bootstrap_failed && steady_now() >= deadline_;
        fail(late ? ErrorCode::timeout : failure.code, 0,
             "rank " + std::to_string(config_.rank) + " could not meet rank 0 at " + failure.text +
                 (late ? "; gave up after " + seconds(config_.timeout) +
                             " (PACELINE_TIMEOUT); is rank 0 started, and is this its address?"
                       : ""));
      });
}

// Says where we listen: at our end of this very connection, since it routes, unless that has been
// decided before.
Hello Member::greet_root(int fd) {
  if (own_addresses_.empty()) {
    UniqueFd listener = listen_tcp(SocketAddress::local_end(fd).with_port(0), config_.port_first,
                                   config_.port_last, config_.rank);
    own_addresses_.push_back(SocketAddress::local_end(listener.get()));
    acceptor_.add_listener(std::move(listener));
  }
  return hello(Purpose::rendezvous, 0, own_record().encode());
}

void Member::on_root_connected(UniqueFd fd, const Bytes& info) {
  if (info.size() != session_.size()) {
    return fail(ErrorCode::bootstrap_failed, 0, "what answers as rank 0 named no session");
  }
  std::copy(info.begin(), info.end(), session_.begin());
  has_session_ = true;
  Channel::Events events;
  events.frame = [this](FrameType type, ConstBytes payload) { on_root_frame(type, payload); };
  events.closed = [this](const std::string& why) {
    if (has_table_) return;
    fail(ErrorCode::peer_failed, 0, "rank 0 died while the ranks were meeting: " + why);
  };
  root_channel_ = Channel::open(service_, std::move(fd), kMaxPayload, std::move(events));
}

void Member::on_root_frame(FrameType type, ConstBytes payload) {
  if (type == FrameType::waiting) {
    WireReader in(payload);
    waiting_for_ = in.text(kMaxText);
  } else if (type == FrameType::table) {
    on_table(payload);
  } else if (const auto failure = RendezvousFailure::decode(payload);
             type == FrameType::failed && failure) {
    root_channel_->close();
    fail(failure->code, failure->culprit, failure->text);
  } else {
    fail(ErrorCode::bootstrap_failed, 0,
         "rank 0 sent something that has no meaning in a rendezvous");
  }
}

void Member::on_table(ConstBytes payload) {
  const std::optional<Table> table = Table::decode(payload);
  if (!table) return fail(ErrorCode::bootstrap_failed, 0, "rank 0 sent a malformed table");
  has_table_ = true;
  root_channel_->close();
  for (const MemberRecord& record : table->neighbours) {
    if (record.rank < directory_.size()) directory_[record.rank] = record;
  }
  dial_neighbours();
}

// The higher one of a pair dials.
void Member::dial_neighbours() {
  for (const int peer : neighbours(config_.rank, config_.size)) {
    if (peer > config_.rank) break;
    dial_control(peer, deadline_, true, [this, peer](const DialFailure& failure) {
      fail(ErrorCode::peer_failed, peer,
           who(config_.rank) + " could not link with " + who(peer) +
               " while the ranks were meeting: " + failure.text);
    });
  }
}

DialPlan Member::plan_for(int peer, bool local) const {
  DialPlan plan;
  plan.secret = place_.secret;
  const std::optional<MemberRecord>& record = directory_[static_cast<std::size_t>(peer)];
  if (local) {
    plan.candidates.push_back(SocketAddress::abstract(record ? record->local_name : ""));
    return plan;
  }
  plan.source = place_.source;
  const SocketAddress target = record ? record->address_for(network_) : SocketAddress();
  plan.candidates.push_back(own_addresses_.empty() ? target
                                                   : target.with_scope_of(own_addresses_.back()));
  return plan;
}

Hello Member::hello(Purpose purpose, int to, Bytes body) const {
  Hello result;
  result.purpose = purpose;
  result.name = name_;
  result.session = session_;
  result.from = static_cast<std::uint32_t>(config_.rank);
  result.to = static_cast<std::uint32_t>(to);
  result.size = static_cast<std::uint32_t>(config_.size);
  result.body = std::move(body);
  return result;
}

void Member::dial_control(int peer, Nanoseconds deadline, bool meeting, Dial::Failed failed) {
  DialPlan plan = plan_for(peer, false);
  plan.deadline = deadline;
  plan.wait_for_communicator = meeting;
  // A body says that this is not a link of the meeting: see Control::add.
  const Bytes body(meeting ? 0 : 1);
  plan.hello = [this, peer, body](int) { return hello(Purpose::control, peer, body); };
  dials_.push_back(Dial::start(
      service_, std::move(plan),
      [this, peer](UniqueFd fd, const Bytes&) { control_.add(peer, std::move(fd), true); },
      std::move(failed)));
}

std::optional<Refusal> Member::judge(const Hello& hello) const {
  const auto no = [](std::string text) {
    return Refusal{RefusalCode::no_such_communicator, std::move(text)};
  };
  if (hello.purpose == Purpose::rendezvous) {
    const bool meets = config_.rank == 0 && rendezvous_ && rendezvous_->open();
    if (meets && hello.name == name_) return std::nullopt;
    return no("no such communicator: \"" + hello.name + "\" does not meet here" +
              (hello.name == name_ ? " any more, all its ranks have come" : ""));
  }
  if (!has_session_ || hello.session != session_) return no("no such communicator");
  const bool fits = hello.to == static_cast<std::uint32_t>(config_.rank) &&
                    hello.from < directory_.size() && hello.from != hello.to;
  if (!fits) return no("rank " + std::to_string(hello.to) + " does not listen here");
  if (control_.gone(static_cast<int>(hello.from))) {
    return no("no such communicator any more: rank " + std::to_string(hello.from) +
              " is taken for dead");
  }
  if (hello.purpose == Purpose::link && !LinkHello::decode(hello.body)) {
    return Refusal{RefusalCode::malformed, "the hello of a link is malformed"};
  }
  return std::nullopt;
}

void Member::accepted(const Hello& hello, UniqueFd fd, const SocketAddress& from) {
  switch (hello.purpose) {
    case Purpose::rendezvous:
      return rendezvous_->arrived(hello, std::move(fd), from);
    case Purpose::control:
      return control_.add(static_cast<int>(hello.from), std::move(fd), hello.body.empty());
    case Purpose::link:
      // A peer that has all addresses may be quicker than we are: a knock makes us dial back.
      if (!has_directory_) return early_links_.push_back({hello, std::move(fd)});
      return links_.arrived(static_cast<int>(hello.from), *LinkHello::decode(hello.body),
                            std::move(fd));
  }
}

void Member::on_linked(int peer) {
  ring_.linked(peer);
  if (!meeting_) return;
  const std::vector<int> all = neighbours(config_.rank, config_.size);
  if (!std::all_of(all.begin(), all.end(), [&](int n) { return control_.linked(n); })) return;
  meeting_ = false;
  service_.cancel(std::exchange(deadline_timer_, ServiceClient::kNoTimer));
  std::lock_guard lock(mutex_);
  met_ = true;
  news_.notify_all();
}

void Member::on_time_out() {
  if (!meeting_ || control_.failure()) return;
  std::string text = who(config_.rank) + " gave up after " + seconds(config_.timeout) + ": ";
  int culprit = 0;
  if (has_table_) {
    for (const int peer : neighbours(config_.rank, config_.size)) {
      if (!control_.linked(peer)) culprit = peer;
    }
    text += "no control link with " + who(culprit);
  } else if (!root_channel_) {
    text += "rank 0 could not be reached " + (root_dial_ ? root_dial_->last_trouble() : "") +
            "; is rank 0 started, and is this its address?";
  } else {
    text += waiting_for_.empty() ? "rank 0 has not let it in" : waiting_for_ + " did not arrive";
  }
  fail(ErrorCode::timeout, culprit, text + " (the limit is PACELINE_TIMEOUT)");
}

void Member::set_directory(const std::vector<Bytes>& records) {
  bool one_host = true;
  for (std::size_t i = 0; i < records.size(); ++i) {
    WireReader in(records[i]);
    std::optional<MemberRecord> record = MemberRecord::decode(in);
    if (!record || !in.finished() || record->rank != i) {
      return fail(ErrorCode::internal, static_cast<int>(i),
                  "rank " + std::to_string(i) + " described itself in a way that cannot be read");
    }
    one_host = one_host && record->network == network_;
    directory_[i] = *std::move(record);
  }
  // If all share one loopback, nobody needs to reach us from outside.
  const bool have_loopback = std::any_of(own_addresses_.begin(), own_addresses_.end(),
                                         [](const SocketAddress& a) { return a.loopback(); });
  if (one_host && have_loopback) {
    acceptor_.close_listeners([](const SocketAddress& address) { return !address.loopback(); });
  }
  dials_.clear();
  root_dial_.reset();
  rendezvous_.reset();
  has_directory_ = true;
  for (EarlyLink& early : std::exchange(early_links_, {})) {
    accepted(early.hello, std::move(early.fd), {});
  }
  ring_.begin();
}

}  // namespace paceline::bootstrap
