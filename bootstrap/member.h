// One rank's membership in one communicator: ties rendezvous, control links, all_gather and links
// together, and carries results from the service thread to the caller's.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/service_thread.h"
#include "bootstrap/acceptor.h"
#include "bootstrap/agreement.h"
#include "bootstrap/all_gather.h"
#include "bootstrap/board.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/control.h"
#include "bootstrap/dial.h"
#include "bootstrap/inquiry.h"
#include "bootstrap/links.h"
#include "bootstrap/meeting_place.h"
#include "bootstrap/rendezvous.h"
#include "bootstrap/ring.h"

namespace paceline::bootstrap {

class Member final : public Bootstrap {
 public:
  Member(const Config& config, std::string name, MeetingPlace place, Nanoseconds deadline,
         const Logger& log = {});
  ~Member() override;

  /// Blocks until all have met, or throws.
  void meet();

  [[nodiscard]] int rank() const override { return config_.rank; }
  [[nodiscard]] int size() const override { return config_.size; }
  [[nodiscard]] std::vector<Bytes> all_gather(ConstBytes mine) override;
  void watch(Events events) override;
  void request_link(const LinkRequest& request) override;
  [[nodiscard]] std::vector<Link> take_links() override;
  void announce_failure(const FailureNotice& notice) override;
  void inquire(Topic topic, Bytes question, std::chrono::nanoseconds limit,
               std::function<void(std::optional<Testimonies>)> done) override;
  [[nodiscard]] std::vector<int> survivors(std::chrono::nanoseconds limit) override;
  [[nodiscard]] std::shared_ptr<Store> board() override { return board_; }
  [[nodiscard]] const std::string& secret() const override { return secret_; }
  [[nodiscard]] std::string job() const override;
  [[nodiscard]] BootstrapUsage usage() override;
  [[nodiscard]] std::vector<int> departed() const override { return control_.departed(); }
  void leave() noexcept override;

  /// Rounds that all_gathers have taken, the one of meet() included.
  [[nodiscard]] int rounds_taken();

 private:
  [[nodiscard]] Control::Events control_events();
  [[nodiscard]] AllGather::Events all_gather_events();
  [[nodiscard]] Agreement::Events agreement_events();

  // On the service thread, in the order of events.
  void begin();
  void begin_as_root();
  void dial_root();
  [[nodiscard]] Hello greet_root(int fd);
  void on_root_connected(UniqueFd fd, const Bytes& info);
  void on_root_frame(FrameType type, ConstBytes payload);
  void on_table(ConstBytes payload);
  void dial_neighbours();
  void dial_control(int peer, Nanoseconds deadline, bool meeting, Dial::Failed failed);
  void on_linked(int peer);
  void on_time_out();
  void set_directory(const std::vector<Bytes>& records);
  void request_on_service_thread(const LinkRequest& request);
  void leave_on_service_thread();

  [[nodiscard]] std::optional<Refusal> judge(const Hello& hello) const;
  void accepted(const Hello& hello, UniqueFd fd, const SocketAddress& from);
  void on_failure(const FailureNotice& notice);
  bool on_group_message(int peer, FrameType type, ConstBytes payload);
  void on_gone(int rank);
  [[nodiscard]] Bytes testify(int asker, Topic topic, ConstBytes question);
  void on_link(Link link);
  void on_broken(int peer, const std::string& why);
  void ask_whether_left(int peer, std::function<void(bool left)> done);
  void link_with_departed(int peer);
  void on_link_failed(const LinkRequest& request, const DialFailure& failure);
  void on_gather_late(Nanoseconds grace);
  void tell_meeting(Nanoseconds begin);
  void fail(ErrorCode code, int culprit, std::string text);

  [[nodiscard]] MemberRecord own_record() const;
  [[nodiscard]] std::string who(int rank) const;
  [[nodiscard]] DialPlan plan_for(int peer, bool local) const;
  [[nodiscard]] Hello hello(Purpose purpose, int to, Bytes body) const;
  std::vector<Bytes> gather(ConstBytes mine, Nanoseconds deadline);
  [[noreturn]] void raise(const FailureNotice& notice) const;

  const Config config_;
  const std::string name_;
  const std::string network_;
  const std::string local_name_;
  const std::string secret_;
  const Nanoseconds deadline_;  // of the meeting
  const Logger log_;

  ServiceClient service_;  // everything below uses it

  /// The socket of a link that came before we could reach everybody.
  struct EarlyLink {
    Hello hello;
    UniqueFd fd;
  };

  // The service thread's.
  MeetingPlace place_;
  Session session_{};
  bool has_session_ = false;
  std::vector<SocketAddress> own_addresses_;
  std::vector<std::optional<MemberRecord>> directory_;  // by rank
  Acceptor acceptor_;
  Control control_;
  AllGather all_gather_;
  Inquiries inquiries_;
  Agreement agreement_;
  Links links_;
  Ring ring_;
  std::unique_ptr<Rendezvous> rendezvous_;
  std::shared_ptr<Dial> root_dial_;
  std::shared_ptr<Channel> root_channel_;
  std::string waiting_for_;  // what rank 0 said last
  std::vector<std::shared_ptr<Dial>> dials_;
  std::vector<EarlyLink> early_links_;
  bool has_table_ = false;
  bool has_directory_ = false;
  bool meeting_ = true;
  ServiceClient::Timer deadline_timer_ = ServiceClient::kNoTimer;
  ServiceClient::Timer gather_timer_ = ServiceClient::kNoTimer;
  Nanoseconds gather_time_ = 0;
  paceline::bootstrap::Events events_;
  bool watched_ = false;

  const std::shared_ptr<Board> board_;

  // Between the threads.
  std::mutex mutex_;
  std::condition_variable news_;
  bool met_ = false;
  bool leaving_ = false;
  bool left_ = false;
  std::optional<FailureNotice> failure_;
  std::optional<std::vector<Bytes>> gathered_;
  std::optional<std::vector<int>> survivors_;
  std::optional<Error> excluded_;
  std::optional<BootstrapUsage> usage_;
  std::deque<Link> arrived_links_;
  int rounds_taken_ = 0;
};

}  // namespace paceline::bootstrap
