// The collectives whose blocks have a length per rank: results against the definition, over both
// wires, in every kind of memory, with gaps between the blocks; and what they refuse.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "support/fake_device.h"
#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::FakeDevice;
using testing_support::run_world;

using Lengths = std::vector<std::size_t>;

constexpr std::int32_t kUntouched = 0x7abcdef1;

/// Element i of what `from` gives to `to`.
std::int32_t value(int from, int to, std::size_t i) {
  return static_cast<std::int32_t>(i * 2654435761u % 100'003) + from * 1'000'003 + to * 7919;
}

std::int32_t* seen(const std::int32_t* pointer) {
  std::byte* const behind = FakeDevice::get().behind(pointer);
  return behind == nullptr ? const_cast<std::int32_t*>(pointer)
                           : reinterpret_cast<std::int32_t*>(behind);
}

enum class Kind : std::uint8_t { plain, allocated, by_rank, foreign };

/// A buffer whose elements are `kUntouched` until somebody writes them.
class Buffer {
 public:
  Buffer(Communicator& comm, std::size_t elements, Kind kind) : elements_(elements) {
    if (kind == Kind::by_rank) kind = comm.rank() % 2 == 0 ? Kind::allocated : Kind::plain;
    if (kind == Kind::plain) {
      plain_.resize(elements);
      data_ = plain_.data();
    } else {
      const Device device = kind == Kind::foreign ? Device(FakeDevice::kKind) : Device::host();
      memory_ = comm.allocate(elements * sizeof(std::int32_t), device);
      data_ = reinterpret_cast<std::int32_t*>(memory_.data());
    }
    std::fill_n(seen(data_), elements, kUntouched);
  }
  [[nodiscard]] std::int32_t* data() const { return data_; }
  [[nodiscard]] std::span<std::int32_t> elements() const { return {seen(data_), elements_}; }

 private:
  std::size_t elements_;
  std::vector<std::int32_t> plain_;
  Memory memory_;
  std::int32_t* data_ = nullptr;
};

/// Blocks in the order of the ranks turned by `turn`, with `gap` elements before each.
struct Blocks {
  Lengths counts;
  Lengths displacements;
  std::size_t end = 0;

  Blocks(Lengths lengths, std::size_t turn, std::size_t gap)
      : counts(std::move(lengths)), displacements(counts.size()) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const std::size_t r = (i + turn) % counts.size();
      displacements[r] = end + gap;
      end += gap + counts[r];
    }
  }
  [[nodiscard]] CountsPerRank given(bool packed) const {
    return packed ? CountsPerRank{counts} : CountsPerRank{counts, displacements};
  }
};

/// Lengths that all ranks work out alike: some 0, some longer than several segments.
Lengths lengths_of(int size, unsigned seed) {
  std::mt19937 random(seed);
  Lengths lengths;
  for (int r = 0; r < size; ++r) {
    const unsigned of = random() % 4;
    lengths.push_back(of == 0 ? 0 : of == 1 ? random() % 9 : random() % (of == 2 ? 900 : 12'000));
  }
  return lengths;
}

struct Round {
  int size;
  int rank;
  unsigned seed;
  Kind kind;
  bool packed;
  bool in_place;

  /// From rank `from` to rank `to`, of an all_to_all.
  [[nodiscard]] std::size_t length(int from, int to) const {
    return lengths_of(size,
                      seed * 1000 + static_cast<unsigned>(from))[static_cast<std::size_t>(to)];
  }
  [[nodiscard]] Blocks blocks(Lengths lengths) const {
    return {std::move(lengths), packed ? 0 : static_cast<std::size_t>(rank), packed ? 0u : 3u};
  }
  [[nodiscard]] std::string text() const {
    return "rank " + std::to_string(rank) + " of " + std::to_string(size) + ", seed " +
           std::to_string(seed) + ", kind " + std::to_string(static_cast<int>(kind)) +
           (packed ? ", packed" : "") + (in_place ? ", in place" : "");
  }
};

void fill(const Buffer& buffer, std::size_t at, std::size_t count, int from, int to) {
  for (std::size_t i = 0; i < count; ++i) buffer.elements()[at + i] = value(from, to, i);
}

/// Every block holds what `expected(r, i)` says, and nothing between them was written.
template <class Expected>
void expect_blocks(const Buffer& out, const Blocks& blocks, const std::string& text,
                   const Expected& expected) {
  std::vector<bool> written(out.elements().size());
  for (std::size_t r = 0; r < blocks.counts.size(); ++r) {
    for (std::size_t i = 0; i < blocks.counts[r]; ++i) {
      const std::size_t at = blocks.displacements[r] + i;
      written[at] = true;
      ASSERT_EQ(out.elements()[at], expected(static_cast<int>(r), i))
          << "block " << r << ", element " << i << " of " << blocks.counts[r] << "; " << text;
    }
  }
  for (std::size_t at = 0; at < written.size(); ++at) {
    if (!written[at]) {
      ASSERT_EQ(out.elements()[at], kUntouched) << "gap at " << at << "; " << text;
    }
  }
}

void check_all_gather(Communicator& comm, const Round& r) {
  const auto me = static_cast<std::size_t>(r.rank);
  const Blocks blocks = r.blocks(lengths_of(r.size, r.seed));
  const Buffer in(comm, blocks.counts[me], r.kind);
  const Buffer out(comm, blocks.end + 3, r.kind);
  const Buffer& holds = r.in_place ? out : in;
  const std::size_t at = r.in_place ? blocks.displacements[me] : 0;
  fill(holds, at, blocks.counts[me], r.rank, 0);
  comm.all_gather_v(holds.data() + at, out.data(), blocks.given(r.packed), DataType::int32);
  expect_blocks(out, blocks, r.text(), [](int from, std::size_t i) { return value(from, 0, i); });
}

void check_reduce_scatter(Communicator& comm, const Round& r) {
  const auto me = static_cast<std::size_t>(r.rank);
  const Blocks blocks = r.blocks(lengths_of(r.size, r.seed));
  const Buffer in(comm, blocks.end + 3, r.kind);
  const Buffer out(comm, blocks.counts[me], r.kind);
  for (int to = 0; to < r.size; ++to) {
    const auto b = static_cast<std::size_t>(to);
    fill(in, blocks.displacements[b], blocks.counts[b], r.rank, to);
  }
  const Buffer& holds = r.in_place ? in : out;
  const std::size_t at = r.in_place ? blocks.displacements[me] : 0;
  comm.reduce_scatter_v(in.data(), holds.data() + at, blocks.given(r.packed), DataType::int32,
                        ReduceOp::sum);
  for (std::size_t i = 0; i < blocks.counts[me]; ++i) {
    std::uint32_t sum = 0;
    for (int from = 0; from < r.size; ++from) {
      sum += static_cast<std::uint32_t>(value(from, r.rank, i));
    }
    ASSERT_EQ(holds.elements()[at + i], static_cast<std::int32_t>(sum)) << i << "; " << r.text();
  }
}

void check_all_to_all(Communicator& comm, const Round& r) {
  Lengths to;
  Lengths from;
  for (int other = 0; other < r.size; ++other) {
    to.push_back(r.length(r.rank, other));
    from.push_back(r.length(other, r.rank));
  }
  const Blocks sent = r.blocks(to);
  const Blocks received = r.blocks(from);
  const Buffer in(comm, std::max(sent.end, received.end) + 3, r.kind);
  const Buffer out(comm, received.end + 3, r.kind);
  for (int other = 0; other < r.size; ++other) {
    const auto b = static_cast<std::size_t>(other);
    fill(in, sent.displacements[b], sent.counts[b], r.rank, other);
  }
  const Buffer& holds = r.in_place ? in : out;
  comm.all_to_all_v(in.data(), sent.given(r.packed), holds.data(), received.given(r.packed),
                    DataType::int32);
  for (int other = 0; other < r.size; ++other) {
    const auto b = static_cast<std::size_t>(other);
    for (std::size_t i = 0; i < received.counts[b]; ++i) {
      ASSERT_EQ(holds.elements()[received.displacements[b] + i], value(other, r.rank, i))
          << "from " << other << ", element " << i << "; " << r.text();
    }
  }
  if (r.in_place) return;
  expect_blocks(out, received, r.text(),
                [&](int other, std::size_t i) { return value(other, r.rank, i); });
}

void check_gather(Communicator& comm, const Round& r, int root) {
  const auto me = static_cast<std::size_t>(r.rank);
  const bool at_root = r.rank == root;
  const Blocks blocks = r.blocks(lengths_of(r.size, r.seed));
  const Buffer in(comm, blocks.counts[me], r.kind);
  const Buffer out(comm, at_root ? blocks.end + 3 : 0, r.kind);
  const Buffer& holds = r.in_place && at_root ? out : in;
  const std::size_t at = r.in_place && at_root ? blocks.displacements[me] : 0;
  fill(holds, at, blocks.counts[me], r.rank, 0);
  comm.gather_v(holds.data() + at, blocks.counts[me], at_root ? out.data() : nullptr,
                at_root ? blocks.given(r.packed) : CountsPerRank{}, DataType::int32, root);
  if (!at_root) return;
  expect_blocks(out, blocks, r.text(), [](int from, std::size_t i) { return value(from, 0, i); });
}

void check_scatter(Communicator& comm, const Round& r, int root) {
  const auto me = static_cast<std::size_t>(r.rank);
  const bool at_root = r.rank == root;
  const Blocks blocks = r.blocks(lengths_of(r.size, r.seed));
  const Buffer in(comm, at_root ? blocks.end + 3 : 0, r.kind);
  const Buffer out(comm, blocks.counts[me], r.kind);
  for (int to = 0; at_root && to < r.size; ++to) {
    const auto b = static_cast<std::size_t>(to);
    fill(in, blocks.displacements[b], blocks.counts[b], root, to);
  }
  const Buffer& holds = r.in_place && at_root ? in : out;
  const std::size_t at = r.in_place && at_root ? blocks.displacements[me] : 0;
  comm.scatter_v(at_root ? in.data() : nullptr, at_root ? blocks.given(r.packed) : CountsPerRank{},
                 holds.data() + at, blocks.counts[me], DataType::int32, root);
  for (std::size_t i = 0; i < blocks.counts[me]; ++i) {
    ASSERT_EQ(holds.elements()[at + i], value(root, r.rank, i)) << i << "; " << r.text();
  }
}

class Uneven : public testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  static void run(const std::function<void(Communicator&, const Round&)>& check) {
    const auto& [wire, size] = GetParam();
    run_world(
        size,
        [&, size = size](Communicator& comm) {
          for (unsigned seed = 0; seed < 24; ++seed) {
            const Round round{size,
                              comm.rank(),
                              seed,
                              static_cast<Kind>(seed % 4),
                              seed / 4 % 2 == 0,
                              seed / 8 % 2 == 1};
            check(comm, round);
            if (testing::Test::HasFatalFailure()) return;
          }
        },
        [&, wire = wire](Config& config) {
          config.transports = {wire};
          config.segment_bytes = 4096;  // several instances in each lane
        });
  }
};

TEST_P(Uneven, AllGather) {
  run(check_all_gather);
}
TEST_P(Uneven, ReduceScatter) {
  run(check_reduce_scatter);
}
TEST_P(Uneven, AllToAll) {
  run(check_all_to_all);
}
TEST_P(Uneven, Gather) {
  run([](Communicator& comm, const Round& r) {
    check_gather(comm, r, static_cast<int>(r.seed) % r.size);
  });
}
TEST_P(Uneven, Scatter) {
  run([](Communicator& comm, const Round& r) {
    check_scatter(comm, r, static_cast<int>(r.seed) % r.size);
  });
}
INSTANTIATE_TEST_SUITE_P(
    All, Uneven, testing::Combine(testing::Values("shm", "tcp"), testing::Values(1, 2, 3, 5)),
    [](const auto& param) {
      return std::get<0>(param.param) + "_" + std::to_string(std::get<1>(param.param));
    });

TEST(UnevenCalls, AsynchronousOnesReadTheCountsAtOnce) {
  run_world(3, [](Communicator& comm) {
    Lengths counts = {4, 0, 2};
    std::vector<float> all(6, -1.f);
    const std::vector<float> mine(4, static_cast<float>(comm.rank()));
    Work work = comm.all_gather_v_async(mine.data(), all.data(), {counts}, DataType::float32);
    counts.assign(3, 99);
    work.wait();
    EXPECT_EQ(all, (std::vector<float>{0, 0, 0, 0, 2, 2}));
    std::fill(all.begin(), all.end(), -1.f);
    work.restart();
    work.wait();
    EXPECT_EQ(all, (std::vector<float>{0, 0, 0, 0, 2, 2}));
  });
}

// Ranks that disagree: both numbers are named, and nothing is written.
TEST(UnevenCalls, DisagreeingCountsAreAMismatch) {
  for (const std::string wire : {"shm", "tcp"}) {
    run_world(
        3,
        [&](Communicator& comm) {
          // Rank 2 believes that rank 0 gives 90.
          const Lengths counts = {comm.rank() == 2 ? 90u : 100u, 10, 20};
          std::vector<float> all(200, -1.f);
          const std::vector<float> mine(100, 1.f);
          const Error error = expect_error([&] {
            for (;;) comm.all_gather_v(mine.data(), all.data(), {counts}, DataType::float32);
          });
          EXPECT_EQ(error.code(), ErrorCode::mismatch) << error.what();
          const std::string text = error.what();
          EXPECT_NE(text.find("all_gather_v(float32) as call #"), std::string::npos) << text;
          EXPECT_NE(text.find("100 elements where 90 are expected"), std::string::npos) << text;
          if (comm.rank() == 2) {
            EXPECT_EQ(all[5], -1.f) << "rank 0 has written";
          }
        },
        [&](Config& config) { config.transports = {wire}; });
  }
}

TEST(UnevenCalls, AreNotTheEvenOnes) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(8);
    const Lengths counts = {4, 4};
    const Error error = expect_error([&] {
      for (;;) {
        if (comm.rank() == 0) {
          comm.all_gather_v(x.data(), x.data(), {counts}, DataType::float32);
        } else {
          comm.all_gather(x.data() + 4, x.data(), 4, DataType::float32);
        }
      }
    });
    EXPECT_EQ(error.code(), ErrorCode::mismatch) << error.what();
    EXPECT_NE(std::string(error.what()).find("all_gather_v(float32)"), std::string::npos)
        << error.what();
  });
}

TEST(UnevenCalls, RefuseWhatDoesNotAddUp) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(64);
    std::vector<float> y(64);
    const auto text = [&](const Lengths& counts, const Lengths& displacements) {
      const Error error = expect_error([&] {
        comm.all_gather_v(x.data(), y.data(), {counts, displacements}, DataType::float32);
      });
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return std::string(error.what());
    };
    EXPECT_EQ(text({1, 2, 3}, {}), "the counts of out are 3 for 2 ranks: give one for each rank");
    EXPECT_EQ(text({1, 2}, {0}),
              "the displacements of out are 1 for 2 ranks: give one for each rank, or none for "
              "blocks that lie one behind the other");
    EXPECT_EQ(text({5, 5}, {0, 4}),
              "the blocks of rank 0 and rank 1 overlap in out: elements 0 to 4 and from 4 on; give "
              "disjoint blocks");
    EXPECT_NE(text({1, ~std::size_t{0}}, {}).find("does not fit into memory"), std::string::npos);
    const Lengths two = {8, 8};
    const Error overlap = expect_error([&] {
      comm.all_gather_v(y.data() + (1 - comm.rank()) * 8, y.data(), {two}, DataType::float32);
    });
    EXPECT_NE(std::string(overlap.what()).find("in and out overlap"), std::string::npos);
    const Error null =
        expect_error([&] { comm.all_gather_v(x.data(), nullptr, {two}, DataType::float32); });
    EXPECT_EQ(std::string(null.what()),
              "out is null for 8 elements: give a buffer, or a count of 0");
    comm.barrier();  // it is still usable
  });
}

}  // namespace
}  // namespace paceline
