#include "common/table.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace paceline::bench {
namespace {

Row example() {
  Row row;
  row.bytes = 1048576;
  row.count = 262144;
  row.type = "float32";
  row.op = "sum";
  row.out_of_place = {123.456, 8.4934, 12.7401, 0, 120.5, 400.25};
  row.in_place = {98.7654, 10.6168, 15.9252, 3, 97, 20'000.4};
  row.algorithm = "ring";
  return row;
}

// nccl-tests 2.x prints these lines, up to the algorithm; its scripts split at blanks.
TEST(Table, RowsHaveNcclTestsColumns) {
  EXPECT_EQ(table_row(example(), false),
            "     1048576        262144   float32     sum      -1"
            "    123.5    8.49   12.74      0"
            "    98.77   10.62   15.93      3"
            "  ring\n");
}

TEST(Table, WhatCannotBeInPlaceSaysSo) {
  Row row = example();
  row.has_in_place = false;
  EXPECT_EQ(table_row(row, false),
            "     1048576        262144   float32     sum      -1"
            "    123.5    8.49   12.74      0"
            "      N/A     N/A     N/A    N/A"
            "  ring\n");
}

TEST(Table, PercentilesComeBehind) {
  EXPECT_EQ(table_row(example(), true),
            "     1048576        262144   float32     sum      -1"
            "    123.5    8.49   12.74      0"
            "    98.77   10.62   15.93      3"
            "     120.5     400.2     97.00     20000  ring\n");
}

TEST(Table, WhatWasNotCheckedSaysSo) {
  Row row = example();
  row.in_place.wrong = std::nullopt;
  EXPECT_NE(table_row(row, false).find("15.93    N/A"), std::string::npos);
}

// Every heading ends where its column ends.
TEST(Table, HeadingsStandOverTheirColumns) {
  for (const bool percentiles : {false, true}) {
    std::vector<std::string> lines;
    std::istringstream head(table_head(percentiles));
    for (std::string line; std::getline(head, line);) lines.push_back(line);
    ASSERT_EQ(lines.size(), 3U);
    const std::string row = table_row(example(), percentiles);
    const auto ends = [](const std::string& text) {
      std::vector<std::size_t> found;
      for (std::size_t i = 1; i <= text.size(); ++i) {
        const bool blank = i == text.size() || text[i] == ' ' || text[i] == '\n';
        if (blank && text[i - 1] != ' ' && text[i - 1] != '#') found.push_back(i);
      }
      return found;
    };
    // "#wrong" and "algorithm" are wider than what stands below; compare the others.
    std::vector<std::size_t> headings = ends(lines[1]);
    std::vector<std::size_t> columns = ends(row.substr(0, row.size() - 1));
    headings.pop_back();
    columns.pop_back();
    EXPECT_EQ(headings, columns);
    for (const std::string& line : lines) EXPECT_EQ(line.front(), '#');
  }
}

TEST(Table, TheFootIsWhatScriptsLookFor) {
  EXPECT_EQ(table_foot(0, 1.25), "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 1.25\n");
  EXPECT_EQ(table_foot(7, 0), "# Out of bounds values : 7 FAILED\n# Avg bus bandwidth    : 0\n");
}

}  // namespace
}  // namespace paceline::bench
