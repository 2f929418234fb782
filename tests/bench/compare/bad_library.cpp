// A library that gets the last element wrong; compiled with PACELINE_TEST_HANGS=true, one whose
// calls of 1 KiB or more never return. For one rank.
#include <unistd.h>

#include "compare/method.h"

namespace {

using paceline::compare::Arguments;
using paceline::compare::Call;

class Bad final : public paceline::compare::Library {
 public:
  // With one rank, a sum is what went in.
  void call(const Call& c) override {
    constexpr std::size_t kHangs = 256;
    while (PACELINE_TEST_HANGS && c.count >= kHangs) ::pause();
    std::memcpy(c.out, c.in, c.count * sizeof(float));
    if (!PACELINE_TEST_HANGS) c.out[c.count - 1] += 1;
  }
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(
      argc, argv, [](const Arguments&, int) { return std::make_unique<Bad>(); });
}
