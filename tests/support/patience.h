// How long a test waits before it calls something late. A sanitizer slows a program down, and more
// so one whose threads outnumber the cores.
#pragma once

namespace paceline::testing_support {

#if defined(__SANITIZE_THREAD__)
constexpr int kSlowdown = 5;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kSlowdown = 3;
#else
constexpr int kSlowdown = 1;
#endif

/// `time`, as long as this build takes for what takes that long in a plain one. For time-outs that
/// are meant to pass, and for being later than somebody else; where none is meant to pass, give a
/// minute.
template <class Duration>
constexpr Duration patience(Duration time) {
  return time * kSlowdown;
}

}  // namespace paceline::testing_support
