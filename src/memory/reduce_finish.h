// What a Kernel does once to each result, for the instruction set that is being compiled; its guard
// is Highway's, as in reduce_kernel.h.
#include "memory/reduce_targets.h"
//
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(PACELINE_MEMORY_REDUCE_FINISH_H) == defined(HWY_TARGET_TOGGLE)
#ifdef PACELINE_MEMORY_REDUCE_FINISH_H
#undef PACELINE_MEMORY_REDUCE_FINISH_H
#else
#define PACELINE_MEMORY_REDUCE_FINISH_H
#endif

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Floating point: a division, not a product with the reciprocal, which would round twice.
template <class T>
struct Divide {
  T divisor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V v) const {
    return hn::Div(v, hn::Set(d, divisor));
  }
};

template <class T>
struct Multiply {
  T factor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V v) const {
    return hn::Mul(v, hn::Set(d, factor));
  }
};

// Integers are summed as unsigned; T says what they are. No machine divides vectors of them, so the
// lanes are divided one by one.
template <class T>
struct DivideInteger {
  std::uint32_t divisor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V v) const {
    using Lane = hn::TFromD<D>;
    // Holds every T and every divisor, with T's sign.
    using Wide =
        std::conditional_t<std::is_signed_v<T> || sizeof(T) == 1, std::int64_t,
                           std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>>;
    HWY_ALIGN Lane lanes[HWY_MAX_BYTES / sizeof(Lane)];
    hn::Store(v, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      const auto value = static_cast<Wide>(static_cast<T>(lanes[i]));
      lanes[i] = static_cast<Lane>(value / static_cast<Wide>(divisor));
    }
    return hn::Load(d, lanes);
  }
};

}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the guard
