// The cryptography: random bytes, HMAC-SHA256, and a comparison that takes the same time always.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/wire.h"

namespace paceline::bootstrap {

inline constexpr std::size_t kMacBytes = 32;    // SHA-256
inline constexpr std::size_t kNonceBytes = 32;  // as many: no nonce ever comes twice
/// A fresh secret: as strong as the MAC it keys.
inline constexpr std::size_t kSecretBytes = 32;

Bytes random_bytes(std::size_t count);
Bytes hmac(const std::string& secret, ConstBytes message);
bool equal_in_constant_time(ConstBytes a, ConstBytes b);
std::string hex(ConstBytes bytes);

}  // namespace paceline::bootstrap
