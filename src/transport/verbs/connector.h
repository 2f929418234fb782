// Makes a link: descriptions and a "ready" go over the socket, then a first packet each way over
// the queue pairs themselves.
//
//   1  queue pair in INIT; our QpInfo goes out, the peer's comes in: both know the way to notify
//   2  receives posted; RTR, RTS, or what the connection manager does (cm_link.h); a ready byte
//   goes
//      out, the peer's comes in: now both take packets
//   3  hello: a full-size packet each way, notified as all later ones. When ours is acknowledged,
//      "said" goes out, and when the peer's is here, "heard". On iWARP the one who listened says
//      hello when it has heard the other's
//   4  both heard: the path works in both directions
//
// If immediates were agreed on and a device refuses the hello, or acknowledges it and does not
// deliver it, that end says "again" instead of "heard". The other does the same when it reads that,
// and both go back to 1 with a new queue pair and sends as the only way. Nothing follows "heard" or
// "again", so what each end has to read is always known.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "transport_verbs/endpoint.h"

namespace paceline::transport::verbs {

class VerbsConnector final : public Connector {
 public:
  VerbsConnector(std::shared_ptr<Device> device, const VerbsOptions& options, int peer, Role role,
                 UniqueFd socket);
  std::unique_ptr<Endpoint> poll() override;

 private:
  enum class Stage : std::uint8_t { descriptions, manager, ready, hello };

  void begin(NotifyWays ways);
  bool write_out();
  bool read_to(std::size_t length);
  void begin_hello();
  void read_hello();
  void say_hello();
  bool hello_must_be_sent();
  void check_link() const;
  [[noreturn]] void refuse(const std::string& what) const;
  std::unique_ptr<Endpoint> finish();

  std::shared_ptr<Device> device_;
  VerbsOptions options_;
  int peer_;
  Role role_;
  UniqueFd socket_;
  std::unique_ptr<VerbsEndpoint> endpoint_;
  Bytes out_;
  std::size_t written_ = 0;
  Bytes in_;
  Stage stage_ = Stage::descriptions;
  bool may_begin_again_ = false;
  bool began_hello_ = false;
  bool said_ = false;
  std::optional<std::byte> our_verdict_;
  std::optional<std::byte> their_verdict_;
  std::optional<Nanoseconds> they_said_at_;
};

}  // namespace paceline::transport::verbs
