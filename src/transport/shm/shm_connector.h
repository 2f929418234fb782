// How a link through shared memory is made.
//
//   each end:  makes its inbox         -> hello {nonce, where it is, file}
//              has the peer's hello    -> maps the inbox, tries to read the nonce -> ready
//              has the peer's ready    -> the link is up: each end has mapped the other's inbox
#pragma once

#include <memory>
#include <vector>

#include "transport_shm/shm_endpoint.h"

namespace paceline::transport::shm {

class ShmConnector final : public Connector {
 public:
  ShmConnector(ShmCore& core, int peer, std::vector<UniqueFd> sockets);
  std::unique_ptr<Endpoint> poll() override;

 private:
  enum class State : std::uint8_t { awaiting_hello, awaiting_ready, done, failed };
  void handle(const ControlSocket::Received& received);
  void take_hello(const ControlSocket::Received& received);
  [[nodiscard]] std::unique_ptr<Endpoint> finish();
  [[noreturn]] void fail(ErrorCode code, const std::string& text);

  ShmCore& core_;
  int peer_;
  State state_ = State::awaiting_hello;
  ControlSocket socket_;
  UniqueFd own_file_;
  Mapping own_inbox_;
  Mapping peer_inbox_;
  pid_t peer_pid_ = 0;
  bool can_get_ = false;
};

}  // namespace paceline::transport::shm
