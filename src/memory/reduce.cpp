// This file is compiled once per instruction set (Highway's foreach_target includes it again and
// again); the best that the machine has is chosen at run time.
//
// A block of four vectors is loaded from the first source, combined in registers with the same
// block of every other source, and stored in every destination; then comes the next block. So each
// byte is read once and written once per destination, however many sources there are. What is left
// at the end goes vector by vector, then element by element, through the same operations.
//
// Stores are ordinary ones. Streaming stores, which spare memory the reading of lines that are
// about to be overwritten, were tried on a machine of two cores (Xeon, 2.5 GHz): on 32 MiB out of
// place with both cores busy the differences lay within the noise, and with 1 MiB, which the next
// reader finds in the cache, they lost a third to a half.

#include "memory/reduce_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "memory/reduce.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "memory/reduce.h"
#include "paceline/error.h"

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// The operations, on vectors of any width. Integers are summed and multiplied as unsigned, which
// wraps.
struct Sum {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};
struct Prod {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Mul(a, b);
  }
};
// Min and max of floats are spelt out, because instruction sets disagree about NaN and about the
// zeros: the first operand if it is strictly better or NaN, else the second (which may be NaN).
struct Min {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    if constexpr (hwy::IsFloat<hn::TFromV<V>>()) {
      return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
    } else {
      return hn::Min(a, b);
    }
  }
};
struct Max {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    if constexpr (hwy::IsFloat<hn::TFromV<V>>()) {
      return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
    } else {
      return hn::Max(a, b);
    }
  }
};

// The pointers of one call, as elements. K sources and M destinations are known to the compiler;
// 0: any number, known at run time only.
template <class T, class Op, std::size_t K, std::size_t M>
class Kernel {
 public:
  Kernel(Sources sources, Destinations destinations)
      : sources_(sources), destinations_(destinations) {}

  void run(std::size_t count) const {
    const hn::ScalableTag<T> d;
    const hn::CappedTag<T, 1> one;
    const std::size_t n = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + 4 * n <= count; i += 4 * n) block(d, i);
    for (; i + n <= count; i += n) vector(d, i);
    for (; i < count; ++i) vector(one, i);
  }

 private:
  HWY_INLINE std::size_t sources() const { return K != 0 ? K : sources_.size(); }
  HWY_INLINE std::size_t destinations() const { return M != 0 ? M : destinations_.size(); }
  HWY_INLINE const T* source(std::size_t j) const {
    return reinterpret_cast<const T*>(sources_[j]);
  }
  HWY_INLINE T* destination(std::size_t j) const { return reinterpret_cast<T*>(destinations_[j]); }

  // One vector of `d` at element i.
  template <class D>
  HWY_INLINE void vector(D d, std::size_t i) const {
    auto v = hn::LoadU(d, source(0) + i);
    for (std::size_t j = 1; j < sources(); ++j) v = Op{}(v, hn::LoadU(d, source(j) + i));
    for (std::size_t j = 0; j < destinations(); ++j) hn::StoreU(v, d, destination(j) + i);
  }

  // Four vectors: enough independent operations to hide the latency of one, few enough to stay in
  // registers.
  template <class D>
  HWY_INLINE void block(D d, std::size_t i) const {
    const std::size_t n = hn::Lanes(d);
    auto v0 = hn::LoadU(d, source(0) + i);
    auto v1 = hn::LoadU(d, source(0) + i + n);
    auto v2 = hn::LoadU(d, source(0) + i + 2 * n);
    auto v3 = hn::LoadU(d, source(0) + i + 3 * n);
    for (std::size_t j = 1; j < sources(); ++j) {
      const T* const s = source(j) + i;
      v0 = Op{}(v0, hn::LoadU(d, s));
      v1 = Op{}(v1, hn::LoadU(d, s + n));
      v2 = Op{}(v2, hn::LoadU(d, s + 2 * n));
      v3 = Op{}(v3, hn::LoadU(d, s + 3 * n));
    }
    for (std::size_t j = 0; j < destinations(); ++j) {
      T* const t = destination(j) + i;
      hn::StoreU(v0, d, t);
      hn::StoreU(v1, d, t + n);
      hn::StoreU(v2, d, t + 2 * n);
      hn::StoreU(v3, d, t + 3 * n);
    }
  }

  const Sources sources_;
  const Destinations destinations_;
};

// The shapes of ring and recursive doubling (two sources, one destination or two) get code of their
// own; in the first cache, where small messages live, it was at times a tenth faster.
template <class T, class Op>
void Run(Sources sources, Destinations destinations, std::size_t count) {
  if (sources.size() == 2 && destinations.size() == 1) {
    Kernel<T, Op, 2, 1>(sources, destinations).run(count);
  } else if (sources.size() == 2 && destinations.size() == 2) {
    Kernel<T, Op, 2, 2>(sources, destinations).run(count);
  } else {
    Kernel<T, Op, 0, 0>(sources, destinations).run(count);
  }
}

template <class T, class Wrapping>
void RunType(ReduceOp op, Sources sources, Destinations destinations, std::size_t count) {
  switch (op) {
    case ReduceOp::sum:
      return Run<Wrapping, Sum>(sources, destinations, count);
    case ReduceOp::prod:
      return Run<Wrapping, Prod>(sources, destinations, count);
    case ReduceOp::min:
      return Run<T, Min>(sources, destinations, count);
    case ReduceOp::max:
      return Run<T, Max>(sources, destinations, count);
  }
}

void Reduce(DataType type, ReduceOp op, Sources sources, Destinations destinations,
            std::size_t count) {
  switch (type) {
    case DataType::float32:
      return RunType<float, float>(op, sources, destinations, count);
    case DataType::float64:
      return RunType<double, double>(op, sources, destinations, count);
    case DataType::int32:
      return RunType<std::int32_t, std::uint32_t>(op, sources, destinations, count);
    case DataType::int64:
      return RunType<std::int64_t, std::uint64_t>(op, sources, destinations, count);
  }
}

std::string_view InstructionSet() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace
}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace paceline::memory {

HWY_EXPORT(Reduce);
HWY_EXPORT(InstructionSet);

void reduce(DataType type, ReduceOp op, Sources sources, Destinations destinations,
            std::size_t count) {
  if (!is_valid(type) || !is_valid(op) || sources.empty() || destinations.empty()) {
    throw Error(ErrorCode::internal,
                "memory::reduce was given " + std::to_string(sources.size()) + " sources, " +
                    std::to_string(destinations.size()) + " destinations, type " +
                    std::string(to_string(type)) + " and operation " + std::string(to_string(op)) +
                    "; it needs at least one of each and a type and operation of types.h");
  }
  if (count == 0) return;
  if (sources.size() == 1 && destinations.size() == 1) {
    if (sources[0] != destinations[0]) {
      std::memcpy(destinations[0], sources[0], count * size_of(type));
    }
    return;
  }
  HWY_DYNAMIC_DISPATCH(Reduce)(type, op, sources, destinations, count);
}

std::string_view reduce_instruction_set() {
  return HWY_DYNAMIC_DISPATCH(InstructionSet)();
}

}  // namespace paceline::memory
#endif  // HWY_ONCE
