// memory::reduce against a plain loop, bit by bit, on every instruction set this machine has.
#include "memory/reduce.h"

#include <gtest/gtest.h>

#include "memory/reduce_targets.h"
//
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "paceline/error.h"

namespace paceline::memory {
namespace {

constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max};

// --- what is right ---------------------------------------------------------------------------

template <class T>
T combine(ReduceOp op, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    if (op == ReduceOp::sum) return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    if (op == ReduceOp::prod) return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
  } else {
    if (op == ReduceOp::sum) return a + b;
    if (op == ReduceOp::prod) return a * b;
    if (std::isnan(a)) return a;
    if (std::isnan(b)) return b;
  }
  if (op == ReduceOp::min) return a < b ? a : b;
  return a > b ? a : b;
}

template <class T>
bool same_bits(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) && std::isnan(b)) return true;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

// --- operands ----------------------------------------------------------------------------------

// Values that are hard on arithmetic come up often; any bits at all otherwise.
template <class T>
T operand(std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  const std::uint64_t bits = random();
  if constexpr (std::is_integral_v<T>) {
    const T special[] = {0, 1, -1, Limits::min(), Limits::max(), 3};
    return bits % 4 == 0 ? special[(bits >> 8) % 6] : static_cast<T>(bits >> 3);
  } else {
    const T special[] = {T{0},
                         -T{0},
                         Limits::infinity(),
                         -Limits::infinity(),
                         Limits::quiet_NaN(),
                         Limits::denorm_min(),
                         -Limits::denorm_min(),
                         Limits::min() / 3,
                         Limits::max(),
                         Limits::lowest()};
    if (bits % 8 == 0) return special[(bits >> 8) % 10];
    return static_cast<T>(static_cast<double>(static_cast<std::int64_t>(bits)) * 1e-18);
  }
}

// `count` elements that start `shift` elements past a 64-byte boundary, between two guards.
template <class T>
class Guarded {
 public:
  Guarded(std::size_t count, std::size_t shift)
      : bytes_(new std::byte[(count + shift) * sizeof(T) + 3 * 64]), count_(count) {
    const auto start = reinterpret_cast<std::uintptr_t>(bytes_.get()) + 64;
    data_ = reinterpret_cast<T*>((start + 63) / 64 * 64) + shift;
    std::memset(data() - 1, kGuard, (count + 2) * sizeof(T));
  }
  T* data() const { return data_; }
  std::byte* raw() const { return reinterpret_cast<std::byte*>(data_); }
  bool guards_hold() const {
    T expected;
    std::memset(&expected, kGuard, sizeof(T));
    return std::memcmp(data_ - 1, &expected, sizeof(T)) == 0 &&
           std::memcmp(data_ + count_, &expected, sizeof(T)) == 0;
  }

 private:
  static constexpr int kGuard = 0x5a;
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t count_;
  T* data_;
};

struct Case {
  ReduceOp op;
  std::size_t sources;
  std::size_t destinations;
  std::size_t count;
  std::size_t shift = 0;    // misalignment in elements, another one for each buffer
  std::size_t aliased = 0;  // so many destinations are sources, beginning from the last
};

template <class T>
void check(const Case& c) {
  std::mt19937_64 random(c.count * 31 + c.sources * 7 + c.destinations);
  std::vector<Guarded<T>> buffers;
  std::vector<const std::byte*> sources;
  std::vector<std::byte*> destinations;
  buffers.reserve(c.sources + c.destinations);
  for (std::size_t j = 0; j < c.sources; ++j) {
    buffers.emplace_back(c.count, (c.shift * (j + 1)) % 16);
    for (std::size_t i = 0; i < c.count; ++i) buffers[j].data()[i] = operand<T>(random);
    sources.push_back(buffers[j].raw());
  }
  for (std::size_t j = 0; j < c.destinations; ++j) {
    if (j < c.aliased) {
      destinations.push_back(buffers[c.sources - 1 - j].raw());
    } else {
      buffers.emplace_back(c.count, (c.shift * (j + 3)) % 16);
      destinations.push_back(buffers.back().raw());
    }
  }
  std::vector<T> expected(buffers[0].data(), buffers[0].data() + c.count);
  for (std::size_t j = 1; j < c.sources; ++j) {
    for (std::size_t i = 0; i < c.count; ++i) {
      expected[i] = combine(c.op, expected[i], buffers[j].data()[i]);
    }
  }

  reduce(DataTypeOf<T>::value, c.op, sources, destinations, c.count);

  const auto name = [&] {
    return std::string(to_string(DataTypeOf<T>::value)) + " " + std::string(to_string(c.op)) +
           " k=" + std::to_string(c.sources) + " m=" + std::to_string(c.destinations) +
           " count=" + std::to_string(c.count) + " shift=" + std::to_string(c.shift) +
           " aliased=" + std::to_string(c.aliased) + " on " + std::string(reduce_instruction_set());
  };
  for (const std::byte* destination : destinations) {
    const T* values = reinterpret_cast<const T*>(destination);
    for (std::size_t i = 0; i < c.count; ++i) {
      ASSERT_TRUE(same_bits(values[i], expected[i]))
          << name() << ": element " << i << " is " << values[i] << ", not " << expected[i];
    }
  }
  for (const Guarded<T>& buffer : buffers) ASSERT_TRUE(buffer.guards_hold()) << name();
}

void check_all_types(const Case& c) {
  check<float>(c);
  check<double>(c);
  check<std::int32_t>(c);
  check<std::int64_t>(c);
}

// --- on every instruction set ------------------------------------------------------------------

class Reduce : public ::testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }

 private:
  // 0: what the machine offers.
  static void choose(std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(Reduce, RunsOnTheInstructionSetUnderTest) {
  EXPECT_EQ(reduce_instruction_set(), hwy::TargetName(GetParam()));
}

TEST_P(Reduce, AnyNumberOfSourcesAndDestinations) {
  for (const ReduceOp op : kOps) {
    for (std::size_t k = 1; k <= 9; ++k) {
      for (std::size_t m = 1; m <= 4; ++m) check_all_types({op, k, m, 131});
    }
  }
}

TEST_P(Reduce, EveryCountUpToSeveralBlocks) {
  for (const ReduceOp op : kOps) {
    for (std::size_t count = 0; count <= 150; ++count) {
      check_all_types({op, 2, 1, count});
      check_all_types({op, 3, 2, count});
    }
  }
}

TEST_P(Reduce, EveryMisalignment) {
  for (const ReduceOp op : kOps) {
    for (std::size_t shift = 1; shift < 16; ++shift) {
      check_all_types({op, 2, 1, 203, shift});
      check_all_types({op, 2, 2, 203, shift});
      check_all_types({op, 4, 3, 203, shift});
    }
  }
}

TEST_P(Reduce, DestinationsThatAreSources) {
  for (const ReduceOp op : kOps) {
    for (std::size_t k = 1; k <= 5; ++k) {
      for (std::size_t m = 1; m <= 4; ++m) {
        for (std::size_t aliased = 1; aliased <= std::min(k, m); ++aliased) {
          check_all_types({op, k, m, 77, 0, aliased});
          check_all_types({op, k, m, 77, 3, aliased});
        }
      }
    }
  }
}

TEST_P(Reduce, LargeBuffers) {
  check_all_types({ReduceOp::sum, 2, 1, 100'003});
  check_all_types({ReduceOp::prod, 3, 3, 100'003, 1, 1});
}

TEST_P(Reduce, NanWinsFromEitherSide) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const ReduceOp op : kOps) {
    for (std::size_t where = 0; where < 3; ++where) {
      float values[3] = {1.0F, 2.0F, 3.0F};
      values[where] = nan;
      std::vector<std::vector<float>> buffers;
      std::vector<const std::byte*> sources;
      for (const float value : values) buffers.emplace_back(70, value);
      for (const auto& b : buffers) sources.push_back(reinterpret_cast<const std::byte*>(b.data()));
      std::vector<float> result(70);
      std::byte* destination = reinterpret_cast<std::byte*>(result.data());
      reduce(DataType::float32, op, sources, {&destination, 1}, result.size());
      for (const float value : result) ASSERT_TRUE(std::isnan(value)) << to_string(op);
    }
  }
}

// (a + b) + c, never a + (b + c): 1e8 swallows a 1, and 2e8 - 2e8 gives it back only in one order.
TEST_P(Reduce, TheOrderIsTheOneGiven) {
  const std::vector<float> big(40, 1e8F), small(40, 1.0F), minus(40, -1e8F);
  const auto sum_of = [](std::initializer_list<const std::vector<float>*> in) {
    std::vector<const std::byte*> sources;
    for (const auto* v : in) sources.push_back(reinterpret_cast<const std::byte*>(v->data()));
    std::vector<float> out(40);
    std::byte* destination = reinterpret_cast<std::byte*>(out.data());
    reduce(DataType::float32, ReduceOp::sum, sources, {&destination, 1}, out.size());
    return out;
  };
  EXPECT_EQ(sum_of({&big, &small, &minus}), std::vector<float>(40, 0.0F));
  EXPECT_EQ(sum_of({&big, &minus, &small}), std::vector<float>(40, 1.0F));
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Reduce,
                         ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

// --- the edges ---------------------------------------------------------------------------------

TEST(ReduceEdges, NoElementsNeedNoPointers) {
  const std::byte* none = nullptr;
  std::byte* nowhere = nullptr;
  EXPECT_NO_THROW(reduce(DataType::int32, ReduceOp::sum, {&none, 1}, {&nowhere, 1}, 0));
}

TEST(ReduceEdges, OneSourceIsCopiedBitByBit) {
  std::vector<std::uint32_t> in(100, 0x7f800001);  // a signalling NaN stays one
  std::vector<std::uint32_t> a(100), b(100);
  const auto* source = reinterpret_cast<const std::byte*>(in.data());
  std::byte* both[] = {reinterpret_cast<std::byte*>(a.data()),
                       reinterpret_cast<std::byte*>(b.data())};
  reduce(DataType::float32, ReduceOp::max, {&source, 1}, both, 100);
  EXPECT_EQ(a, in);
  EXPECT_EQ(b, in);
}

TEST(ReduceEdges, NonsenseIsAnErrorOfTheLibrary) {
  std::byte byte{};
  const std::byte* source = &byte;
  std::byte* destination = &byte;
  const auto code = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::aborted;
  };
  EXPECT_EQ(code([&] {
              reduce(DataType::int32, ReduceOp::sum, {}, {&destination, 1}, 1);
            }),
            ErrorCode::internal);
  EXPECT_EQ(code([&] {
              reduce(DataType::int32, ReduceOp::sum, {&source, 1}, {}, 1);
            }),
            ErrorCode::internal);
  EXPECT_EQ(code([&] {
              reduce(static_cast<DataType>(9), ReduceOp::sum, {&source, 1}, {&destination, 1}, 1);
            }),
            ErrorCode::internal);
}

}  // namespace
}  // namespace paceline::memory
