#include "transport_shm/shm_connector.h"

#include <sys/random.h>
#include <sys/uio.h>

#include <cerrno>
#include <new>

namespace paceline::transport::shm {
namespace {

UniqueFd only_socket(std::vector<UniqueFd>& sockets) {
  if (sockets.size() != 1) {
    throw Error(ErrorCode::internal, "shared memory links over one socket, and was given " +
                                         std::to_string(sockets.size()));
  }
  return std::move(sockets.front());
}

std::uint64_t random_word() {
  std::uint64_t word = 0;
  if (::getrandom(&word, sizeof(word), 0) != sizeof(word)) {
    throw Error(ErrorCode::transport_failed, "getrandom: " + errno_text(errno));
  }
  return word;
}

/// Whether this process may read that one's memory, found out by doing it: permission depends on
/// user, capabilities, ptrace scope and pid namespaces, and no one asks for the outcome of all.
bool try_get(pid_t pid, std::uint64_t address, std::uint64_t expected) {
  std::uint64_t word = 0;
  iovec into{&word, sizeof(word)};
  iovec from{reinterpret_cast<void*>(address), sizeof(word)};
  return pid > 0 && ::process_vm_readv(pid, &into, 1, &from, 1, 0) == sizeof(word) &&
         word == expected;
}

}  // namespace

ShmConnector::ShmConnector(ShmCore& core, int peer, std::vector<UniqueFd> sockets)
    : core_(core), peer_(peer), socket_(only_socket(sockets)) {
  own_file_ = make_sealed_file("paceline-inbox", sizeof(Inbox));
  own_inbox_ = map_file(own_file_.get(), sizeof(Inbox), Populate::yes);
  auto* inbox = new (own_inbox_.data()) Inbox{};
  inbox->receiver.nonce = random_word();
  socket_.push({FrameType::hello, inbox->receiver.nonce,
                reinterpret_cast<std::uint64_t>(&inbox->receiver.nonce), sizeof(Inbox)},
               own_file_.get());
}

std::unique_ptr<Endpoint> ShmConnector::poll() {
  if (state_ == State::failed || state_ == State::done) {
    fail(ErrorCode::internal, "the connector was polled after its end");
  }
  (void)socket_.flush();
  // One frame at a time: what follows the peer's ready is the endpoint's to read.
  const ControlSocket::Received received = socket_.receive();
  switch (received.status) {
    case ControlSocket::Status::nothing:
      return nullptr;
    case ControlSocket::Status::frame:
      handle(received);
      return state_ == State::done ? finish() : nullptr;
    case ControlSocket::Status::closed:
      fail(ErrorCode::peer_failed, "the peer hung up while the link was made");
    case ControlSocket::Status::malformed:
      fail(ErrorCode::transport_failed,
           "the peer sent something that is not a frame, or passed no descriptor with it");
  }
  return nullptr;
}

void ShmConnector::handle(const ControlSocket::Received& received) {
  if (state_ == State::awaiting_hello && received.frame.type == FrameType::hello) {
    take_hello(received);
    socket_.push({.type = FrameType::ready});
    (void)socket_.flush();
    state_ = State::awaiting_ready;
  } else if (state_ == State::awaiting_ready && received.frame.type == FrameType::ready) {
    state_ = State::done;
  } else {
    fail(ErrorCode::transport_failed, "the peer's greetings came in the wrong order");
  }
}

void ShmConnector::take_hello(const ControlSocket::Received& received) {
  if (received.frame.length != sizeof(Inbox) || !is_sealed_file(received.fd.get(), sizeof(Inbox))) {
    fail(ErrorCode::transport_failed,
         "the peer passed an inbox of another layout (do all ranks run the same build?)");
  }
  try {
    peer_inbox_ = map_file(received.fd.get(), sizeof(Inbox), Populate::yes);
  } catch (const Error& error) {
    fail(error.code(), error.what());
  }
  peer_pid_ = received.pid;
  can_get_ = try_get(received.pid, received.frame.address, received.frame.id);
}

std::unique_ptr<Endpoint> ShmConnector::finish() {
  return std::make_unique<ShmEndpoint>(
      core_, LinkParts{peer_, std::move(socket_), std::move(own_inbox_), std::move(peer_inbox_),
                       peer_pid_, can_get_});
}

void ShmConnector::fail(ErrorCode code, const std::string& text) {
  state_ = State::failed;
  socket_.close();
  throw Error(code, "linking to rank " + std::to_string(peer_) + " through shared memory: " + text,
              {.peer = peer_});
}

}  // namespace paceline::transport::shm
