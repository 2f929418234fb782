// all_reduce_perf, after nccl-tests: how long an all_reduce takes and what bandwidth that makes.
//
//   mpirun -n 4 build/bin/all_reduce_perf -b 8 -e 128M -f 4
//
// It is started by mpirun, srun, torchrun, or with PACELINE_RANK, PACELINE_SIZE and PACELINE_ROOT
// set, and links no MPI.
#include "common/driver.h"
#include "common/pattern.h"

namespace {

using namespace paceline;

template <class T>
class AllReduce : public bench::Operation {
 public:
  AllReduce(Communicator& comm, ReduceOp op)
      : comm_(comm),
        op_(op),
        input_(bench::Pattern<T>::input(op, comm.rank(), comm.size())),
        result_(bench::Pattern<T>::result(op, comm.size())) {}

  void call(const void* in, void* out, std::size_t count) override {
    comm_.all_reduce(in, out, count, kType, op_);
  }
  void call_and_wait(const void* in, void* out, std::size_t count) override {
    comm_.all_reduce_async(in, out, count, kType, op_).wait();
  }
  void fill(void* in, std::size_t count) override { input_.write(static_cast<T*>(in), count); }
  std::uint64_t check(const void* out, std::size_t count) override {
    return result_.wrong(static_cast<const T*>(out), count);
  }
  Algorithm algorithm(std::size_t count) override {
    return comm_.algorithm_for(Collective::all_reduce, count, kType);
  }
  double bus_factor() const override { return bench::all_reduce_bus_factor(comm_.size()); }

 private:
  static constexpr DataType kType = DataTypeOf<T>::value;
  Communicator& comm_;
  ReduceOp op_;
  bench::Pattern<T> input_;
  bench::Pattern<T> result_;
};

class AllReduces : public bench::Subject {
 public:
  explicit AllReduces(Communicator& comm) : comm_(comm) {}
  std::unique_ptr<bench::Operation> prepare(DataType type, ReduceOp op) override {
    return bench::with_type(type, [this, op](auto zero) -> std::unique_ptr<bench::Operation> {
      return std::make_unique<AllReduce<decltype(zero)>>(comm_, op);
    });
  }

 private:
  Communicator& comm_;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::perf_main(argc, argv, "all_reduce_perf", "Times all_reduce and checks its results.",
                          [](Communicator& comm) { return std::make_unique<AllReduces>(comm); });
}
