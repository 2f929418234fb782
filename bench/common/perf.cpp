#include "common/perf.h"

#include <exception>
#include <iostream>

#include "common/driver.h"

namespace paceline::bench {

int perf_main(int argc, char** argv, std::optional<Collective> collective) {
  const std::string name(collective ? to_string(*collective) : "sendrecv");
  const std::string program = name + "_perf";
  int rank = 0;
  try {
    const Config config = Config::from_environment();
    rank = config.rank;
    CLI::App app{"Times " + name + " and checks its results.", program};
    Options options;
    add_options(app, options);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      std::ostream silent(nullptr);
      return app.exit(error, rank == 0 ? std::cout : silent, rank == 0 ? std::cerr : silent) == 0
                 ? 0
                 : 2;
    }
    Communicator comm = Communicator::create(config);
    return Driver(comm, collective, options).run(program) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << program << ": rank " << rank << ": " << error.what() << std::endl;
    return 2;
  }
}

}  // namespace paceline::bench
