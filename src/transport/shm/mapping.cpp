#include "transport_shm/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "paceline/error.h"

namespace paceline::transport::shm {
namespace {

/// Without these a file can be cut under its readers, who then die of SIGBUS.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

[[noreturn]] void fail(ErrorCode code, const std::string& what, int error) {
  throw Error(code, what + ": " + errno_text(error));
}

}  // namespace

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

void Mapping::reset() noexcept {
  if (data_ != nullptr) ::munmap(data_, length_);
  data_ = nullptr;
  length_ = 0;
}

void Mapping::sever() noexcept {
  if (data_ == nullptr) return;
  void* zeroes = ::mmap(data_, length_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  // If even that is refused the file stays mapped until the link ends, which costs memory only.
  (void)zeroes;
}

UniqueFd make_sealed_file(const char* name, std::size_t length) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) fail(ErrorCode::out_of_memory, "cannot make a memory file (memfd_create)", errno);
  if (const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(length)); error != 0) {
    fail(ErrorCode::out_of_memory,
         "cannot reserve " + std::to_string(length) + " bytes of shared memory for a link", error);
  }
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) {
    fail(ErrorCode::transport_failed, "cannot seal a memory file (F_ADD_SEALS)", errno);
  }
  return file;
}

bool is_sealed_file(int fd, std::size_t length) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (status.st_size != static_cast<off_t>(length)) return false;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

Mapping map_file(int fd, std::size_t length, Populate populate) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    fail(ErrorCode::transport_failed, "cannot examine a file to be mapped (fstat)", errno);
  }
  if (!S_ISREG(status.st_mode) || length == 0 ||
      static_cast<std::uint64_t>(status.st_size) < length) {
    throw Error(ErrorCode::transport_failed,
                "a file to be mapped is not a regular file of at least " + std::to_string(length) +
                    " bytes (it has " + std::to_string(status.st_size) + ")");
  }
  void* address = ::mmap(nullptr, length, PROT_READ | PROT_WRITE,
                         MAP_SHARED | (populate == Populate::yes ? MAP_POPULATE : 0), fd, 0);
  if (address == MAP_FAILED) {
    fail(ErrorCode::out_of_memory,
         "cannot map " + std::to_string(length) +
             " bytes of shared memory (mmap; raise vm.max_map_count or the address space limit)",
         errno);
  }
  return {static_cast<std::byte*>(address), length};
}

}  // namespace paceline::transport::shm
