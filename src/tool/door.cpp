#include "tool/door.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "base/unique_fd.h"
#include "bootstrap/addresses.h"
#include "communicator/status_door.h"

namespace paceline::tool {
namespace {

using Clock = std::chrono::steady_clock;

/// The ranks have two seconds to answer each other, and the process may be short of cores.
constexpr auto kPatience = std::chrono::seconds(10);

[[noreturn]] void refuse(pid_t pid, const std::string& why) {
  throw std::runtime_error("process " + std::to_string(pid) + " cannot be asked: " + why);
}

UniqueFd connect_to(pid_t pid) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = bootstrap::SocketAddress::abstract(door_name(pid));
  if (!fd || ::connect(fd.get(), address.data(), address.length()) != 0) {
    refuse(pid, "it has no communicator of Paceline, or is in another network namespace (" +
                    std::generic_category().message(errno) + ")");
  }
  return fd;
}

}  // namespace

std::vector<pid_t> processes_with_a_door() {
  std::vector<pid_t> pids;
  const std::string prefix = std::string("@") + kDoorPrefix;
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    const std::size_t at = line.find(prefix);
    if (at == std::string::npos) continue;
    const char* const begin = line.data() + at + prefix.size();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(begin, line.data() + line.size(), pid);
    if (error == std::errc() && end == line.data() + line.size()) pids.push_back(pid);
  }
  // Connections that were accepted have the name as well.
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Json ask_process(pid_t pid, bool all_ranks) {
  const UniqueFd fd = connect_to(pid);
  const char question = all_ranks ? 'a' : 'b';
  if (::send(fd.get(), &question, 1, MSG_NOSIGNAL) != 1) refuse(pid, "it has closed its door");
  std::string text;
  const auto end = Clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd ready{fd.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) == 0) {
      refuse(pid, "it does not answer: it is stopped, or its machine is overloaded");
    }
    char part[16 * 1024];
    const ssize_t n = ::read(fd.get(), part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(part, static_cast<std::size_t>(n));
  }
  Json answer = Json::parse(text, nullptr, false);
  if (answer.is_discarded()) {
    refuse(pid, "it belongs to another user, or is of another version of Paceline");
  }
  return answer;
}

}  // namespace paceline::tool
