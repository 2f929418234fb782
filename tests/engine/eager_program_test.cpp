// What becomes of a schedule that is run by messages: what is combined straight out of the mailbox,
// and what must be copied first.
#include "engine/eager_program.h"

#include <gtest/gtest.h>

#include <functional>

#include "collectives/listed.h"

namespace paceline::engine {
namespace {

using collectives::Buffer;
using collectives::Slice;
using collectives::StepKind;

constexpr Call kSum = {
    Collective::all_reduce, DataType::float32, ReduceOp::sum, Algorithm::ring, 0, 8};
constexpr Slice kInput = {Buffer::input, 0, 8};
constexpr Slice kOutput = {Buffer::output, 0, 8};
constexpr Slice kScratch = {Buffer::scratch, 0, 8};

/// A schedule of rank 0, of the steps that a test gives.
class Steps final : public collectives::Listed {
 public:
  explicit Steps(const std::function<void(Steps&)>& fill) : Listed(0) { fill(*this); }
  using Listed::put;
  using Listed::reduce;
  using Listed::signal;
  using Listed::wait;
};

/// Of the first wait of such a schedule.
std::uint32_t straight(const std::function<void(Steps&)>& fill) {
  const EagerProgram program = compile_eager(Steps(fill), 0, kSum);
  for (const EagerStep& step : program.steps) {
    if (step.kind == StepKind::wait) return step.straight_into;
  }
  ADD_FAILURE() << "no wait";
  return EagerStep::kCopied;
}

TEST(EagerProgram, WhatTheNextStepCombinesIsNotCopied) {
  EXPECT_EQ(straight([](Steps& s) {
              s.put(1, kInput, kScratch);
              s.wait(1, kScratch);
              s.reduce({kInput, kScratch}, kOutput);
            }),
            1u);
  EXPECT_EQ(straight([](Steps& s) {
              s.wait(1, kScratch);
              s.reduce({kScratch, kInput}, kOutput);
              s.wait(1, kScratch);  // filled again
              s.put(1, kScratch, kScratch);
            }),
            0u);
}

TEST(EagerProgram, WhatIsNeededLaterOrInPartIsCopied) {
  const Slice half = {Buffer::scratch, 4, 4};
  const auto expect_copied = [](const std::function<void(Steps&)>& fill) {
    EXPECT_EQ(straight(fill), EagerStep::kCopied);
  };
  expect_copied([](Steps& s) {  // sent on
    s.wait(1, kScratch);
    s.reduce({kInput, kScratch}, kOutput);
    s.put(1, kScratch, kScratch);
  });
  expect_copied([&](Steps& s) {  // a part of it is combined later
    s.wait(1, kScratch);
    s.reduce({kInput, kScratch}, kOutput);
    s.reduce({half}, {Buffer::output, 0, 4});
  });
  expect_copied([&](Steps& s) {  // only a part of it is combined
    s.wait(1, kScratch);
    s.reduce({half}, {Buffer::output, 4, 4});
  });
  expect_copied([](Steps& s) {  // something else comes first
    s.wait(1, kScratch);
    s.signal(1);
    s.reduce({kInput, kScratch}, kOutput);
  });
  expect_copied([](Steps& s) {  // twice
    s.wait(1, kScratch);
    s.reduce({kScratch, kScratch}, kOutput);
  });
  expect_copied([](Steps& s) {  // it is a result
    s.wait(1, kOutput);
    s.reduce({kOutput, kInput}, kOutput);
  });
}

// With each peer the messages of each direction are counted apart.
TEST(EagerProgram, HeadersAreMadeBeforehand) {
  const EagerProgram program = compile_eager(Steps([](Steps& s) {
                                               s.put(1, kInput, kScratch);
                                               s.put(2, kInput, kScratch);
                                               s.signal(1);
                                               s.wait(1, kScratch);
                                             }),
                                             0, kSum);
  const std::pair<std::size_t, std::uint32_t> bytes_and_numbers[] = {
      {32, 0}, {32, 0}, {0, 1}, {32, 0}};
  ASSERT_EQ(program.steps.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto [bytes, number] = bytes_and_numbers[i];
    EXPECT_EQ(program.steps[i].header.of(5),
              Header::make(MessageKind::eager, bytes, number, 5, kSum))
        << "step " << i;
  }
}

}  // namespace
}  // namespace paceline::engine
