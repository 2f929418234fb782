// Bruck's all_gather: ceil(log2(p)) rounds for any p, each of which doubles what a rank has.
//
// Slot i of rank r's scratch is for the block of rank r+i. Before the round of distance d = 1, 2,
// 4,
// ... the first d slots are full. Rank r puts as many of them as rank r-d lacks (all d, but in the
// last round of a p that is not a power of two) into that one's slots from d on. In the end the
// slots are copied to where the blocks belong in the output.
//
// Why no flush and no credit is needed. Everybody has heard from everybody in the end, since blocks
// only arrive that way. So when an instance begins, all have ended the one before the last: what
// was put there has been received, and the slots that this one writes into are free. Inputs and
// outputs are touched by their own rank only; a copy onto itself (in place) does nothing.
#include "collectives/chunks.h"
#include "collectives/listed.h"
#include "collectives/schedule.h"
#include "collectives/topology.h"

namespace paceline::collectives {
namespace {

class BruckAllGather final : public Listed {
 public:
  BruckAllGather(const Shape& shape, int rank) : Listed(rank), shape_(shape) {
    const Slice own = block(shape, Buffer::input);
    if (shape.size > 1) {
      copy(own, slots(0, 1));
      take_scratch(static_cast<std::uint64_t>(shape.size) * shape.count);
    }
    for (int d = 1; d < shape.size; d *= 2) {
      const int blocks = d < shape.size - d ? d : shape.size - d;
      put(wrapped(rank - d, shape.size), slots(0, blocks), slots(d, blocks));
      wait(wrapped(rank + d, shape.size), slots(d, blocks));
    }
    copy(own, block(shape, Buffer::output, rank));
    run(static_cast<std::uint64_t>(shape.size - 1));
  }

 private:
  [[nodiscard]] Slice slots(int first, int number) const {
    return {Buffer::scratch, static_cast<std::uint64_t>(first) * shape_.count,
            static_cast<std::uint64_t>(number) * shape_.count};
  }
  [[nodiscard]] Slice run_source(int, std::uint64_t i) const override {
    return slots(static_cast<int>(i) + 1, 1);
  }
  [[nodiscard]] Slice run_destination(int, std::uint64_t i) const override {
    return block(shape_, Buffer::output, wrapped(rank() + static_cast<int>(i) + 1, shape_.size));
  }

  Shape shape_;
};

}  // namespace

std::unique_ptr<Schedule> bruck_all_gather(const Shape& shape, int rank) {
  return std::make_unique<BruckAllGather>(shape, rank);
}

}  // namespace paceline::collectives
