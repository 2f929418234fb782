// The memory of an operation: scratch, copies of the caller's buffers, and what is combined there.
#include <algorithm>
#include <exception>
#include <string>

#include "engine/engine.h"

namespace paceline::engine {

// From the start of this rank's buffers to the end of what is used of them.
std::uint64_t Engine::input_count(const Operation& operation) const {
  const Extents* extents = operation.given_.extents.get();
  return extents == nullptr ? operation.plan_->input_count(options_.rank)
                            : extents->end(collectives::Buffer::input);
}
std::uint64_t Engine::output_count(const Operation& operation) const {
  const Extents* extents = operation.given_.extents.get();
  return extents == nullptr ? operation.plan_->output_count(options_.rank)
                            : extents->end(collectives::Buffer::output);
}

// Where the steps cannot work on the caller's buffers, they get copies: staging.h says when.
void Engine::stage(Operation& operation) {
  const Call& call = operation.call();
  const Buffers& given = operation.given_;
  const bool factor = call.op == ReduceOp::premul_sum && reduces(call.collective);
  const bool both = call.collective == Collective::all_to_all && given.input == given.output;
  const bool all = given.pieces != nullptr || memory::is_foreign(given.input) ||
                   memory::is_foreign(given.output);
  if (!factor && !both && !all) return;
  const std::size_t element = size_of(call.type);
  const std::size_t in_bytes = input_count(operation) * element;
  if (in_bytes != 0) {
    std::byte* const copy = staging_.input(in_bytes);
    if (given.pieces != nullptr) {
      for (const Piece& piece : given.pieces->input) Staging::load(piece, copy);
    } else {
      Staging::load({const_cast<std::byte*>(given.input), 0, in_bytes}, copy);
    }
    if (factor) Staging::scale(copy, in_bytes / element, call.type, given.factor);
    operation.input_ = copy;
  }
  if (!all) return;
  operation.staged_output_ = true;
  // In one copy where a collective can: fewer lines travel between two cores.
  const bool one =
      call.collective == Collective::broadcast || call.collective == Collective::all_reduce;
  operation.output_ = one ? const_cast<std::byte*>(operation.input_)
                          : staging_.output(output_count(operation) * element);
}

void Engine::store(Operation& operation) const {
  const Buffers& given = operation.given_;
  const std::size_t element = size_of(operation.call().type);
  if (given.pieces != nullptr) {
    for (const Piece& piece : given.pieces->output) Staging::store(piece, operation.output_);
  } else if (given.extents != nullptr) {
    for (const Extents::Block& b : given.extents->output()) {
      const std::size_t at = b.offset * element;
      Staging::store({given.output + at, at, b.length * element}, operation.output_);
    }
  } else if (given.output != nullptr) {
    Staging::store({given.output, 0, output_count(operation) * element}, operation.output_);
  }
}

void Engine::combine(const Operation& operation, std::size_t count, bool last,
                     std::size_t streamed) {
  const Call& call = operation.call();
  if (call.op != ReduceOp::custom || sources_.size() == 1) {
    return scratch_.region()->kind().reduce(call.type, call.op, sources_, destinations_, count,
                                            last ? divisor() : 1, streamed);
  }
  std::string thrown = "something that is not a std::exception";
  try {
    return custom_.run(*operation.given_.function, call.type, sources_, destinations_, count);
  } catch (const std::exception& exception) {
    thrown = std::string("'") + exception.what() + "'";
  } catch (...) {
  }
  throw Error(ErrorCode::aborted,
              "the function that rank " + std::to_string(options_.rank) + " gave to " +
                  numbered(operation.sequence_, call) + " threw " + thrown,
              where(operation, options_.rank));
}

}  // namespace paceline::engine
