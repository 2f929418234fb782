// A rank for tests of what happens between ranks and after them:
//
//   lasting cycles N       makes a communicator, uses and destroys it, N times; says after the
//   first
//                          and after the last how many descriptors and mappings the process has
//   lasting transfer       all_reduces of 1 MiB until something ends it
//   lasting idle SECONDS   one all_reduce, so long nothing, one more
//
// An error ends it with code 3 and its text.
#include <dirent.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "paceline/communicator.h"

namespace {

using paceline::Communicator;

void all_reduce(Communicator& comm, std::vector<float>& data) {
  data.assign(data.size(), 1);
  comm.all_reduce(data.data(), data.data(), data.size(), paceline::DataType::float32,
                  paceline::ReduceOp::sum);
  for (const float value : data) {
    if (value == static_cast<float>(comm.size())) continue;
    std::fprintf(stderr, "FAILED: the sum of %d ones is %g\n", comm.size(), double{value});
    std::exit(1);
  }
}

std::size_t descriptors() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

std::size_t mappings() {
  std::ifstream file("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

void say(const char* what) {
  std::printf("%s: %zu descriptors, %zu mappings\n", what, descriptors(), mappings());
  std::fflush(stdout);
}

void cycles(int count) {
  std::vector<float> data(1000);
  for (int i = 0; i < count; ++i) {
    {
      Communicator comm = Communicator::from_environment();
      all_reduce(comm, data);
    }
    // The first leaves what is made once per process.
    if (i == 0) say("first");
  }
  say("last");
  // Whoever wants to can look at us now.
  std::this_thread::sleep_for(std::chrono::seconds(10));
}

void transfer() {
  Communicator comm = Communicator::from_environment();
  std::vector<float> data(1 << 18);
  for (int i = 0;; ++i) {
    all_reduce(comm, data);
    if (i == 0) say("linked");
  }
}

void idle(int seconds) {
  Communicator comm = Communicator::from_environment();
  std::vector<float> data(1000);
  all_reduce(comm, data);
  say("linked");
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  all_reduce(comm, data);
}

}  // namespace

int main(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "";
  const int number = count > 2 ? std::atoi(words[2]) : 0;
  try {
    if (what == "cycles") {
      cycles(number);
    } else if (what == "transfer") {
      transfer();
    } else if (what == "idle") {
      idle(number);
    } else {
      std::fprintf(stderr, "usage: lasting cycles N | transfer | idle SECONDS\n");
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ERROR: %s\n", error.what());
    return 3;
  }
  return 0;
}
