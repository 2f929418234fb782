// What the shortest exchange of two ranks takes on an RDMA device, with nothing but verbs: the
// limit of an 8-byte all_reduce there.
//
//   exchange DEVICE [CALLS]      two processes of this host
//
// Prints microseconds, the median of batches, of three ways:
//
//   turns    one writes, the other looks at its memory and answers; half of that, as ib_write_lat
//   at once  both write, and look at their memory
//   notified both write with an immediate, wait for its completion, and post a receive again: what
//            a wire does that must not poll memory
#include <infiniband/verbs.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kDepth = 256;
constexpr int kSignalEvery = 64;
constexpr int kBatches = 20;
constexpr unsigned kLongest = 120;  // seconds

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("exchange: cannot ") + what);
}

/// What one end must know of the other.
struct End {
  std::uint32_t number;
  std::uint32_t key;
  std::uint64_t address;
  ibv_gid gid;
  std::uint16_t lid;
};

/// One of the two processes. Nothing is given back: the process ends.
class Rank {
 public:
  Rank(const std::string& device, int rank, int socket) : rank_(rank), socket_(socket) {
    int count = 0;
    ibv_device** devices = ibv_get_device_list(&count);
    for (int i = 0; i < count && context_ == nullptr; ++i) {
      if (device == ibv_get_device_name(devices[i])) context_ = ibv_open_device(devices[i]);
    }
    require(context_ != nullptr, "open the device");
    ibv_pd* domain = ibv_alloc_pd(context_);
    ibv_mr* region = ibv_reg_mr(domain, words_, sizeof(words_),
                                IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    sent_ = ibv_create_cq(context_, kDepth, nullptr, nullptr, 0);
    came_ = ibv_create_cq(context_, kDepth, nullptr, nullptr, 0);
    require(domain != nullptr && region != nullptr && sent_ != nullptr && came_ != nullptr,
            "make its queues");
    ibv_qp_init_attr wanted{};
    wanted.send_cq = sent_;
    wanted.recv_cq = came_;
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {kDepth, kDepth, 1, 1, sizeof(std::uint64_t)};
    pair_ = ibv_create_qp(domain, &wanted);
    require(pair_ != nullptr, "make a queue pair");
    connect(region->rkey);
    for (int i = 0; i < kDepth; ++i) post_receive();
    meet();
  }

  /// Waits for the other.
  void meet() const {
    char byte = 0;
    require(::write(socket_, &byte, 1) == 1 && ::read(socket_, &byte, 1) == 1, "meet the other");
  }

  void take_turns() {
    ++call_;
    if (rank_ == 0) write_to_peer(false);
    look();
    if (rank_ == 1) write_to_peer(false);
  }
  void write_at_once() {
    ++call_;
    write_to_peer(false);
    look();
  }
  void notify_at_once() {
    ++call_;
    write_to_peer(true);
    complete(came_, "receive");
    post_receive();
  }

 private:
  void connect(std::uint32_t key) {
    ibv_port_attr port{};
    require(ibv_query_port(context_, 1, &port) == 0, "look at port 1");
    End own{pair_->qp_num, key, reinterpret_cast<std::uint64_t>(words_), {}, port.lid};
    // The last entry is RoCE v2 with an IPv4 address where there is one.
    int index = 0;
    for (int i = 0; i < port.gid_tbl_len; ++i) {
      ibv_gid_entry entry{};
      if (ibv_query_gid_ex(context_, 1, static_cast<std::uint32_t>(i), &entry, 0) == 0) index = i;
    }
    ibv_query_gid(context_, 1, index, &own.gid);
    require(::write(socket_, &own, sizeof(own)) == sizeof(own) &&
                ::read(socket_, &far_, sizeof(far_)) == sizeof(far_),
            "exchange what the ends are");
    ibv_qp_attr to{};
    to.qp_state = IBV_QPS_INIT;
    to.port_num = 1;
    to.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
    change(to, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
    to = {};
    to.qp_state = IBV_QPS_RTR;
    to.path_mtu = port.active_mtu;
    to.dest_qp_num = far_.number;
    to.min_rnr_timer = 12;
    to.max_dest_rd_atomic = 1;
    to.ah_attr.is_global = 1;
    to.ah_attr.grh.dgid = far_.gid;
    to.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(index);
    to.ah_attr.grh.hop_limit = 64;
    to.ah_attr.dlid = far_.lid;
    to.ah_attr.port_num = 1;
    change(to, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
    to = {};
    to.qp_state = IBV_QPS_RTS;
    to.timeout = 18;
    to.retry_cnt = 6;
    to.rnr_retry = 6;
    to.max_rd_atomic = 1;
    change(to, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                   IBV_QP_MAX_QP_RD_ATOMIC);
  }
  void change(ibv_qp_attr& to, int mask) {
    require(ibv_modify_qp(pair_, &to, mask) == 0, "connect the queue pair");
  }
  void post_receive() {
    ibv_recv_wr receive{};
    ibv_recv_wr* bad = nullptr;
    require(ibv_post_recv(pair_, &receive, &bad) == 0, "post a receive");
  }
  void write_to_peer(bool notify) {
    ibv_sge piece{reinterpret_cast<std::uint64_t>(&call_), sizeof(call_), 0};
    ibv_send_wr request{};
    ibv_send_wr* bad = nullptr;
    request.sg_list = &piece;
    request.num_sge = 1;
    request.opcode = notify ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
    const bool signal = ++posted_ % kSignalEvery == 0;
    request.send_flags = IBV_SEND_INLINE | (signal ? unsigned{IBV_SEND_SIGNALED} : 0u);
    request.wr.rdma.remote_addr = far_.address;
    request.wr.rdma.rkey = far_.key;
    require(ibv_post_send(pair_, &request, &bad) == 0, "send");
    if (signal) complete(sent_, "send");
  }
  static void complete(ibv_cq* queue, const char* what) {
    ibv_wc done{};
    while (ibv_poll_cq(queue, 1, &done) == 0) {
    }
    require(done.status == IBV_WC_SUCCESS, what);
  }
  void look() const {
    const volatile std::uint64_t& word = words_[0];
    while (word < call_) {
    }
  }

  int rank_;
  int socket_;
  ibv_context* context_ = nullptr;
  ibv_cq* sent_ = nullptr;
  ibv_cq* came_ = nullptr;
  ibv_qp* pair_ = nullptr;
  End far_ = {};
  alignas(64) std::uint64_t words_[8] = {};
  std::uint64_t call_ = 0;
  int posted_ = 0;
};

/// Microseconds of a call: the median of batches.
double measure(Rank& rank, void (Rank::*call)(), int calls) {
  std::vector<double> took;
  for (int batch = 0; batch < kBatches; ++batch) {
    rank.meet();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls / kBatches; ++i) (rank.*call)();
    const std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - start;
    took.push_back(passed.count() / (calls / kBatches));
  }
  std::nth_element(took.begin(), took.begin() + kBatches / 2, took.end());
  return took[kBatches / 2];
}

void run(const std::string& device, int calls, int number, int socket) {
  Rank rank(device, number, socket);
  const double turns = measure(rank, &Rank::take_turns, calls) / 2;
  const double at_once = measure(rank, &Rank::write_at_once, calls);
  const double notified = measure(rank, &Rank::notify_at_once, calls);
  rank.meet();
  if (number == 0) {
    std::printf("turns %.1f\nat once %.1f\nnotified %.1f\n", turns, at_once, notified);
  }
}

}  // namespace

int main(int count, char** words) {
  const int calls = count > 2 ? std::atoi(words[2]) : 2000;
  if (count < 2 || calls < kBatches) {
    std::fprintf(stderr, "usage: exchange DEVICE [CALLS]; at least %d calls\n", kBatches);
    return 2;
  }
  // Who spins for an end that has failed spins for ever.
  ::alarm(kLongest);
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return 1;
  const pid_t child = ::fork();
  const int number = child == 0 ? 1 : 0;
  try {
    ::close(sockets[1 - number]);
    run(words[1], calls, number, sockets[number]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  int status = 0;
  if (child != 0) ::waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}
