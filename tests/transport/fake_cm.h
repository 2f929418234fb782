// A connection manager that exists only in this process, behind the seam: connects the queue pairs
// of fake devices (fake_verbs.h) as librdmacm and the kernel do, events included.
//
// On InfiniBand and RoCE it says how to take a queue pair through its states; on iWARP it does that
// itself. What it says of the MTU is wrong on purpose.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "transport/fake_verbs.h"
#include "transport_verbs/cm_api.h"

namespace paceline::transport::verbs {

struct FakeCmId;

/// Who listens where, over all hosts.
class FakeCmNetwork {
 public:
  explicit FakeCmNetwork(std::shared_ptr<FakeNetwork> network) : network_(std::move(network)) {}

  struct Book {
    std::int64_t live_objects = 0;
    std::uint64_t connections = 0;
    std::uint64_t rejections = 0;
    std::uint64_t events_kept = 0;  ///< ids destroyed while an event of theirs was not acknowledged
  };
  [[nodiscard]] Book book() const;
  /// From now on connections are answered with this.
  void fail_with(rdma_cm_event_type type);
  /// Before the next request arrives, somebody else calls, without the cookie.
  void send_stranger();
  /// The ports of the next `count` ids that listen or connect are taken, by a socket of TCP.
  void take_ports(int count);

 private:
  friend class FakeCm;
  int use_port();
  void tell(FakeCmId& id, rdma_cm_event_type type, int status = 0, FakeCmId* listener = nullptr);

  mutable std::mutex mutex_;
  std::shared_ptr<FakeNetwork> network_;
  Book book_;
  std::map<std::uint16_t, FakeCmId*> listeners_;
  std::uint16_t next_port_ = 30'000;
  rdma_cm_event_type answer_ = RDMA_CM_EVENT_ESTABLISHED;
  bool stranger_ = false;
  int taken_ports_ = 0;
};

/// One host's librdmacm, which knows one device of `verbs`. All of this host's addresses are that
/// device's.
class FakeCm final : public CmApi {
 public:
  FakeCm(std::shared_ptr<FakeCmNetwork> network, const FakeVerbs& verbs, const FakeDevice& device);

  rdma_event_channel* create_event_channel() const override;
  void destroy_event_channel(rdma_event_channel* channel) const override;
  int create_id(rdma_event_channel* channel, rdma_cm_id** id) const override;
  int destroy_id(rdma_cm_id* id) const override;
  int get_cm_event(rdma_event_channel* channel, rdma_cm_event** event) const override;
  int ack_cm_event(rdma_cm_event* event) const override;
  int bind_addr(rdma_cm_id* id, sockaddr* address) const override;
  int resolve_addr(rdma_cm_id* id, sockaddr* to, int timeout_ms) const override;
  int resolve_route(rdma_cm_id* id, int timeout_ms) const override;
  std::uint16_t get_src_port(rdma_cm_id* id) const override;
  int listen(rdma_cm_id* id, int backlog) const override;
  int connect(rdma_cm_id* id, rdma_conn_param* parameters) const override;
  int accept(rdma_cm_id* id, rdma_conn_param* parameters) const override;
  int reject(rdma_cm_id* id) const override;
  int establish(rdma_cm_id* id) const override;
  int init_qp_attr(rdma_cm_id* id, ibv_qp_attr* attributes, int* mask) const override;

 private:
  [[nodiscard]] bool is_iwarp() const { return device_.transport == IBV_TRANSPORT_IWARP; }
  FakeCmId* make_id(rdma_event_channel* channel) const;
  void call(FakeCmId& listener, FakeCmId* caller, const rdma_conn_param& said) const;

  std::shared_ptr<FakeCmNetwork> network_;
  FakeDevice device_;
  mutable ibv_context context_ = {};
};

}  // namespace paceline::transport::verbs
