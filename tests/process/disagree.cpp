// One rank of four that call different things:   disagree CASE
//
// All ranks make a few right calls; then rank 2 makes another one than the rest. Every rank says
// after how many milliseconds it got an Error, and which; it goes on calling until it does, since a
// call that needs nothing of the others may well be over before anybody can know.
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using paceline::Communicator;
using paceline::DataType;
using paceline::ReduceOp;

using Call = std::function<void(Communicator&, bool odd)>;

std::map<std::string, Call> cases() {
  static std::vector<float> in(400'000);
  static std::vector<float> out(400'000);
  const auto sum = [](Communicator& comm, std::size_t count, DataType type, ReduceOp op) {
    comm.all_reduce(in.data(), out.data(), count, type, op);
  };
  return {
      {"collective",
       [=](Communicator& comm, bool odd) {
         if (odd) return comm.all_gather(in.data(), out.data(), 1000, DataType::float32);
         sum(comm, 1000, DataType::float32, ReduceOp::sum);
       }},
      {"count",
       [=](Communicator& comm, bool odd) {
         sum(comm, odd ? 50'001 : 50'000, DataType::float32, ReduceOp::sum);
       }},
      {"small_count", [=](Communicator& comm,
                          bool odd) { sum(comm, odd ? 3 : 2, DataType::float32, ReduceOp::sum); }},
      {"type",
       [=](Communicator& comm, bool odd) {
         sum(comm, 5000, odd ? DataType::int32 : DataType::float32, ReduceOp::sum);
       }},
      {"operation",
       [=](Communicator& comm, bool odd) {
         sum(comm, 5000, DataType::float32, odd ? ReduceOp::max : ReduceOp::sum);
       }},
      {"root", [](Communicator& comm,
                  bool odd) { comm.broadcast(in.data(), 5000, DataType::float32, odd ? 1 : 0); }},
      {"order",
       [=](Communicator& comm, bool odd) {
         if (odd) comm.barrier();
         sum(comm, 10, DataType::float32, ReduceOp::sum);
         if (!odd) comm.barrier();
       }},
      {"counts_per_rank",
       [](Communicator& comm, bool odd) {
         const std::vector<std::size_t> counts = {100, odd ? 90u : 100u, 100, 100};
         comm.all_gather_v(in.data(), out.data(), {counts}, DataType::float32);
       }},
  };
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const auto all = cases();
  if (argc != 2 || !all.contains(argv[1])) {
    std::fprintf(stderr, "disagree: give one of");
    for (const auto& [name, call] : all) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  const Call& call = all.at(argv[1]);
  Clock::time_point start = Clock::now();
  try {
    Communicator comm = Communicator::from_environment();
    for (int i = 0; i < 3; ++i) call(comm, false);
    comm.barrier();
    start = Clock::now();
    for (;;) call(comm, comm.rank() == 2);
  } catch (const paceline::Error& error) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
    std::fprintf(stderr, "after %lld ms: error %s: %s\n", static_cast<long long>(ms),
                 std::string(to_string(error.code())).c_str(), error.what());
    return 3;
  }
}
