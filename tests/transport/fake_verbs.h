// RDMA devices that exist only in this process, behind the verbs seam: strict where real ones are
// strict, and in bad moods at will.
//
// Several FakeVerbs (one per "host") share a FakeNetwork. What is posted is carried out later, in
// order per queue pair and in any order between them, whenever somebody polls; data is placed at
// the last moment, just before it completes. Whatever a real device would punish is counted or
// fails: a notification that finds no receive, a send queue that is posted into when it is full
// (slots of unsignalled requests come free only when a later completion is polled), a completion
// queue that overflows, keys and bounds that are wrong, objects destroyed in the wrong order.
// On iWARP a request completes when it leaves, is placed later, and is lost if its queue pair ends
// before; the end of a queue pair is the end of its peer's; and only a connection manager connects.
// Completions with an error carry garbage in every field that the specification leaves undefined.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "transport_verbs/gid.h"
#include "transport_verbs/ibv_api.h"

namespace paceline::transport::verbs {

struct FakePort {
  ibv_port_state state = IBV_PORT_ACTIVE;
  std::uint8_t link_layer = IBV_LINK_LAYER_ETHERNET;
  std::uint16_t lid = 0;
  ibv_mtu mtu = IBV_MTU_4096;
  std::uint32_t max_message = 1u << 30;
  std::vector<GidEntry> gids = {};
};

/// What a device makes of an RDMA WRITE with an immediate.
enum class FakeImmediates : std::uint8_t {
  work,
  refused,       ///< EINVAL when it is posted
  fail_at_peer,  ///< the peer's device does not know such a packet
  swallowed,     ///< acknowledged and written, but no receive completes
};

struct FakeDevice {
  std::string name = "fake0";
  std::uint32_t vendor = 0x02c9;
  FakeImmediates immediates = FakeImmediates::work;
  ibv_transport_type transport = IBV_TRANSPORT_IB;
  int max_qp_wr = 16384;
  int max_cqe = 65536;
  std::uint32_t max_inline = 512;
  std::uint32_t max_send_sge = 4;  ///< the device refuses queue pairs with more
  std::uint32_t max_recv_sge = 1;
  /// Its library takes a queue that the kernel has put at offset 0x90000 for none, as libsiw does.
  bool loses_an_offset = false;
  std::vector<FakePort> ports = {FakePort{}};
};

struct FakeContext;
struct FakeQp;
struct FakeRequest;
struct FakeCq;

/// What connects the devices, and the book that is kept of them.
class FakeNetwork {
 public:
  /// `reluctance` 0 carries out every request as it is posted; n lets a request wait for about n
  /// polls, at random from `seed`.
  explicit FakeNetwork(unsigned reluctance = 0, unsigned seed = 1)
      : reluctance_(reluctance), random_(seed) {}

  struct Book {
    std::uint64_t requests = 0;
    std::uint64_t bytes_written = 0;  ///< by RDMA WRITE
    std::uint64_t completions = 0;    ///< of requests
    std::uint64_t receives_posted = 0;
    std::uint64_t receive_calls = 0;
    std::uint64_t missing_receives = 0;  ///< notifications that found none
    std::uint64_t immediates = 0;        ///< notifications that were carried out, by kind
    std::uint64_t sends = 0;
    std::uint64_t reads = 0;
    std::uint64_t spoke_too_early = 0;  ///< iWARP: before the one who called
    std::uint64_t send_overflows = 0;
    std::uint64_t completion_overflows = 0;
    std::uint64_t teardown_errors = 0;
    std::uint64_t fork_inits = 0;
    std::uint64_t verbs_before_fork_init = 0;
    std::int64_t live_objects = 0;
    std::uint32_t largest_inline = 0;
    std::uint32_t last_immediate = 0;  ///< as it stands in the request
    std::vector<std::byte> last_send = {};
    ibv_mtu last_path_mtu = IBV_MTU_256;
    ibv_ah_attr last_address = {};
    std::uint8_t last_retries = 0;
  };
  [[nodiscard]] Book book() const;

  /// Between iWARP queue pairs, by number; `caller` is to speak first.
  void connect_iwarp(std::uint32_t caller, std::uint32_t listener);

  // --- moods -------------------------------------------------------------------------------------
  /// The next registrations fail with this errno; 0 for none.
  void fail_registrations(int error);
  /// The next request to be carried out completes with this status.
  void fail_next_request(ibv_wc_status status);
  /// The next notification arrives as one of the other kind.
  void garble_next_notification();
  /// From now on nothing gets through between any two queue pairs.
  void cut();
  /// Every queue pair fails at once, and nothing says why.
  void break_all();
  /// Every open device reports it.
  void report(ibv_event_type type);

 private:
  friend class FakeVerbs;
  void pump();
  void hand_over(FakeQp& from);
  bool carry_out(FakeQp& from);
  void read(FakeQp& from, const FakeRequest& request);
  bool is_allowed(FakeQp& from, FakeQp& to);
  bool notify(FakeQp& from, FakeQp& to, const std::byte* source, std::uint64_t length);
  bool path_works(FakeQp& from, FakeQp& to, std::uint64_t length) const;
  ibv_mr* find(std::uint32_t key, const ibv_pd* domain, std::uint64_t address, std::uint64_t length,
               int access) const;
  void complete(FakeCq& queue, const ibv_wc& completion);
  void break_pair(FakeQp& pair);
  void fail_head(FakeQp& pair, ibv_wc_status status);

  mutable std::mutex mutex_;
  unsigned reluctance_;
  std::mt19937 random_;
  Book book_;
  std::map<std::uint32_t, FakeQp*> pairs_;
  std::map<std::uint32_t, std::pair<ibv_mr*, int>> regions_;  ///< by key; the access
  std::vector<FakeContext*> contexts_;
  std::uint32_t next_key_ = 0;  ///< a key may be 0, and does not come again soon
  std::uint32_t next_number_ = 17;
  int registration_error_ = 0;
  ibv_wc_status next_status_ = IBV_WC_SUCCESS;
  bool cut_ = false;
  bool garble_ = false;
};

/// One host's libibverbs.
class FakeVerbs final : public VerbsApi {
 public:
  FakeVerbs(std::shared_ptr<FakeNetwork> network, std::vector<FakeDevice> devices);
  ~FakeVerbs() override;

  [[nodiscard]] ibv_device* device(std::size_t number) const;

  int fork_init() const override;
  ibv_fork_status is_fork_initialized() const override;
  ibv_device** get_device_list(int* count) const override;
  void free_device_list(ibv_device** list) const override;
  const char* get_device_name(ibv_device* device) const override;
  ibv_context* open_device(ibv_device* device) const override;
  int close_device(ibv_context* context) const override;
  int query_device(ibv_context* context, ibv_device_attr* attributes) const override;
  int query_port(ibv_context* context, std::uint8_t port, ibv_port_attr* attributes) const override;
  ssize_t query_gid_table(ibv_context* context, ibv_gid_entry* entries,
                          std::size_t most) const override;
  int get_async_event(ibv_context* context, ibv_async_event* event) const override;
  void ack_async_event(ibv_async_event* event) const override;
  ibv_pd* alloc_pd(ibv_context* context) const override;
  int dealloc_pd(ibv_pd* domain) const override;
  ibv_mr* reg_mr(ibv_pd* domain, void* address, std::size_t length, int access) const override;
  int dereg_mr(ibv_mr* region) const override;
  ibv_comp_channel* create_comp_channel(ibv_context* context) const override;
  int destroy_comp_channel(ibv_comp_channel* channel) const override;
  ibv_cq* create_cq(ibv_context* context, int entries, void* cq_context,
                    ibv_comp_channel* channel) const override;
  int destroy_cq(ibv_cq* queue) const override;
  int req_notify_cq(ibv_cq* queue, int solicited_only) const override;
  int get_cq_event(ibv_comp_channel* channel, ibv_cq** queue, void** cq_context) const override;
  void ack_cq_events(ibv_cq* queue, unsigned count) const override;
  int poll_cq(ibv_cq* queue, int most, ibv_wc* completions) const override;
  const char* wc_status_str(ibv_wc_status status) const override;
  ibv_qp* create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) const override;
  int destroy_qp(ibv_qp* pair) const override;
  int modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int mask) const override;
  int post_send(ibv_qp* pair, ibv_send_wr* request, ibv_send_wr** bad) const override;
  int post_recv(ibv_qp* pair, ibv_recv_wr* request, ibv_recv_wr** bad) const override;

 private:
  struct Node;
  int post_one(FakeQp& pair, const ibv_send_wr& request) const;
  std::shared_ptr<FakeNetwork> network_;
  std::vector<std::unique_ptr<Node>> devices_;
};

}  // namespace paceline::transport::verbs
