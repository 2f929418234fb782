// Every type with every operation that is offered for it, over real ranks: small numbers, which
// come out exactly in every type and order, bit for bit.
#include <array>
#include <memory>
#include <sstream>
#include <type_traits>

#include "support/world.h"

namespace paceline {
namespace {

using testing_support::run_world;

// What all_reduce carries out of what is offered.
constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max,
                             ReduceOp::avg, ReduceOp::band, ReduceOp::bor, ReduceOp::bxor};

// Neighbouring ranks bring neighbouring values out of five, so that the sums of some of them stay
// within 3 and the products within 4 (10 and 32 in unsigned types, which count further).
template <class T>
int value(ReduceOp op, int rank, std::size_t i) {
  const auto n = static_cast<int>((i * 7 + static_cast<std::size_t>(rank) * 31) % 5);
  if (std::is_same_v<T, bool>) return n % 2;
  if (op == ReduceOp::band || op == ReduceOp::bor || op == ReduceOp::bxor) return 1 << n | 64;
  if (std::is_unsigned_v<T>) return op == ReduceOp::prod ? 1 + n % 2 : n;
  if (op == ReduceOp::prod) return std::array{-2, -1, 1, 2, 1}[static_cast<std::size_t>(n)];
  return n - 2;
}

int combine(ReduceOp op, bool truth, int a, int b) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::avg:
    case ReduceOp::premul_sum:
    case ReduceOp::custom:
      return truth ? a | b : a + b;
    case ReduceOp::prod:
      return a * b;
    case ReduceOp::min:
      return a < b ? a : b;
    case ReduceOp::max:
      return a > b ? a : b;
    case ReduceOp::band:
      return a & b;
    case ReduceOp::bor:
      return a | b;
    case ReduceOp::bxor:
      return a ^ b;
  }
  return 0;
}

template <class T>
T as(int value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(value);
  } else {
    return T(static_cast<float>(value));
  }
}

// The sum is exact; an average is rounded once.
template <class T>
T average(int sum, int size) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(sum / size);
  } else if constexpr (std::is_same_v<T, double>) {
    return static_cast<double>(sum) / size;
  } else {
    return T(static_cast<float>(sum) / static_cast<float>(size));
  }
}

template <class T>
void check(Communicator& comm, ReduceOp op, std::size_t count, bool in_place) {
  constexpr DataType kType = DataTypeOf<T>::value;
  const auto in = std::make_unique<T[]>(count);
  const auto out = std::make_unique<T[]>(count);
  for (std::size_t i = 0; i < count; ++i) in[i] = as<T>(value<T>(op, comm.rank(), i));
  T* const result = in_place ? in.get() : out.get();
  comm.all_reduce(in.get(), result, count, kType, op);
  for (std::size_t i = 0; i < count; ++i) {
    int expected = value<T>(op, 0, i);
    for (int rank = 1; rank < comm.size(); ++rank) {
      expected = combine(op, std::is_same_v<T, bool>, expected, value<T>(op, rank, i));
    }
    const T exact = op == ReduceOp::avg ? average<T>(expected, comm.size()) : as<T>(expected);
    ASSERT_TRUE(result[i] == exact)
        << "rank " << comm.rank() << " of " << comm.size() << ", element " << i << " of " << count
        << ", " << to_string(kType) << " " << to_string(op) << (in_place ? ", in place" : "");
  }
}

struct Case {
  std::string wire;
  Algorithm algorithm;
  int size;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.wire << "_" << to_string(c.algorithm) << "_" << c.size;
}

class EveryType : public testing::TestWithParam<Case> {
 protected:
  template <class T>
  void run() {
    const Case& c = GetParam();
    const auto body = [](Communicator& comm) {
      for (const ReduceOp op : kOps) {
        if (!offers(op, DataTypeOf<T>::value)) continue;
        // Inside a message, and over segments, with ends that fill neither vector nor chunk.
        for (const std::size_t count : {std::size_t{1}, std::size_t{37}, std::size_t{9001}}) {
          check<T>(comm, op, count, count == 37);
        }
      }
    };
    run_world(c.size, body, [&](Config& config) {
      config.transports = {c.wire};
      config.algorithm = c.algorithm;
      config.segment_bytes = 4096;
    });
  }
};

TEST_P(EveryType, Float32) {
  run<float>();
}
TEST_P(EveryType, Float64) {
  run<double>();
}
TEST_P(EveryType, Int8) {
  run<std::int8_t>();
}
TEST_P(EveryType, Uint8) {
  run<std::uint8_t>();
}
TEST_P(EveryType, Int32) {
  run<std::int32_t>();
}
TEST_P(EveryType, Uint32) {
  run<std::uint32_t>();
}
TEST_P(EveryType, Int64) {
  run<std::int64_t>();
}
TEST_P(EveryType, Uint64) {
  run<std::uint64_t>();
}
TEST_P(EveryType, Float16) {
  run<float16>();
}
TEST_P(EveryType, Bfloat16) {
  run<bfloat16>();
}
TEST_P(EveryType, Float8E4M3) {
  run<float8_e4m3>();
}
TEST_P(EveryType, Float8E5M2) {
  run<float8_e5m2>();
}
TEST_P(EveryType, Boolean) {
  run<bool>();
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int size : {2, 3, 5}) {
    all.push_back({"shm", Algorithm::automatic, size});
    for (const Algorithm algorithm :
         {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::direct}) {
      all.push_back({"tcp", algorithm, size});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Wires, EveryType, testing::ValuesIn(cases()), [](const auto& param) {
  std::ostringstream name;
  name << param.param;
  return name.str();
});

}  // namespace
}  // namespace paceline
