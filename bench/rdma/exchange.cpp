// What exchanges of two ranks take on an RDMA device with nothing but verbs (and our sum): the
// limits of an all_reduce there.
//
//   rdma_exchange ADDRESS [CALLS [BYTES...]]      two processes of this host
//
// They connect by rdma_cm at ADDRESS, which a device of this host has. Printed are microseconds of
// a call. Of 8 bytes, in CALLS calls, medians of batches:
//
//   turns       one writes, the other looks at its memory and answers: half of that
//   at once     both write, and look at their memory
//   notified    both write with a notification, wait for its completion, and post a receive again:
//               what a wire does that must not poll memory
//
// And for each BYTES, float32, notified, means; nothing is cut into pieces that could overlap:
//
//   exchange    each writes half of the bytes to the other: an all_gather in place
//   all_reduce  each writes the half that the other sums, sums its own, and writes that back
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory/reduce.h"

namespace {

constexpr int kDepth = 128;
constexpr int kSignalEvery = 64;
constexpr int kBatches = 20;
constexpr int kBlockBatches = 5;
constexpr std::size_t kBytesOfBatch = 16 << 20;
constexpr unsigned kLongest = 280;  // seconds

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("rdma_exchange: cannot ") + what);
}

/// The memory of a rank, which the other writes into: the flag of the small exchanges, and what an
/// all_reduce of up to `most` bytes has.
class Memory {
 public:
  explicit Memory(std::size_t most) : floats_(most / sizeof(float)), words_(kFlags + 3 * floats_) {
    std::fill(words_.begin() + kFlags, words_.end(), 1.0f);
  }
  std::uint64_t* flag() { return reinterpret_cast<std::uint64_t*>(words_.data()); }
  std::uint64_t* next_flag() { return flag() + 1; }
  float* unused() { return words_.data() + kFlags - 1; }
  float* own() { return words_.data() + kFlags; }
  float* result() { return own() + floats_; }
  float* came() { return result() + floats_; }

  void* data() { return words_.data(); }
  std::size_t bytes() const { return words_.size() * sizeof(float); }
  std::size_t offset(const void* place) const {
    return static_cast<std::size_t>(static_cast<const char*>(place) -
                                    reinterpret_cast<const char*>(words_.data()));
  }

 private:
  static constexpr std::size_t kFlags = 16;  // floats: a cache line

  std::size_t floats_;
  std::vector<float> words_;
};

/// What one end must know of the other's memory.
struct End {
  std::uint32_t key;
  std::uint64_t address;
};

/// One of the two processes. Nothing is given back: the process ends.
class Rank {
 public:
  Rank(const char* address, int rank, int socket, std::size_t most)
      : rank_(rank), socket_(socket), memory_(most) {
    if (rank == 0) {
      connect(address);
    } else {
      accept(address);
    }
    const End own{region_->rkey, reinterpret_cast<std::uint64_t>(memory_.data())};
    require(::write(socket_, &own, sizeof(own)) == sizeof(own) &&
                ::read(socket_, &far_, sizeof(far_)) == sizeof(far_),
            "exchange what the ends are");
  }

  /// Waits for the other.
  void meet() const {
    char byte = 0;
    require(::write(socket_, &byte, 1) == 1 && ::read(socket_, &byte, 1) == 1, "meet the other");
  }

  void take_turns() {
    ++call_;
    if (rank_ == 0) write_flag(false);
    look();
    if (rank_ == 1) write_flag(false);
  }
  void write_at_once() {
    ++call_;
    write_flag(false);
    look();
  }
  void notify_at_once() {
    ++call_;
    write_flag(true);
    complete(came_, "receive");
    post_receive();
  }
  void exchange() { swap_half(memory_.own()); }
  void all_reduce() {
    const std::size_t half = bytes_ / 2 / sizeof(float);
    const std::size_t mine = half * static_cast<std::size_t>(rank_);
    write(memory_.own() + (half - mine), memory_.came(), bytes_ / 2, true);
    arrive();
    sum(memory_.own() + mine, memory_.came(), memory_.result() + mine, half);
    swap_half(memory_.result());
  }
  void set_bytes(std::size_t bytes) { bytes_ = bytes; }

 private:
  void connect(const char* address) {
    std::uint16_t port = 0;
    require(::read(socket_, &port, sizeof(port)) == sizeof(port), "hear of the other's port");
    id_ = end_at(address, port, 0);
    require(id_ != nullptr, "reach the address");
    prepare();
    rdma_conn_param how = parameters();
    require(rdma_connect(id_, &how) == 0, "connect");
  }
  void accept(const char* address) {
    rdma_cm_id* listener = end_at(address, 0, RAI_PASSIVE);
    require(listener != nullptr && rdma_listen(listener, 1) == 0,
            "listen at the address: no device has it");
    const std::uint16_t port = be16toh(rdma_get_src_port(listener));
    require(::write(socket_, &port, sizeof(port)) == sizeof(port), "tell the port");
    require(rdma_get_request(listener, &id_) == 0, "be asked");
    prepare();
    rdma_conn_param how = parameters();
    require(rdma_accept(id_, &how) == 0, "accept");
  }
  /// Null if there is none.
  static rdma_cm_id* end_at(const char* address, std::uint16_t port, int flags) {
    rdma_addrinfo hints{};
    hints.ai_flags = RAI_NUMERICHOST | flags;
    hints.ai_port_space = RDMA_PS_TCP;
    rdma_addrinfo* found = nullptr;
    rdma_cm_id* id = nullptr;
    const bool good =
        rdma_getaddrinfo(address, std::to_string(port).c_str(), &hints, &found) == 0 &&
        rdma_create_ep(&id, found, nullptr, nullptr) == 0;
    return good ? id : nullptr;
  }
  static rdma_conn_param parameters() {
    rdma_conn_param how{};
    how.responder_resources = 1;
    how.initiator_depth = 1;
    how.retry_count = 7;
    how.rnr_retry_count = 7;
    return how;
  }
  /// The queues and the memory, once the device is known.
  void prepare() {
    immediates_ = id_->verbs->device->transport_type != IBV_TRANSPORT_IWARP;
    ibv_pd* domain = ibv_alloc_pd(id_->verbs);
    require(domain != nullptr, "have a protection domain");
    region_ = ibv_reg_mr(domain, memory_.data(), memory_.bytes(),
                         IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    sent_ = ibv_create_cq(id_->verbs, kDepth, nullptr, nullptr, 0);
    came_ = ibv_create_cq(id_->verbs, kDepth, nullptr, nullptr, 0);
    require(region_ != nullptr && sent_ != nullptr && came_ != nullptr, "make its queues");
    ibv_qp_init_attr wanted{};
    wanted.send_cq = sent_;
    wanted.recv_cq = came_;
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {kDepth, kDepth, 1, 1, sizeof(std::uint64_t)};
    require(rdma_create_qp(id_, domain, &wanted) == 0, "make a queue pair");
    inline_ = wanted.cap.max_inline_data >= sizeof(std::uint64_t) ? unsigned{IBV_SEND_INLINE} : 0u;
    for (int i = 0; i < kDepth; ++i) post_receive();
  }
  void post_receive() {
    // Nothing is written there, but siw's library refuses a receive that has no room.
    ibv_sge room{reinterpret_cast<std::uint64_t>(memory_.unused()), sizeof(float), region_->lkey};
    ibv_recv_wr receive{};
    receive.sg_list = &room;
    receive.num_sge = 1;
    ibv_recv_wr* bad = nullptr;
    require(ibv_post_recv(id_->qp, &receive, &bad) == 0, "post a receive");
  }
  void write_flag(bool notify) {
    *memory_.next_flag() = call_;
    write(memory_.next_flag(), memory_.flag(), sizeof(std::uint64_t), notify);
  }
  /// `from` here to where `to` is in the other's memory.
  void write(const void* from, const void* to, std::size_t bytes, bool notify) {
    ibv_sge piece{reinterpret_cast<std::uint64_t>(from), static_cast<std::uint32_t>(bytes),
                  region_->lkey};
    ibv_send_wr request{};
    ibv_send_wr tell{};
    ibv_send_wr* bad = nullptr;
    request.sg_list = &piece;
    request.num_sge = 1;
    request.opcode = notify && immediates_ ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
    request.wr.rdma.remote_addr = far_.address + memory_.offset(to);
    request.wr.rdma.rkey = far_.key;
    const bool small = bytes <= sizeof(std::uint64_t);
    const bool signal = !small || ++posted_ % kSignalEvery == 0;
    const unsigned signaled = signal ? unsigned{IBV_SEND_SIGNALED} : 0u;
    request.send_flags = small ? inline_ : 0u;
    if (notify && !immediates_) {
      request.next = &tell;
      tell.opcode = IBV_WR_SEND;
      tell.send_flags = signaled;
    } else {
      request.send_flags |= signaled;
    }
    require(ibv_post_send(id_->qp, &request, &bad) == 0, "send");
    if (small && signal) complete(sent_, "send");
  }
  /// A large notified write is here, and the own one is gone.
  void arrive() {
    complete(came_, "receive");
    post_receive();
    complete(sent_, "send");
  }
  void swap_half(float* whole) {
    const std::size_t half = bytes_ / 2 / sizeof(float);
    float* mine = whole + half * static_cast<std::size_t>(rank_);
    write(mine, mine, bytes_ / 2, true);
    arrive();
  }
  static void sum(const float* own, const float* came, float* result, std::size_t count) {
    const std::byte* sources[] = {reinterpret_cast<const std::byte*>(own),
                                  reinterpret_cast<const std::byte*>(came)};
    std::byte* destination = reinterpret_cast<std::byte*>(result);
    paceline::memory::reduce(paceline::DataType::float32, paceline::ReduceOp::sum, sources,
                             {&destination, 1}, count);
  }
  static void complete(ibv_cq* queue, const char* what) {
    ibv_wc done{};
    while (ibv_poll_cq(queue, 1, &done) == 0) {
    }
    require(done.status == IBV_WC_SUCCESS, what);
  }
  void look() {
    const volatile std::uint64_t& flag = *memory_.flag();
    while (flag < call_) {
    }
  }

  int rank_;
  int socket_;
  Memory memory_;
  rdma_cm_id* id_ = nullptr;
  ibv_cq* sent_ = nullptr;
  ibv_cq* came_ = nullptr;
  ibv_mr* region_ = nullptr;
  End far_ = {};
  bool immediates_ = true;
  unsigned inline_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t call_ = 0;
  int posted_ = 0;
};

/// Microseconds of a call, of each batch.
std::vector<double> measure(Rank& rank, void (Rank::*call)(), int calls, int batches) {
  std::vector<double> took;
  const int each = std::max(calls / batches, 1);
  for (int batch = 0; batch < batches; ++batch) {
    rank.meet();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < each; ++i) (rank.*call)();
    const std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - start;
    took.push_back(passed.count() / each);
  }
  return took;
}

/// As ib_write_lat's typical latency.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// As ib_write_bw's bandwidth.
double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

struct Options {
  const char* address;
  int calls;
  std::vector<std::size_t> sizes;
};

void run(const Options& options, int number, int socket) {
  std::size_t most = sizeof(float) * 2;
  for (const std::size_t size : options.sizes) most = std::max(most, size);
  Rank rank(options.address, number, socket, most);
  const auto report = [&](const std::string& name, double took) {
    if (number == 0) std::printf("%s %.1f\n", name.c_str(), took);
  };
  report("turns", median(measure(rank, &Rank::take_turns, options.calls, kBatches)) / 2);
  report("at once", median(measure(rank, &Rank::write_at_once, options.calls, kBatches)));
  report("notified", median(measure(rank, &Rank::notify_at_once, options.calls, kBatches)));
  for (const std::size_t size : options.sizes) {
    rank.set_bytes(size);
    const int calls = static_cast<int>(std::clamp<std::size_t>(kBytesOfBatch / size, 5, 200));
    report("exchange " + std::to_string(size),
           mean(measure(rank, &Rank::exchange, 2 * calls, kBlockBatches)));
    report("all_reduce " + std::to_string(size),
           mean(measure(rank, &Rank::all_reduce, calls, kBlockBatches)));
  }
  rank.meet();
}

/// The other has failed, and has said why.
void end_too(int) {
  ::_exit(1);
}

}  // namespace

int main(int count, char** words) {
  Options options{count > 1 ? words[1] : "", count > 2 ? std::atoi(words[2]) : 2000, {}};
  bool good = count > 1 && options.calls >= kBatches;
  for (int i = 3; i < count; ++i) {
    options.sizes.push_back(std::strtoull(words[i], nullptr, 10));
    good = good && options.sizes.back() >= 16 && options.sizes.back() % 16 == 0 &&
           options.sizes.back() <= (1u << 30);
  }
  if (!good) {
    std::fprintf(
        stderr,
        "usage: rdma_exchange ADDRESS [CALLS [BYTES...]]; at least %d calls, of a multiple "
        "of 16 bytes and at most 1 GiB\n",
        kBatches);
    return 2;
  }
  ::alarm(kLongest);
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return 1;
  // Who spins for an end that has failed would spin for ever.
  ::signal(SIGCHLD, end_too);
  const pid_t child = ::fork();
  const int number = child == 0 ? 1 : 0;
  if (child == 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::close(sockets[1 - number]);
  try {
    run(options, number, sockets[number]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  if (child == 0) {
    // Stays until the other has printed all.
    char byte = 0;
    return ::read(sockets[1], &byte, 1) == 0 ? 0 : 1;
  }
  std::fflush(stdout);
  ::signal(SIGCHLD, SIG_DFL);
  ::close(sockets[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}
