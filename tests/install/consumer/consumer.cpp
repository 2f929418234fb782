// A program that uses the public face of Paceline from outside: what it must be able to call, to
// catch, and to derive from. Prints "rank R of N: fine", or what is not.
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

void require(bool good, const std::string& what) {
  if (!good) throw std::runtime_error("not as it should be: " + what);
}

/// A rendezvous of the program's own: the library calls it through its virtual table.
class OwnStore final : public paceline::Store {
 public:
  void set(const std::string& key, const std::string& value) override { map_[key] = value; }
  std::string get(const std::string& key, std::chrono::milliseconds) override {
    return map_.at(key);
  }

 private:
  std::map<std::string, std::string> map_;
};

void reduce(paceline::Communicator& comm) {
  constexpr std::size_t kCount = 100'000;  // above what travels inside a message
  const float ranks = static_cast<float>(comm.size());
  paceline::Memory memory = comm.allocate(kCount * sizeof(float));
  const std::span<float> values = memory.as<float>();
  for (float& value : values) value = static_cast<float>(comm.rank());
  comm.all_reduce(values, paceline::ReduceOp::sum);
  require(values.front() == ranks * (ranks - 1) / 2 && values.back() == values.front(), "sum");

  std::vector<double> plain(7, comm.rank());
  paceline::Work work = comm.all_reduce_async(std::span(plain), paceline::ReduceOp::max);
  work.wait();
  require(work.done() && plain[6] == comm.size() - 1, "max");

  const paceline::Memory registered =
      comm.register_memory(plain.data(), plain.size() * sizeof(double));
  comm.broadcast(std::span(plain), 0);
  comm.barrier();
}

/// Errors cross the border between the library and the program with their type.
void fail_on_purpose(paceline::Communicator& comm) {
  try {
    comm.all_reduce(nullptr, nullptr, 1, paceline::DataType::float32, paceline::ReduceOp::sum);
  } catch (const paceline::Error& error) {
    require(error.code() == paceline::ErrorCode::invalid_argument, "the error's code");
    require(to_string(error.code()) == "invalid_argument", "the error's name");
    return;
  }
  require(false, "a null pointer was accepted");
}

void use_own_store() {
  paceline::Config config;
  config.transports = {"tcp"};
  const auto comm = paceline::Communicator::create(config, std::make_shared<OwnStore>(), "own");
  require(comm.size() == 1 && comm.hosts() == 1, "a communicator of one");
}

}  // namespace

int main() {
  try {
    auto made = paceline::Communicator::from_environment();
    paceline::Communicator comm = std::move(made);
    reduce(comm);
    fail_on_purpose(comm);
    use_own_store();
    require(comm.wires().size() == static_cast<std::size_t>(comm.size()), "one wire per rank");
    require(!paceline::version().empty(), "the version");
    std::cout << "rank " << comm.rank() << " of " << comm.size() << ": fine" << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
