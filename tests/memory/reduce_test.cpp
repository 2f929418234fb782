// memory::reduce against a plain loop, bit by bit, on every instruction set this machine has.
#include "memory/reduce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "paceline/error.h"
#include "reference.h"
#include "targets.h"

namespace paceline::memory {
namespace {

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
  std::size_t streamed = 0;

  // Of an average: several numbers, 1 among them, and two that are no whole power of two.
  std::uint32_t divisor() const {
    const std::uint32_t all[] = {3, 1, 4, 1000, 7};
    return op == ReduceOp::avg ? all[(sources + count) % 5] : 1;
  }
};

template <class T>
std::vector<T> expected_of(const Case& c, const std::vector<const std::byte*>& sources) {
  std::vector<T> expected(c.count);
  for (std::size_t i = 0; i < c.count; ++i) {
    const auto source = [&](std::size_t j) { return reinterpret_cast<const T*>(sources[j])[i]; };
    if (c.sources == 1 && c.divisor() == 1) {
      expected[i] = source(0);
      continue;
    }
    auto result = opened(source(0));
    for (std::size_t j = 1; j < c.sources; ++j) {
      result = combine(c.op, result, opened(source(j)));
    }
    expected[i] = closed<T>(c.divisor() == 1 ? result : averaged(result, c.divisor()));
  }
  return expected;
}

template <class T>
std::string hex(T value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  char text[20];
  std::snprintf(text, sizeof text, "0x%0*llx", static_cast<int>(2 * sizeof(T)),
                static_cast<unsigned long long>(bits));
  return text;
}

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
  const std::vector<T> expected = expected_of<T>(c, sources);

  reduce(type_of<T>(), c.op, sources, destinations, c.count, c.divisor(), c.streamed);

  const auto name = [&] {
    return std::string(to_string(type_of<T>())) + " " + std::string(to_string(c.op)) +
           " k=" + std::to_string(c.sources) + " m=" + std::to_string(c.destinations) +
           " count=" + std::to_string(c.count) + " shift=" + std::to_string(c.shift) +
           " aliased=" + std::to_string(c.aliased) + " on " + std::string(reduce_instruction_set());
  };
  for (const std::byte* destination : destinations) {
    const T* values = reinterpret_cast<const T*>(destination);
    for (std::size_t i = 0; i < c.count; ++i) {
      ASSERT_TRUE(same_bits(values[i], expected[i]))
          << name() << ": element " << i << " is " << hex(values[i]) << ", not "
          << hex(expected[i]);
    }
  }
  for (const Guarded<T>& buffer : buffers) ASSERT_TRUE(buffer.guards_hold()) << name();
}

void check_all_types(const Case& c) {
  for_all_types([&c](auto zero) {
    using T = decltype(zero);
    if (offers(c.op, type_of<T>())) check<T>(c);
  });
}

// --- on every instruction set ------------------------------------------------------------------

using Reduce = OnEveryTarget;

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

// Where destinations begin at a cache line, and where they do not.
TEST_P(Reduce, StreamingStoresGiveTheSame) {
  for (const std::size_t shift : {0, 1}) {
    for (const std::size_t destinations : {1, 2, 3}) {
      for (const std::size_t count : {0, 1, 15, 16, 63, 64, 129, 1000}) {
        for (const ReduceOp op : {ReduceOp::sum, ReduceOp::avg, ReduceOp::max}) {
          for (std::size_t streamed = 1; streamed <= destinations; ++streamed) {
            check_all_types({op, 2, destinations, count, shift, 0, streamed});
          }
        }
      }
    }
  }
  check_all_types({ReduceOp::sum, 3, 2, 500, 0, 1, 2});
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
  check_all_types({ReduceOp::avg, 4, 1, 100'003, 3});
}

TEST_P(Reduce, NanWinsFromEitherSide) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const ReduceOp op : kOps) {
    if (!offers(op, DataType::float32)) continue;
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
                         ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()), target_name);

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
              reduce(static_cast<DataType>(99), ReduceOp::sum, {&source, 1}, {&destination, 1}, 1);
            }),
            ErrorCode::internal);
  EXPECT_EQ(code([&] {
              reduce(DataType::int8, ReduceOp::avg, {&source, 1}, {&destination, 1}, 1, 0);
            }),
            ErrorCode::internal);
  EXPECT_EQ(code([&] {
              reduce(DataType::float32, ReduceOp::bor, {&source, 1}, {&destination, 1}, 1);
            }),
            ErrorCode::internal);
  EXPECT_EQ(code([&] {
              reduce(DataType::boolean, ReduceOp::avg, {&source, 1}, {&destination, 1}, 1);
            }),
            ErrorCode::internal);
}

}  // namespace
}  // namespace paceline::memory
