#include "compare/method.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace paceline::compare {
namespace {

// Two ranks as threads, which put their buffers where the other one finds them. `spoils` is what is
// done to a result before it is handed out.
struct Board {
  const Call* calls[2] = {nullptr, nullptr};
};

class Exchange final : public Library {
 public:
  using Spoil = void (*)(float* out, std::size_t elements);
  Exchange(Board& board, Meeting& meeting, Spoil spoils)
      : board_(board), meeting_(meeting), spoils_(spoils) {}

  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    return !in_place || collective == Collective::broadcast || collective == Collective::all_gather;
  }

  void call(const Call& c) override {
    const int rank = meeting_.rank();
    board_.calls[rank] = &c;
    meeting_.barrier();
    const std::size_t n = c.count;
    std::size_t elements = n;
    for (std::size_t i = 0; i < n; ++i) {
      const float* const in[2] = {board_.calls[0]->in, board_.calls[1]->in};
      const std::size_t own = std::size_t(rank) * n + i;
      if (c.collective == Collective::all_reduce) c.out[i] = in[0][i] + in[1][i];
      if (c.collective == Collective::reduce_scatter) c.out[i] = in[0][own] + in[1][own];
      if (c.collective == Collective::broadcast && rank == 1) c.out[i] = in[0][i];
      for (std::size_t from = 0; from < 2; ++from) {
        // In place, the own block is where it belongs, and the other one reads it.
        if (c.collective == Collective::all_gather && &c.out[from * n + i] != &in[from][i]) {
          c.out[from * n + i] = in[from][i];
        }
        if (c.collective == Collective::all_to_all) c.out[from * n + i] = in[from][own];
      }
    }
    if (c.collective == Collective::all_gather || c.collective == Collective::all_to_all) {
      elements = 2 * n;
    }
    meeting_.barrier();
    if (rank == 1) spoils_(c.out, elements);
  }

 private:
  Board& board_;
  Meeting& meeting_;
  const Spoil spoils_;
};

void spoils_nothing(float*, std::size_t) {}
void spoils_the_last(float* out, std::size_t elements) {
  out[elements - 1] += 1;
}
void leaves_a_hole(float* out, std::size_t elements) {
  out[elements / 2] = 0;
}

class Method : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string form = (std::filesystem::temp_directory_path() / "method-XXXXXX").string();
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    folder_ = form;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // What both ranks say is wrong, and the lines of the results.
  std::uint64_t run(const std::vector<Collective>& collectives,
                    const std::vector<std::size_t>& sizes, Exchange::Spoil spoils,
                    bool in_place = false, std::size_t tensors = 1, bool fused = false) {
    Board board;
    const Shared shared((folder_ / "meeting").string(), Meeting::bytes_for(2));
    std::uint64_t wrong[2] = {0, 0};
    const auto rank = [&](int number) {
      Meeting meeting(shared, number, 2, Waiting::yield);
      std::unique_ptr<Library> library = std::make_unique<Exchange>(board, meeting, spoils);
      if (fused) library = std::make_unique<Fused>(std::move(library));
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> results(
          std::fopen((folder_ / "results").c_str(), "a"), &std::fclose);
      constexpr double kBudget = 200;  // us
      wrong[number] = Course(*library, meeting, kBudget, in_place, tensors, results.get())
                          .run(collectives, sizes);
      meeting.barrier();
    };
    std::thread other(rank, 1);
    rank(0);
    other.join();
    EXPECT_EQ(wrong[0], wrong[1]);
    return wrong[0];
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream in(folder_ / "results");
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

  std::filesystem::path folder_;
};

const std::vector<Collective> kAll = {Collective::all_reduce, Collective::reduce_scatter,
                                      Collective::all_gather, Collective::all_to_all,
                                      Collective::broadcast};

TEST_F(Method, GoodResultsAreNotWrong) {
  EXPECT_EQ(run(kAll, {8, 40'000}, spoils_nothing), 0U);
  ASSERT_EQ(lines().size(), 10U);
  EXPECT_NE(lines()[0].find(R"({"collective":"all_reduce","bytes":8,"latency_us":)"),
            std::string::npos);
  EXPECT_NE(lines()[0].find(R"("errors":0})"), std::string::npos);
}

// One element at one rank, in the first check and in the last.
TEST_F(Method, EveryElementIsChecked) {
  for (const Collective collective : kAll) {
    EXPECT_EQ(run({collective}, {40'000}, spoils_the_last), 2U) << name_of(collective);
    EXPECT_EQ(run({collective}, {40'000}, leaves_a_hole), 2U) << name_of(collective);
  }
  EXPECT_NE(lines().front().find(R"("errors":2})"), std::string::npos);
}

// Each tensor is checked: of three, the last element of each, or where they are one buffer of the
// last one.
TEST_F(Method, TensorsAreCalledOneByOneOrFused) {
  EXPECT_EQ(run({Collective::all_reduce}, {8, 4'000}, spoils_nothing, false, 3), 0U);
  EXPECT_EQ(run({Collective::all_reduce}, {8, 4'000}, spoils_nothing, false, 3, true), 0U);
  EXPECT_EQ(run({Collective::all_reduce}, {4'000}, spoils_the_last, false, 3), 6U);
  EXPECT_EQ(run({Collective::all_reduce}, {4'000}, spoils_the_last, false, 3, true), 2U);
  EXPECT_EQ(lines().size(), 6U);
}

TEST_F(Method, ALineIsTimedBetweenTwoThatHaveACoreEach) {
  const Shared shared((folder_ / "meeting").string(), Meeting::bytes_for(3));
  const auto found = [&](int ranks, Waiting waiting) {
    std::memset(shared.data(), 0, Meeting::bytes_for(0));
    std::vector<double> times(static_cast<std::size_t>(ranks), -1);
    const auto rank = [&](int number) {
      Meeting meeting(shared, number, ranks, waiting);
      meeting.crossing_ns();
      times[static_cast<std::size_t>(number)] = meeting.crossing_ns();
      meeting.barrier();
    };
    std::vector<std::thread> others;
    for (int number = 1; number < ranks; ++number) others.emplace_back(rank, number);
    rank(0);
    for (std::thread& other : others) other.join();
    return times;
  };
  EXPECT_GT(found(2, Waiting::spin)[0], 1);
  EXPECT_EQ(found(3, Waiting::yield), (std::vector<double>{0, 0, 0}));
}

TEST_F(Method, WhatIsNotOfferedIsSaid) {
  EXPECT_EQ(run(kAll, {40'000}, spoils_nothing, true), 0U);
  ASSERT_EQ(lines().size(), 5U);
  EXPECT_EQ(lines()[0], R"({"collective":"all_reduce","not_offered":true})");
  EXPECT_NE(lines()[2].find(R"("collective":"all_gather","bytes":40000)"), std::string::npos);
  EXPECT_NE(lines()[4].find(R"("collective":"broadcast","bytes":40000)"), std::string::npos);
}

TEST_F(Method, ASizeWithoutAnElementForEachRankIsLeftOut) {
  EXPECT_EQ(run({Collective::reduce_scatter}, {4, 8}, spoils_nothing), 0U);
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_NE(lines()[0].find(R"("bytes":8)"), std::string::npos);
}

TEST(CompareArguments, ArePairs) {
  const char* const some[] = {"adapter", "--sizes", "8,1024", "--cpus", "", "--rank", "3"};
  const Arguments arguments(7, some);
  EXPECT_EQ(arguments.numbers("sizes"), (std::vector<std::size_t>{8, 1024}));
  EXPECT_TRUE(arguments.numbers("cpus").empty());
  EXPECT_EQ(arguments.rank(), 3);
  EXPECT_EQ(arguments.text("wait", "spin"), "spin");
  EXPECT_THROW(static_cast<void>(arguments.text("ranks")), std::invalid_argument);
  const char* const half[] = {"adapter", "--sizes"};
  EXPECT_THROW(Arguments(2, half), std::invalid_argument);
  const char* const letters[] = {"adapter", "--rank", "2x"};
  EXPECT_THROW(static_cast<void>(Arguments(3, letters).rank()), std::invalid_argument);
}

}  // namespace
}  // namespace paceline::compare
