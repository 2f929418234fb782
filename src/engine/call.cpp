#include "engine/call.h"

namespace paceline::engine {

Call Call::from_words(std::uint64_t word, std::uint64_t count) {
  Call call;
  call.collective = static_cast<Collective>(word >> 56 & 0xff);
  call.type = static_cast<DataType>(word >> 48 & 0xff);
  call.op = static_cast<ReduceOp>(word >> 40 & 0xff);
  call.algorithm = static_cast<Algorithm>(word >> 32 & 0xff);
  call.root = static_cast<std::int32_t>(word & 0xffffffffu);
  call.count = count;
  return call;
}

std::string Call::text() const {
  std::string s(to_string(collective));
  s += per_rank() ? "_v(" : "(";
  std::string elements(to_string(type));
  if (!per_rank()) elements = std::to_string(count) + " x " + elements;
  const std::string blocks = elements + (per_rank() ? "" : " per rank");
  switch (collective) {
    case Collective::all_reduce:
      s += elements + ", " + std::string(to_string(op));
      break;
    case Collective::reduce_scatter:
      s += blocks + ", " + std::string(to_string(op));
      break;
    case Collective::reduce:
      s += elements + ", " + std::string(to_string(op)) + ", root " + std::to_string(root);
      break;
    case Collective::all_gather:
    case Collective::all_to_all:
      s += blocks;
      break;
    case Collective::gather:
    case Collective::scatter:
      s += blocks + ", root " + std::to_string(root);
      break;
    case Collective::broadcast:
      s += elements + ", root " + std::to_string(root);
      break;
    case Collective::barrier:
      break;
  }
  return s + ')';
}

std::string told_apart(const Call& call, const Call& other) {
  std::string text = call.text();
  if (call != other && text == other.text())
    text += " by " + std::string(to_string(call.algorithm));
  return text;
}

std::string numbered(std::uint64_t sequence, const Call& call) {
  return call.text() + " as call #" + std::to_string(sequence);
}

}  // namespace paceline::engine
