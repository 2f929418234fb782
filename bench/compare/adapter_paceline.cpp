// Paceline, with the caller's own memory or with memory from Communicator::allocate.
#include "compare/method.h"
#include "paceline/paceline.hpp"

namespace {

using paceline::Collective;
using paceline::Communicator;
using paceline::ReduceOp;
using paceline::compare::Arguments;
using paceline::compare::Call;

class Paceline final : public paceline::compare::Library {
 public:
  explicit Paceline(bool allocates)
      : allocates_(allocates), comm_(Communicator::from_environment()) {}

  std::byte* allocate(std::size_t bytes) override {
    if (!allocates_) return Library::allocate(bytes);
    memory_.push_back(comm_.allocate(bytes));
    return memory_.back().data();
  }

  void call(const Call& c) override {
    constexpr auto kType = paceline::DataType::float32;
    switch (c.collective) {
      case Collective::all_reduce:
        return comm_.all_reduce(c.in, c.out, c.count, kType, ReduceOp::sum);
      case Collective::reduce_scatter:
        return comm_.reduce_scatter(c.in, c.out, c.count, kType, ReduceOp::sum);
      case Collective::all_gather:
        return comm_.all_gather(c.in, c.out, c.count, kType);
      case Collective::all_to_all:
        return comm_.all_to_all(c.in, c.out, c.count, kType);
      case Collective::broadcast:
        return comm_.broadcast(c.out, c.count, kType, 0);
      case Collective::barrier:
      case Collective::reduce:
      case Collective::gather:
      case Collective::scatter:
        return;  // not compared
    }
  }
  void call_all(const std::vector<Call>& calls) override {
    comm_.group_begin();
    for (const Call& one : calls) call(one);
    comm_.group_end();
  }

 private:
  const bool allocates_;
  Communicator comm_;
  std::vector<paceline::Memory> memory_;
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(argc, argv, [](const Arguments& arguments, int) {
    return std::make_unique<Paceline>(arguments.text("memory", "plain") == "allocate");
  });
}
