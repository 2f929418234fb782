#include "transport_verbs/connector.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "transport_verbs/completion_text.h"

namespace paceline::transport::verbs {
namespace {

constexpr std::byte kReady{0x52};

}  // namespace

VerbsConnector::VerbsConnector(std::shared_ptr<Device> device, const VerbsOptions& options,
                               int peer, UniqueFd socket)
    : peer_(peer),
      socket_(std::move(socket)),
      endpoint_(std::make_unique<VerbsEndpoint>(std::move(device), options, peer,
                                                network_of_socket(socket_.get()))),
      out_(endpoint_->info().pack()) {}

/// True once everything is out.
bool VerbsConnector::write_out() {
  while (written_ < out_.size()) {
    const ssize_t sent = ::send(socket_.get(), out_.data() + written_, out_.size() - written_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
      throw Error(ErrorCode::peer_failed,
                  "rank " + std::to_string(peer_) + " went away while an RDMA link was made (" +
                      errno_text(errno) + ")",
                  {.peer = peer_});
    }
    written_ += static_cast<std::size_t>(sent);
  }
  return true;
}

/// True once `length` bytes in all have come in; takes no more than that.
bool VerbsConnector::read_to(std::size_t length) {
  std::array<std::byte, QpInfo::kPackedSize> buffer;
  while (in_.size() < length) {
    const std::size_t wanted = std::min(length - in_.size(), buffer.size());
    const ssize_t got = ::recv(socket_.get(), buffer.data(), wanted, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
    if (got <= 0) {
      throw Error(ErrorCode::peer_failed,
                  "rank " + std::to_string(peer_) +
                      " hung up while an RDMA link was made; its own error says why",
                  {.peer = peer_});
    }
    in_.insert(in_.end(), buffer.begin(), buffer.begin() + got);
  }
  return true;
}

std::unique_ptr<Endpoint> VerbsConnector::poll() {
  if (!endpoint_) return nullptr;
  switch (stage_) {
    case Stage::descriptions:
      (void)write_out();
      if (!read_to(QpInfo::kPackedSize)) return nullptr;
      endpoint_->connect_to(QpInfo::unpack(in_, peer_));
      out_.push_back(kReady);
      stage_ = Stage::ready;
      [[fallthrough]];
    case Stage::ready: {
      const bool all_out = write_out();
      if (!read_to(QpInfo::kPackedSize + 1) || !all_out) return nullptr;
      if (in_.back() != kReady) {
        throw Error(ErrorCode::transport_failed,
                    "rank " + std::to_string(peer_) + " did not say that its RDMA link is ready",
                    {.peer = peer_});
      }
      endpoint_->keep_socket(std::move(socket_));
      endpoint_->say_hello();
      stage_ = Stage::hello;
      return nullptr;
    }
    case Stage::hello:
      if (!endpoint_->said_and_heard_hello()) return nullptr;
      return std::move(endpoint_);
  }
  return nullptr;
}

}  // namespace paceline::transport::verbs
