// To be preloaded: the rank that DIE_RANK names kills itself before its N-th request to an RDMA
// device of the kernel, with N from DIE_AT. Each state that a queue pair or a connection of rdma_cm
// goes through is such a request, so every N is a death in another state. With N = 0 it lives, and
// writes a line for each.
#include <dlfcn.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

std::atomic<long> requests{0};

bool is_rdma_device(int descriptor) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  constexpr std::string_view folder = "/dev/infiniband/";
  return length > 0 &&
         std::string_view(target, static_cast<std::size_t>(length)).starts_with(folder);
}

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

void count(int descriptor) {
  static const bool concerned = variable("DIE_RANK") == variable("PACELINE_RANK");
  static const long last = std::atol(variable("DIE_AT").c_str());
  if (!concerned || !is_rdma_device(descriptor)) return;
  const long number = ++requests;
  if (number == last) ::kill(::getpid(), SIGKILL);
  if (last == 0) ::dprintf(STDOUT_FILENO, "request %ld\n", number);
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

#define EXPORTED __attribute__((visibility("default")))

extern "C" EXPORTED int ioctl(int descriptor, unsigned long request, ...) noexcept {
  std::va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  count(descriptor);
  static const auto real = next<int (*)(int, unsigned long, void*)>("ioctl");
  return real(descriptor, request, argument);
}

extern "C" EXPORTED ssize_t write(int descriptor, const void* data, std::size_t length) {
  count(descriptor);
  static const auto real = next<ssize_t (*)(int, const void*, std::size_t)>("write");
  return real(descriptor, data, length);
}
