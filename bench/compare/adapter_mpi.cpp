// Any MPI; compiled once for each that is found.
#include <mpi.h>

#include "compare/method.h"

namespace {

using paceline::Collective;
using paceline::compare::Arguments;
using paceline::compare::Call;

class Mpi final : public paceline::compare::Library {
 public:
  explicit Mpi(int rank) {
    MPI_Init(nullptr, nullptr);
    int here = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &here);
    if (here != rank) throw std::runtime_error("MPI's rank is not the launcher's");
  }
  ~Mpi() override { MPI_Finalize(); }

  // MPI takes counts as int, as most programs hand them over. In place, the other buffer's
  // argument is the constant, at the side that MPI wants it.
  void call(const Call& c) override {
    const int n = static_cast<int>(c.count);
    const void* const in = c.in_place ? MPI_IN_PLACE : c.in;
    switch (c.collective) {
      case Collective::all_reduce:
        return expect(MPI_Allreduce(in, c.out, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD));
      case Collective::reduce_scatter:
        return expect(MPI_Reduce_scatter_block(in, const_cast<float*>(result(c)), n, MPI_FLOAT,
                                               MPI_SUM, MPI_COMM_WORLD));
      case Collective::all_gather:
        return expect(MPI_Allgather(in, n, MPI_FLOAT, c.out, n, MPI_FLOAT, MPI_COMM_WORLD));
      case Collective::all_to_all:
        return expect(MPI_Alltoall(in, n, MPI_FLOAT, c.out, n, MPI_FLOAT, MPI_COMM_WORLD));
      case Collective::broadcast:
        return expect(MPI_Bcast(c.out, n, MPI_FLOAT, 0, MPI_COMM_WORLD));
      case Collective::barrier:
      case Collective::reduce:
      case Collective::gather:
      case Collective::scatter:
        return;  // not compared
    }
  }
  // In place, MPI_Reduce_scatter_block leaves its result at the beginning of the buffer.
  [[nodiscard]] const float* result(const Call& c) const override {
    return c.in_place && c.collective == Collective::reduce_scatter ? c.in : c.out;
  }

 private:
  static void expect(int result) {
    if (result != MPI_SUCCESS) throw std::runtime_error("MPI failed");
  }
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(
      argc, argv, [](const Arguments&, int rank) { return std::make_unique<Mpi>(rank); });
}
