#include "bootstrap/handshake.h"

#include <utility>

namespace paceline::bootstrap {

namespace {

Bytes mac(const std::string& secret, const char* role, ConstBytes nonce_d, ConstBytes nonce_l,
          ConstBytes hello, ConstBytes info) {
  WireWriter covered;
  covered.text(role).u16(kVersion).raw(nonce_d).raw(nonce_l).blob(hello).blob(info);
  return hmac(secret, covered.bytes());
}

constexpr char kDialer[] = "paceline dialer";
constexpr char kListener[] = "paceline listener";

}  // namespace

DialerHandshake::DialerHandshake(std::string secret, const Hello& hello)
    : secret_(std::move(secret)), nonce_(random_bytes(kNonceBytes)), hello_(hello.encode()) {}

Bytes DialerHandshake::hello_payload() const {
  return WireWriter().raw(nonce_).raw(hello_).take();
}

DialerHandshake::Outcome DialerHandshake::on_challenge(ConstBytes payload) {
  WireReader in(payload);
  const ConstBytes nonce = in.raw(kNonceBytes);
  const ConstBytes info = in.blob(kMaxInfo);
  const ConstBytes theirs = in.raw(kMacBytes);
  if (!in.finished()) return Outcome::malformed;
  if (!equal_in_constant_time(theirs, mac(secret_, kListener, nonce_, nonce, hello_, info))) {
    return Outcome::wrong_secret;
  }
  info_.assign(info.begin(), info.end());
  proof_ = mac(secret_, kDialer, nonce_, nonce, hello_, info);
  return Outcome::good;
}

ListenerHandshake::ListenerHandshake(std::string secret, Bytes info)
    : secret_(std::move(secret)), info_(std::move(info)), nonce_(random_bytes(kNonceBytes)) {}

std::optional<Bytes> ListenerHandshake::on_hello(ConstBytes payload) {
  if (payload.size() < kNonceBytes || !expected_.empty()) return std::nullopt;  // one hello only
  const ConstBytes nonce = payload.first(kNonceBytes);
  const ConstBytes encoded = payload.subspan(kNonceBytes);
  std::optional<Hello> hello = Hello::decode(encoded);
  if (!hello) return std::nullopt;
  hello_ = *std::move(hello);
  expected_ = mac(secret_, kDialer, nonce, nonce_, encoded, info_);
  const Bytes ours = mac(secret_, kListener, nonce, nonce_, encoded, info_);
  return WireWriter().raw(nonce_).blob(info_).raw(ours).take();
}

bool ListenerHandshake::on_proof(ConstBytes payload) const {
  return !expected_.empty() && equal_in_constant_time(payload, expected_);
}

}  // namespace paceline::bootstrap
