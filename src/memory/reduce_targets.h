// The instruction sets that reduce.cpp is compiled for: the compiler's baseline, SSE4, AVX2 and
// AVX-512. Those left out (SSSE3, the AVX-512 of Ice Lake) differ in instructions that are not used
// there, and each would cost its share of the time that file takes to compile.
//
// Whoever includes a header of Highway's includes this first: its inline functions depend on it.
#pragma once

#if defined(__SANITIZE_ADDRESS__)  // takes minutes for each; the same source, with the same reach
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#endif
