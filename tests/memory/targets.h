// Tests that run on every instruction set of this machine.
#pragma once

#include <gtest/gtest.h>

#include "memory/reduce_targets.h"
//
#include <hwy/highway.h>

#include <cstdint>
#include <string>

namespace paceline::memory {

class OnEveryTarget : public ::testing::TestWithParam<std::int64_t> {
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

inline std::string target_name(const ::testing::TestParamInfo<std::int64_t>& target) {
  return hwy::TargetName(target.param);
}

}  // namespace paceline::memory
