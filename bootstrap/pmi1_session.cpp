#include "bootstrap/pmi1_session.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "bootstrap/addresses.h"
#include "bootstrap/mpi_presence.h"

namespace paceline::bootstrap {

namespace {

/// A launcher that lives answers at once; the process's end must not hang on one that does not.
constexpr Nanoseconds kFarewell = kSecond;

Nanoseconds deadline_of(const Config& config) {
  return steady_now() + std::chrono::nanoseconds(config.timeout).count();
}

void leave_it_to_mpi() {
  if (!mpi_was_initialized()) return;
  throw Error(
      ErrorCode::unsupported,
      "this program has called MPI_Init, so the launcher's channel (PMI) belongs to MPI and cannot "
      "be used beside it: create the Communicator through a Store (for instance a file store in a "
      "directory whose name rank 0 sends round with MPI_Bcast), or set PACELINE_ROOT=host:port");
}

UniqueFd connected(const SocketAddress& address, Nanoseconds deadline) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {};
  if (::connect(fd.get(), address.data(), address.length()) == 0) return fd;
  if (errno != EINPROGRESS) return {};
  pollfd one{fd.get(), POLLOUT, 0};
  const Nanoseconds left = std::max<Nanoseconds>(deadline - steady_now(), 0) / kMillisecond;
  int ready = 0;
  do {
    ready = ::poll(&one, 1, static_cast<int>(std::min<Nanoseconds>(left, INT32_MAX)));
  } while (ready < 0 && errno == EINTR);
  int error = ETIMEDOUT;
  socklen_t length = sizeof error;
  if (ready == 1) (void)::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  return error == 0 ? std::move(fd) : UniqueFd();
}

}  // namespace

Pmi1Session& Pmi1Session::of_process() {
  static Pmi1Session session;
  return session;
}

Pmi1Session::~Pmi1Session() {
  if (!begun_ || channel_->broken() || owner_ != ::getpid() || mpi_was_initialized()) return;
  try {
    channel_->finalize(steady_now() + kFarewell);
  } catch (const Error&) {
    // Nobody is left to be told; the launcher draws its conclusions.
  }
}

Pmi1Channel& Pmi1Session::begin(const LauncherChannel& place, const Config& config) {
  const std::lock_guard lock(mutex_);
  leave_it_to_mpi();
  const Nanoseconds deadline = deadline_of(config);
  open(place, deadline);
  if (identity_ && (identity_->rank != config.rank || identity_->size != config.size)) {
    throw Error(ErrorCode::invalid_configuration,
                "the launcher says this is rank " + std::to_string(identity_->rank) + " of " +
                    std::to_string(identity_->size) + ", the configuration says " +
                    std::to_string(config.rank) + " of " + std::to_string(config.size) +
                    ": meet at PACELINE_ROOT instead, or leave rank and size to the launcher");
  }
  if (!begun_) channel_->begin(config.size, deadline);
  begun_ = true;
  return *channel_;
}

Pmi1Channel::Identity Pmi1Session::identity(const LauncherChannel& place, const Config& config) {
  const std::lock_guard lock(mutex_);
  leave_it_to_mpi();
  open(place, deadline_of(config));
  if (!identity_) {
    throw Error(ErrorCode::invalid_configuration,
                "PMI_FD is set, but nothing says how many ranks there are; set PMI_RANK and "
                "PMI_SIZE, as the launcher does, or PACELINE_RANK, PACELINE_SIZE and "
                "PACELINE_ROOT");
  }
  return *identity_;
}

void Pmi1Session::open(const LauncherChannel& place, Nanoseconds deadline) {
  if (channel_ && owner_ != ::getpid()) {
    throw Error(
        ErrorCode::unsupported,
        "the launcher's channel (PMI) belongs to the process that this one was forked from: "
        "set PACELINE_RANK, PACELINE_SIZE and PACELINE_ROOT, or give a Store");
  }
  owner_ = ::getpid();
  const auto* const server = std::get_if<PmiServer>(&place);
  if (!channel_) {
    if (server == nullptr) return open_inherited(std::get<PmiSocket>(place).fd);
    connect(*server, deadline);
  }
  if (server != nullptr && !identity_) identity_ = channel_->introduce(server->id, deadline);
}

void Pmi1Session::open_inherited(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) {
    const std::string number = std::to_string(fd);
    throw Error(ErrorCode::bootstrap_failed,
                "the launcher says that it listens at descriptor " + number + " (PMI_FD), but " +
                    (errno == EBADF ? "none is open there" : "there is something else") +
                    ": does a wrapper between launcher and program close or reuse it? Pass it on, "
                    "or set PACELINE_ROOT=host:port");
  }
  channel_.emplace(fd, "PMI_FD=" + std::to_string(fd));
}

void Pmi1Session::connect(const PmiServer& server, Nanoseconds deadline) {
  const std::string where = to_string(server.where);
  std::string trouble = "it has no address";
  try {
    for (const SocketAddress& address : resolve(where)) {
      connection_ = connected(address, deadline);
      if (connection_) break;
      trouble = address.text() + ": " + errno_text(errno);
    }
  } catch (const Error& error) {
    trouble = error.what();
  }
  if (!connection_) {
    throw Error(ErrorCode::bootstrap_failed,
                "the launcher cannot be reached at PMI_PORT=" + where + " (" + trouble +
                    "); PACELINE_RANK, PACELINE_SIZE and PACELINE_ROOT=host:port do without it");
  }
  channel_.emplace(connection_.get(), "PMI_PORT=" + where);
}

}  // namespace paceline::bootstrap
