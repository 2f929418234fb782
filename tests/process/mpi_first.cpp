// A program that uses MPI as well, and begins with it: mpi_first LIBRARY [FOLDER].
// MPI is loaded by the name of its library, so that one program serves for every MPI. FOLDER is
// that of a file store, through which the ranks meet then.
#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using Init = int (*)(int*, char***);
using Finalize = int (*)();

int run(const char* folder) {
  const paceline::Config config = paceline::Config::from_environment();
  try {
    auto comm = folder == nullptr
                    ? paceline::Communicator::create(config)
                    : paceline::Communicator::create(config, paceline::make_file_store(folder));
    std::vector<float> ones(1000, 1.0F);
    comm.all_reduce(std::span<float>(ones), paceline::ReduceOp::sum);
    std::printf("rank %d: the sum is %g\n", comm.rank(), static_cast<double>(ones.back()));
    return 0;
  } catch (const std::exception& error) {
    std::printf("rank %d: %s\n", config.rank, error.what());
    return 0;  // the launcher would end the others' MPI_Finalize otherwise
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  void* const library = ::dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    std::printf("%s\n", ::dlerror());
    return 2;
  }
  const auto init = reinterpret_cast<Init>(::dlsym(library, "MPI_Init"));
  const auto finalize = reinterpret_cast<Finalize>(::dlsym(library, "MPI_Finalize"));
  if (init == nullptr || finalize == nullptr || init(nullptr, nullptr) != 0) return 2;
  const int code = run(argc > 2 ? argv[2] : nullptr);
  return finalize() == 0 ? code : 2;
}
