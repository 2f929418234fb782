// A peer on a link through shared memory: what it says on the control socket, which descriptors it
// passes, and what it writes into our inbox.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "fuzz/input.h"
#include "paceline/error.h"
#include "transport_shm/control_socket.h"
#include "transport_shm/inbox.h"
#include "transport_shm/mapping.h"
#include "transport_shm/shm_transport.h"

namespace paceline::transport {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr std::size_t kRegion = 4096;
/// Addresses that the peer claims for its memory; nothing is mapped there.
constexpr std::uint64_t kClaimed = 0x10'0000;

// What may come instead of a good descriptor.
UniqueFd make_file(std::uint8_t choice) {
  switch (choice % 6) {
    case 0:
      return shm::make_sealed_file("fuzz-inbox", sizeof(shm::Inbox));
    case 1:
      return shm::make_sealed_file("fuzz-region", kRegion);
    case 2:  // could be cut short under our feet
      return UniqueFd(::memfd_create("fuzz-unsealed", MFD_CLOEXEC));
    case 3: {
      UniqueFd file(::memfd_create("fuzz-long", MFD_CLOEXEC));
      (void)!::ftruncate(file.get(), 1 << 20);
      return file;
    }
    case 4:
      return UniqueFd(::dup(STDERR_FILENO));
    default:
      return {};
  }
}

void send_raw(int socket, ConstBytes bytes, int fd) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) std::byte controls[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = controls;
    header.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsghdr* const control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
  }
  (void)!::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

class Peer {
 public:
  explicit Peer(UniqueFd fd) : fd_(std::move(fd)) {
    // We read our own copy by hand; ControlSocket asks the kernel for credentials.
    const int on = 1;
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  }

  // A frame, in two pieces if the input says so.
  void say(Input& input, std::uint8_t type) {
    const UniqueFd file = make_file(input.byte());
    Bytes bytes = WireWriter()
                      .u32(0x5053484D)  // "PSHM"; the frame's layout is in control_socket.cpp
                      .u8(1)
                      .u8(type)
                      .u16(0)
                      .u64(input.byte())
                      .u64(kClaimed + input.word())
                      .u64(type == 1 ? sizeof(shm::Inbox) : kRegion + input.byte() % 2)
                      .take();
    if (const std::uint8_t at = input.byte(); at < bytes.size()) {
      bytes[at] = static_cast<std::byte>(input.byte());
    }
    const std::size_t cut = 1 + input.byte() % bytes.size();
    send_raw(fd_.get(), ConstBytes(bytes).first(cut), file.get());
    if (cut < bytes.size()) send_raw(fd_.get(), ConstBytes(bytes).subspan(cut), -1);
  }

  // The greeting that brings the link up, and with it the inbox that we may write into.
  void greet() {
    const UniqueFd inbox = shm::make_sealed_file("fuzz-inbox", sizeof(shm::Inbox));
    const Bytes hello = WireWriter()
                            .u32(0x5053484D)
                            .u8(1)
                            .u8(1)
                            .u16(0)
                            .u64(7)
                            .u64(kClaimed)
                            .u64(sizeof(shm::Inbox))
                            .take();
    const Bytes ready = WireWriter().u32(0x5053484D).u8(1).u8(2).u16(0).u64(0).u64(0).u64(0).take();
    send_raw(fd_.get(), hello, inbox.get());
    send_raw(fd_.get(), ready, -1);
  }

  // Takes their inbox out of their greeting.
  void take_inbox() {
    std::array<std::byte, 32> frame{};
    iovec part{frame.data(), frame.size()};
    alignas(cmsghdr) std::byte controls[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = controls;
    header.msg_controllen = sizeof controls;
    if (::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
      const UniqueFd file(fd);
      inbox_ = shm::map_file(file.get(), sizeof(shm::Inbox), shm::Populate::no);
    }
  }

  // Bytes at a place of our inbox; mostly at one of its fields.
  void scribble(Input& input) {
    if (inbox_.data() == nullptr) return;
    auto* const inbox = reinterpret_cast<shm::Inbox*>(inbox_.data());
    const std::uint64_t small = input.byte();
    switch (input.byte() % 5) {
      case 0:
        inbox->announcements.frames.store(small);
        break;
      case 1:
        inbox->announcements.closed.store(small);
        break;
      case 2:
        inbox->lanes[small % kMaxLanes].value.store(input.word());
        break;
      case 3: {  // a message, of a length that need not be allowed
        const std::uint64_t number = 1 + sent_;
        inbox->slots[sent_++ % shm::kSlots].stamp.store(number << shm::kStampBits | input.word());
        break;
      }
      default: {
        const std::size_t at = input.word() * 4U % (sizeof(shm::Inbox) - 256);
        const ConstBytes bytes = input.take(small);
        std::memcpy(inbox_.data() + at, bytes.data(), bytes.size());
      }
    }
  }

 private:
  UniqueFd fd_;
  shm::Mapping inbox_;
  std::uint64_t sent_ = 0;
};

void use(Transport& transport, Endpoint& endpoint, Input& input) {
  transport.progress();
  const ConstBytes message = endpoint.front();
  require(message.size() <= kMaxMessage, "a message is within its limit");
  std::uint64_t sum = 0;
  for (const std::byte b : message) sum += std::to_integer<std::uint64_t>(b);
  if (!message.empty()) endpoint.pop();
  sum += endpoint.arrived(input.byte() % kMaxLanes);
  const RemoteAddress remote{kClaimed + input.word(), input.byte()};
  const std::size_t length = input.word() % (2 * kRegion);
  if (std::byte* const mapped = endpoint.map(remote, length); mapped != nullptr && length > 0) {
    mapped[0] = mapped[length - 1] = static_cast<std::byte>(sum);
  }
}

void run(Input input) {
  const auto transport = make_shm_transport({"a host"});
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0,
          "there is a socket");
  std::vector<UniqueFd> ours;
  ours.emplace_back(ends[0]);
  Peer peer{UniqueFd(ends[1])};
  try {
    const auto connector = transport->connect(1, Role::listener, std::move(ours));
    if (input.byte() % 4 == 0) {  // what it says while the link is made
      while (!input.empty()) {
        peer.say(input, input.byte() % 6);
        if (connector->poll()) return;
      }
      return;
    }
    peer.greet();
    std::unique_ptr<Endpoint> endpoint = connector->poll();
    peer.take_inbox();
    if (!endpoint) endpoint = connector->poll();
    require(endpoint != nullptr, "a link whose greetings are in order comes up");
    while (!input.empty()) {
      const std::uint8_t choice = input.byte();
      if (choice % 3 == 0) peer.say(input, 1 + choice % 5);
      if (choice % 3 == 1) peer.scribble(input);
      use(*transport, *endpoint, input);
    }
  } catch (const Error& error) {
    require(*error.what() != '\0', "what is refused is refused in words");
  }
}

}  // namespace
}  // namespace paceline::transport

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  paceline::transport::run({data, size});
  return 0;
}
