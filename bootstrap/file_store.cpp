// One file per key. A value is written beside its place and then linked there, so that a reader
// sees all of it or nothing, and the second writer of a key fails. Works on network file systems.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "bootstrap/addresses.h"
#include "bootstrap/secret.h"
#include "paceline/error.h"
#include "paceline/store.h"

namespace paceline {

namespace {

/// How often a reader looks: quick at first, then at a pace that a file server with thousands of
/// clients can bear. There is no notification over NFS.
constexpr auto kFirstLook = std::chrono::milliseconds(2);
constexpr auto kSlowestLook = std::chrono::milliseconds(100);

[[noreturn]] void complain(const std::string& what, const std::filesystem::path& path, int error) {
  throw Error(ErrorCode::bootstrap_failed, "the file store cannot " + what + " " + path.string() +
                                               ": " + bootstrap::errno_text(error));
}

class FileStore final : public Store {
 public:
  explicit FileStore(const std::filesystem::path& directory) : directory_(directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      complain("make the directory", directory, errno);
    }
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) complain("look at", directory, errno);
    if (!S_ISDIR(status.st_mode)) complain("use", directory, ENOTDIR);
    if (status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0) {
      throw Error(ErrorCode::invalid_configuration,
                  "the file store's directory " + directory.string() +
                      " must belong to this user and be closed to others (chmod 0700), since the "
                      "job's secret travels through it");
    }
  }

  void set(const std::string& key, const std::string& value) override {
    const std::filesystem::path place = path_of(key);
    const std::filesystem::path draft =
        directory_ / ("draft-" + bootstrap::hex(bootstrap::random_bytes(8)));
    write(draft, value);
    const int linked = ::link(draft.c_str(), place.c_str()) == 0 ? 0 : errno;
    ::unlink(draft.c_str());
    if (linked == EEXIST) {
      throw Error(ErrorCode::invalid_argument,
                  "the store's key \"" + key + "\" is set already in " + directory_.string() +
                      ": use a fresh directory per job and a name of its own per communicator");
    }
    if (linked != 0) complain("write", place, linked);
  }

  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::chrono::nanoseconds pause = kFirstLook;
    for (;;) {
      std::ifstream file(path_of(key), std::ios::binary);
      if (file) {
        std::ostringstream value;
        value << file.rdbuf();
        return value.str();
      }
      // Nobody will set anything any more where it is gone.
      struct stat status {};
      if (::stat(directory_.c_str(), &status) != 0) {
        complain("find its directory, which it had when it was opened,", directory_, errno);
      }
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= left.zero()) {
        throw Error(ErrorCode::timeout, "nobody has set the store's key \"" + key + "\" in " +
                                            directory_.string() + " within " +
                                            std::to_string(timeout.count()) + " ms");
      }
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(pause, left));
      pause = std::min<std::chrono::nanoseconds>(pause * 2, kSlowestLook);
    }
  }

 private:
  // Keys hold slashes, and names anything: hex is safe everywhere. A long key would pass the 255
  // bytes of a file name, so beyond 100 bytes it is its MAC (under no secret: a mere digest).
  [[nodiscard]] std::filesystem::path path_of(const std::string& key) const {
    const auto bytes = std::as_bytes(std::span(key));
    return directory_ / (key.size() <= 100 ? "key-" + bootstrap::hex(bytes)
                                           : "long-" + bootstrap::hex(bootstrap::hmac("", bytes)));
  }

  static void write(const std::filesystem::path& path, const std::string& value) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) complain("create", path, errno);
    for (std::size_t done = 0; done < value.size();) {
      const ssize_t n = ::write(fd.get(), value.data() + done, value.size() - done);
      if (n < 0 && errno != EINTR) complain("write", path, errno);
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    if (::fsync(fd.get()) != 0) complain("write", path, errno);
  }

  std::filesystem::path directory_;
};

}  // namespace

std::shared_ptr<Store> make_file_store(const std::filesystem::path& directory) {
  return std::make_shared<FileStore>(directory);
}

}  // namespace paceline
