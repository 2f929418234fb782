// Every collective by every algorithm that offers it, over every wire: results against the
// definition, in place and out of place, in every kind of memory, and nothing written beside them.
#include <cstring>
#include <numeric>
#include <vector>

#include "collectives/schedule.h"
#include "support/fake_device.h"
#include "support/world.h"

namespace paceline {
namespace {

using testing_support::expect_error;
using testing_support::FakeDevice;
using testing_support::run_world;

constexpr std::int32_t kUntouched = 0x7abcdef1;
constexpr std::size_t kMargin = 19;  // elements before and behind each buffer

struct Case {
  Collective collective;
  Algorithm algorithm;
  std::string wire;
  int size;
  std::string hosts = {};  ///< a letter for each rank's; empty: all are on one
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << to_string(c.collective) << "_" << to_string(c.algorithm) << "_" << c.wire << "_"
             << c.size << (c.hosts.empty() ? "" : "_on_") << c.hosts;
}

/// What rank `rank` has at element `i` of its input.
std::int32_t value(int rank, std::size_t i) {
  return static_cast<std::int32_t>(i * 2654435761u % 100'003) - 50'000 + rank * 1'000'003;
}

/// One rank's side of one call.
struct Call {
  Collective collective;
  std::size_t count;
  int root;
  int rank;
  int size;
  ReduceOp op;  ///< sum or avg, where something is reduced

  [[nodiscard]] Blocks blocks() const { return blocks_of(collective, rank, size, root); }
  [[nodiscard]] std::size_t inputs() const {
    return static_cast<std::size_t>(blocks().input) * count;
  }
  [[nodiscard]] std::size_t outputs() const {
    return static_cast<std::size_t>(blocks().output) * count;
  }

  /// By the definition: element i of the output.
  [[nodiscard]] std::int32_t expected(std::size_t i) const {
    const std::size_t within = count == 0 ? 0 : i % count;
    const int block = count == 0 ? 0 : static_cast<int>(i / count);
    const std::size_t for_me = static_cast<std::size_t>(rank) * count + within;
    const auto sum = [&](std::size_t at) {
      std::uint32_t total = 0;
      for (int r = 0; r < size; ++r) total += static_cast<std::uint32_t>(value(r, at));
      const auto wrapped = static_cast<std::int32_t>(total);
      return op == ReduceOp::avg ? wrapped / size : wrapped;
    };
    switch (collective) {
      case Collective::all_reduce:
      case Collective::reduce:
        return sum(within);
      case Collective::reduce_scatter:
        return sum(for_me);
      case Collective::broadcast:
        return value(root, within);
      case Collective::all_gather:
      case Collective::gather:
        return value(block, within);
      case Collective::all_to_all:
        return value(block, for_me);
      case Collective::scatter:
        return value(root, for_me);
      case Collective::barrier:
        break;
    }
    return 0;
  }
};

void perform(Communicator& comm, const Call& call, const std::int32_t* in, std::int32_t* out) {
  constexpr DataType type = DataType::int32;
  const std::size_t n = call.count;
  switch (call.collective) {
    case Collective::all_reduce:
      return comm.all_reduce(in, out, n, type, call.op);
    case Collective::broadcast:
      return comm.broadcast(out, n, type, call.root);
    case Collective::barrier:
      return comm.barrier();
    case Collective::reduce_scatter:
      return comm.reduce_scatter(in, out, n, type, call.op);
    case Collective::all_gather:
      return comm.all_gather(in, out, n, type);
    case Collective::all_to_all:
      return comm.all_to_all(in, out, n, type);
    case Collective::reduce:
      return comm.reduce(in, out, n, type, call.op, call.root);
    case Collective::gather:
      return comm.gather(in, out, n, type, call.root);
    case Collective::scatter:
      return comm.scatter(in, out, n, type, call.root);
  }
}

enum class Kind : std::uint8_t { plain, allocated, by_rank, foreign };

/// What the test looks at to see a pointer's elements.
std::int32_t* seen(const std::int32_t* pointer) {
  std::byte* const behind = FakeDevice::get().behind(pointer);
  return behind == nullptr ? const_cast<std::int32_t*>(pointer)
                           : reinterpret_cast<std::int32_t*>(behind);
}

/// A buffer of any kind with a margin around it.
class Buffer {
 public:
  Buffer(Communicator& comm, std::size_t elements, Kind kind) : elements_(elements) {
    const std::size_t all = elements + 2 * kMargin;
    if (kind == Kind::plain) {
      plain_.resize(all);
      data_ = plain_.data();
    } else {
      memory_ = comm.allocate(all * sizeof(std::int32_t),
                              kind == Kind::foreign ? Device(FakeDevice::kKind) : Device::host());
      EXPECT_EQ(memory_->mappable(), kind == Kind::allocated) << comm.rank();
      data_ = reinterpret_cast<std::int32_t*>(memory_->data());
    }
    begin_ = seen(data_);
    std::fill(begin_, begin_ + all, kUntouched);
  }
  [[nodiscard]] std::int32_t* data() const { return data_ + kMargin; }
  void expect_margins(const Call& call) const {
    for (std::size_t i = 0; i < kMargin; ++i) {
      ASSERT_EQ(begin_[i], kUntouched) << "before the buffer, rank " << call.rank;
      ASSERT_EQ(begin_[kMargin + elements_ + i], kUntouched) << "behind it, rank " << call.rank;
    }
  }

 private:
  std::size_t elements_;
  std::optional<Memory> memory_;
  std::vector<std::int32_t> plain_;
  std::int32_t* data_ = nullptr;
  std::int32_t* begin_ = nullptr;  ///< as the test sees it
};

void check(Communicator& comm, const Call& call, Kind kind, bool in_place) {
  const bool even = call.rank % 2 == 0;
  const Kind of_first = kind != Kind::by_rank ? kind : even ? Kind::allocated : Kind::plain;
  const Kind of_second = kind != Kind::by_rank ? kind : even ? Kind::plain : Kind::allocated;
  const std::size_t inputs = call.inputs();
  const std::size_t outputs = call.outputs();
  // All in one buffer, or in two.
  const Buffer first(comm, std::max(inputs, outputs), of_first);
  const Buffer second(comm, outputs, of_second);
  std::int32_t* in = first.data();
  std::int32_t* out = second.data();
  if (in_place) {
    const std::size_t own = static_cast<std::size_t>(call.rank) * call.count;
    out = first.data() + (outputs < inputs && outputs > 0 ? own : 0);
    in = first.data() + (inputs < outputs && inputs > 0 ? own : 0);
  }
  std::int32_t* const filled = seen(in);
  for (std::size_t i = 0; i < inputs; ++i) filled[i] = value(call.rank, i);
  perform(comm, call, in, out);
  in = seen(in);
  out = seen(out);
  for (std::size_t i = 0; i < outputs; ++i) {
    ASSERT_EQ(out[i], call.expected(i))
        << to_string(call.collective) << " of " << call.count << ", rank " << call.rank << " of "
        << call.size << ", " << to_string(call.op) << ", root " << call.root << ", element " << i
        << " of " << outputs << (in_place ? ", in place" : "") << ", kind "
        << static_cast<int>(kind);
  }
  // An input is only ever read; in place, what is not output stays.
  for (std::size_t i = 0; i < inputs; ++i) {
    if (in + i >= out && in + i < out + outputs) continue;
    ASSERT_EQ(in[i], value(call.rank, i)) << "the input was changed at " << i;
  }
  first.expect_margins(call);
  second.expect_margins(call);
}

class Collectives : public testing::TestWithParam<Case> {};

TEST_P(Collectives, GiveWhatTheyAreDefinedToGive) {
  const Case& c = GetParam();
  run_world(
      c.size,
      [&](Communicator& comm) {
        ASSERT_EQ(comm.algorithm_for(c.collective, 1000, DataType::int32), c.algorithm);
        int turn = 0;
        for (const std::size_t count : {0u, 1u, 3u, 64u, 1000u, 4099u, 20'011u}) {
          for (const Kind kind : {Kind::plain, Kind::allocated, Kind::by_rank, Kind::foreign}) {
            for (const bool in_place : {false, true}) {
              // In place and out of place meet both in time.
              const ReduceOp op = turn / 2 % 2 == 0 ? ReduceOp::sum : ReduceOp::avg;
              const Call call{c.collective, count, turn++ % c.size, comm.rank(), c.size, op};
              check(comm, call, kind, in_place || c.collective == Collective::broadcast);
              if (testing::Test::HasFatalFailure()) return;
            }
          }
        }
      },
      [&](Config& config) {
        config.transports = {c.wire};
        if (!c.hosts.empty()) {
          config.transports = {"shm", "tcp"};
          config.host_id = c.hosts[static_cast<std::size_t>(config.rank)];
        }
        config.algorithm = c.algorithm;
        config.segment_bytes = 16 * 1024;  // several instances in each lane
      });
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (int c = static_cast<int>(Collective::all_reduce); is_valid(static_cast<Collective>(c));
       ++c) {
    const auto collective = static_cast<Collective>(c);
    if (collective == Collective::barrier) continue;
    for (int a = 1; a <= static_cast<int>(Algorithm::one_shot); ++a) {
      const auto algorithm = static_cast<Algorithm>(a);
      if (!collectives::offers(collective, algorithm)) continue;
      for (const char* wire : {"shm", "tcp"}) {
        for (const int size : {1, 2, 3, 4, 6}) all.push_back({collective, algorithm, wire, size});
      }
      if (algorithm != Algorithm::hierarchical) continue;
      for (const std::string hosts : {"aab", "abab", "abbca"}) {
        all.push_back({collective, algorithm, "both", static_cast<int>(hosts.size()), hosts});
      }
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Collectives, testing::ValuesIn(cases()), [](const auto& param) {
  std::ostringstream name;
  name << param.param;
  return name.str();
});

// By the algorithms that the library chooses, one after the other without anything in between,
// as training does.
TEST(AllCollectives, InTurn) {
  for (const std::string wire : {"shm", "tcp"}) {
    run_world(
        5,
        [&](Communicator& comm) {
          for (int round = 0; round < 60; ++round) {
            const auto collective = static_cast<Collective>(1 + round * 7 % 9);
            const std::size_t count = round % 5 == 0 ? 9001 : static_cast<std::size_t>(round);
            const Call call{collective, count, round % 5, comm.rank(), 5, ReduceOp::avg};
            if (collective == Collective::barrier) {
              comm.barrier();
              continue;
            }
            check(comm, call, Kind::by_rank, round % 2 == 0 || collective == Collective::broadcast);
            if (testing::Test::HasFatalFailure()) return;
          }
        },
        [&](Config& config) { config.transports = {wire}; });
  }
}

TEST(AllCollectives, HaveTypedForms) {
  run_world(3, [](Communicator& comm) {
    const int rank = comm.rank();
    const std::vector<double> two = {rank + 0.5, rank + 0.25};
    std::vector<double> six(6);
    comm.all_gather(std::span(two), std::span(six));
    EXPECT_EQ(six, (std::vector<double>{0.5, 0.25, 1.5, 1.25, 2.5, 2.25}));
    std::vector<double> mine(2);
    comm.reduce_scatter(std::span<const double>(six), std::span(mine), ReduceOp::sum);
    EXPECT_EQ(mine, (std::vector<double>{3 * (rank + 0.5), 3 * (rank + 0.25)}));
    std::vector<double> turned(6);
    comm.all_to_all(std::span<const double>(six), std::span(turned));
    EXPECT_EQ(turned[4], rank + 0.5);
    std::vector<double> at_root(rank == 1 ? 6 : 0);
    comm.gather(std::span(two), std::span(at_root), 1);
    EXPECT_EQ(at_root, rank == 1 ? six : std::vector<double>());
    comm.scatter(std::span<const double>(at_root), std::span(mine), 1);
    EXPECT_EQ(mine, two);
    comm.reduce(std::span(mine), ReduceOp::max, 2);
    EXPECT_EQ(mine, rank == 2 ? (std::vector<double>{2.5, 2.25}) : two);
    std::vector<double> own(3, -1.0);
    own[static_cast<std::size_t>(rank)] = rank;
    comm.all_gather(std::span(own));
    EXPECT_EQ(own, (std::vector<double>{0, 1, 2}));
    comm.barrier_async().wait();

    const Error uneven = expect_error([&] { comm.all_gather(std::span(six).first(5)); });
    EXPECT_EQ(uneven.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(uneven.what(),
                 "a buffer with a block for each of 3 ranks has a multiple of so many elements, "
                 "not 5");
    const Error short_out =
        expect_error([&] { comm.all_gather(std::span(two), std::span(six).first(4)); });
    EXPECT_STREQ(short_out.what(), "out has 4 elements: with 3 ranks and blocks of 2 it has 6");
  });
}

TEST(AllCollectives, RefuseBuffersThatOverlap) {
  run_world(2, [](Communicator& comm) {
    std::vector<float> x(64);
    const auto other = [&](int rank) { return x.data() + (1 - rank) * 8; };
    const Error gather =
        expect_error([&] { comm.all_gather(other(comm.rank()), x.data(), 8, DataType::float32); });
    EXPECT_EQ(gather.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(gather.what()).find("in = out + rank * count elements"),
              std::string::npos)
        << gather.what();
    const Error scatter = expect_error([&] {
      comm.reduce_scatter(x.data(), other(comm.rank()), 8, DataType::float32, ReduceOp::sum);
    });
    EXPECT_NE(std::string(scatter.what()).find("out = in + rank * count elements"),
              std::string::npos)
        << scatter.what();
    // Beside the root the other buffer does not count.
    comm.reduce(x.data(), comm.rank() == 0 ? x.data() : nullptr, 8, DataType::float32,
                ReduceOp::sum, 0);
    comm.gather(x.data() + comm.rank() * 8, comm.rank() == 0 ? x.data() : nullptr, 8,
                DataType::float32, 0);
  });
}

}  // namespace
}  // namespace paceline
