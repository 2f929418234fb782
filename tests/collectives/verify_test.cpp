// Every algorithm proven for many sizes: the fast tier. verify_full_test.cpp leaves nothing out.
#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

// Sanitizers look at the verifier, not at the schedules: a tenth of the speed, and fewer sizes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kMost = 12;
constexpr int kChosen[] = {100};
#else
constexpr int kMost = 64;
constexpr int kChosen[] = {100, 128, 255, 256, 511, 1000, 1024};
#endif

TEST(Verify, AllAlgorithmsUpTo64) {
  Stopwatch stopwatch;
  for (const Case& what : kCases) {
    for (int size = 1; size <= kMost; ++size) {
      const Extent extent = size <= 6    ? Extent::every
                            : size <= 16 ? Extent::sampled
                                         : Extent::rotated;
      prove_all(what, size, extent, static_cast<std::uint64_t>(size), stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// All pairs, and blocks that go around: steps that grow with the square of the ranks.
bool is_square(const Case& what) {
  switch (what.algorithm) {
    case Algorithm::automatic:
    case Algorithm::recursive_doubling:
    case Algorithm::halving_doubling:
    case Algorithm::tree:
    case Algorithm::binomial:
      return false;
    case Algorithm::direct:
      return what.collective != Collective::broadcast && what.collective != Collective::gather &&
             what.collective != Collective::scatter;
    case Algorithm::ring:
    case Algorithm::one_shot:
    case Algorithm::bruck:
    case Algorithm::scatter_all_gather:
    case Algorithm::hierarchical:
      return true;
  }
  return true;
}

TEST(Verify, LogarithmicAlgorithmsTo1024) {
  Stopwatch stopwatch;
  for (const int size : kChosen) {
    for (const Case& what : kCases) {
      if (is_square(what)) continue;
      prove_all(what, size, size > 128 ? Extent::rotated : Extent::sampled,
                static_cast<std::uint64_t>(size), stopwatch);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// In two instances, on one scratch where an algorithm does not need two of them, so that the second
// instance does meet the first one's, and in the wirings that differ most.
TEST(Verify, SquareAlgorithmsAtChosenSizes) {
  Stopwatch stopwatch;
  for (const Case& what : kCases) {
    if (!is_square(what)) continue;
    const bool original = what.name == kRing.name || what.name == kDirect.name;
    for (const int size : kChosen) {
      if (size > (original ? 255 : 100)) continue;
      for (const Wiring wiring : {Wiring::mapped, Wiring::arbitrary}) {
        if (size > 128 && wiring == Wiring::mapped) continue;
        expect_proven({.what = what,
                       .shape = {.size = size,
                                 .count = static_cast<std::uint64_t>(size) * 1000 + 1,
                                 .root = size / 3},
                       .in_place = can_be_in_place(what.collective),
                       .wiring = wiring,
                       .instances = original ? 2 : 3,
                       .scratches = original ? 1 : 2});
        stopwatch.count();
      }
    }
    ASSERT_FALSE(HasFailure());
  }
}

// Why a lane has two scratches: with one, a rank writes its next instance over what its partner has
// yet to read. The other algorithms do not need the second.
TEST(Verify, WhoNeedsTwoScratches) {
  const auto needs_two = [](const Case& what) {
    for (const Case& one :
         {kDoubling, kOneShot, kRingReduceScatter, kRingAllGather, kDirectAllGather,
          kHierarchicalAllGather, kDirectAllToAll, kBruckAllGather, kBruckAllToAll, kBinomialReduce,
          kBinomialGather, kBinomialScatter}) {
      if (what.name == one.name) return true;
    }
    return false;
  };
  for (const Case& what : kCases) {
    if (what.collective == Collective::barrier) continue;  // it moves nothing
    bool proven = true;
    for (const int size : {2, 3, 4, 7, 8}) {
      for (const Wiring wiring : kWirings) {
        for (const bool in_place : {false, true}) {
          if (in_place && !can_be_in_place(what.collective)) continue;
          Proof proof{.what = what,
                      .shape = {.size = size, .count = 100, .root = size / 2},
                      .in_place = in_place,
                      .wiring = wiring,
                      .instances = 3,
                      .scratches = 1};
          const Verdict verdict = proof.run();
          proven = proven && verdict.ok;
          if (!verdict.ok) {
            EXPECT_TRUE(needs_two(what)) << proof << "\n" << verdict.text;
            EXPECT_NE(verdict.text.find("race"), std::string::npos) << verdict.text;
          }
        }
      }
    }
    EXPECT_EQ(proven, !needs_two(what)) << what.name;
  }
}

}  // namespace
}  // namespace paceline::collectives
