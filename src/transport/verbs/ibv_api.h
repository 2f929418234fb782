// The seam between this wire and libibverbs: every verb that the wire uses, and no other. The real
// one is loaded at run time (machines without RDMA have no libibverbs); tests fill in a fake one.
//
// The methods mean exactly what ibv_<name> means, errno conventions included: those that return a
// pointer set errno, those that return an int mostly return a positive errno (poll_cq a negative
// number). A method is const as the table it stands for is.
#pragma once

#include <infiniband/verbs.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace paceline::transport::verbs {

class VerbsApi {
 public:
  virtual ~VerbsApi() = default;

  // --- the process ---------------------------------------------------------------------------
  virtual int fork_init() const = 0;
  virtual ibv_fork_status is_fork_initialized() const = 0;

  // --- devices -------------------------------------------------------------------------------
  virtual ibv_device** get_device_list(int* count) const = 0;
  virtual void free_device_list(ibv_device** list) const = 0;
  virtual const char* get_device_name(ibv_device* device) const = 0;
  virtual ibv_context* open_device(ibv_device* device) const = 0;
  virtual int close_device(ibv_context* context) const = 0;
  virtual int query_device(ibv_context* context, ibv_device_attr* attributes) const = 0;
  virtual int query_port(ibv_context* context, std::uint8_t port,
                         ibv_port_attr* attributes) const = 0;
  /// All entries that are in use, over all ports; how many, or a negative errno.
  virtual ssize_t query_gid_table(ibv_context* context, ibv_gid_entry* entries,
                                  std::size_t most) const = 0;
  virtual int get_async_event(ibv_context* context, ibv_async_event* event) const = 0;
  virtual void ack_async_event(ibv_async_event* event) const = 0;

  // --- memory --------------------------------------------------------------------------------
  virtual ibv_pd* alloc_pd(ibv_context* context) const = 0;
  virtual int dealloc_pd(ibv_pd* domain) const = 0;
  virtual ibv_mr* reg_mr(ibv_pd* domain, void* address, std::size_t length, int access) const = 0;
  virtual int dereg_mr(ibv_mr* region) const = 0;

  // --- completions ---------------------------------------------------------------------------
  virtual ibv_comp_channel* create_comp_channel(ibv_context* context) const = 0;
  virtual int destroy_comp_channel(ibv_comp_channel* channel) const = 0;
  virtual ibv_cq* create_cq(ibv_context* context, int entries, void* cq_context,
                            ibv_comp_channel* channel) const = 0;
  virtual int destroy_cq(ibv_cq* queue) const = 0;
  virtual int req_notify_cq(ibv_cq* queue, int solicited_only) const = 0;
  virtual int get_cq_event(ibv_comp_channel* channel, ibv_cq** queue, void** cq_context) const = 0;
  virtual void ack_cq_events(ibv_cq* queue, unsigned count) const = 0;
  virtual int poll_cq(ibv_cq* queue, int most, ibv_wc* completions) const = 0;
  virtual const char* wc_status_str(ibv_wc_status status) const = 0;

  // --- queue pairs ---------------------------------------------------------------------------
  virtual ibv_qp* create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) const = 0;
  virtual int destroy_qp(ibv_qp* pair) const = 0;
  virtual int modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int mask) const = 0;
  virtual int post_send(ibv_qp* pair, ibv_send_wr* request, ibv_send_wr** bad) const = 0;
  virtual int post_recv(ibv_qp* pair, ibv_recv_wr* request, ibv_recv_wr** bad) const = 0;
};

/// libibverbs, or null and in `why_not` the reason: one sentence without a full stop. Loaded once
/// per process and never unloaded (its providers register handlers that cannot be taken back).
std::shared_ptr<const VerbsApi> load_verbs_api(std::string& why_not,
                                               const char* library = "libibverbs.so.1");

}  // namespace paceline::transport::verbs
