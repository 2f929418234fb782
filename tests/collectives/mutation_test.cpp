// The verifier catches what is wrong: good schedules with one thing broken.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "collectives/variants.h"

namespace paceline::collectives {
namespace {

/// A schedule as it is, for mutations to override.
class Mutation : public Schedule {
 public:
  explicit Mutation(std::unique_ptr<Schedule> good) : good_(std::move(good)) {}
  [[nodiscard]] std::uint64_t steps() const override { return good_->steps(); }
  [[nodiscard]] Step step(std::uint64_t i) const override { return good_->step(i); }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    return good_->source(i, j);
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    return good_->destination(i, j);
  }
  [[nodiscard]] std::uint64_t scratch() const override { return good_->scratch(); }

 protected:
  std::unique_ptr<Schedule> good_;
};

/// Without one step.
class Dropped final : public Mutation {
 public:
  Dropped(std::unique_ptr<Schedule> good, std::uint64_t dropped)
      : Mutation(std::move(good)), dropped_(dropped) {}
  [[nodiscard]] std::uint64_t steps() const override { return good_->steps() - 1; }
  [[nodiscard]] Step step(std::uint64_t i) const override { return good_->step(old(i)); }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    return good_->source(old(i), j);
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    return good_->destination(old(i), j);
  }

 private:
  [[nodiscard]] std::uint64_t old(std::uint64_t i) const { return i < dropped_ ? i : i + 1; }
  std::uint64_t dropped_;
};

/// Steps changed one by one.
class Changed final : public Mutation {
 public:
  using Change = std::function<void(std::uint64_t, Step&)>;
  Changed(std::unique_ptr<Schedule> good, Change change)
      : Mutation(std::move(good)), change_(std::move(change)) {}
  [[nodiscard]] Step step(std::uint64_t i) const override {
    Step step = good_->step(i);
    change_(i, step);
    return step;
  }

 private:
  Change change_;
};

/// Two steps in the other order.
class Swapped final : public Mutation {
 public:
  Swapped(std::unique_ptr<Schedule> good, std::uint64_t a, std::uint64_t b)
      : Mutation(std::move(good)), a_(a), b_(b) {}
  [[nodiscard]] Step step(std::uint64_t i) const override { return good_->step(old(i)); }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    return good_->source(old(i), j);
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    return good_->destination(old(i), j);
  }

 private:
  [[nodiscard]] std::uint64_t old(std::uint64_t i) const { return i == a_ ? b_ : i == b_ ? a_ : i; }
  std::uint64_t a_;
  std::uint64_t b_;
};

class LessScratch final : public Mutation {
 public:
  using Mutation::Mutation;
  [[nodiscard]] std::uint64_t scratch() const override { return good_->scratch() - 1; }
};

/// A ring that has one slot instead of one per turn.
class OneSlot final : public Mutation {
 public:
  using Mutation::Mutation;
  [[nodiscard]] Step step(std::uint64_t i) const override {
    Step step = good_->step(i);
    to_first(step.source);
    to_first(step.target);
    return step;
  }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    Operand operand = good_->source(i, j);
    to_first(operand.slice);
    return operand;
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    Operand operand = good_->destination(i, j);
    to_first(operand.slice);
    return operand;
  }

 private:
  static void to_first(Slice& slice) {
    if (slice.buffer == Buffer::scratch) slice.offset = 0;
  }
};

using Mutate = std::function<std::unique_ptr<Schedule>(int rank, std::unique_ptr<Schedule> good)>;

/// Breaks the schedules of `proof`; the verdict's text must contain `expected`.
void expect_caught(const Proof& proof, const Mutate& mutate, const std::string& expected) {
  const Verdict verdict = verify(
      proof.shape,
      [&](int rank) {
        return mutate(
            rank, make_schedule(proof.what.collective, proof.what.algorithm, proof.shape, rank));
      },
      {.collective = proof.what.collective,
       .in_place = proof.in_place,
       .instances = proof.instances,
       .scratches = proof.scratches,
       .reach = reach_function(proof.wiring, proof.in_place, proof.seed),
       .seed = proof.seed});
  EXPECT_FALSE(verdict.ok) << proof;
  EXPECT_NE(verdict.text.find(expected), std::string::npos)
      << "instead of \"" << expected << "\": " << verdict.text;
}

/// Only rank 1 is broken.
Mutate of_rank_1(const std::function<std::unique_ptr<Schedule>(std::unique_ptr<Schedule>)>& make) {
  return [=](int rank, std::unique_ptr<Schedule> good) {
    return rank == 1 ? make(std::move(good)) : std::move(good);
  };
}
Mutate changing(const Changed::Change& change) {
  return of_rank_1([=](std::unique_ptr<Schedule> good) {
    return std::make_unique<Changed>(std::move(good), change);
  });
}

constexpr Shape kFour = {.size = 4, .count = 400};

// Whatever step is left out of any algorithm, on any rank: it is not correct without.
TEST(Mutations, NoStepOfAnyAlgorithmIsSuperfluous) {
  for (const Case& what : kCases) {
    for (const int size : {2, 3, 4, 5}) {
      for (const Wiring wiring : {Wiring::mapped, Wiring::puttable}) {
        Shape shape{.size = size, .count = 1000};  // no chunk is empty
        if (what.collective == Collective::barrier) shape.count = 0;
        for (int broken = 0; broken < size; ++broken) {
          const auto good = make_schedule(what.collective, what.algorithm, shape, broken);
          for (std::uint64_t i = 0; i < good->steps(); ++i) {
            const StepKind kind = good->step(i).kind;
            // A flush only matters in place, and a barrier has nothing to flush or reduce.
            if (kind == StepKind::flush) continue;
            if (shape.count == 0 && kind == StepKind::reduce) continue;
            const Proof proof{.what = what, .shape = shape, .wiring = wiring};
            expect_caught(
                proof,
                [&](int rank, std::unique_ptr<Schedule> whole) -> std::unique_ptr<Schedule> {
                  if (rank != broken) return whole;
                  return std::make_unique<Dropped>(std::move(whole), i);
                },
                "rank ");
          }
        }
      }
    }
  }
}

TEST(Mutations, ADeliberatelyBrokenRing) {
  expect_caught(
      {.what = kRing, .shape = kFour},
      [](int, std::unique_ptr<Schedule> good) {
        return std::make_unique<OneSlot>(std::move(good));
      },
      "race");
}

TEST(Mutations, ADoubledContribution) {
  for (const Case& what : {kRing, kDoubling, kDirect}) {
    // The first operand twice, instead of the first and the second.
    expect_caught({.what = what, .shape = kFour}, of_rank_1([](std::unique_ptr<Schedule> good) {
                    class Twice final : public Mutation {
                     public:
                      using Mutation::Mutation;
                      [[nodiscard]] Operand source(std::uint64_t i, int) const override {
                        return good_->source(i, 0);
                      }
                    };
                    return std::make_unique<Twice>(std::move(good));
                  }),
                  "exactly once");
  }
}

TEST(Mutations, AMissingWait) {
  // Rank 1 never waits for what the other wants to say, and reduces what may not be there yet.
  expect_caught({.what = kDoubling, .shape = {.size = 2, .count = 8}},
                of_rank_1([](std::unique_ptr<Schedule> good) {
                  return std::make_unique<Dropped>(std::move(good), 1);
                }),
                "scratch [0, 8) of rank 1");
  expect_caught({.what = kDirect, .shape = {.size = 2, .count = 8, .alignment = 1}, .instances = 1},
                of_rank_1([](std::unique_ptr<Schedule> good) {
                  return std::make_unique<Dropped>(std::move(good), 1);
                }),
                "race with the write by the beginning of instance 0 of rank 0");
}

TEST(Mutations, ACycle) {
  expect_caught(
      {.what = kDoubling, .shape = {.size = 4, .count = 8}},
      [](int, std::unique_ptr<Schedule> good) {
        return std::make_unique<Swapped>(std::move(good), 0, 1);
      },
      "deadlock");
}

TEST(Mutations, AScratchOverrun) {
  for (const Case& what : {kRing, kDoubling, kDirect}) {
    expect_caught({.what = what, .shape = {.size = 4, .count = 64}},
                  of_rank_1([](std::unique_ptr<Schedule> good) {
                    return std::make_unique<LessScratch>(std::move(good));
                  }),
                  "out of bounds: there are");
  }
}

TEST(Mutations, AWaitThatNamesAnotherSlice) {
  for (const Case& what : {kRing, kDirect}) {
    expect_caught({.what = what, .shape = kFour}, changing([](std::uint64_t, Step& step) {
                    const bool scratch = step.target.buffer == Buffer::scratch;
                    if (step.kind == StepKind::wait && scratch) {
                      step.target.offset = step.target.offset == 0 ? 112 : 0;
                    }
                  }),
                  "instead");
  }
}

TEST(Mutations, APutOfTheWrongChunk) {
  expect_caught({.what = kRing, .shape = kFour}, changing([](std::uint64_t i, Step& step) {
                  if (i == 0) step.source.offset = 112;
                }),
                "exactly once");
}

// Slices that share no boundaries with the others: the cuts are carried over.
TEST(Mutations, APutOfAShiftedSlice) {
  expect_caught({.what = kRing, .shape = {.size = 4, .count = 448}},
                changing([](std::uint64_t i, Step& step) {
                  if (i == 0) step.source.offset += 5;
                }),
                "exactly once");
}

TEST(Mutations, OperandsOfDifferentLengths) {
  expect_caught({.what = kRing, .shape = kFour}, changing([](std::uint64_t i, Step& step) {
                  if (i == 0) --step.source.length;
                }),
                "differ in length");
}

TEST(Mutations, AnElidablePutOfWhatNobodyStored) {
  // A put of the ring that claims that a reduce has stored its data already.
  expect_caught({.what = kRing, .shape = kFour}, changing([](std::uint64_t, Step& step) {
                  if (step.target.buffer == Buffer::output) step.elidable = true;
                }),
                "never written");
  // A reduce that does not store what the elidable puts of direct count on.
  expect_caught({.what = kDirect, .shape = kFour}, changing([](std::uint64_t, Step& step) {
                  if (step.kind == StepKind::reduce) step.destinations = 2;
                }),
                "never written");
}

TEST(Mutations, AWriteIntoAnInput) {
  expect_caught({.what = kRing, .shape = kFour}, changing([](std::uint64_t i, Step& step) {
                  if (i == 0) step.target.buffer = Buffer::input;
                }),
                "writes into the input");
}

TEST(Mutations, RanksThatDoNotExist) {
  for (const int peer : {-1, 1, 4}) {
    expect_caught({.what = kRing, .shape = kFour}, changing([=](std::uint64_t i, Step& step) {
                    if (i == 0) step.peer = peer;
                  }),
                  peer == 1 ? "is not a peer" : "does not exist");
  }
}

// In place it reads what it has just written, or not, depending on the direction it goes.
TEST(Mutations, AReduceOntoAShiftedSource) {
  class Shifted final : public Mutation {
   public:
    using Mutation::Mutation;
    [[nodiscard]] Operand source(std::uint64_t, int) const override {
      return {0, {Buffer::input, 0, 440}, {}};
    }
    [[nodiscard]] Operand destination(std::uint64_t, int) const override {
      return {0, {Buffer::output, 8, 440}, {}};
    }
  };
  expect_caught(
      {.what = kRing, .shape = {.size = 1, .count = 448}, .in_place = true},
      [](int, std::unique_ptr<Schedule> good) {
        return std::make_unique<Shifted>(std::move(good));
      },
      "overlap without being the same");
}

// Without its flush, recursive doubling would write over an input that is still on its way, in
// place; out of place that is no harm.
TEST(Mutations, AMissingFlushInPlace) {
  const Mutate without = [](int, std::unique_ptr<Schedule> good) {
    return std::make_unique<Dropped>(std::move(good), good->steps() - 2);
  };
  for (const int size : {2, 4, 8}) {
    Proof proof{.what = kDoubling, .shape = {.size = size, .count = 8}, .in_place = true};
    expect_caught(proof, without, "race with the read by the put under way");
  }
}

// A barrier that some may leave too early: the last round is missing on all ranks.
TEST(Mutations, ABarrierWithoutItsLastRound) {
  expect_caught(
      {.what = kBarrier, .shape = {.size = 4, .count = 0}},
      [](int, std::unique_ptr<Schedule> good) {
        class Shorter final : public Mutation {
         public:
          using Mutation::Mutation;
          [[nodiscard]] std::uint64_t steps() const override { return 3; }
        };
        return std::make_unique<Shorter>(std::move(good));
      },
      "leaves the barrier before");
}

// A broadcast without acknowledgements lets the parent put into a shadow that is being copied.
TEST(Mutations, ABroadcastWithoutAcknowledgements) {
  // Step 1 is the parent's wait for it and the child's signal.
  const Mutate without = [](int, std::unique_ptr<Schedule> good) {
    return std::make_unique<Dropped>(std::move(good), 1);
  };
  Proof proof{.what = kBinomial, .shape = {.size = 2, .count = 8}};
  proof.wiring = Wiring::staged_on_wire;
  expect_caught(proof, without, "writes shadow of output [0, 8) of rank 1 in a race");
}

TEST(Mutations, NoScheduleAtAll) {
  expect_caught(
      {.what = kRing, .shape = kFour}, [](int, std::unique_ptr<Schedule>) { return nullptr; },
      "has no schedule");
}

}  // namespace
}  // namespace paceline::collectives
