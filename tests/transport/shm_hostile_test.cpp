// A peer of the shared-memory wire that sends garbage, files that can be cut, or too much.
#include <array>
#include <optional>

#include "transport/shm_support.h"
#include "transport_shm/control_socket.h"
#include "transport_shm/inbox.h"
#include "transport_shm/mapping.h"

namespace paceline::transport {
namespace {

using conformance::pattern;
using conformance::same;
using conformance::SharedMemory;
using shm::ControlSocket;
using shm::Frame;
using shm::FrameType;
using shm::Inbox;

// ----------------------------------------------------------

/// A transport at one end, and at the other a peer that the test plays by hand.
class ShmHostilePeer : public ::testing::Test {
 protected:
  ShmHostilePeer() : transport_(make_shm_transport({.host_id = "here"})) {
    auto [dialed, accepted] = conformance::stream_pairs(kLocal);
    connector_ = transport_->connect(1, Role::dialer, std::move(dialed));
    raw_ = ::fcntl(accepted[0].get(), F_DUPFD_CLOEXEC, 0);
    socket_.emplace(std::move(accepted[0]));
    inbox_file_ = shm::make_sealed_file("inbox", sizeof(Inbox));
  }
  ~ShmHostilePeer() override { ::close(raw_); }

  void push(const Frame& frame, int fd = -1) {
    socket_->push(frame, fd);
    (void)socket_->flush();
  }
  void hello(int fd) { push({FrameType::hello, 1, 0, sizeof(Inbox)}, fd); }
  void write_raw(ConstBytes bytes) {
    ASSERT_EQ(::send(raw_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// The Error with which linking fails.
  std::string refusal() {
    return error_of(
        [&] { (void)until(*transport_, [&] { return connector_->poll() != nullptr; }); });
  }
  /// Behaves until the link is up; the transport's inbox is then mapped in theirs_.
  void link() {
    hello(inbox_file_.get());
    push({.type = FrameType::ready});
    ASSERT_TRUE(until(*transport_, [&] { return (endpoint_ = connector_->poll()) != nullptr; }));
    auto received = socket_->receive();
    ASSERT_EQ(received.frame.type, FrameType::hello);
    theirs_ = shm::map_file(received.fd.get(), sizeof(Inbox), shm::Populate::yes);
    EXPECT_EQ(socket_->receive().frame.type, FrameType::ready);
  }
  [[nodiscard]] Inbox& theirs() { return *reinterpret_cast<Inbox*>(theirs_.data()); }

  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<Endpoint> endpoint_;
  std::optional<ControlSocket> socket_;
  UniqueFd inbox_file_;
  shm::Mapping theirs_;
  int raw_ = -1;
};

TEST_F(ShmHostilePeer, BehavingWell) {
  link();
  shm::MailboxSender mailbox(theirs());
  ASSERT_TRUE(mailbox.send({}, pattern(70, 1)));
  EXPECT_TRUE(same(endpoint_->front(), pattern(70, 1)));
  EXPECT_FALSE(endpoint_->can_get()) << "the nonce was wrong";
}

TEST_F(ShmHostilePeer, GarbageInsteadOfHello) {
  write_raw(pattern(4096, 1));
  EXPECT_TRUE(contains(refusal(), "not a frame"));
}

TEST_F(ShmHostilePeer, HalfAHelloAndTheEnd) {
  write_raw(WireWriter().u32(0x5053484D).u8(1).bytes());
  EXPECT_EQ(connector_->poll(), nullptr);
  ::shutdown(raw_, SHUT_RDWR);
  EXPECT_TRUE(contains(refusal(), "rank 1"));
}

TEST_F(ShmHostilePeer, HelloWithoutDescriptor) {
  hello(-1);
  EXPECT_TRUE(contains(refusal(), "passed no descriptor"));
}

TEST_F(ShmHostilePeer, HelloWithAFileThatCanBeCut) {
  UniqueFd file(::memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(file.get(), sizeof(Inbox)), 0);
  hello(file.get());
  EXPECT_TRUE(contains(refusal(), "another layout"));
}

TEST_F(ShmHostilePeer, ReadyBeforeHello) {
  push({.type = FrameType::ready});
  EXPECT_TRUE(contains(refusal(), "wrong order"));
}

TEST_F(ShmHostilePeer, ManyDescriptorsAtOnceAreClosed) {
  const std::size_t before = conformance::open_descriptors();
  std::byte frame[32] = {};
  iovec part{frame, sizeof(frame)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> controls{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = controls.data();
  header.msg_controllen = controls.size();
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(3 * sizeof(int));
  const int fds[3] = {inbox_file_.get(), inbox_file_.get(), inbox_file_.get()};
  std::memcpy(CMSG_DATA(control), fds, sizeof(fds));
  ASSERT_EQ(::sendmsg(raw_, &header, MSG_NOSIGNAL), 32);
  EXPECT_FALSE(refusal().empty());
  connector_.reset();
  EXPECT_LE(conformance::open_descriptors(), before);
}

TEST_F(ShmHostilePeer, GarbageOnALinkBreaksIt) {
  link();
  write_raw(pattern(333, 2));
  EXPECT_TRUE(contains(broken(*transport_, *endpoint_), "not a frame"));
  EXPECT_THROW((void)endpoint_->send(pattern(8, 1), {}), Error);
}

TEST_F(ShmHostilePeer, SecondHelloBreaksTheLink) {
  link();
  hello(inbox_file_.get());
  EXPECT_TRUE(contains(broken(*transport_, *endpoint_), "greeted twice"));
}

TEST_F(ShmHostilePeer, RegionLongerThanItsFileBreaksTheLink) {
  link();
  SharedMemory memory(4096);
  push({FrameType::region, 1, 0x1000, 8192}, memory.view().shareable_fd);
  EXPECT_TRUE(contains(broken(*transport_, *endpoint_), "at least 8192 bytes"));
}

TEST_F(ShmHostilePeer, RegionNamedTwiceBreaksTheLink) {
  link();
  SharedMemory memory(4096);
  push({FrameType::region, 1, 0x1000, 4096}, memory.view().shareable_fd);
  push({FrameType::region, 1, 0x1000, 4096}, memory.view().shareable_fd);
  EXPECT_TRUE(contains(broken(*transport_, *endpoint_), "used before"));
}

TEST_F(ShmHostilePeer, GoneOfWhatNeverWasIsHarmless) {
  link();
  push({FrameType::gone, ~std::uint64_t{0}, 0, 0});
  ASSERT_TRUE(endpoint_->signal(0));
  for (int i = 0; i < 1000; ++i) transport_->progress();
  EXPECT_TRUE(endpoint_->front().empty());
}

TEST_F(ShmHostilePeer, MessageLongerThanAllowedIsNotRead) {
  link();
  theirs().slots[0].stamp.store(std::uint64_t{1} << shm::kStampBits | (kMaxMessage + 1));
  EXPECT_TRUE(contains(error_of([&] { (void)endpoint_->front(); }), "longer than any"));
}

TEST_F(ShmHostilePeer, FrameInPiecesIsAFrame) {
  link();
  SharedMemory memory(4096);
  push({FrameType::region, 9, 0x1000, 4096}, memory.view().shareable_fd);
  const Bytes gone = WireWriter().u32(0x5053484D).u8(1).u8(4).u16(0).u64(9).u64(0).u64(0).take();
  theirs().announcements.frames.store(1);
  EXPECT_NE(endpoint_->map({0x1000, 9}, 4096), nullptr);
  for (std::byte byte : gone) {
    write_raw({&byte, 1});
    for (int i = 0; i < 100; ++i) transport_->progress();
  }
  theirs().announcements.frames.store(2);
  EXPECT_TRUE(contains(error_of([&] {
                         (void)endpoint_->map({0x1000, 9}, 4096);
                       }),
                       "deregistered, or never registered"));
}

TEST_F(ShmHostilePeer, MemoryWhoseDescriptorIsLateIsWaitedFor) {
  link();
  SharedMemory memory(4096);
  theirs().announcements.registered.store(1);
  EXPECT_EQ(endpoint_->map({0x1000, 1}, 8), nullptr);
  EXPECT_FALSE(endpoint_->put(0, pattern(8, 1), nullptr, {0x1000, 1}));
  push({FrameType::region, 1, 0x1000, 4096}, memory.view().shareable_fd);
  theirs().announcements.frames.store(1);
  EXPECT_TRUE(endpoint_->put(0, pattern(8, 1), nullptr, {0x1000, 1}));
  EXPECT_TRUE(same(memory.slice(0, 8), pattern(8, 1)));
}

/// More registrations than a socket holds, while the peer reads nothing: none is lost, and those
/// that were deregistered meanwhile are never sent.
TEST_F(ShmHostilePeer, RegistrationsThatFindNoRoomFollowLater) {
  link();
  constexpr std::uint64_t kRegions = 2'000;
  SharedMemory memory(4096);
  std::vector<std::unique_ptr<Registration>> registrations;
  for (std::uint64_t i = 0; i < kRegions; ++i) {
    registrations.push_back(transport_->register_memory(memory.view()));
  }
  for (std::uint64_t i = kRegions / 2; i < kRegions; ++i) registrations[i].reset();
  std::uint64_t named = 0;
  std::uint64_t gone = 0;
  ASSERT_TRUE(until(*transport_, [&] {
    for (;;) {
      const auto received = socket_->receive();
      if (received.status != ControlSocket::Status::frame) return named + gone >= kRegions;
      if (received.frame.type == FrameType::region) {
        EXPECT_EQ(received.frame.id, ++named);
      } else {
        ++gone;
      }
    }
  }));
  EXPECT_GE(named, kRegions / 2);
  EXPECT_LT(named, kRegions) << "the socket never filled, so this tested nothing";
}

}  // namespace
}  // namespace paceline::transport
