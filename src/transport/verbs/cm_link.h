// Connects one queue pair through the connection manager: the listener of the two ranks waits under
// an address of its own, which its QpInfo tells, and the dialer calls there.
//
//   listener                                    dialer
//   binds, listens; QpInfo →                    ← QpInfo
//   has receives posted                         has receives posted
//                                               resolves the address and the route, connects
//   a request: is the cookie in it ours? If not it is rejected, and the listener goes on listening
//   RTR, RTS (not iWARP), accepts
//                                               the answer: RTR, RTS (not iWARP), establishes
//   established                                 established
//
// On InfiniBand and RoCE both ends take their queue pairs through the states, by what the manager
// says and what the options say. On iWARP the kernel does it, as the queue pair's number is all
// that it is given; and the listener may send only after it has heard something.
//
// The cookie is random and comes over the link's own socket, so only the peer knows it. The rest of
// what the ends must know of each other travels there too: private data may be short.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport_verbs/cm_address.h"
#include "transport_verbs/cm_handles.h"
#include "transport_verbs/device.h"
#include "transport_verbs/qp_info.h"

namespace paceline::transport::verbs {

class CmLink {
 public:
  /// `network`: over which the ends met, if known. Throws Error.
  CmLink(std::shared_ptr<const Device> device, const VerbsOptions& options, int peer, Role role,
         std::optional<Ipv4Network> network);

  /// Adds to `info` where this end is called.
  void describe(QpInfo& info) const;

  /// Begins to connect `pair`, whose receives are posted, to `peer`.
  void start(ibv_qp* pair, const QpInfo& peer);
  /// Goes on with it. True once it is connected. Throws Error if it cannot be.
  [[nodiscard]] bool poll();

  /// iWARP: who called speaks first.
  [[nodiscard]] bool must_hear_first() const;

 private:
  [[nodiscard]] CmIdHandle make_id() const;
  void handle(rdma_cm_event& event);
  void answer(rdma_cm_event& request);
  void resolve();
  void connect();
  void to_rts();
  [[nodiscard]] rdma_conn_param parameters() const;
  void require_taken_port(const char* what);
  void require(int result, const char* what) const;
  [[noreturn]] void fail(const std::string& what) const;

  std::shared_ptr<const Device> device_;
  VerbsOptions options_;
  int peer_;
  Role role_;
  Gid address_ = {};
  std::uint16_t port_ = 0;
  Cookie cookie_ = {};  ///< the listener's
  ibv_qp* pair_ = nullptr;
  QpInfo far_;
  bool connected_ = false;
  // The ids before the channel that they report to.
  CmChannelHandle channel_;
  CmIdHandle id_;  ///< of the connection
  CmIdHandle listener_;
  /// Who called without the cookie, and ids of our own whose port was taken: the event that is
  /// being handled names them, and they go only after it has been acknowledged.
  std::vector<CmIdHandle> discarded_;
  int ports_taken_ = 0;
};

}  // namespace paceline::transport::verbs
