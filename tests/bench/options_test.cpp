#include "common/options.h"

#include <gtest/gtest.h>

namespace paceline::bench {
namespace {

Options parse(std::vector<std::string> arguments) {
  CLI::App app;
  Options options;
  add_options(app, options);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  app.parse(arguments);
  return options;
}

TEST(Options, DefaultsAreNcclTestsButForTheIterations) {
  const Options o = parse({});
  EXPECT_EQ(o.sizes(), std::vector<std::uint64_t>{32U << 20});
  EXPECT_EQ(o.iterations, 0U);
  EXPECT_EQ(o.warmups, 5U);
  EXPECT_EQ(o.ops, std::vector<ReduceOp>{ReduceOp::sum});
  EXPECT_EQ(o.types, std::vector<DataType>{DataType::float32});
  EXPECT_TRUE(o.check);
  EXPECT_TRUE(o.blocking);
  EXPECT_EQ(o.across, Across::max);
  EXPECT_FALSE(o.percentiles);
  EXPECT_EQ(o.memory, MemorySource::allocate);
}

TEST(Options, EveryFlagSetsItsField) {
  const Options o = parse({"-b",
                           "8",
                           "-e",
                           "128",
                           "-f",
                           "4",
                           "-n",
                           "7",
                           "-w",
                           "2",
                           "-o",
                           "max",
                           "-d",
                           "double",
                           "-c",
                           "0",
                           "-z",
                           "0",
                           "-a",
                           "1",
                           "-J",
                           "out.json",
                           "--percentiles",
                           "--memory",
                           "plain"});
  EXPECT_EQ(o.sizes(), (std::vector<std::uint64_t>{8, 32, 128}));
  EXPECT_EQ(o.iterations, 7U);
  EXPECT_EQ(o.warmups, 2U);
  EXPECT_EQ(o.ops, std::vector<ReduceOp>{ReduceOp::max});
  EXPECT_EQ(o.types, std::vector<DataType>{DataType::float64});
  EXPECT_FALSE(o.check);
  EXPECT_FALSE(o.blocking);
  EXPECT_EQ(o.across, Across::average);
  EXPECT_EQ(o.json, "out.json");
  EXPECT_TRUE(o.percentiles);
  EXPECT_EQ(o.memory, MemorySource::plain);
}

TEST(Options, AllMeansAll) {
  const Options o = parse({"-o", "all", "-d", "all"});
  EXPECT_EQ(o.ops.size(), 9U);
  EXPECT_EQ(o.types.size(), 13U);
}

TEST(Options, NamesOfNcclTestsAreTaken) {
  EXPECT_EQ(parse({"-d", "half"}).types, std::vector<DataType>{DataType::float16});
  EXPECT_EQ(parse({"-d", "fp8_e4m3"}).types, std::vector<DataType>{DataType::float8_e4m3});
  EXPECT_EQ(parse({"-d", "uint8", "-o", "bxor"}).ops, std::vector<ReduceOp>{ReduceOp::bxor});
}

TEST(Options, TheFirstSizeAloneIsTheOnlyOne) {
  EXPECT_EQ(parse({"-b", "64M"}).sizes(), std::vector<std::uint64_t>{64U << 20});
  EXPECT_EQ(parse({"-b", "1K"}).sizes(), std::vector<std::uint64_t>{1024});
  EXPECT_EQ(parse({"-b", "1M", "-e", "3M"}).sizes().size(), 3U);
}

TEST(Options, NonsenseIsRefusedWithWhatIsAllowed) {
  const auto refusal = [](std::vector<std::string> arguments) -> std::string {
    try {
      (void)parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal({"-b", "8X"}).find("allowed: bytes"), std::string::npos);
  EXPECT_NE(refusal({"-o", "custom"}).find("all, sum, prod, min, max"), std::string::npos);
  EXPECT_NE(refusal({"-d", "quarter"}).find("float32"), std::string::npos);
  EXPECT_NE(refusal({"-d", "half", "-o", "bor"}).find("band, bor and bxor the integers"),
            std::string::npos);
  EXPECT_NE(refusal({"-b", "8", "-e", "4"}).find("-b is above -e"), std::string::npos);
  EXPECT_NE(refusal({"-a", "4"}), "");
  EXPECT_NE(refusal({"-n", "-3"}), "");
  EXPECT_NE(refusal({"--memory", "gpu"}), "");
  EXPECT_NE(refusal({"--nonsense"}), "");
}

}  // namespace
}  // namespace paceline::bench
