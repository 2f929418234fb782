#include "base/caches.h"

#include <unistd.h>

#include <fstream>

namespace paceline {

namespace {

/// Indices that the kernel numbers: three levels, of which the first has two caches.
constexpr int kMostCaches = 8;
/// If the machine does not tell.
constexpr std::size_t kUsualSecondCache = 1024 * 1024;

std::string first_word(const std::string& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

/// "1024K", "32M"; 0 for anything else.
std::size_t size_of(const std::string& text) {
  std::size_t value = 0;
  std::size_t i = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    value = value * 10 + static_cast<std::size_t>(text[i] - '0');
  }
  if (i + 1 != text.size()) return i == text.size() ? value : 0;
  return text[i] == 'K' ? value << 10 : text[i] == 'M' ? value << 20 : 0;
}

std::size_t ask_c_library(int name) {
  const long bytes = ::sysconf(name);
  return bytes <= 0 ? 0 : static_cast<std::size_t>(bytes);
}

}  // namespace

Caches read_caches(const std::string& folder) {
  Caches found;
  int last_level = 0;
  for (int i = 0; i < kMostCaches; ++i) {
    const std::string cache = folder + "/index" + std::to_string(i);
    if (first_word(cache + "/type") == "Instruction") continue;
    const std::string level = first_word(cache + "/level");
    const std::size_t size = size_of(first_word(cache + "/size"));
    if (level.size() != 1 || size == 0) continue;
    if (level == "2") found.second = size;
    if (level[0] - '0' > last_level) {
      last_level = level[0] - '0';
      found.last = size;
    }
  }
  if (found.second == 0) found.second = ask_c_library(_SC_LEVEL2_CACHE_SIZE);
  if (found.second == 0) found.second = kUsualSecondCache;
  if (last_level == 0) found.last = ask_c_library(_SC_LEVEL3_CACHE_SIZE);
  return found;
}

const Caches& caches() {
  static const Caches found = read_caches("/sys/devices/system/cpu/cpu0/cache");
  return found;
}

}  // namespace paceline
