// Two children of this process are to each other what two ranks are to each other: siblings. One
// holds a word, the other reads it there. What the kernel asks of them (the same user, Yama's
// ptrace_scope, a container's filter of system calls) is what it would ask of ranks.
#include "tool/read_trial.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>

#include "base/unique_fd.h"

namespace paceline::tool {
namespace {

// Not 0, which memory that was never written holds too.
constexpr std::uint64_t kWord = 0x7061'6365'6c69'6e65;
// Beyond every errno of Linux (at most 133).
constexpr int kReadSomethingElse = 255;

// Between fork and _exit only system calls: the child of a process with threads may do no more.
[[noreturn]] void read_and_exit(pid_t owner, const std::uint64_t* word) {
  std::uint64_t copy = 0;
  const iovec into{&copy, sizeof copy};
  const iovec from{const_cast<std::uint64_t*>(word), sizeof *word};
  const ssize_t length = ::process_vm_readv(owner, &into, 1, &from, 1, 0);
  if (length < 0) ::_exit(errno);
  ::_exit(length == sizeof copy && copy == kWord ? 0 : kReadSomethingElse);
}

int exit_code_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return kReadSomethingElse;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : kReadSomethingElse;
}

std::string remedy() {
  std::string scope;
  std::ifstream("/proc/sys/kernel/yama/ptrace_scope") >> scope;
  if (!scope.empty() && scope != "0") {
    return "kernel.yama.ptrace_scope is " + scope +
           "; `sysctl kernel.yama.ptrace_scope=0` allows it";
  }
  return "a container needs the capability SYS_PTRACE for it";
}

}  // namespace

std::string read_trial() {
  const std::uint64_t word = kWord;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("no pipe: ") + std::strerror(errno);
  UniqueFd listening(ends[0]);
  UniqueFd held(ends[1]);

  const pid_t owner = ::fork();
  if (owner == 0) {
    ::close(ends[1]);
    char nothing = 0;
    (void)!::read(ends[0], &nothing, 1);  // until the parent lets go of the other end
    ::_exit(0);
  }
  if (owner < 0) return std::string("no process can be started: ") + std::strerror(errno);
  const pid_t reader = ::fork();
  if (reader == 0) read_and_exit(owner, &word);
  const int code = reader < 0 ? errno : exit_code_of(reader);
  held.reset();
  (void)exit_code_of(owner);

  if (code == 0) return {};
  if (code == kReadSomethingElse) return "process_vm_readv read something else than was there";
  return std::string("process_vm_readv: ") + std::strerror(code) + " (" + remedy() + ")";
}

}  // namespace paceline::tool
