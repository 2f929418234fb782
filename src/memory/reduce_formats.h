// How elements are loaded, what they are combined as, and how results are stored, for the
// instruction set that is being compiled; its guard is Highway's, as in reduce_kernel.h.
//
// A Format is: Stored, the element in memory; Lane, what a vector holds of it; load(d, pointer);
// pack(d, vector), which turns a result into what is stored, once for all destinations; and
// store(d, packed, pointer). `d` is a tag of Lanes. stream, if it has it, is another store.
#include "memory/reduce_targets.h"
//
#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "paceline/floats.h"

#if defined(PACELINE_MEMORY_REDUCE_FORMATS_H) == defined(HWY_TARGET_TOGGLE)
#ifdef PACELINE_MEMORY_REDUCE_FORMATS_H
#undef PACELINE_MEMORY_REDUCE_FORMATS_H
#else
#define PACELINE_MEMORY_REDUCE_FORMATS_H
#endif

// Where the machine converts between float and float16, exactly and with ties to even, subnormal
// numbers included. Highway does it everywhere, but cuts off instead of rounding where it has to do
// it by itself (version 1.0).
#undef PACELINE_CONVERTS_FLOAT16
#if (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3) && !defined(HWY_DISABLE_F16C)
#define PACELINE_CONVERTS_FLOAT16 1
#else
#define PACELINE_CONVERTS_FLOAT16 0
#endif

HWY_BEFORE_NAMESPACE();
namespace paceline::memory::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Combined as what they are.
template <class T>
struct Plain {
  using Stored = T;
  using Lane = T;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const T* p) {
    return hn::LoadU(d, p);
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> pack(D, hn::Vec<D> v) {
    return v;
  }
  template <class D>
  static HWY_INLINE void store(D d, hn::Vec<D> v, T* p) {
    hn::StoreU(v, d, p);
  }
  /// Past the caches; p is a multiple of 64 bytes, or whole vectors behind one.
  template <class D>
  static HWY_INLINE void stream(D d, hn::Vec<D> v, T* p) {
    hn::Stream(v, d, p);
  }
};

// Bytes that are multiplied: no machine does that, but the lower half of a product of 16 bits is
// the product of the bytes modulo 256.
struct WidenedBytes {
  using Stored = std::uint8_t;
  using Lane = std::uint16_t;
  template <class D>
  using Bytes = hn::Rebind<std::uint8_t, D>;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Stored* p) {
    return hn::PromoteTo(d, hn::LoadU(Bytes<D>(), p));
  }
  template <class D>
  static HWY_INLINE hn::Vec<Bytes<D>> pack(D, hn::Vec<D> v) {
    return hn::TruncateTo(Bytes<D>(), v);
  }
  template <class D>
  static HWY_INLINE void store(D, hn::Vec<Bytes<D>> v, Stored* p) {
    hn::StoreU(v, Bytes<D>(), p);
  }
};

// Booleans: whatever is not 0 becomes 1.
struct Truth {
  using Stored = std::uint8_t;
  using Lane = std::uint8_t;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Stored* p) {
    return hn::Min(hn::LoadU(d, p), hn::Set(d, std::uint8_t{1}));
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> pack(D, hn::Vec<D> v) {
    return v;
  }
  template <class D>
  static HWY_INLINE void store(D d, hn::Vec<D> v, Stored* p) {
    hn::StoreU(v, d, p);
  }
};

// Codes of a short format F (floats.h), one in each 32-bit lane, to float. Exact.
template <class F, class D, class U = hn::RebindToUnsigned<D>>
HWY_INLINE hn::Vec<D> widen(D d, hn::Vec<U> code) {
  using Format = typename F::Format;
  const U du;
  constexpr int kShift = 23 - Format::fraction;
  constexpr int kBits = 8 * sizeof(F);
  if constexpr (std::is_same_v<F, bfloat16>) {
    return hn::BitCast(d, hn::ShiftLeft<16>(code));
  } else {
    const auto sign = hn::ShiftLeft<32 - kBits>(hn::And(code, hn::Set(du, Format::sign)));
    const auto magnitude = hn::And(code, hn::Set(du, Format::sign - 1));
    const auto shifted = hn::ShiftLeft<kShift>(magnitude);
    // A normal number has another bias. One that has an exponent of 0 gets the smallest normal one
    // in front of it, which is then subtracted: the machine does the shifting.
    constexpr std::uint32_t kFirst = Format::first_exponent << 23;
    const auto normal = hn::Add(shifted, hn::Set(du, kFirst - (1U << 23)));
    const auto in_front = hn::BitCast(d, hn::Add(shifted, hn::Set(du, kFirst)));
    const auto subnormal = hn::BitCast(du, hn::Sub(in_front, hn::BitCast(d, hn::Set(du, kFirst))));
    const auto is_normal = hn::Gt(hn::BitCast(hn::RebindToSigned<D>(), magnitude),
                                  hn::Set(hn::RebindToSigned<D>(), (1 << Format::fraction) - 1));
    auto bits = hn::IfThenElse(hn::RebindMask(du, is_normal), normal, subnormal);
    // Infinity and NaN have the largest exponent in both; float8_e4m3's NaN is its last code.
    constexpr std::uint32_t kLargest = 0x7f800000U;
    const auto special =
        hn::Gt(hn::BitCast(hn::RebindToSigned<D>(), magnitude),
               hn::Set(hn::RebindToSigned<D>(), static_cast<std::int32_t>(Format::overflow) - 1));
    bits =
        hn::IfThenElse(hn::RebindMask(du, special), hn::Or(shifted, hn::Set(du, kLargest)), bits);
    return hn::BitCast(d, hn::Or(bits, sign));
  }
}

// Float to the codes of F, one in each 32-bit lane: nearest, ties to even, in one rounding.
//
// Let e be the exponent of the value, but at least that of F's subnormal numbers. 2^(e + 23 - f),
// f being the bits of F's fraction, is a number so large that the last bit of a float beside it is
// the last bit that F keeps. So adding it makes the machine round as we need it, and the fraction
// of the sum counts the units: the code, but for the exponents that e is above the lowest one.
template <class F, class D, class U = hn::RebindToUnsigned<D>>
HWY_INLINE hn::Vec<U> narrow(D d, hn::Vec<D> v) {
  using Format = typename F::Format;
  const U du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(du, v);
  constexpr int kBits = 8 * sizeof(F);
  constexpr int kShift = 23 - Format::fraction;
  if constexpr (std::is_same_v<F, bfloat16>) {
    // The last exponent is float's own, so nothing can be larger; but the codes are the upper
    // halves of floats: half a unit is added, a little less if the last bit kept is 0.
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1U));
    const auto code =
        hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, std::uint32_t{0x7fff}))));
    return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), hn::Set(du, Format::nan), code);
  } else {
    // What lies above the largest number is brought to the next power of two or code, which gets
    // the code of overflow. As integers, magnitudes sort like the floats, NaN last.
    constexpr std::uint32_t kTooLarge =
        std::is_same_v<F, float8_e4m3> ? 0x43f00000U /* 480 */ : 0x47800000U /* 65536 */;
    const auto full = hn::BitCast(di, hn::And(bits, hn::Set(du, 0x7fffffffU)));
    const auto magnitude = hn::Min(full, hn::Set(di, static_cast<std::int32_t>(kTooLarge)));
    constexpr std::uint32_t kFirst = Format::first_exponent << 23;
    const auto exponent = hn::Max(hn::And(magnitude, hn::Set(di, 0x7f800000)),
                                  hn::Set(di, static_cast<std::int32_t>(kFirst)));
    const auto large = hn::Add(exponent, hn::Set(di, kShift << 23));
    const auto sum = hn::Add(hn::BitCast(d, magnitude), hn::BitCast(d, large));
    const auto units = hn::Sub(hn::BitCast(du, sum), hn::BitCast(du, large));
    const auto steps = hn::ShiftRight<kShift>(
        hn::BitCast(du, hn::Sub(exponent, hn::Set(di, static_cast<std::int32_t>(kFirst)))));
    const auto code = hn::Add(units, steps);
    const auto sign = hn::ShiftRight<32 - kBits>(hn::And(bits, hn::Set(du, 0x80000000U)));
    const auto is_nan = [&] {
      if constexpr (Format::nan == Format::overflow)
        return hn::Eq(code, hn::Set(du, Format::nan));
      else
        return hn::RebindMask(du, hn::IsNaN(v));
    }();
    return hn::IfThenElse(is_nan, hn::Set(du, Format::nan), hn::Or(code, sign));
  }
}

// Floating point of 16 and 8 bits: combined as float.
template <class F>
struct Narrow {
  using Stored = decltype(F::bits);
  using Lane = float;
  template <class D>
  using Codes = hn::Rebind<Stored, D>;

  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Stored* p) {
    const auto codes = hn::LoadU(Codes<D>(), p);
#if PACELINE_CONVERTS_FLOAT16
    if constexpr (std::is_same_v<F, float16>) {
      return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), codes));
    } else if constexpr (std::is_same_v<F, float8_e5m2>) {
      const hn::Rebind<std::uint16_t, D> halves;
      return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(),
                                          hn::ShiftLeft<8>(hn::PromoteTo(halves, codes))));
    } else
#endif
    {
      return widen<F>(d, hn::PromoteTo(hn::RebindToUnsigned<D>(), codes));
    }
  }

  template <class D>
  static HWY_INLINE hn::Vec<Codes<D>> pack(D d, hn::Vec<D> v) {
#if PACELINE_CONVERTS_FLOAT16
    if constexpr (std::is_same_v<F, float16>) {
      const hn::RebindToUnsigned<D> du;
      const auto one_nan =
          hn::IfThenElse(hn::IsNaN(v), hn::BitCast(d, hn::Set(du, 0x7fc00000U)), v);
      return hn::BitCast(Codes<D>(), hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), one_nan));
    } else
#endif
    {
      return hn::TruncateTo(Codes<D>(), narrow<F>(d, v));
    }
  }

  template <class D>
  static HWY_INLINE void store(D, hn::Vec<Codes<D>> v, Stored* p) {
    hn::StoreU(v, Codes<D>(), p);
  }
};

}  // namespace paceline::memory::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the guard
