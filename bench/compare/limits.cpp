// What the machine can do, measured as the libraries are. Nothing here is a library: it checks
// nothing, cannot fail, and serves one case.
//
//   --limit zero-copy   all_reduce in memory that all ranks have mapped: each adds its share of all
//                       inputs and writes the sum into every output. No byte moves twice.
//   --limit read-all    the same, but each rank adds up all of it and writes to its own output:
//                       twice the reading, and no cache line changes hands but to be read. Which
//                       of the two is faster depends on the size.
//   --limit copy-in     as read-all with buffers of the rank's own: each copies its input, piece by
//                       piece, where the others see it, and adds up what it sees of all.
//   --limit staged      as zero-copy with buffers of the rank's own: each copies what others add up
//                       to where they read, adds up its share, and copies the others' sums.
//   --limit cable       two ranks, one at each end of a cable: plain sockets carry what has
//                       to cross it, in both directions at once, and nothing is computed.
//                       --host-ranks says how many ranks the libraries have at each end.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "compare/method.h"

namespace {

using paceline::Collective;
using paceline::compare::Arguments;
using paceline::compare::Call;
using paceline::compare::Meeting;
using paceline::compare::Shared;

// Each rank says how far it has come, in a cache line of its own, and waits for the others.
class Steps {
 public:
  Steps(const std::string& path, int rank, int ranks, bool yields)
      : shared_(path, sizeof(Line) * static_cast<std::size_t>(ranks)),
        rank_(rank),
        ranks_(ranks),
        yields_(yields) {}

  void next() {
    line(rank_).store(++step_, std::memory_order_release);
    for (int other = 0; other < ranks_; ++other) {
      while (line(other).load(std::memory_order_acquire) < step_) {
        if (yields_) {
          ::sched_yield();
        } else {
          Meeting::relax();
        }
      }
    }
  }

 private:
  struct alignas(128) Line {
    std::atomic<std::uint64_t> step;
  };
  std::atomic<std::uint64_t>& line(int rank) {
    return reinterpret_cast<Line*>(shared_.data())[rank].step;
  }
  Shared shared_;
  const int rank_;
  const int ranks_;
  const bool yields_;
  std::uint64_t step_ = 0;
};

// Elements from `begin` to `end` of all inputs, added up in registers and stored in every output: a
// byte is read once and written once per output. With the widest registers that this processor has.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#endif
void reduce(const std::vector<const float*>& ins, const std::vector<float*>& outs,
            std::size_t begin, std::size_t end) {
  typedef float Vector __attribute__((vector_size(64)));
  constexpr std::size_t kLanes = sizeof(Vector) / sizeof(float);
  constexpr std::size_t kVectors = 4;  // so many loads are under way at once
  std::size_t i = begin;
  for (; i + kVectors * kLanes <= end; i += kVectors * kLanes) {
    Vector sum[kVectors];
    std::memcpy(sum, ins[0] + i, sizeof sum);
    for (std::size_t rank = 1; rank < ins.size(); ++rank) {
      Vector more[kVectors];
      std::memcpy(more, ins[rank] + i, sizeof more);
      for (std::size_t v = 0; v < kVectors; ++v) sum[v] += more[v];
    }
    for (float* out : outs) std::memcpy(out + i, sum, sizeof sum);
  }
  for (; i < end; ++i) {
    float sum = ins[0][i];
    for (std::size_t rank = 1; rank < ins.size(); ++rank) sum += ins[rank][i];
    for (float* out : outs) out[i] = sum;
  }
}

class ZeroCopy final : public paceline::compare::Library {
 public:
  ZeroCopy(const Arguments& arguments, int rank, bool reads_all)
      : reads_all_(reads_all),
        rank_(rank),
        ranks_(static_cast<int>(arguments.number("ranks"))),
        store_(arguments.text("store")),
        steps_(store_ + "/steps", rank, ranks_, arguments.text("wait", "spin") != "spin") {}

  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    return collective == Collective::all_reduce && !in_place;
  }

  // A file for each of the two buffers, with the ranks' one after the other. Tensors, if there are
  // several, are at the same place in each.
  std::byte* allocate(std::size_t bytes) override {
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    const std::size_t each = (bytes + kHuge - 1) / kHuge * kHuge;
    auto& buffer = buffers_.emplace_back(std::make_unique<Shared>(
        store_ + "/buffer" + std::to_string(buffers_.size()), each * std::size_t(ranks_)));
    for (int rank = 0; rank < ranks_; ++rank) {
      auto* const theirs = reinterpret_cast<float*>(buffer->data() + each * std::size_t(rank));
      if (buffers_.size() == 1) {
        ins_.push_back(theirs);
      } else {
        outs_.push_back(theirs);
      }
    }
    return buffer->data() + each * std::size_t(rank_);
  }

  void call(const Call& c) override {
    const auto tensor = static_cast<std::size_t>(c.in - ins_[std::size_t(rank_)]);
    steps_.next();
    if (reads_all_) {
      own_[0] = outs_[std::size_t(rank_)];
      reduce(ins_, own_, tensor, tensor + c.count);
    } else {
      // A whole number of cache lines for each rank.
      constexpr std::size_t kLine = 16;
      const auto ranks = std::size_t(ranks_);
      const std::size_t share = (c.count + ranks * kLine - 1) / (ranks * kLine) * kLine;
      reduce(ins_, outs_, tensor + share * std::size_t(rank_),
             tensor + std::min(c.count, share * std::size_t(rank_ + 1)));
    }
    steps_.next();
  }

 private:
  const bool reads_all_;
  const int rank_;
  const int ranks_;
  const std::string store_;
  Steps steps_;
  std::vector<std::unique_ptr<Shared>> buffers_;
  // Where all ranks have theirs.
  std::vector<const float*> ins_;
  std::vector<float*> outs_;
  std::vector<float*> own_ = {nullptr};
};

class CopyIn final : public paceline::compare::Library {
 public:
  CopyIn(const Arguments& arguments, int rank)
      : rank_(std::size_t(rank)),
        ranks_(std::size_t(arguments.number("ranks"))),
        steps_(arguments.text("store") + "/steps", rank, static_cast<int>(ranks_),
               arguments.text("wait", "spin") != "spin"),
        slots_(arguments.text("store") + "/slots", 2 * ranks_ * kSlot * sizeof(float)) {
    for (turn_ = 0; turn_ < 2; ++turn_) {
      for (std::size_t other = 0; other < ranks_; ++other) seen_[turn_].push_back(slot(other));
    }
  }

  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    return collective == Collective::all_reduce && !in_place;
  }

  // Two slots for each rank, in turn: who writes piece k + 1 has seen all write piece k, and so all
  // have read piece k - 1.
  void call(const Call& c) override {
    for (std::size_t at = 0; at < c.count; at += kSlot, ++turn_) {
      const std::size_t n = std::min(kSlot, c.count - at);
      std::memcpy(slot(rank_), c.in + at, n * sizeof(float));
      steps_.next();
      out_[0] = c.out + at;
      reduce(seen_[turn_ % 2], out_, 0, n);
    }
  }

 private:
  static constexpr std::size_t kSlot = 32768;  // elements: two of them fit a second-level cache

  float* slot(std::size_t rank) {
    return reinterpret_cast<float*>(slots_.data()) + (2 * rank + turn_ % 2) * kSlot;
  }
  const std::size_t rank_;
  const std::size_t ranks_;
  Steps steps_;
  Shared slots_;
  std::size_t turn_ = 0;
  std::vector<const float*> seen_[2];  // all ranks' slots of an even and of an odd turn
  std::vector<float*> out_ = {nullptr};
};

class Staged final : public paceline::compare::Library {
 public:
  Staged(const Arguments& arguments, int rank)
      : rank_(std::size_t(rank)),
        ranks_(std::size_t(arguments.number("ranks"))),
        steps_(arguments.text("store") + "/steps", rank, static_cast<int>(ranks_),
               arguments.text("wait", "spin") != "spin"),
        slots_(arguments.text("store") + "/slots", ranks_ * (ranks_ + 1) * kLap * sizeof(float)) {}

  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    return collective == Collective::all_reduce && !in_place;
  }

  // Slots behind each other, in laps that are longer than a second cache: by then their lines are
  // in nobody's, so that who writes them need not wait for who has read them. Who writes piece k +
  // 2 has seen all add up piece k + 1, and so all have copied the sums of piece k.
  void call(const Call& c) override {
    for (std::size_t at = 0; at < c.count; at += ranks_ * kSlot) {
      const std::size_t n = std::min(ranks_ * kSlot, c.count - at);
      const std::size_t share = (n + ranks_ * kLine - 1) / (ranks_ * kLine) * kLine;
      place_ = place_ + 2 * share > kLap ? 0 : place_ + share;
      const auto begin = [&](std::size_t rank) { return std::min(n, share * rank); };
      const auto length = [&](std::size_t rank) { return begin(rank + 1) - begin(rank); };
      for (std::size_t other = 0; other < ranks_; ++other) {
        if (other == rank_) continue;
        std::memcpy(slot(other, rank_), c.in + at + begin(other), length(other) * sizeof(float));
      }
      steps_.next();
      ins_.clear();
      for (std::size_t other = 0; other < ranks_; ++other) {
        ins_.push_back(other == rank_ ? c.in + at + begin(rank_) : slot(rank_, other));
      }
      outs_ = {c.out + at + begin(rank_), slot(rank_, ranks_)};
      reduce(ins_, outs_, 0, length(rank_));
      steps_.next();
      for (std::size_t other = 0; other < ranks_; ++other) {
        if (other == rank_) continue;
        copy(c.out + at + begin(other), slot(other, ranks_), length(other));
      }
    }
  }

 private:
  static constexpr std::size_t kSlot = 32768;      // elements
  static constexpr std::size_t kLap = 16 * kSlot;  // of what one gives to one other: 2 MiB
  static constexpr std::size_t kLine = 16;

  // Not memcpy: malloc's buffers begin 16 bytes behind a page, and glibc's is slow from a page
  // there on some processors (src/base/copy.h).
  static void copy(float* to, const float* from, std::size_t count) {
    reduce({from}, {to}, 0, count);
  }
  // Where `rank` finds what `from` gives it; from == ranks: where all find its sum.
  float* slot(std::size_t rank, std::size_t from) {
    return reinterpret_cast<float*>(slots_.data()) + (rank * (ranks_ + 1) + from) * kLap + place_;
  }
  const std::size_t rank_;
  const std::size_t ranks_;
  Steps steps_;
  Shared slots_;
  std::size_t place_ = 0;
  std::vector<const float*> ins_;
  std::vector<float*> outs_;
};

class Cable final : public paceline::compare::Library {
 public:
  Cable(const Arguments& arguments, int rank)
      : rank_(rank), host_ranks_(std::size_t(arguments.number("host-ranks"))) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(arguments.number("port")));
    if (::inet_pton(AF_INET, arguments.text("root").c_str(), &address.sin_addr) != 1) {
      throw std::invalid_argument("--root is not an address");
    }
    const auto* const at = reinterpret_cast<const sockaddr*>(&address);
    const int own = ::socket(AF_INET, SOCK_STREAM, 0);
    if (rank == 0) {
      const int yes = 1;
      ::setsockopt(own, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      if (::bind(own, at, sizeof address) != 0 || ::listen(own, 1) != 0) fail("listen");
      socket_ = ::accept(own, nullptr, nullptr);
    } else {
      socket_ = own;
      constexpr useconds_t kPause = 10'000;
      constexpr int kTries = 1000;  // ten seconds, for rank 0 to start
      int tries = 0;
      while (::connect(own, at, sizeof address) != 0) {
        if (++tries == kTries) fail("connect");
        ::usleep(kPause);
      }
    }
    const int yes = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }

  [[nodiscard]] bool has_result() const override { return false; }

  void call(const Call& c) override {
    const Crossing crossing = bytes_to_cross(c);
    exchange(reinterpret_cast<const char*>(c.in), rank_ == 0 ? crossing.forth : crossing.back,
             reinterpret_cast<char*>(c.out), rank_ == 0 ? crossing.back : crossing.forth,
             std::min(c.count * sizeof(float), kPieceBytes));
  }

 private:
  struct Crossing {
    std::size_t forth;
    std::size_t back;
  };

  // The least that each of two hosts, with n ranks each, has to tell the other. `count` is that of
  // two ranks here; buffers of one block for each rank are of 2 * count elements.
  [[nodiscard]] Crossing bytes_to_cross(const Call& c) const {
    const std::size_t block = c.count * sizeof(float);
    switch (c.collective) {
      case Collective::all_reduce:  // a host's sum
        return {block, block};
      case Collective::reduce_scatter:  // a host's sum of what the other host keeps
      case Collective::all_gather:      // a host's blocks
        return {block, block};
      case Collective::all_to_all:  // from each of n ranks half of its buffer
        return {host_ranks_ * block, host_ranks_ * block};
      case Collective::broadcast:
        return {block, 0};
      case Collective::barrier:
      case Collective::reduce:
      case Collective::gather:
      case Collective::scatter:
        break;  // not compared
    }
    return {0, 0};
  }

  // One thread writes what the socket takes and reads what it has, from and to the first `piece`
  // bytes of the buffers again and again: what it costs to walk through them is left out.
  void exchange(const char* from, std::size_t to_send, char* to, std::size_t to_receive,
                std::size_t piece) const {
    // Sleeping and being woken would be more than half of a short round trip.
    constexpr int kTries = 100;
    for (int tries = 0; to_send > 0 || to_receive > 0;) {
      bool moved = false;
      if (to_send > 0)
        moved |= took(::send(socket_, from, std::min(to_send, piece), kFlags), to_send);
      if (to_receive > 0) {
        moved |= took(::recv(socket_, to, std::min(to_receive, piece), MSG_DONTWAIT), to_receive);
      }
      if (moved) tries = 0;
      if (moved || ++tries < kTries) continue;
      pollfd wait = {
          socket_, static_cast<short>((to_send > 0 ? POLLOUT : 0) | (to_receive > 0 ? POLLIN : 0)),
          0};
      ::poll(&wait, 1, -1);
    }
  }
  static bool took(ssize_t moved, std::size_t& left) {
    if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (moved <= 0) fail("the cable's other end");
    left -= static_cast<std::size_t>(moved);
    return true;
  }
  [[noreturn]] static void fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  }

  // What a socket's buffer takes at once.
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  static constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const int rank_;
  const std::size_t host_ranks_;
  int socket_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(
      argc, argv,
      [](const Arguments& arguments, int rank) -> std::unique_ptr<paceline::compare::Library> {
        const std::string limit = arguments.text("limit");
        if (limit == "zero-copy") return std::make_unique<ZeroCopy>(arguments, rank, false);
        if (limit == "read-all") return std::make_unique<ZeroCopy>(arguments, rank, true);
        if (limit == "copy-in") return std::make_unique<CopyIn>(arguments, rank);
        if (limit == "staged") return std::make_unique<Staged>(arguments, rank);
        if (limit == "cable") return std::make_unique<Cable>(arguments, rank);
        throw std::invalid_argument("--limit is zero-copy, read-all, copy-in, staged or cable");
      });
}
