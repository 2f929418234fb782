// The objects behind the pointers that FakeVerbs hands out.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <map>
#include <vector>

#include "transport/fake_verbs.h"

namespace paceline::transport::verbs {

struct FakeContext : ibv_context {
  const FakeDevice* traits = nullptr;
  std::deque<ibv_async_event> events;
  std::uint64_t next_offset = 0;  ///< where the next queue is mapped

  /// Maps queues of so many bytes, one behind the other; false if the library loses one of them.
  [[nodiscard]] bool map(std::initializer_list<std::size_t> queues) {
    const std::uint64_t begin = next_offset;
    for (const std::size_t bytes : queues) {
      if (traits->loses_an_offset && next_offset == 0x90000) {
        next_offset = begin;  // what there was of them is destroyed at once
        return false;
      }
      next_offset += (bytes + 4095) / 4096 * 4096;
    }
    return true;
  }
};

struct FakePd : ibv_pd {
  int children = 0;
};

struct FakeChannel : ibv_comp_channel {
  std::deque<FakeCq*> woken;
};

struct FakeCq : ibv_cq {
  FakeChannel* to = nullptr;
  std::deque<ibv_wc> entries;
  std::size_t capacity = 0;
  bool armed = false;
  unsigned unacknowledged = 0;
  int children = 0;
};

struct FakeRequest {
  ibv_send_wr wr = {};
  ibv_sge piece = {};
  std::vector<std::byte> inlined;
  std::uint64_t number = 0;
  unsigned tries = 0;
};

struct FakeReceive {
  std::uint64_t wr_id = 0;
  ibv_sge piece = {};  ///< length 0: none
};

struct FakeQp : ibv_qp {
  FakeContext* owner = nullptr;
  FakeCq* completions = nullptr;
  ibv_qp_cap cap = {};
  ibv_qp_attr attributes = {};
  std::deque<FakeRequest> requests;
  std::deque<FakeRequest> sent;  ///< iWARP: completed, and on the way
  std::deque<FakeReceive> receives;
  bool must_hear = false;  ///< iWARP: before it may send
  std::uint64_t posted = 0;
  std::uint64_t retired = 0;                         ///< up to where slots are free again
  std::map<std::uint64_t, std::uint64_t> signalled;  ///< wr_id -> number

  [[nodiscard]] bool is_iwarp() const { return owner->traits->transport == IBV_TRANSPORT_IWARP; }
  /// What is to be carried out.
  [[nodiscard]] std::deque<FakeRequest>& line() { return is_iwarp() ? sent : requests; }
  [[nodiscard]] const FakePort& port() const {
    return owner->traits->ports[attributes.port_num - 1u];
  }
};

/// Polls after which a request that gets no answer gives up.
inline constexpr unsigned kMostTries = 200;

inline const GidEntry* entry_at(const FakePort& port, int index) {
  const auto found = std::find_if(port.gids.begin(), port.gids.end(),
                                  [&](const GidEntry& e) { return e.index == index; });
  return found == port.gids.end() ? nullptr : &*found;
}

inline void wake(int fd) {
  const std::uint64_t one = 1;
  if (::write(fd, &one, sizeof(one)) < 0) std::abort();
}

inline bool take(int fd) {
  std::uint64_t one = 0;
  return ::read(fd, &one, sizeof(one)) == sizeof(one);
}

/// What a device leaves in a completion that failed.
inline ibv_wc failed(std::uint64_t wr_id, ibv_wc_status status, std::uint32_t number) {
  ibv_wc completion;
  std::memset(&completion, 0xA5, sizeof(completion));
  completion.wr_id = wr_id;
  completion.status = status;
  completion.qp_num = number;
  completion.vendor_err = 0x42;
  completion.opcode = IBV_WC_RECV_RDMA_WITH_IMM;  // the most misleading one
  return completion;
}

}  // namespace paceline::transport::verbs
