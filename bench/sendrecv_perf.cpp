#include "common/perf.h"

int main(int argc, char** argv) {
  return paceline::bench::perf_main(argc, argv, std::nullopt);
}
