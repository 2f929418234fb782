// The verifier catches what is wrong: good schedules with one thing broken.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

/// A step after a later one.
class Delayed final : public Mutation {
 public:
  Delayed(std::unique_ptr<Schedule> good, std::uint64_t delayed, std::uint64_t behind)
      : Mutation(std::move(good)), delayed_(delayed), behind_(behind) {}
  [[nodiscard]] Step step(std::uint64_t i) const override { return good_->step(old(i)); }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    return good_->source(old(i), j);
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    return good_->destination(old(i), j);
  }

 private:
  [[nodiscard]] std::uint64_t old(std::uint64_t i) const {
    if (i < delayed_ || i > behind_) return i;
    return i == behind_ ? delayed_ : i + 1;
  }
  std::uint64_t delayed_;
  std::uint64_t behind_;
};

bool overlap(const Slice& a, const Slice& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}
/// Whether step i of a rank reads some of a slice of its own, where nothing is mapped.
bool reads(const Schedule& schedule, std::uint64_t i, const Slice& slice) {
  const Step step = schedule.step(i);
  if (step.kind == StepKind::put) return overlap(step.source, slice);
  if (step.kind != StepKind::reduce) return false;
  for (int j = 0; j < step.sources; ++j) {
    const Operand operand = schedule.source(i, j);
    const bool remote = operand.fallback.length > 0;
    if (overlap(remote ? operand.fallback : operand.slice, slice)) return true;
  }
  return false;
}
/// What comes in is where it belongs, and nobody else gets it from there.
bool passes_nothing_on(const Case& what) {
  return what.algorithm == Algorithm::direct &&
         (what.collective == Collective::all_gather || what.collective == Collective::all_to_all ||
          what.collective == Collective::gather);
}

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

/// Breaks the schedules of `proof`; the verdict's text must contain `expected`.
void expect_caught(const Proof& proof, const Mutate& mutate, const std::string& expected) {
  const Verdict verdict = proof.run_with(mutate);
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

/// Whether a reduce stores anything where it need not be mapped.
bool stores_here(const Schedule& schedule, std::uint64_t i, int rank) {
  const int destinations = schedule.step(i).destinations;
  for (int j = 0; j < destinations; ++j) {
    if (schedule.destination(i, j).owner == rank) return true;
  }
  return false;
}

constexpr Shape kFour = {.size = 4, .count = 400};

// Whatever step is left out of any algorithm, on any rank: it is not correct without.
TEST(Mutations, NoStepOfAnyAlgorithmIsSuperfluous) {
  for (const Case& what : kCases) {
    for (const int size : {2, 3, 4, 5}) {
      for (const Wiring wiring : {Wiring::mapped, Wiring::puttable, Wiring::kept}) {
        Shape shape{.size = size, .count = 1000};  // no chunk is empty
        if (what.collective == Collective::barrier) shape.count = 0;
        for (int broken = 0; broken < size; ++broken) {
          const auto good = schedule_of(what, shape, broken);
          for (std::uint64_t i = 0; i < good->steps(); ++i) {
            const Step step = good->step(i);
            const StepKind kind = step.kind;
            // Some steps are there for some wirings only, and nothing else is to be shown of those
            // in which something is kept.
            const auto reach = reach_function(wiring, false, false, 2, 1, nullptr);
            if (step.peer >= 0 && !takes_place(step, reach(broken, step.peer, 0))) continue;
            if (wiring == Wiring::kept && step.only == Only::always) continue;
            // A flush only matters in place, and a barrier has nothing to flush or reduce.
            if (kind == StepKind::flush) continue;
            if (shape.count == 0 && kind == StepKind::reduce) continue;
            // Where it stores nothing, the puts behind it do all.
            if (kind == StepKind::reduce && wiring == Wiring::puttable &&
                !stores_here(*good, i, broken)) {
              continue;
            }
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
  for (const Case& what : kCases) {
    if (!reduces(what.collective)) continue;
    // The first operand twice, instead of the first and the second.
    expect_caught(
        {.what = what, .shape = kFour},
        [](int, std::unique_ptr<Schedule> good) {
          class Twice final : public Mutation {
           public:
            using Mutation::Mutation;
            [[nodiscard]] Operand source(std::uint64_t i, int) const override {
              return good_->source(i, 0);
            }
          };
          return std::make_unique<Twice>(std::move(good));
        },
        "exactly once");
  }
}

// All blocks taken for the first one.
TEST(Mutations, BlocksThatAreMixedUp) {
  for (const Case& what : kCases) {
    const Blocks blocks = blocks_of(what.collective, kFour, kFour.root);
    if (reduces(what.collective) || std::max(blocks.input, blocks.output) == 1) continue;
    class First final : public Mutation {
     public:
      using Mutation::Mutation;
      [[nodiscard]] Step step(std::uint64_t i) const override {
        Step step = good_->step(i);
        step.source = first(step.source);
        step.target = first(step.target);
        return step;
      }
      [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
        Operand operand = good_->source(i, j);
        operand.slice = first(operand.slice);
        return operand;
      }
      [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
        Operand operand = good_->destination(i, j);
        operand.slice = first(operand.slice);
        return operand;
      }

     private:
      static Slice first(Slice slice) {
        if (slice.buffer != Buffer::scratch) slice.offset = 0;
        return slice;
      }
    };
    expect_caught(
        {.what = what, .shape = kFour},
        [](int, std::unique_ptr<Schedule> good) {
          return std::make_unique<First>(std::move(good));
        },
        "rank ");
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
  for (const Case& what : kCases) {
    const Shape shape{.size = 4, .count = 64};
    // Where every rank has scratch to lack, or one at least.
    std::uint64_t scratch = 0;
    for (int rank = 0; rank < shape.size; ++rank) {
      scratch += schedule_of(what, shape, rank)->scratch();
    }
    if (scratch == 0 || what.collective == Collective::barrier) continue;
    class Less final : public Mutation {
     public:
      using Mutation::Mutation;
      [[nodiscard]] std::uint64_t scratch() const override {
        return good_->scratch() == 0 ? 0 : good_->scratch() - 1;
      }
    };
    expect_caught(
        {.what = what, .shape = shape},
        [](int, std::unique_ptr<Schedule> good) { return std::make_unique<Less>(std::move(good)); },
        "out of bounds: there are");
  }
}

/// Without any signal, and without the waits for them.
class Unacknowledged final : public Mutation {
 public:
  explicit Unacknowledged(std::unique_ptr<Schedule> good) : Mutation(std::move(good)) {
    for (std::uint64_t i = 0; i < good_->steps(); ++i) {
      const Step step = good_->step(i);
      const bool bare =
          step.kind == StepKind::signal || (step.kind == StepKind::wait && step.target.length == 0);
      if (!bare) kept_.push_back(i);
    }
  }
  [[nodiscard]] bool lacks_any() const { return kept_.size() < good_->steps(); }
  [[nodiscard]] std::uint64_t steps() const override { return kept_.size(); }
  [[nodiscard]] Step step(std::uint64_t i) const override { return good_->step(kept_[i]); }
  [[nodiscard]] Operand source(std::uint64_t i, int j) const override {
    return good_->source(kept_[i], j);
  }
  [[nodiscard]] Operand destination(std::uint64_t i, int j) const override {
    return good_->destination(kept_[i], j);
  }

 private:
  std::vector<std::uint64_t> kept_;
};

// Acknowledgements and credits are there because some wiring needs them.
TEST(Mutations, NoSignalsAtAll) {
  for (const Case& what : kCases) {
    if (what.collective == Collective::barrier) continue;  // it moves nothing: all are bare
    for (const int size : {2, 4, 7}) {
      const Shape shape{.size = size, .count = 1000};
      bool any = false;
      bool caught = false;
      for (const Wiring wiring : kWirings) {
        const Proof proof{.what = what, .shape = shape, .wiring = wiring, .instances = 4};
        const Verdict verdict = proof.run_with([&](int, std::unique_ptr<Schedule> good) {
          auto without = std::make_unique<Unacknowledged>(std::move(good));
          any = any || without->lacks_any();
          return without;
        });
        caught = caught || !verdict.ok;
      }
      EXPECT_EQ(caught, any) << what.name << " size " << size;
    }
  }
}

// Every wait for data, moved behind the first step that reads what it waits for.
TEST(Mutations, AWaitThatComesTooLate) {
  const Shape shape{.size = 4, .count = 1000};
  for (const Case& what : kCases) {
    if (what.collective == Collective::barrier) continue;
    bool tried = false;
    for (int broken = 0; broken < shape.size; ++broken) {
      const auto good = schedule_of(what, shape, broken);
      for (std::uint64_t i = 0; i < good->steps(); ++i) {
        const Step wait = good->step(i);
        if (wait.kind != StepKind::wait || wait.target.length == 0) continue;
        std::uint64_t reader = i + 1;
        while (reader < good->steps() && !reads(*good, reader, wait.target)) ++reader;
        if (reader == good->steps()) continue;
        tried = true;
        expect_caught(
            {.what = what, .shape = shape, .wiring = Wiring::puttable},
            [&](int rank, std::unique_ptr<Schedule> whole) -> std::unique_ptr<Schedule> {
              if (rank != broken) return whole;
              return std::make_unique<Delayed>(std::move(whole), i, reader);
            },
            "rank ");
      }
    }
    EXPECT_EQ(tried, !passes_nothing_on(what)) << what.name;
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
