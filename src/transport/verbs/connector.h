// Makes a link: descriptions and a "ready" go over the socket, then a first packet each way over
// the queue pairs themselves.
//
//   1  queue pair in INIT, receives posted; our QpInfo goes out, the peer's comes in
//   2  RTR, RTS; a ready byte goes out, the peer's comes in: now both take packets
//   3  hello: a full-size packet each way. When ours is acknowledged and the peer's is here, the
//      path works in both directions.
#pragma once

#include <memory>

#include "transport_verbs/endpoint.h"

namespace paceline::transport::verbs {

class VerbsConnector final : public Connector {
 public:
  VerbsConnector(std::shared_ptr<Device> device, const VerbsOptions& options, int peer,
                 UniqueFd socket);
  std::unique_ptr<Endpoint> poll() override;

 private:
  bool write_out();
  bool read_to(std::size_t length);

  int peer_;
  UniqueFd socket_;
  std::unique_ptr<VerbsEndpoint> endpoint_;
  Bytes out_;
  std::size_t written_ = 0;
  Bytes in_;
  enum class Stage : std::uint8_t { descriptions, ready, hello } stage_ = Stage::descriptions;
};

}  // namespace paceline::transport::verbs
