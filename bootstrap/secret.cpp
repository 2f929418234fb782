#include "bootstrap/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "paceline/error.h"

namespace paceline::bootstrap {

Bytes random_bytes(std::size_t count) {
  Bytes result(count);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(result.data()), static_cast<int>(count)) != 1) {
    throw Error(ErrorCode::internal, "OpenSSL has no random bytes to give");
  }
  return result;
}

Bytes hmac(const std::string& secret, ConstBytes message) {
  Bytes result(kMacBytes);
  unsigned int length = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(),
           reinterpret_cast<unsigned char*>(result.data()), &length) == nullptr ||
      length != kMacBytes) {
    throw Error(ErrorCode::internal, "OpenSSL cannot compute HMAC-SHA256 here");
  }
  return result;
}

bool equal_in_constant_time(ConstBytes a, ConstBytes b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hex(ConstBytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (const std::byte b : bytes) {
    result += kDigits[std::to_integer<unsigned>(b) >> 4];
    result += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return result;
}

}  // namespace paceline::bootstrap
