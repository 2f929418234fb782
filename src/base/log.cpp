#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/path_pattern.h"
#include "base/unique_fd.h"
#include "paceline/error.h"

namespace paceline {

namespace {

/// PIPE_BUF of Linux: a write of at most this much into a pipe is never mixed with others'. stderr
/// is a pipe under every launcher.
constexpr std::size_t kMaxLine = 4096;

// "2026-11-22T01:27:34.123456Z". By std::chrono: gmtime_r takes a lock of the C library's, which a
// child of fork() may find taken for ever.
std::string time_text() {
  using namespace std::chrono;
  const auto now = floor<microseconds>(system_clock::now());
  const auto day = floor<days>(now);
  const year_month_day date(day);
  const hh_mm_ss time(now - day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  return text;
}

// What strangers sent may stand in a text: nothing of it may start a new line or steer a terminal.
void append_printable(std::string& line, std::string_view text) {
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    line += control ? ' ' : c;
  }
}

}  // namespace

/// Where the lines of one communicator go, and what stands in each.
class LogFile {
 public:
  LogFile(const Config& config, std::string_view communicator)
      : speaker_(" rank=" + std::to_string(config.rank) + " host=" + this_host() + " pid="),
        communicator_(communicator) {
    if (config.log_file.empty()) return;
    const std::string path = expand_path(config.log_file, {config.rank, communicator_});
    // Appending, so that several communicators and processes can share a file.
    fd_ = UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (fd_) return;
    throw Error(ErrorCode::invalid_configuration,
                "the log file \"" + path + "\" cannot be opened: " + std::strerror(errno) +
                    "; PACELINE_LOG_FILE (Config::log_file) names a file that can be written, or "
                    "nothing for stderr");
  }

  void write(LogLevel level, LogComponent component, std::string_view text) const {
    std::string line = time_text();
    line += ' ';
    line += to_string(level);
    line += speaker_;
    line += std::to_string(::getpid());
    line += " communicator=";
    append_printable(line, communicator_);
    line += ' ';
    line += to_string(component);
    line += ": ";
    append_printable(line, text);
    if (line.size() >= kMaxLine) {
      line.resize(kMaxLine - 4);
      line += "...";
    }
    line += '\n';
    const int saved = errno;
    // A line that cannot be written is lost: nobody could be told of it.
    (void)!::write(fd_ ? fd_.get() : STDERR_FILENO, line.data(), line.size());
    errno = saved;
  }

 private:
  std::string speaker_;
  std::string communicator_;
  UniqueFd fd_;
};

Logger::Logger(const Config& config, std::string_view communicator)
    : file_(std::make_shared<const LogFile>(config, communicator)) {
  limits_.fill(config.log_level);
  for (const auto& [component, level] : config.log_components) {
    limits_[static_cast<std::size_t>(component)] = level;
  }
}

void Logger::write(LogLevel level, LogComponent component, std::string_view text) const {
  file_->write(level, component, text);
}

}  // namespace paceline
