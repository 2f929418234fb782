// Both ends prove that they know the job's secret before anything else is said.
//
//   dialer                                     listener
//   hello:     nonce_d, Hello          ->
//                                      <-      challenge: nonce_l, info, MAC("listener" ...)
//   proof:     MAC("dialer" ...)       ->
//                                      <-      accepted, or refused with the reason
//
// Both MACs are HMAC-SHA256 over the role, the version, both nonces, the hello and the info, so
// that neither can be replayed, reflected, or moved to another hello. Nothing is encrypted.
//
// These are the two halves without any I/O: payloads in, payloads out.
#pragma once

#include <optional>
#include <string>

#include "bootstrap/messages.h"
#include "bootstrap/secret.h"

namespace paceline::bootstrap {

/// What the listener tells in its challenge: room for the session and what may come.
inline constexpr std::size_t kMaxInfo = 64;

class DialerHandshake {
 public:
  DialerHandshake(std::string secret, const Hello& hello);
  [[nodiscard]] Bytes hello_payload() const;

  enum class Outcome : std::uint8_t { good, malformed, wrong_secret };
  /// Then proof_payload() and info() are there if it is good.
  [[nodiscard]] Outcome on_challenge(ConstBytes payload);
  [[nodiscard]] const Bytes& proof_payload() const { return proof_; }
  [[nodiscard]] const Bytes& info() const { return info_; }

 private:
  std::string secret_;
  Bytes nonce_;
  Bytes hello_;
  Bytes proof_;
  Bytes info_;
};

class ListenerHandshake {
 public:
  ListenerHandshake(std::string secret, Bytes info);
  /// The challenge's payload, or nothing if the hello is malformed.
  [[nodiscard]] std::optional<Bytes> on_hello(ConstBytes payload);
  /// True if the dialer knows the secret.
  [[nodiscard]] bool on_proof(ConstBytes payload) const;
  [[nodiscard]] const Hello& hello() const { return hello_; }

 private:
  std::string secret_;
  Bytes info_;
  Bytes nonce_;
  Bytes expected_;
  Hello hello_;
};

}  // namespace paceline::bootstrap
