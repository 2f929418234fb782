// The loop of every reduction, for the instruction set that is being compiled: it is included again
// for each (reduce_targets.h), so its guard is Highway's.
//
// A block of four vectors is loaded from the first source, combined in registers with the same
// block of every other source, finished, and stored in every destination; then comes the next
// block. So each byte is read once and written once per destination, however many sources there
// are. What is left at the end goes vector by vector, then element by element, through the same
// operations.
//
// How elements lie in memory and what they are combined as is the Format's business
// (reduce_formats.h), how two are combined the Op's, and what is done once to the result the
// Finish's.
//
// Streaming stores (stores.h) spare memory the reading of lines that are about to be
// overwritten. Of what the next reader would have found in a cache they lose a third to six times
// the time, so the caller says where they are worth it.
#include "memory/reduce_targets.h"
//
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "memory/reduce.h"

#if defined(PACELINE_MEMORY_REDUCE_KERNEL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef PACELINE_MEMORY_REDUCE_KERNEL_H
#undef PACELINE_MEMORY_REDUCE_KERNEL_H
#else
#define PACELINE_MEMORY_REDUCE_KERNEL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {

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
struct And {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::And(a, b);
  }
};
struct Or {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Or(a, b);
  }
};
struct Xor {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Xor(a, b);
  }
};

// What is done to a result: nothing.
struct AsIs {
  template <class D, class V>
  HWY_INLINE V operator()(D, V v) const {
    return v;
  }
};

// The pointers of one call, as elements. K sources and M destinations are known to the compiler;
// 0: any number, known at run time only.
template <class Format, class Op, class Finish, std::size_t K, std::size_t M>
class Kernel {
 public:
  using Stored = typename Format::Stored;

  Kernel(Sources sources, Destinations destinations, Finish finish, std::size_t streamed = 0)
      : sources_(sources),
        destinations_(destinations),
        finish_(finish),
        streamed_(kCanStream && alike(destinations, streamed) ? streamed : 0) {}

  void run(std::size_t count) const {
    const hn::ScalableTag<typename Format::Lane> d;
    const std::size_t n = hn::Lanes(d);
    std::size_t i = 0;
    if (streamed_ != 0) {
      const hn::CappedTag<typename Format::Lane, 1> one;
      for (const std::size_t head = std::min(count, before_line()); i < head; ++i) vector(one, i);
      for (; i + 4 * n <= count; i += 4 * n) block<kCanStream>(d, i);
      hwy::FlushStream();  // or whoever is told that it is there would not find it
    } else {
      for (; i + 4 * n <= count; i += 4 * n) block<false>(d, i);
    }
    for (; i + n <= count; i += n) vector(d, i);
    if constexpr (sizeof(Stored) < 4) {
      // Many short elements fit into a vector: in steps of 16 bytes first.
      const hn::CappedTag<typename Format::Lane, 16 / sizeof(typename Format::Lane)> few;
      const std::size_t m = hn::Lanes(few);
      for (; i + m <= count; i += m) vector(few, i);
    }
    const hn::CappedTag<typename Format::Lane, 1> one;
    for (; i < count; ++i) vector(one, i);
  }

 private:
  static constexpr bool kCanStream = requires(hn::ScalableTag<typename Format::Lane> d, Stored* p) {
    Format::stream(d, hn::Zero(d), p);
  };
  static constexpr std::uintptr_t kLine = 64;  // no vector is longer
  static std::uintptr_t behind_line(const std::byte* at) {
    return reinterpret_cast<std::uintptr_t>(at) % kLine;
  }
  static bool alike(Destinations destinations, std::size_t streamed) {
    for (std::size_t j = 1; j < streamed; ++j) {
      if (behind_line(destinations[j]) != behind_line(destinations[0])) return false;
    }
    return true;
  }
  // Elements of what is streamed until a cache line begins.
  HWY_INLINE std::size_t before_line() const {
    return (kLine - behind_line(destinations_[0])) % kLine / sizeof(Stored);
  }

  HWY_INLINE std::size_t sources() const { return K != 0 ? K : sources_.size(); }
  HWY_INLINE std::size_t destinations() const { return M != 0 ? M : destinations_.size(); }
  HWY_INLINE const Stored* source(std::size_t j) const {
    return reinterpret_cast<const Stored*>(sources_[j]);
  }
  HWY_INLINE Stored* destination(std::size_t j) const {
    return reinterpret_cast<Stored*>(destinations_[j]);
  }

  // One vector of `d` at element i.
  template <class D>
  HWY_INLINE void vector(D d, std::size_t i) const {
    auto v = Format::load(d, source(0) + i);
    for (std::size_t j = 1; j < sources(); ++j) v = Op{}(v, Format::load(d, source(j) + i));
    const auto result = Format::pack(d, finish_(d, v));
    for (std::size_t j = 0; j < destinations(); ++j) Format::store(d, result, destination(j) + i);
  }

  // Four vectors: enough independent operations to hide the latency of one, few enough to stay in
  // registers.
  template <bool kStream, class D>
  HWY_INLINE void block(D d, std::size_t i) const {
    const std::size_t n = hn::Lanes(d);
    auto v0 = Format::load(d, source(0) + i);
    auto v1 = Format::load(d, source(0) + i + n);
    auto v2 = Format::load(d, source(0) + i + 2 * n);
    auto v3 = Format::load(d, source(0) + i + 3 * n);
    for (std::size_t j = 1; j < sources(); ++j) {
      const Stored* const s = source(j) + i;
      v0 = Op{}(v0, Format::load(d, s));
      v1 = Op{}(v1, Format::load(d, s + n));
      v2 = Op{}(v2, Format::load(d, s + 2 * n));
      v3 = Op{}(v3, Format::load(d, s + 3 * n));
    }
    const auto r0 = Format::pack(d, finish_(d, v0));
    const auto r1 = Format::pack(d, finish_(d, v1));
    const auto r2 = Format::pack(d, finish_(d, v2));
    const auto r3 = Format::pack(d, finish_(d, v3));
    for (std::size_t j = 0; j < destinations(); ++j) {
      Stored* const t = destination(j) + i;
      if (kStream && j < streamed_) {
        if constexpr (kCanStream) {
          Format::stream(d, r0, t);
          Format::stream(d, r1, t + n);
          Format::stream(d, r2, t + 2 * n);
          Format::stream(d, r3, t + 3 * n);
        }
      } else {
        Format::store(d, r0, t);
        Format::store(d, r1, t + n);
        Format::store(d, r2, t + 2 * n);
        Format::store(d, r3, t + 3 * n);
      }
    }
  }

  const Sources sources_;
  const Destinations destinations_;
  const Finish finish_;
  const std::size_t streamed_;
};

// Any number of sources and destinations.
template <class Format, class Op, class Finish = AsIs>
void run_any(Sources sources, Destinations destinations, std::size_t count, Finish finish = {},
             std::size_t streamed = 0) {
  Kernel<Format, Op, Finish, 0, 0>(sources, destinations, finish, streamed).run(count);
}

// The shapes of ring and recursive doubling (two sources, one destination or two) get code of their
// own; in the first cache, where small messages live, it was at times a tenth faster.
template <class Format, class Op>
void run_shaped(Sources sources, Destinations destinations, std::size_t count,
                std::size_t streamed = 0) {
  if (sources.size() == 2 && destinations.size() == 1) {
    Kernel<Format, Op, AsIs, 2, 1>(sources, destinations, {}, streamed).run(count);
  } else if (sources.size() == 2 && destinations.size() == 2) {
    Kernel<Format, Op, AsIs, 2, 2>(sources, destinations, {}, streamed).run(count);
  } else {
    run_any<Format, Op>(sources, destinations, count, {}, streamed);
  }
}

}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the guard
