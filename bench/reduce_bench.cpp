// How fast memory::reduce combines buffers: GB/s of everything read and written, for working sets
// that fit into the first cache, the second, and none.
//
//   build/bin/reduce_bench --benchmark_filter=float32/sum
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "memory/reduce.h"

namespace {

using paceline::DataType;
using paceline::ReduceOp;

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<std::byte[], Free>;

// Touched, so that no page is the kernel's shared page of zeros.
Buffer make_buffer(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage));
  if (p == nullptr) std::abort();
  std::fill(p, p + bytes, std::byte{1});
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
  for (auto _ : state) {
    paceline::memory::reduce(type, op, sources, destinations, count);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(bytes * (shape.sources + shape.destinations)));
}

// Bytes of one buffer: 4 KiB (first cache), 128 KiB (second), 1 MiB (third), 32 MiB (memory).
constexpr std::int64_t kSizes[] = {4 << 10, 128 << 10, 1 << 20, 32 << 20};

void add(DataType type, ReduceOp op, Shape shape) {
  const std::string name = std::string(to_string(type)) + "/" + std::string(to_string(op)) + "/k" +
                           std::to_string(shape.sources) + "/m" +
                           std::to_string(shape.destinations) +
                           (shape.in_place ? "/in_place" : "/out_of_place");
  auto* benchmark = benchmark::RegisterBenchmark(
      name.c_str(), [=](benchmark::State& state) { run(state, type, op, shape); });
  for (const std::int64_t size : kSizes) benchmark->Arg(size);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr DataType kTypes[] = {DataType::float32, DataType::float64, DataType::int32,
                                 DataType::int64};
  constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max};
  constexpr Shape kShapes[] = {{2, 1, true},  {2, 1, false}, {2, 2, true},
                               {2, 2, false}, {4, 1, false}, {4, 4, false}};
  for (const DataType type : kTypes) {
    for (const ReduceOp op : kOps) add(type, op, {2, 1, true});
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
