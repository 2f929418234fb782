// The host's memory: anonymous files (memfd), so that ranks of one host can map it by passing the
// descriptor, without names and without the limit of /dev/shm.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "base/copy.h"
#include "base/layout.h"
#include "base/stream_bytes.h"
#include "memory/memory_kind.h"
#include "memory/reduce.h"
#include "paceline/error.h"

namespace paceline::memory {

namespace {

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

[[noreturn]] void throw_out_of_memory(std::size_t bytes, const char* what, int error) {
  throw Error(ErrorCode::out_of_memory,
              "could not allocate " + std::to_string(bytes) +
                  " bytes of shareable memory: " + what + ": " + std::strerror(error) +
                  "; free memory, raise the memory limit of the container (memfd pages count "
                  "towards it), or allocate less");
}

// What the kernel thinks can still be had without swapping; "no limit" if it does not say. Asked
// for before pages are reserved, because the kernel would kill processes to satisfy us.
std::size_t available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  std::size_t kib = 0;
  while (info >> name >> kib) {
    if (name == "MemAvailable:") return kib * 1024;
    info.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::numeric_limits<std::size_t>::max();
}

class HostMemory final : public MemoryKind {
 public:
  Device::Kind kind() const override { return Device::Kind::host; }
  bool holds(const void*) const override { return true; }

  Allocation allocate(std::size_t bytes) const override {
    if (bytes > available_memory()) throw_out_of_memory(bytes, "check of /proc/meminfo", ENOMEM);
    Allocation a;
    a.length = round_up(bytes == 0 ? 1 : bytes, page_size());
    a.shareable = UniqueFd(::memfd_create("paceline", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!a.shareable) throw_out_of_memory(bytes, "memfd_create", errno);
    if (::ftruncate(a.shareable.get(), static_cast<off_t>(a.length)) != 0) {
      throw_out_of_memory(bytes, "ftruncate", errno);
    }
    // A peer must not be able to shrink it under our feet: that would be a SIGBUS.
    if (::fcntl(a.shareable.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      throw_out_of_memory(bytes, "fcntl(F_ADD_SEALS)", errno);
    }
    // fallocate reserves the pages now: running out is an error here and not a SIGBUS later.
    if (const int error = ::posix_fallocate(a.shareable.get(), 0, static_cast<off_t>(a.length))) {
      throw_out_of_memory(bytes, "posix_fallocate", error);
    }
    void* p = ::mmap(nullptr, a.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     a.shareable.get(), 0);
    if (p == MAP_FAILED) throw_out_of_memory(bytes, "mmap", errno);
    a.data = static_cast<std::byte*>(p);
    // A child of fork shares the file, not a copy: keep it out of there altogether.
    ::madvise(p, a.length, MADV_DONTFORK);
    return a;
  }

  void free(Allocation& a) const noexcept override {
    if (a.data != nullptr) ::munmap(a.data, a.length);
    a = {};
  }

  // The same file, mapped privately, takes the place of the shared pages in one step; then every
  // page is made this process's own copy. The program may be writing there meanwhile: what it wrote
  // before is in the file, what it writes afterwards goes to its copy, and nothing is lost. If
  // there is no memory for the copies, some pages stay the file's: there is nothing better to do.
  void sever(Allocation& a) const noexcept override {
    if (a.data == nullptr || !a.shareable) return;
    if (::mmap(a.data, a.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, a.shareable.get(),
               0) == MAP_FAILED) {
      return;
    }
    if (::madvise(a.data, a.length, MADV_POPULATE_WRITE) != 0 && errno == EINVAL) {
      // Linux before 5.14: a write that changes nothing, whatever else happens in that page.
      for (std::size_t at = 0; at < a.length; at += page_size()) {
        __atomic_fetch_or(reinterpret_cast<unsigned char*>(a.data + at), 0, __ATOMIC_RELAXED);
      }
    }
    a.shareable.reset();
  }

  void reduce(DataType type, ReduceOp op, std::span<const std::byte* const> sources,
              std::span<std::byte* const> destinations, std::size_t count, std::uint32_t divisor,
              std::size_t streamed) const override {
    memory::reduce(type, op, sources, destinations, count, divisor, streamed);
  }

  void copy(std::byte* destination, const std::byte* source, std::size_t bytes,
            Stores stores) const override {
    if (stores == Stores::streaming) return stream_bytes(destination, source, bytes);
    copy_bytes(destination, source, bytes);
  }
};

}  // namespace

const MemoryKind& host_memory() {
  // Never destroyed: memory in a static variable may be freed after this file's statics have gone.
  static const auto& kind = *new HostMemory;
  return kind;
}

}  // namespace paceline::memory
