#include "transport_shm/control_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "paceline/error.h"
#include "transport_shm/mapping.h"

namespace paceline::transport::shm {
namespace {

/// Tells our frames from whatever else a confused process may write: "PSHM", and a version.
constexpr std::uint32_t kMagic = 0x5053484D;
constexpr std::uint8_t kVersion = 1;

/// Room for more descriptors than one frame may have, so that too many are seen and closed.
constexpr std::size_t kMaxDescriptors = 4;

Bytes encode(const Frame& frame) {
  return WireWriter()
      .u32(kMagic)
      .u8(kVersion)
      .u8(static_cast<std::uint8_t>(frame.type))
      .u16(0)
      .u64(frame.id)
      .u64(frame.address)
      .u64(frame.length)
      .take();
}

bool takes_descriptor(FrameType type) {
  return type == FrameType::hello || type == FrameType::region;
}

/// Appends one control message and returns where its data goes.
void* append_control(msghdr& header, std::size_t& used, int type, std::size_t size) {
  auto* control = reinterpret_cast<cmsghdr*>(static_cast<std::byte*>(header.msg_control) + used);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(size);
  used += CMSG_SPACE(size);
  return CMSG_DATA(control);
}

}  // namespace

ControlSocket::ControlSocket(UniqueFd socket) : socket_(std::move(socket)) {
  int domain = 0;
  socklen_t length = sizeof(domain);
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 ||
      domain != AF_UNIX) {
    throw Error(ErrorCode::transport_failed,
                "shared memory needs a UNIX socket to pass descriptors over, and was given another "
                "kind of descriptor");
  }
  // The kernel then tells who sent each frame, with the process id as it is called here.
  const int on = 1;
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    throw Error(ErrorCode::transport_failed,
                "cannot ask for credentials on a UNIX socket (SO_PASSCRED): " + errno_text(errno));
  }
}

void ControlSocket::push(const Frame& frame, int fd) {
  outgoing_.push_back({frame, fd, encode(frame)});
}

std::uint64_t ControlSocket::flush() {
  std::uint64_t complete = 0;
  while (!outgoing_.empty() && send_front()) {
    outgoing_.pop_front();
    ++complete;
  }
  return complete;
}

/// True once the front frame is out, or can never get out.
bool ControlSocket::send_front() {
  Outgoing& out = outgoing_.front();
  while (out.sent < out.bytes.size()) {
    iovec part{out.bytes.data() + out.sent, out.bytes.size() - out.sent};
    alignas(cmsghdr) std::byte controls[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (out.sent == 0) {  // descriptor and credentials go with a frame's first byte
      header.msg_control = controls;
      std::size_t used = 0;
      const ucred self{::getpid(), ::geteuid(), ::getegid()};
      std::memcpy(append_control(header, used, SCM_CREDENTIALS, sizeof(self)), &self, sizeof(self));
      if (out.fd >= 0) {
        std::memcpy(append_control(header, used, SCM_RIGHTS, sizeof(int)), &out.fd, sizeof(int));
      }
      header.msg_controllen = used;
    }
    const ssize_t n = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      out.sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS ||
               errno == ENOBUFS || errno == ENOMEM) {
      return false;  // full, or too many descriptors under way in this user's sockets
    } else if (errno != EINTR) {
      return true;
    }
  }
  return true;
}

bool ControlSocket::withdraw(std::uint64_t region_id) {
  for (Outgoing& out : outgoing_) {
    if (out.frame.type != FrameType::region || out.frame.id != region_id || out.sent != 0) continue;
    out.frame = {FrameType::gone, region_id, 0, 0};
    out.bytes = encode(out.frame);
    out.fd = -1;
    return true;
  }
  return false;
}

/// Takes descriptor and credentials out of a received message; false if there was more than a
/// frame may have.
bool ControlSocket::read_controls(void* header_pointer) {
  auto& header = *static_cast<msghdr*>(header_pointer);
  bool good = (header.msg_flags & MSG_CTRUNC) == 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(c), sizeof(sender));
      incoming_pid_ = sender.pid;
    } else if (c->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        if (incoming_fd_) good = false;
        incoming_fd_.reset(fd);
      }
    }
  }
  return good;
}

ControlSocket::Received ControlSocket::receive() {
  while (received_ < kFrameBytes) {
    iovec part{incoming_ + received_, kFrameBytes - received_};
    alignas(cmsghdr)
        std::byte controls[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(kMaxDescriptors * sizeof(int))] =
            {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = controls;
    header.msg_controllen = sizeof(controls);
    const ssize_t n = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
      if (errno == EINTR) continue;
      const bool empty = errno == EAGAIN || errno == EWOULDBLOCK;
      return {.status = empty ? Status::nothing : Status::closed};
    }
    if (n == 0) return {.status = received_ == 0 ? Status::closed : Status::malformed};
    if (!read_controls(&header)) return {.status = Status::malformed};
    received_ += static_cast<std::size_t>(n);
  }
  return take_frame();
}

ControlSocket::Received ControlSocket::take_frame() {
  received_ = 0;
  WireReader reader(incoming_);
  const bool ours = reader.u32() == kMagic && reader.u8() == kVersion;
  const std::uint8_t type = reader.u8();
  const bool reserved = reader.u16() == 0;
  Received result{.status = Status::frame,
                  .frame = {static_cast<FrameType>(type), reader.u64(), reader.u64(), reader.u64()},
                  .fd = std::move(incoming_fd_),
                  .pid = incoming_pid_};
  const bool known = type >= static_cast<std::uint8_t>(FrameType::hello) &&
                     type <= static_cast<std::uint8_t>(FrameType::gone);
  if (!ours || !reserved || !known ||
      takes_descriptor(result.frame.type) != static_cast<bool>(result.fd)) {
    result.status = Status::malformed;
  }
  return result;
}

void ControlSocket::close() noexcept {
  if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
  outgoing_.clear();
}

}  // namespace paceline::transport::shm
