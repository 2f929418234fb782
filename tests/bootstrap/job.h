// A job of ranks that are processes, for tests that kill and stop them.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <set>

#include "support.h"

extern char** environ;

namespace paceline::bootstrap {

/// A rank in a process of its own.
class Process {
 public:
  Process(int rank, int size, const std::string& root, milliseconds::rep heartbeat) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    std::array<std::string, 5> words = {RANK_PROGRAM, std::to_string(rank), std::to_string(size),
                                        root, std::to_string(heartbeat)};
    std::array<char*, 6> arguments{};
    for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
    if (::posix_spawn(&pid_, RANK_PROGRAM, &actions, nullptr, arguments.data(), environ) != 0) {
      std::abort();
    }
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = UniqueFd(in[1]);
    output_ = UniqueFd(out[0]);
  }
  ~Process() {
    kill(SIGKILL);
    wait();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void tell(const std::string& line) {
    (void)!::write(input_.get(), (line + "\n").data(), line.size() + 1);
  }
  void end_input() { input_.reset(); }
  void kill(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  int wait() {
    int status = 0;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// The next line, or nothing within `time`.
  std::optional<std::string> line(milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    for (;;) {
      if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
        std::string result = text_.substr(0, end);
        text_.erase(0, end + 1);
        return result;
      }
      const auto left =
          std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
      pollfd ready{output_.get(), POLLIN, 0};
      if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return {};
      std::array<char, 1024> part;
      const ssize_t n = ::read(output_.get(), part.data(), part.size());
      if (n <= 0) return {};
      text_.append(part.data(), static_cast<std::size_t>(n));
    }
  }

 private:
  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
  std::string text_;
};

/// A job of such processes.
class Job : public Timed {
 protected:
  void start(int size, milliseconds::rep heartbeat = 60'000) {
    const std::string root = free_root();
    for (int rank = 0; rank < size; ++rank) job_.emplace_back(rank, size, root, heartbeat);
    for (Process& process : job_) ASSERT_EQ(process.line(milliseconds(60'000)), "ready");
  }

  // All but `silent` say "failed" once, and the text has all `parts`.
  void expect_news(const std::set<int>& silent, milliseconds time,
                   const std::vector<std::string>& parts) {
    const auto until = std::chrono::steady_clock::now() + time;
    for (int rank = 0; rank < static_cast<int>(job_.size()); ++rank) {
      if (silent.contains(rank)) continue;
      const auto left =
          std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
      const auto line = job_[static_cast<std::size_t>(rank)].line(std::max(left, milliseconds(0)));
      ASSERT_TRUE(line) << "rank " << rank << " heard nothing in time";
      EXPECT_TRUE(line->starts_with("failed ")) << *line;
      for (const std::string& part : parts) EXPECT_TRUE(contains(*line, part)) << *line;
    }
    for (int rank = 0; rank < static_cast<int>(job_.size()); ++rank) {
      if (silent.contains(rank)) continue;
      const auto more = job_[static_cast<std::size_t>(rank)].line(milliseconds(50));
      EXPECT_FALSE(more) << "rank " << rank << " heard twice: " << *more;
    }
  }

  void leave(int rank) {
    Process& process = job_[static_cast<std::size_t>(rank)];
    process.tell("leave");
    ASSERT_EQ(process.line(milliseconds(60'000)), "left");
    process.end_input();
    EXPECT_EQ(process.wait(), 0);
  }

  std::deque<Process> job_;
};

}  // namespace paceline::bootstrap
