// Both ends of an edge lower for themselves; here all combinations of reach show that they agree.
#include "collectives/lowering.h"

#include <gtest/gtest.h>

#include <functional>

namespace paceline::collectives {
namespace {

constexpr Reach kReaches[] = {Reach::mapped, Reach::puttable, Reach::staged, Reach::fetched,
                              Reach::pulled};
constexpr Buffer kBuffers[] = {Buffer::input, Buffer::output, Buffer::scratch};

/// All edges that there can be; scratch is never staged, fetched or pulled.
void for_all_edges(const std::function<void(const EdgeReach&)>& visit) {
  for (const Reach a : kReaches) {
    for (const Reach b : kReaches) {
      for (const Reach c : kReaches) {
        for (const Reach d : kReaches) {
          for (const Reach e : {Reach::mapped, Reach::puttable}) {
            for (const Reach f : {Reach::mapped, Reach::puttable}) {
              visit({a, b, e, c, d, f, 5, false, false});
            }
          }
        }
      }
    }
  }
}

Step put(Buffer source, Buffer target, bool elidable, std::uint64_t length = 8) {
  return {.kind = StepKind::put,
          .peer = 1,
          .source = {source, 0, length},
          .target = {target, 16, length},
          .elidable = elidable};
}
Step wait_for(const Step& put) {
  return {.kind = StepKind::wait, .peer = 0, .target = put.target};
}
Operand operand(Buffer buffer) {
  return {.owner = 1, .slice = {buffer, 0, 8}};
}

TEST(Lowering, MirroringTwiceIsTheSame) {
  for_all_edges([](const EdgeReach& edge) {
    const EdgeReach other = mirrored(edge);
    EXPECT_EQ(other.my_input, edge.peer_input);
    EXPECT_EQ(other.peer_output, edge.my_output);
    EXPECT_EQ(other.my_scratch, edge.peer_scratch);
    const EdgeReach back = mirrored(other);
    EXPECT_EQ(back.my_input, edge.my_input);
    EXPECT_EQ(back.my_output, edge.my_output);
    EXPECT_EQ(back.my_scratch, edge.my_scratch);
    EXPECT_EQ(back.peer_input, edge.peer_input);
    EXPECT_EQ(back.peer_output, edge.peer_output);
    EXPECT_EQ(back.peer_scratch, edge.peer_scratch);
    EXPECT_EQ(other.shortest_fetched, edge.shortest_fetched);
  });
}

TEST(Lowering, WhatGoesIntoTheShadowIsCopiedOrFetchedByWhatItSays) {
  for_all_edges([](const EdgeReach& edge) {
    for (const Buffer source : kBuffers) {
      for (const Buffer target : {Buffer::output, Buffer::scratch}) {
        for (const bool elidable : {false, true}) {
          for (const std::uint64_t length : {0U, 4U, 5U, 8U}) {
            Step step = put(source, target, elidable, length);
            const LoweredWait wait = lower_wait(wait_for(step), mirrored(edge));
            EXPECT_EQ(lower_put(step, edge).into_shadow, wait != LoweredWait::nothing);
            EXPECT_EQ(lower_put(step, edge).by_reference, wait == LoweredWait::fetch);
            step.kind = StepKind::signal;
            EXPECT_EQ(lower_put(step, edge).into_shadow, wait != LoweredWait::nothing);
            EXPECT_FALSE(lower_put(step, edge).carries_data);
          }
        }
      }
    }
  });
}

// Of an exposed slice: the put carries it exactly if the peer's reduce takes its fallback.
TEST(Lowering, ExposedDataTravelsExactlyIfThePeerCannotLoadIt) {
  for_all_edges([](const EdgeReach& edge) {
    for (const Buffer source : kBuffers) {
      EXPECT_EQ(lower_put(put(source, Buffer::scratch, true), edge).carries_data,
                lower_source(operand(source), mirrored(edge)) == LoweredOperand::fallback);
    }
  });
}

// Of a result: it is stored by the reduce or carried by the put, in the place that the peer
// expects.
TEST(Lowering, AResultArrivesOnceAndWhereThePeerLooksForIt) {
  for_all_edges([](const EdgeReach& edge) {
    const LoweredOperand stored = lower_destination(operand(Buffer::output), edge);
    const LoweredPut carried = lower_put(put(Buffer::output, Buffer::output, true), edge);
    EXPECT_EQ(carried.carries_data, stored == LoweredOperand::dropped);
    if (stored == LoweredOperand::direct) {
      EXPECT_FALSE(carried.into_shadow);
    }
    if (stored == LoweredOperand::shadow) {
      EXPECT_TRUE(carried.into_shadow);
    }
  });
}

// What may be kept is kept by one end exactly if the other looks for it there.
TEST(Lowering, WhatIsKeptIsLoadedThere) {
  for_all_edges([](EdgeReach edge) {
    if (edge.my_scratch != Reach::mapped) return;  // nobody could load it
    edge.i_keep = true;
    Step input = put(Buffer::input, Buffer::scratch, true);
    Operand source = operand(Buffer::input);
    input.kept = source.kept = 32;
    const LoweredOperand loaded = lower_source(source, mirrored(edge));
    EXPECT_EQ(lower_put(input, edge).into_kept, loaded == LoweredOperand::kept);
    EXPECT_FALSE(lower_put(input, edge).carries_data);
    EXPECT_NE(loaded, LoweredOperand::fallback);
    EXPECT_TRUE(takes_place({.kind = StepKind::wait, .only = Only::if_input_loaded}, edge));

    Step result = put(Buffer::output, Buffer::output, true);
    Operand stored = operand(Buffer::output);
    Step wait = wait_for(result);
    result.kept = stored.kept = wait.kept = 32;
    const bool kept = lower_destination(stored, edge) == LoweredOperand::kept;
    EXPECT_EQ(lower_wait(wait, mirrored(edge)) == LoweredWait::load, kept);
    EXPECT_EQ(kept, edge.peer_output == Reach::staged);
    if (kept) {
      EXPECT_FALSE(lower_put(result, edge).carries_data);
      EXPECT_FALSE(lower_put(result, edge).into_kept);  // the reduce has stored it
    }
    EXPECT_EQ(takes_place({.kind = StepKind::wait, .only = Only::if_result_loaded}, edge), kept);
  });
}

TEST(Lowering, BothEndsKnowWhichSignalsTakePlace) {
  for_all_edges([](EdgeReach edge) {
    for (const bool i_keep : {false, true}) {
      for (const Only only : {Only::always, Only::if_input_loaded, Only::if_result_loaded}) {
        edge.i_keep = i_keep;
        const bool takes = takes_place({.kind = StepKind::wait, .only = only}, edge);
        EXPECT_EQ(takes_place({.kind = StepKind::signal, .only = only}, mirrored(edge)), takes);
        if (only == Only::always) {
          EXPECT_TRUE(takes);
        }
        if (only == Only::if_result_loaded && !i_keep) {
          EXPECT_FALSE(takes);
        }
      }
    }
  });
}

TEST(Lowering, PutsThatAreNotElidableAlwaysCarryTheirData) {
  for_all_edges([](const EdgeReach& edge) {
    for (const Buffer source : kBuffers) {
      const LoweredPut scratch = lower_put(put(source, Buffer::scratch, false), edge);
      EXPECT_TRUE(scratch.carries_data);
      EXPECT_FALSE(scratch.into_shadow);
      const LoweredPut output = lower_put(put(source, Buffer::output, false), edge);
      EXPECT_TRUE(output.carries_data);
      const bool by_reference =
          edge.peer_output == Reach::fetched || edge.peer_output == Reach::pulled;
      EXPECT_EQ(output.into_shadow, edge.peer_output == Reach::staged || by_reference);
      EXPECT_EQ(output.by_reference, by_reference);
    }
  });
}

TEST(Lowering, FollowsTheTable) {
  EdgeReach edge;  // everything staged, scratch puttable
  const Step result = put(Buffer::output, Buffer::output, true);
  EXPECT_EQ(lower_destination(operand(Buffer::output), edge), LoweredOperand::dropped);
  EXPECT_TRUE(lower_put(result, edge).carries_data);
  edge.peer_scratch = Reach::mapped;
  EXPECT_EQ(lower_destination(operand(Buffer::output), edge), LoweredOperand::shadow);
  EXPECT_FALSE(lower_put(result, edge).carries_data);
  edge.peer_output = Reach::fetched;  // from where the result lies, unless it is short
  EXPECT_EQ(lower_destination(operand(Buffer::output), edge), LoweredOperand::dropped);
  EXPECT_TRUE(lower_put(result, edge).by_reference);
  edge.shortest_fetched = result.target.length + 1;
  EXPECT_TRUE(lower_put(result, edge).carries_data);
  EXPECT_TRUE(lower_put(result, edge).into_shadow);
  EXPECT_FALSE(lower_put(result, edge).by_reference);
  edge.peer_output = Reach::puttable;  // straight into the output rather than by the shadow
  EXPECT_EQ(lower_destination(operand(Buffer::output), edge), LoweredOperand::dropped);
  EXPECT_TRUE(lower_put(result, edge).carries_data);
  EXPECT_FALSE(lower_put(result, edge).into_shadow);
  edge.peer_output = Reach::mapped;
  EXPECT_EQ(lower_destination(operand(Buffer::output), edge), LoweredOperand::direct);
  EXPECT_FALSE(lower_put(result, edge).carries_data);
}

}  // namespace
}  // namespace paceline::collectives
