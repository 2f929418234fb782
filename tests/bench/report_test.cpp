#include "common/report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

namespace paceline::bench {
namespace {

Row row_with(std::optional<std::uint64_t> out_of_place, std::optional<std::uint64_t> in_place) {
  Row row;
  row.bytes = 8;
  row.count = 2;
  row.type = "float32";
  row.op = "sum";
  row.algorithm = "direct";
  row.out_of_place = {1.5, 2, 3, out_of_place, 1.25, 9};
  row.in_place = {2.5, 4, 5, in_place, 2.25, 8};
  return row;
}

TEST(Report, SumsUpWhatWasWrong) {
  testing::internal::CaptureStdout();
  Report report(true, false, "");
  report.begin({{"ranks", "2 on 1 host"}});
  report.row(row_with(1, 2));
  report.row(row_with(std::nullopt, 4));
  EXPECT_EQ(report.end(), 7U);
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("# ranks      2 on 1 host\n"), std::string::npos);
  EXPECT_NE(text.find("# Out of bounds values : 7 FAILED\n"), std::string::npos);
  EXPECT_NE(text.find("# Avg bus bandwidth    : 4\n"), std::string::npos);
}

TEST(Report, OtherRanksAreSilentButKnowTheResult) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Report report(false, false, "/nowhere/at/all.json");
  report.begin({{"ranks", "2"}});
  report.progress("working");
  report.row(row_with(0, 5));
  EXPECT_EQ(report.end(), 5U);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Report, TheFileHoldsTheTable) {
  const std::string path = ::testing::TempDir() + "report_" + std::to_string(::getpid()) + ".json";
  testing::internal::CaptureStdout();
  Report report(true, true, path);
  report.begin({{"wires", "shm 1 pair"}});
  report.row(row_with(0, std::nullopt));
  (void)report.end();
  (void)testing::internal::GetCapturedStdout();
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file);
  std::remove(path.c_str());
  EXPECT_EQ(json["wires"], "shm 1 pair");
  EXPECT_EQ(json["wrong"], 0);
  ASSERT_EQ(json["rows"].size(), 1U);
  const auto& row = json["rows"][0];
  EXPECT_EQ(row["size"], 8);
  EXPECT_EQ(row["algorithm"], "direct");
  EXPECT_EQ(row["out_of_place"]["time_us"], 1.5);
  EXPECT_EQ(row["out_of_place"]["wrong"], 0);
  EXPECT_EQ(row["in_place"]["p99_us"], 8);
  EXPECT_FALSE(row["in_place"].contains("wrong"));
}

TEST(Report, AFileThatCannotBeWrittenIsAnError) {
  testing::internal::CaptureStdout();
  Report report(true, false, "/nowhere/at/all.json");
  report.begin({});
  EXPECT_THROW((void)report.end(), std::runtime_error);
  (void)testing::internal::GetCapturedStdout();
}

}  // namespace
}  // namespace paceline::bench
