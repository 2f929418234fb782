// Every algorithm proven for many sizes: the fast tier. verify_full_test.cpp leaves nothing out.
#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

TEST(Verify, AllAlgorithmsUpTo64) {
  Stopwatch stopwatch;
  for (const Case& what : kCases) {
    for (int size = 1; size <= 64; ++size) {
      const Extent extent = size <= 6    ? Extent::every
                            : size <= 16 ? Extent::sampled
                                         : Extent::rotated;
      prove_all(what, size, extent, static_cast<std::uint64_t>(size), stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// Ring and direct, whose steps grow with the square of the ranks, only to 255, in two instances on
// one scratch (which they do not need two of), and in the wirings that differ most.
TEST(Verify, ChosenSizesTo1024) {
  Stopwatch stopwatch;
  for (const int size : {100, 128, 255, 256, 511, 1000, 1024}) {
    for (const Case& what : {kDoubling, kBinomial, kBarrier}) {
      prove_all(what, size, size > 256 ? Extent::rotated : Extent::sampled,
                static_cast<std::uint64_t>(size), stopwatch);
      ASSERT_FALSE(HasFailure());
    }
    if (size > 255) continue;
    for (const Case& what : {kRing, kDirect}) {
      for (const Wiring wiring : {Wiring::mapped, Wiring::arbitrary}) {
        if (size > 128 && wiring == Wiring::mapped) continue;
        const auto count = static_cast<std::uint64_t>(size) * 1000 + 1;
        expect_proven({.what = what,
                       .shape = {.size = size, .count = count},
                       .in_place = true,
                       .wiring = wiring,
                       .instances = 2,
                       .scratches = 1});
        stopwatch.count();
      }
    }
    ASSERT_FALSE(HasFailure());
  }
}

// Why a lane has two scratches: with one, a rank writes its next instance over what its partner has
// yet to read. The other algorithms do not need the second.
TEST(Verify, OnlyRecursiveDoublingNeedsTwoScratches) {
  for (const int size : {2, 3, 4, 7, 8}) {
    Proof proof{.shape = {.size = size, .count = 100}, .instances = 3, .scratches = 1};
    for (const Case& what : {kRing, kDirect}) {
      for (const Wiring wiring : kWirings) {
        for (const bool in_place : {false, true}) {
          proof.what = what;
          proof.wiring = wiring;
          proof.in_place = in_place;
          expect_proven(proof);
        }
      }
    }
    proof.what = kDoubling;
    const Verdict verdict = proof.run();
    EXPECT_FALSE(verdict.ok);
    EXPECT_NE(verdict.text.find("race"), std::string::npos) << verdict.text;
  }
}

}  // namespace
}  // namespace paceline::collectives
