// A launcher that speaks PMI-1 over socket pairs, to ranks that are threads of this process. It can
// be told to misbehave.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace paceline::bootstrap {

class FakePmi {
 public:
  struct Habits {
    int key_limit = 64;
    int value_limit = 1024;
    int universe = -1;         // what Hydra says: it does not know
    std::size_t piece = 4096;  // how much of an answer is written at once
    /// Instead of the answer to a question that begins with the first: these bytes.
    std::map<std::string, std::string> instead = {};
    /// It closes the connection when it hears a question that begins with this.
    std::string hang_up_at = "(never)";
  };

  explicit FakePmi(int size) : FakePmi(size, Habits()) {}
  FakePmi(int size, Habits habits) : habits_(std::move(habits)) {
    for (int rank = 0; rank < size; ++rank) {
      int pair[2] = {-1, -1};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
      ranks_.push_back({UniqueFd(pair[0]), UniqueFd(pair[1]), {}, false});
    }
    server_ = std::thread([this] { serve(); });
  }
  ~FakePmi() {
    stop_ = true;
    server_.join();
  }
  FakePmi(const FakePmi&) = delete;
  FakePmi& operator=(const FakePmi&) = delete;

  /// The rank's end of its socket.
  [[nodiscard]] int fd(int rank) const {
    return ranks_[static_cast<std::size_t>(rank)].theirs.get();
  }
  /// The longest line that came, to be read when nobody speaks any more.
  [[nodiscard]] std::size_t longest_question() const { return longest_; }
  [[nodiscard]] int good_byes() const { return good_byes_; }

 private:
  struct Rank {
    UniqueFd theirs;
    UniqueFd ours;
    std::string heard;
    bool waits = false;  // in the barrier
  };

  void serve() {
    while (!stop_) {
      std::vector<pollfd> fds;
      for (const Rank& rank : ranks_) fds.push_back({rank.ours.get(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), 5) <= 0) continue;
      for (std::size_t i = 0; i < ranks_.size(); ++i) {
        if (fds[i].revents != 0) hear(ranks_[i]);
      }
    }
  }

  void hear(Rank& rank) {
    char bytes[4096];
    const ssize_t n = ::read(rank.ours.get(), bytes, sizeof bytes);
    if (n <= 0) return rank.ours.reset();
    rank.heard.append(bytes, static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = rank.heard.find('\n')) != std::string::npos;) {
      const std::string question = rank.heard.substr(0, end);
      rank.heard.erase(0, end + 1);
      longest_ = std::max<std::size_t>(longest_, end + 1);
      if (question.starts_with(habits_.hang_up_at)) return rank.ours.reset();
      say(rank, answer(rank, question));
    }
  }

  void say(const Rank& rank, const std::string& text) const {
    for (std::size_t at = 0; at < text.size(); at += habits_.piece) {
      const std::string piece = text.substr(at, habits_.piece);
      if (::send(rank.ours.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
      if (habits_.piece < 16) std::this_thread::yield();
    }
  }

  std::string answer(Rank& rank, const std::string& question) {
    for (const auto& [begin, bytes] : habits_.instead) {
      if (question.starts_with(begin)) return bytes;
    }
    std::map<std::string, std::string> words;
    std::istringstream in(question);
    for (std::string word; in >> word;) {
      words[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    const std::string& command = words["cmd"];
    if (command == "init") return "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n";
    if (command == "initack")
      return "cmd=initack\ncmd=set size=4\ncmd=set rank=2\ncmd=set debug=0\n";
    if (command == "get_my_kvsname") return "cmd=my_kvsname kvsname=kvs_30085_0_1359207270_vm\n";
    if (command == "get_universe_size") {
      return "cmd=universe_size size=" + std::to_string(habits_.universe) + "\n";
    }
    if (command == "get_maxes") {
      return "cmd=maxes kvsname_max=256 keylen_max=" + std::to_string(habits_.key_limit) +
             " vallen_max=" + std::to_string(habits_.value_limit) + "\n";
    }
    if (command == "put") {
      const bool fits = words["key"].size() < static_cast<std::size_t>(habits_.key_limit) &&
                        words["value"].size() < static_cast<std::size_t>(habits_.value_limit);
      const bool fresh = fits && values_.try_emplace(words["key"], words["value"]).second;
      return fresh ? "cmd=put_result rc=0 msg=success\n" : "cmd=put_result rc=-1 msg=refused\n";
    }
    if (command == "get") {
      const auto found = values_.find(words["key"]);
      return found == values_.end()
                 ? "cmd=get_result rc=-1 msg=key_not_found value=unknown\n"
                 : "cmd=get_result rc=0 msg=success value=" + found->second + "\n";
    }
    if (command == "barrier_in") return enter(rank), "";
    if (command == "finalize") {
      ++good_byes_;
      return "cmd=finalize_ack\n";
    }
    return "cmd=unknown rc=-1\n";
  }

  void enter(Rank& rank) {
    rank.waits = true;
    for (const Rank& other : ranks_) {
      if (!other.waits) return;
    }
    for (Rank& other : ranks_) {
      other.waits = false;
      say(other, "cmd=barrier_out\n");
    }
  }

  const Habits habits_;
  std::vector<Rank> ranks_;
  std::map<std::string, std::string> values_;
  std::atomic<std::size_t> longest_ = 0;
  std::atomic<int> good_byes_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread server_;
};

}  // namespace paceline::bootstrap
