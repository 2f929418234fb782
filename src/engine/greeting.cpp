// The first message on every link: it says where the peer's cell is (record_channel.h), so that
// later, whatever is in the mailbox, the two can begin to send to each other.
#include <cstring>

#include "engine/engine.h"

namespace paceline::engine {

bool Engine::linked(int peer) {
  const auto& e = edges_[static_cast<std::size_t>(peer)];
  return (e != nullptr && e->endpoint != nullptr) || peers_.linked(peer);
}

// Asks for the endpoint, and greets the peer with the first message on it: the address of its cell.
bool Engine::connect(Edge& e) {
  if (e.greeted) return true;
  if (e.endpoint == nullptr) {
    e.endpoint = peers_.endpoint(e.peer);
    if (e.endpoint == nullptr) return false;
    e.transport = peers_.transport_of(e.peer);
  }
  std::byte* const cell = cell_of(e.peer);
  const transport::Registration* registration = cells_->registration(e.transport);
  const AddressWords words =
      to_words({reinterpret_cast<std::uintptr_t>(cell),
                registration == nullptr ? transport::kNoKey : registration->key()});
  const Header header = Header::make(MessageKind::cell, sizeof words, 0, 0, Call{});
  try {
    e.greeted = e.endpoint->send(header.bytes(), std::as_bytes(std::span(words)));
  } catch (const Error&) {
    // It is gone, and may have sent before what is waited for here. Who needs more of it will see.
    e.greeted = true;
  }
  return e.greeted;
}

// The peer's greeting: whoever first looks at a link's messages finds it in front.
bool Engine::take_cell(Edge& e) {
  const ConstBytes message = e.endpoint->front();
  if (message.size() != kHeaderBytes + kAddressBytes) return false;
  const Header header = Header::read(message.data());
  if (header.version() != kMessageVersion || header.kind() != MessageKind::cell) return false;
  if (e.cell.key != transport::kNoKey) return false;  // once only
  e.cell = read_address(message.data() + kHeaderBytes);
  e.endpoint->pop();
  return true;
}

std::byte* Engine::cell_of(int peer) {
  if (cells_ == nullptr) {
    const auto ranks = static_cast<std::size_t>(options_.size);
    cells_ = registrar_->allocate(ranks * kCellBytes, Device::host());
  }
  return cells_->data() + static_cast<std::size_t>(peer) * kCellBytes;
}

}  // namespace paceline::engine
