// Rank 0's side of the meeting: it waits until every rank has said hello, checks that they agree
// on who they are, and tells each one whom it will talk to. If they do not agree, or somebody is
// missing, everyone who has come hears why.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/service_thread.h"
#include "base/unique_fd.h"
#include "bootstrap/channel.h"
#include "bootstrap/messages.h"

namespace paceline::bootstrap {

/// Used on the service thread only.
class Rendezvous {
 public:
  struct Events {
    /// All have come and have been told.
    std::function<void(const std::vector<MemberRecord>&)> complete = {};
    std::function<void(const RendezvousFailure&)> failed = {};
    /// What else may explain that somebody is missing (refused connections).
    std::function<std::string()> hints = {};
  };

  /// `own` is rank 0's. It fails a little before `deadline`, so that the others hear why in time.
  Rendezvous(ServiceClient& service, MemberRecord own, int size, Nanoseconds timeout,
             Nanoseconds deadline, Events events);
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  /// Somebody who knows the secret has come.
  void arrived(const Hello& hello, UniqueFd fd, const SocketAddress& from);
  /// False once all have come or it has failed.
  [[nodiscard]] bool open() const { return !over_; }

 private:
  struct Arrival {
    MemberRecord record;
    SocketAddress from;
    std::shared_ptr<Channel> channel;
    [[nodiscard]] std::string who() const;
  };

  void check(const Hello& hello, const Arrival& arrival);
  void object(int culprit, std::string text);
  void complete();
  void fail();
  void on_time_out();
  void lost(const Channel* channel, const std::string& why);
  [[nodiscard]] std::string missing() const;
  void tell_who_is_missing();

  ServiceClient& service_;
  const int size_;
  const Nanoseconds timeout_;
  Events events_;
  std::vector<std::optional<Arrival>> arrivals_;  // by rank; rank 0's has no channel
  std::vector<Arrival> others_;                   // those that have no place
  int come_ = 0;
  std::optional<RendezvousFailure> problem_;
  bool over_ = false;
  ServiceClient::Timer deadline_ = ServiceClient::kNoTimer;
  ServiceClient::Timer bulletin_ = ServiceClient::kNoTimer;
  ServiceClient::Timer grace_ = ServiceClient::kNoTimer;
};

}  // namespace paceline::bootstrap
