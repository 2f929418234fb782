// oneCCL on the CPU, through its C++ interface; started by Intel MPI's mpiexec, whose library is
// its transport.
#include <unistd.h>

#include <fstream>
#include <oneapi/ccl.hpp>

#include "compare/method.h"

namespace {

using paceline::Collective;
using paceline::compare::Arguments;
using paceline::compare::Call;

class OneCcl final : public paceline::compare::Library {
 public:
  OneCcl(const Arguments& arguments, int rank) {
    ccl::init();
    const int ranks = static_cast<int>(arguments.number("ranks"));
    comm_ = std::make_unique<ccl::communicator>(
        ccl::create_communicator(ranks, rank, meet(rank, arguments.text("store") + "/address")));
  }

  void call(const Call& c) override {
    constexpr auto kType = ccl::datatype::float32;
    constexpr auto kSum = ccl::reduction::sum;
    switch (c.collective) {
      case Collective::all_reduce:
        return ccl::allreduce(c.in, c.out, c.count, kType, kSum, *comm_).wait();
      case Collective::reduce_scatter:
        return ccl::reduce_scatter(c.in, c.out, c.count, kType, kSum, *comm_).wait();
      case Collective::all_gather:
        return ccl::allgather(c.in, c.out, c.count, kType, *comm_).wait();
      case Collective::all_to_all:
        return ccl::alltoall(c.in, c.out, c.count, kType, *comm_).wait();
      case Collective::broadcast:
        return ccl::broadcast(c.out, c.count, kType, 0, *comm_).wait();
      case Collective::barrier:
      case Collective::reduce:
      case Collective::gather:
      case Collective::scatter:
        return;  // not compared
    }
  }

 private:
  // Rank 0's address goes round in a file, which is renamed once it is complete.
  static ccl::shared_ptr_class<ccl::kvs> meet(int rank, const std::string& file) {
    ccl::kvs::address_type address;
    if (rank == 0) {
      auto store = ccl::create_main_kvs();
      address = store->get_address();
      std::ofstream(file + ".new", std::ios::binary).write(address.data(), address.size());
      if (std::rename((file + ".new").c_str(), file.c_str()) != 0) {
        throw std::runtime_error("cannot write " + file);
      }
      return store;
    }
    constexpr useconds_t kPause = 10'000;
    for (;;) {
      std::ifstream in(file, std::ios::binary);
      if (in.read(address.data(), address.size())) return ccl::create_kvs(address);
      ::usleep(kPause);
    }
  }

  std::unique_ptr<ccl::communicator> comm_;
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(argc, argv, [](const Arguments& arguments, int rank) {
    return std::make_unique<OneCcl>(arguments, rank);
  });
}
