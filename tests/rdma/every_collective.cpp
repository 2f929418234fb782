// A rank of a program that runs every collective with every type and operation over whatever wire
// its environment allows, then some whose blocks have a length per rank, and says what was wrong.
// Arguments are the counts of elements to do it with; after the word "sums", with float32 and sums
// alone.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "support/matrix.h"

namespace {

using paceline::Communicator;

// Rank r has (r + 1) * `unit` elements for everybody, and gets as many from each.
bool uneven_blocks_are_right(Communicator& comm, std::size_t unit) {
  const auto size = static_cast<std::size_t>(comm.size());
  const auto rank = static_cast<std::size_t>(comm.rank());
  std::vector<std::size_t> counts(size);
  for (std::size_t r = 0; r < size; ++r) counts[r] = (r + 1) * unit;
  const std::vector<std::size_t> same(size, counts[rank]);
  std::vector<std::int32_t> all(size * (size + 1) / 2 * unit);
  const auto expected = [&](std::int32_t factor) {
    std::vector<std::int32_t> blocks;
    for (std::size_t r = 0; r < size; ++r) {
      blocks.insert(blocks.end(), counts[r], static_cast<std::int32_t>(r) * factor + 1);
    }
    return blocks;
  };
  const auto mine = static_cast<std::int32_t>(rank) + 1;
  const std::vector<std::int32_t> own(counts[rank], mine);
  comm.all_gather_v(own.data(), all.data(), {counts}, paceline::DataType::int32);
  if (all != expected(1)) return false;

  std::vector<std::int32_t> sum(counts[rank]);
  comm.reduce_scatter_v(all.data(), sum.data(), {counts}, paceline::DataType::int32,
                        paceline::ReduceOp::sum);
  if (sum != std::vector<std::int32_t>(counts[rank], mine * comm.size())) return false;

  const std::vector<std::int32_t> to_all(counts[rank] * size, mine);
  std::fill(all.begin(), all.end(), 0);
  comm.all_to_all_v(to_all.data(), {same}, all.data(), {counts}, paceline::DataType::int32);
  if (all != expected(1)) return false;

  std::fill(all.begin(), all.end(), 0);
  comm.gather_v(own.data(), own.size(), all.data(), {counts}, paceline::DataType::int32, 1);
  if (comm.rank() == 1 && all != expected(1)) return false;
  std::fill(sum.begin(), sum.end(), 0);
  comm.scatter_v(all.data(), {counts}, sum.data(), sum.size(), paceline::DataType::int32, 1);
  return sum == own;
}

}  // namespace

int main(int count, char** words) {
  using paceline::testing_support::Matrix;
  std::vector<std::string> arguments(words + 1, words + count);
  Matrix::Range range = Matrix::Range::all;
  if (!arguments.empty() && arguments.front() == "sums") {
    range = Matrix::Range::sums_of_float32;
    arguments.erase(arguments.begin());
  }
  std::vector<std::size_t> counts;
  for (const std::string& word : arguments) counts.push_back(std::stoul(word));
  if (counts.empty()) counts = {1, 37, 3001};
  try {
    Communicator comm = Communicator::from_environment();
    Matrix matrix(comm);
    const std::string wrong = matrix.run(counts, range);
    if (!wrong.empty()) {
      std::fprintf(stderr, "FAILED: %s\n", wrong.c_str());
      return 1;
    }
    for (const std::size_t unit : {0u, 1u, 700u, 50'000u}) {
      if (uneven_blocks_are_right(comm, unit)) continue;
      std::fprintf(stderr, "FAILED: blocks of a length per rank, in units of %zu\n", unit);
      return 1;
    }
    const int other = (comm.rank() + 1) % comm.size();
    std::printf("rank %d of %d: %d cases over %s are right\n", comm.rank(), comm.size(),
                matrix.cases(), comm.wires()[static_cast<std::size_t>(other)].transport.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "FAILED: %s\n", error.what());
    return 1;
  }
  return 0;
}
