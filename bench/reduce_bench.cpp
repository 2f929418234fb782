// How fast memory::reduce combines buffers and memory::scale multiplies them: GB/s of everything
// read and written, for working sets that fit into the first cache, the second, the third, and
// none; and memcpy's, which says what the memory itself can do.
//
//   build/bin/reduce_bench --benchmark_filter=float32/sum
//   build/bin/reduce_bench --benchmark_filter='memcpy|sum/k2/m1/in_place'   # every type
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "memory/reduce.h"
#include "memory/scale.h"

namespace {

using paceline::DataType;
using paceline::ReduceOp;

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<std::byte[], Free>;

// Touched, so that no page is the kernel's shared page of zeros; with bytes that are a normal
// number between 0.01 and 2 in every floating point type, because subnormal ones are slow.
Buffer make_buffer(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage));
  if (p == nullptr) std::abort();
  std::fill(p, p + bytes, std::byte{0x3c});
  return Buffer(p);
}

struct Shape {
  std::size_t sources;
  std::size_t destinations;
  bool in_place;  // the first destination is the first source
};

void run(benchmark::State& state, DataType type, ReduceOp op, Shape shape) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<Buffer> memory;
  std::vector<const std::byte*> sources;
  std::vector<std::byte*> destinations;
  for (std::size_t j = 0; j < shape.sources; ++j) {
    memory.push_back(make_buffer(bytes));
    sources.push_back(memory.back().get());
  }
  if (shape.in_place) destinations.push_back(memory.front().get());
  while (destinations.size() < shape.destinations) {
    memory.push_back(make_buffer(bytes));
    destinations.push_back(memory.back().get());
  }
  const std::size_t count = bytes / size_of(type);
  constexpr std::uint32_t kRanks = 8;  // by which an average is divided
  for (auto _ : state) {
    paceline::memory::reduce(type, op, sources, destinations, count, kRanks);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(bytes * (shape.sources + shape.destinations)));
}

void run_scale(benchmark::State& state, DataType type) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Buffer data = make_buffer(bytes);
  const std::uint64_t factor = 0;  // of every type; zeros are as fast to multiply as others
  for (auto _ : state) {
    paceline::memory::scale(type, &factor, data.get(), data.get(), bytes / size_of(type));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * bytes));
}

void run_memcpy(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Buffer from = make_buffer(bytes);
  const Buffer to = make_buffer(bytes);
  for (auto _ : state) {
    std::memcpy(to.get(), from.get(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * bytes));
}

// Bytes of one buffer: 4 KiB (first cache), 128 KiB (second), 1 MiB (third), 32 MiB (memory).
constexpr std::int64_t kSizes[] = {4 << 10, 128 << 10, 1 << 20, 32 << 20};

template <class Run>
void add(const std::string& name, Run&& run) {
  auto* benchmark = benchmark::RegisterBenchmark(name.c_str(), run);
  for (const std::int64_t size : kSizes) benchmark->Arg(size);
}

void add(DataType type, ReduceOp op, Shape shape) {
  add(std::string(to_string(type)) + "/" + std::string(to_string(op)) + "/k" +
          std::to_string(shape.sources) + "/m" + std::to_string(shape.destinations) +
          (shape.in_place ? "/in_place" : "/out_of_place"),
      [=](benchmark::State& state) { run(state, type, op, shape); });
}

// The enumerators, which have no gaps.
template <class Enum>
std::vector<Enum> all() {
  std::vector<Enum> values;
  for (int i = 1; is_valid(static_cast<Enum>(i)); ++i) values.push_back(static_cast<Enum>(i));
  return values;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr Shape kShapes[] = {{2, 1, true},  {2, 1, false}, {2, 2, true},
                               {2, 2, false}, {4, 1, false}, {4, 4, false}};
  add("memcpy", run_memcpy);
  for (const DataType type : all<DataType>()) {
    for (const ReduceOp op : all<ReduceOp>()) {
      // A premul_sum is a scale and then a sum.
      if (op != ReduceOp::premul_sum && offers(op, type)) add(type, op, {2, 1, true});
    }
    if (!offers(ReduceOp::premul_sum, type)) continue;
    add(std::string(to_string(type)) + "/scale",
        [type](benchmark::State& state) { run_scale(state, type); });
  }
  for (const Shape shape : kShapes) {
    if (shape.sources == 2 && shape.destinations == 1 && shape.in_place) continue;
    add(DataType::float32, ReduceOp::sum, shape);
  }
  add(DataType::float32, ReduceOp::sum, {1, 1, false});
  add(DataType::float32, ReduceOp::sum, {1, 2, false});
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("instruction set",
                              std::string(paceline::memory::reduce_instruction_set()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
