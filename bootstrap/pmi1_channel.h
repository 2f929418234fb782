// A conversation with the launcher in PMI-1, over a socket that is there: questions and answers
// strictly in turn, each with a deadline. Whatever goes wrong ends the conversation for good, since
// nobody knows then which answer would come next.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "bootstrap/pmi1_wire.h"

namespace paceline::bootstrap {

class Pmi1Channel {
 public:
  /// `fd` stays its owner's. `who` is whom we speak with, for texts: "the launcher (PMI_FD=8)".
  Pmi1Channel(int fd, std::string who) : fd_(fd), who_(std::move(who)) {}
  Pmi1Channel(const Pmi1Channel&) = delete;
  Pmi1Channel& operator=(const Pmi1Channel&) = delete;

  /// What process `id` is: the first words over a connection of its own (PMI_PORT).
  struct Identity {
    int rank = 0;
    int size = 0;
  };
  [[nodiscard]] Identity introduce(int id, Nanoseconds deadline);

  /// Says hello and learns the launcher's limits; `size` ranks must not be more than the launcher
  /// says there can be.
  void begin(int size, Nanoseconds deadline);

  void put(const std::string& key, const std::string& value, Nanoseconds deadline);
  [[nodiscard]] std::string get(const std::string& key, Nanoseconds deadline);
  /// Returns once all processes of the job have called it. What was put before can be got after.
  void barrier(Nanoseconds deadline);
  /// An orderly end: without one the launcher takes the process's for a crash and ends the job.
  void finalize(Nanoseconds deadline);

  /// How long a key and a value may be; after begin().
  [[nodiscard]] std::size_t longest_key() const { return longest_key_; }
  [[nodiscard]] std::size_t longest_value() const { return longest_value_; }
  /// Counts the uses of barrier() with the keys around it: a key of PMI-1 can be put only once, but
  /// the name of a communicator can come again.
  [[nodiscard]] int next_round() { return round_++; }
  [[nodiscard]] bool broken() const { return !trouble_.empty(); }

 private:
  PmiWords ask(const std::string& question, std::string_view expected, Nanoseconds deadline);
  PmiWords answer(const std::string& question, std::string_view expected, Nanoseconds deadline);
  void send(const std::string& question, Nanoseconds deadline);
  std::string line(const std::string& question, Nanoseconds deadline);
  void wait(short events, const std::string& question, Nanoseconds deadline);
  int number(const PmiWords& words, std::string_view key, const std::string& question);
  [[nodiscard]] Error complaint(ErrorCode code, const std::string& what) const;
  [[noreturn]] void give_up(ErrorCode code, const std::string& what);  // for good

  const int fd_;
  const std::string who_;
  PmiLines lines_;
  std::string space_ = {};  // the name of the job's keys and values
  std::size_t longest_key_ = 0;
  std::size_t longest_value_ = 0;
  int round_ = 0;
  std::string trouble_ = {};  // what ended the conversation
};

}  // namespace paceline::bootstrap
