// Results: every algorithm, wire and kind of memory, bit for bit. types_test.cpp has every type and
// operation.
#include <cstring>
#include <numeric>
#include <random>
#include <set>
#include <string_view>

#include "memory/stores.h"
#include "support/world.h"

namespace paceline {
namespace {

using testing_support::run_world;

// Small integers: sums and products are exact in every type, whatever the order.
template <class T>
T value(int rank, std::size_t i) {
  return static_cast<T>(static_cast<int>((i * 7 + static_cast<std::size_t>(rank) * 31) % 5) - 2);
}

// Of a sum or a max.
template <class T>
T combined(ReduceOp op, int size, std::size_t i) {
  T result = value<T>(0, i);
  for (int rank = 1; rank < size; ++rank) {
    const T v = value<T>(rank, i);
    result = op == ReduceOp::max ? std::max(result, v) : static_cast<T>(result + v);
  }
  return result;
}

template <class T>
void check(Communicator& comm, ReduceOp op, std::span<T> in, std::span<T> out, bool in_place) {
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = value<T>(comm.rank(), i);
  if (in_place) {
    comm.all_reduce(in, op);
    out = in;
  } else {
    std::fill(out.begin(), out.end(), T{99});
    comm.all_reduce(std::span<const T>(in), out, op);
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i], combined<T>(op, comm.size(), i))
        << "rank " << comm.rank() << " of " << comm.size() << ", element " << i << " of "
        << out.size() << ", " << to_string(DataTypeOf<T>::value) << " " << to_string(op)
        << (in_place ? ", in place" : "");
    ASSERT_TRUE(in_place || in[i] == value<T>(comm.rank(), i)) << "the input was changed";
  }
}

struct Case {
  std::string name;
  std::vector<std::string> transports;
  Algorithm algorithm;
  int size;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

class AllReduce : public testing::TestWithParam<Case> {
 protected:
  void run(const std::function<void(Communicator&)>& body, std::size_t segment = 128 * 1024) {
    const Case& c = GetParam();
    run_world(c.size, body, [&](Config& config) {
      config.transports = c.transports;
      config.algorithm = c.algorithm;
      config.segment_bytes = segment;
    });
  }
};

const std::size_t kCounts[] = {1, 2, 3, 7, 64, 1000, 1025, 4099, 70'001};

TEST_P(AllReduce, PlainMemory) {
  run([](Communicator& comm) {
    for (const std::size_t count : kCounts) {
      std::vector<float> in(count), out(count);
      check<float>(comm, ReduceOp::sum, in, out, false);
      check<float>(comm, ReduceOp::sum, in, out, true);
    }
  });
}

TEST_P(AllReduce, AllocatedMemory) {
  run([](Communicator& comm) {
    const Memory in = comm.allocate(70'001 * sizeof(float));
    const Memory out = comm.allocate(70'001 * sizeof(float));
    for (const std::size_t count : kCounts) {
      check<float>(comm, ReduceOp::sum, in.as<float>().first(count), out.as<float>().first(count),
                   false);
      check<float>(comm, ReduceOp::sum, in.as<float>().first(count), out.as<float>().first(count),
                   true);
    }
  });
}

// Each edge is lowered for the memory of its own two ends.
TEST_P(AllReduce, SomeRanksAllocatedAndSomePlain) {
  run([](Communicator& comm) {
    std::mt19937 random(static_cast<unsigned>(comm.rank()));
    for (int round = 0; round < 8; ++round) {
      const std::size_t count = 30'011;
      std::vector<double> plain_in(count), plain_out(count);
      const Memory in = comm.allocate(count * sizeof(double));
      const Memory out = comm.allocate(count * sizeof(double));
      const auto input = random() % 2 ? in.as<double>() : std::span<double>(plain_in);
      const auto output = random() % 2 ? out.as<double>() : std::span<double>(plain_out);
      check<double>(comm, ReduceOp::sum, input, output, round % 3 == 0);
    }
  });
}

// Short segments make many instances, with every lane busy and an uneven last one.
TEST_P(AllReduce, ManyInstances) {
  run(
      [](Communicator& comm) {
        std::vector<std::int32_t> in(123'457), out(123'457);
        for (int round = 0; round < 3; ++round) {
          check<std::int32_t>(comm, ReduceOp::sum, in, out, round == 1);
        }
        const Memory memory = comm.allocate(123'457 * 4);
        check<std::int32_t>(comm, ReduceOp::max, memory.as<std::int32_t>(), out, false);
      },
      4096);
}

// Sums of random floats depend on the order; all ranks must still get the same bits.
TEST_P(AllReduce, AllRanksGetTheSameBits) {
  run([](Communicator& comm) {
    for (const std::size_t count : {std::size_t{33}, std::size_t{50'021}}) {
      std::mt19937 random(static_cast<unsigned>(comm.rank() + 1));
      std::uniform_real_distribution<float> any(-1e6f, 1e6f);
      std::vector<float> x(count);
      for (float& v : x) v = any(random) * (random() % 2 ? 1e-9f : 1.f);
      comm.all_reduce(std::span<float>(x), ReduceOp::sum);
      std::vector<std::int32_t> bits(count), low(count), high(count);
      std::memcpy(bits.data(), x.data(), count * sizeof(float));
      comm.all_reduce(std::span<const std::int32_t>(bits), std::span(low), ReduceOp::min);
      comm.all_reduce(std::span<const std::int32_t>(bits), std::span(high), ReduceOp::max);
      ASSERT_EQ(low, high);
    }
  });
}

TEST_P(AllReduce, ZeroElements) {
  run([](Communicator& comm) {
    comm.all_reduce(nullptr, nullptr, 0, DataType::float32, ReduceOp::sum);
    float x = 1.f;
    comm.all_reduce(std::span<float>(&x, 1), ReduceOp::sum);
    EXPECT_EQ(x, static_cast<float>(comm.size()));
  });
}

TEST_P(AllReduce, BroadcastAndBarrier) {
  run([](Communicator& comm) {
    for (int root = 0; root < comm.size(); ++root) {
      for (const std::size_t count : {std::size_t{1}, std::size_t{777}, std::size_t{200'003}}) {
        std::vector<double> x(count, comm.rank() == root ? 3.5 + root : -1.0);
        comm.broadcast(std::span(x), root);
        ASSERT_EQ(x, std::vector<double>(count, 3.5 + root));
      }
      comm.barrier();
    }
  });
}

TEST_P(AllReduce, AsynchronousInAnyOrderOfWaiting) {
  run([](Communicator& comm) {
    constexpr std::size_t kOps = 12;
    std::vector<std::vector<float>> x;
    std::vector<Work> work;
    for (std::size_t k = 0; k < kOps; ++k) {
      x.emplace_back(k % 3 == 0 ? 20'000 : 10 + k, static_cast<float>(k));
    }
    for (auto& v : x) work.push_back(comm.all_reduce_async(std::span(v), ReduceOp::sum));
    for (std::size_t k = kOps; k-- > 0;) work[k].wait();
    for (std::size_t k = 0; k < kOps; ++k) {
      ASSERT_TRUE(work[k].done());
      ASSERT_EQ(x[k][0], static_cast<float>(k) * static_cast<float>(comm.size()));
    }
  });
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const std::string& wire, Algorithm algorithm, int size) {
    all.push_back({wire + "_" + std::string(to_string(algorithm)) + "_" + std::to_string(size),
                   {wire},
                   algorithm,
                   size});
  };
  for (const char* wire : {"shm", "tcp"}) {
    for (const int size : {1, 2, 3, 4, 5}) add(wire, Algorithm::automatic, size);
    for (const Algorithm algorithm :
         {Algorithm::ring, Algorithm::recursive_doubling, Algorithm::direct,
          Algorithm::hierarchical, Algorithm::one_shot}) {
      for (const int size : {2, 3, 4}) add(wire, algorithm, size);
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Wires, AllReduce, testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.name; });

// Two hosts made out of one machine: shared memory inside, tcp between.
TEST(Hosts, SharedMemoryInsideAndTcpBetween) {
  run_world(
      4,
      [](Communicator& comm) {
        EXPECT_EQ(comm.hosts(), 2);
        EXPECT_EQ(comm.ranks_on_host(), 2);
        const std::vector<Wire> wires = comm.wires();
        for (const Wire& wire : wires) {
          const bool same_host = wire.peer / 2 == comm.rank() / 2;
          const std::string expected = wire.peer == comm.rank() ? "self"
                                       : same_host              ? "shm"
                                                                : "tcp";
          EXPECT_EQ(wire.transport, expected) << wire.reason;
        }
        std::vector<float> in(50'000), out(50'000);
        check<float>(comm, ReduceOp::sum, in, out, false);
        const Memory memory = comm.allocate(200'000);
        check<float>(comm, ReduceOp::sum, memory.as<float>(), out, true);
      },
      [](Config& config) { config.host_id = config.rank < 2 ? "host-a" : "host-b"; });
}

// Of different sizes, and with the ranks of each spread among the others. What is not asked for is
// chosen by size: messages, recursive doubling, hierarchical.
TEST(Hosts, OfAnyPlacementSumUpAlike) {
  for (const std::string_view hosts : {"abab", "abbca", "aaab"}) {
    for (const Algorithm algorithm : {Algorithm::automatic, Algorithm::hierarchical}) {
      run_world(
          static_cast<int>(hosts.size()),
          [&](Communicator& comm) {
            EXPECT_EQ(comm.hosts(), static_cast<int>(std::set(hosts.begin(), hosts.end()).size()));
            for (const std::size_t count : {0UL, 3UL, 700UL, 5'000UL, 90'001UL, 700'000UL}) {
              std::vector<float> in(count), out(count);
              check<float>(comm, ReduceOp::sum, in, out, false);
              check<float>(comm, ReduceOp::max, in, out, true);
              std::vector<float> x(count, static_cast<float>(comm.rank()));
              comm.all_reduce(std::span(x), ReduceOp::avg);
              ASSERT_EQ(x, std::vector<float>(count, static_cast<float>(comm.size() - 1) / 2));
            }
            const Memory memory = comm.allocate(2'000'000);
            std::vector<float> out(500'000);
            check<float>(comm, ReduceOp::sum, memory.as<float>(), out, true);
            if (algorithm != Algorithm::automatic) return;
            EXPECT_EQ(comm.history().back().algorithm, Algorithm::hierarchical);
          },
          [&](Config& config) {
            config.host_id = hosts[static_cast<std::size_t>(config.rank)];
            config.algorithm = algorithm;
          });
    }
  }
}

// Results go past the caches then, and must be there when a peer is told so.
TEST(AllReduce, OfMoreThanACacheHolds) {
  constexpr std::size_t kMost = 64U << 20;
  const std::size_t count = std::min(memory::streaming_pays_from(), kMost) / 2 / sizeof(float) + 77;
  run_world(2, [count](Communicator& comm) {
    const Memory in = comm.allocate(count * sizeof(float));
    const Memory out = comm.allocate(count * sizeof(float));
    for (int round = 0; round < 3; ++round) {
      check<float>(comm, ReduceOp::sum, in.as<float>(), out.as<float>(), false);
    }
  });
}

}  // namespace
}  // namespace paceline
