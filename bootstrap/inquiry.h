// One question to every rank, answered by their service threads, whatever their programs are doing:
// an echo over the control graph.
//
// Who asks sends the question to all its neighbours. Who hears it for the first time remembers from
// whom, passes it on to all its other neighbours, and owes an answer: its own testimony and those
// of the neighbours that heard it first from here. From each other neighbour exactly one thing
// comes back, an answer, or the same question, which says that it answers elsewhere. When all have
// come, or time is up, the answer goes to where the question came from. So a question costs two
// messages per link, and a rank that says nothing (stopped, cut off) costs the time limit and its
// own testimony but nobody else's, as long as the graph without it hangs together.
//
// Times add up on the way back: each rank gives those it asks nine tenths of its own time. The
// graph has a diameter of about log2(size), so of ten hops a third of the time is left.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/service_thread.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/group_messages.h"

namespace paceline::bootstrap {

/// Used on the service thread only.
class Inquiries {
 public:
  struct Events {
    /// With whom control links are up, each once.
    std::function<std::vector<int>()> neighbours = {};
    std::function<void(int peer, FrameType, ConstBytes payload)> send = {};
    /// What this rank has to say.
    std::function<Bytes(int asker, Topic, ConstBytes question)> testify = {};
  };
  using Done = std::function<void(std::optional<Testimonies>)>;

  Inquiries(ServiceClient& service, int rank, int size, Events events);

  /// Asks. `done` is called once: with what came in time, this rank's own testimony among it; or
  /// with nothing, if a lower rank asks about the same topic at the same time, whose inquiry counts
  /// (Topic::hang only: one verdict is enough).
  void begin(Topic topic, Bytes question, std::chrono::nanoseconds limit, Done done);

  /// False if the payload makes no sense.
  [[nodiscard]] bool on_question(int peer, ConstBytes payload);
  [[nodiscard]] bool on_answer(int peer, ConstBytes payload);
  /// No answer will come from there.
  void on_lost(int peer);
  void close();

 private:
  using Id = std::pair<std::uint32_t, std::uint32_t>;  // who asks, its how-manieth
  struct Wave {
    Topic topic = Topic::hang;
    int parent = Error::kNoRank;  // of the one who asks: none
    std::set<int> expected = {};
    Testimonies testimonies = {};
    ServiceClient::Timer timer = ServiceClient::kNoTimer;
    Done done = {};
  };

  void spread(const Id& id, Topic topic, ConstBytes question, std::chrono::nanoseconds limit,
              Wave wave);
  void settle(const Id& id);
  void finish(const Id& id);
  void give_way(const Id& to, Topic topic);
  [[nodiscard]] bool somebody_lower_asks(Topic topic) const;

  ServiceClient& service_;
  const int rank_;
  const int size_;
  Events events_;
  std::map<Id, Wave> waves_;
  std::map<std::uint32_t, std::uint32_t> latest_;  // of each rank, the highest number heard of
};

}  // namespace paceline::bootstrap
