// What the endpoints of one TCP transport share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "transport/transport.h"
#include "transport_tcp/frame.h"
#include "transport_tcp/lingering.h"
#include "transport_tcp/registration_table.h"

namespace paceline::transport::tcp {

class TcpEndpoint;

/// One message in memory.
struct Message {
  explicit Message(std::size_t most)
      : data(std::make_unique_for_overwrite<std::byte[]>(most)), capacity(most) {}
  std::unique_ptr<std::byte[]> data;
  std::size_t capacity;
  std::size_t length = 0;
};

/// Messages that may be used again, of two kinds: the usual ones and the longest. How many are
/// alive at once is the application's, not the number of peers times the size of a mailbox.
class MessagePool {
 public:
  [[nodiscard]] std::unique_ptr<Message> take(std::size_t length) {
    const std::size_t most = length <= kMaxMessage ? kMaxMessage : kLongestMessage;
    auto& spare = spare_of(most);
    std::unique_ptr<Message> message;
    if (spare.empty()) {
      message = std::make_unique<Message>(most);
    } else {
      message = std::move(spare.back());
      spare.pop_back();
    }
    message->length = length;
    return message;
  }
  void give_back(std::unique_ptr<Message> message) {
    spare_of(message->capacity).push_back(std::move(message));
  }

 private:
  std::vector<std::unique_ptr<Message>>& spare_of(std::size_t capacity) {
    return capacity == kMaxMessage ? usual_ : longest_;
  }
  std::vector<std::unique_ptr<Message>> usual_;
  std::vector<std::unique_ptr<Message>> longest_;
};

/// Shared by the transport, its endpoints and its registrations, which may go in any order.
struct Hub {
  UniqueFd epoll;
  RegistrationTable registrations;
  std::vector<TcpEndpoint*> endpoints;
  /// How many endpoints want tend() to be called.
  std::size_t restless = 0;
  /// Somebody waits for a message: front() found none in a mailbox since the last progress(), and
  /// asked the link that it would come by.
  bool asked = false;
  MessagePool messages;
  Lingering lingering;
};

}  // namespace paceline::transport::tcp
