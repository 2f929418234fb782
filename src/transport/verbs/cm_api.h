// The seam between this wire and librdmacm, the connection manager of rdma-core: what the wire uses
// of it, and no more. Loaded at run time like libibverbs; tests fill in a fake one.
//
// The methods mean exactly what rdma_<name> means: those that return an int return -1 and set
// errno.
#pragma once

#include <rdma/rdma_cma.h>

#include <cstdint>
#include <memory>
#include <string>

namespace paceline::transport::verbs {

class CmApi {
 public:
  virtual ~CmApi() = default;

  // --- events and ids ------------------------------------------------------------------------
  virtual rdma_event_channel* create_event_channel() const = 0;
  virtual void destroy_event_channel(rdma_event_channel* channel) const = 0;
  /// Of the port space of reliable connections.
  virtual int create_id(rdma_event_channel* channel, rdma_cm_id** id) const = 0;
  virtual int destroy_id(rdma_cm_id* id) const = 0;
  virtual int get_cm_event(rdma_event_channel* channel, rdma_cm_event** event) const = 0;
  virtual int ack_cm_event(rdma_cm_event* event) const = 0;

  // --- who and where -------------------------------------------------------------------------
  virtual int bind_addr(rdma_cm_id* id, sockaddr* address) const = 0;
  virtual int resolve_addr(rdma_cm_id* id, sockaddr* to, int timeout_ms) const = 0;
  virtual int resolve_route(rdma_cm_id* id, int timeout_ms) const = 0;
  /// In host order.
  virtual std::uint16_t get_src_port(rdma_cm_id* id) const = 0;

  // --- connections ---------------------------------------------------------------------------
  virtual int listen(rdma_cm_id* id, int backlog) const = 0;
  virtual int connect(rdma_cm_id* id, rdma_conn_param* parameters) const = 0;
  virtual int accept(rdma_cm_id* id, rdma_conn_param* parameters) const = 0;
  virtual int reject(rdma_cm_id* id) const = 0;
  virtual int establish(rdma_cm_id* id) const = 0;
  virtual int init_qp_attr(rdma_cm_id* id, ibv_qp_attr* attributes, int* mask) const = 0;
};

/// librdmacm, or null and in `why_not` the reason: one sentence without a full stop. Loaded once
/// per process and never unloaded.
std::shared_ptr<const CmApi> load_cm_api(std::string& why_not,
                                         const char* library = "librdmacm.so.1");

}  // namespace paceline::transport::verbs
