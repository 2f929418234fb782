#include "transport_verbs/ibv_api.h"

#include "transport_verbs/loader.h"

// verbs.h turns these names into macros around symbols that would have to be linked.
#undef ibv_query_port
#undef ibv_reg_mr

namespace paceline::transport::verbs {
namespace {

/// The functions that libibverbs exports. The rest of verbs is inline in its header and goes
/// through the function table that the provider puts into the context.
struct Symbols {
  int (*fork_init)() = nullptr;
  ibv_fork_status (*is_fork_initialized)() = nullptr;
  ibv_device** (*get_device_list)(int*) = nullptr;
  void (*free_device_list)(ibv_device**) = nullptr;
  const char* (*get_device_name)(ibv_device*) = nullptr;
  ibv_context* (*open_device)(ibv_device*) = nullptr;
  int (*close_device)(ibv_context*) = nullptr;
  int (*query_device)(ibv_context*, ibv_device_attr*) = nullptr;
  // Fills all of ibv_port_attr up to `flags`; the few fields after that we do not read.
  int (*query_port)(ibv_context*, std::uint8_t, _compat_ibv_port_attr*) = nullptr;
  ssize_t (*query_gid_table)(ibv_context*, ibv_gid_entry*, std::size_t, std::uint32_t,
                             std::size_t) = nullptr;
  int (*get_async_event)(ibv_context*, ibv_async_event*) = nullptr;
  void (*ack_async_event)(ibv_async_event*) = nullptr;
  ibv_pd* (*alloc_pd)(ibv_context*) = nullptr;
  int (*dealloc_pd)(ibv_pd*) = nullptr;
  ibv_mr* (*reg_mr)(ibv_pd*, void*, std::size_t, int) = nullptr;
  int (*dereg_mr)(ibv_mr*) = nullptr;
  ibv_comp_channel* (*create_comp_channel)(ibv_context*) = nullptr;
  int (*destroy_comp_channel)(ibv_comp_channel*) = nullptr;
  ibv_cq* (*create_cq)(ibv_context*, int, void*, ibv_comp_channel*, int) = nullptr;
  int (*destroy_cq)(ibv_cq*) = nullptr;
  int (*get_cq_event)(ibv_comp_channel*, ibv_cq**, void**) = nullptr;
  void (*ack_cq_events)(ibv_cq*, unsigned) = nullptr;
  const char* (*wc_status_str)(ibv_wc_status) = nullptr;
  ibv_qp* (*create_qp)(ibv_pd*, ibv_qp_init_attr*) = nullptr;
  int (*destroy_qp)(ibv_qp*) = nullptr;
  int (*modify_qp)(ibv_qp*, ibv_qp_attr*, int) = nullptr;
};

/// The name of the first symbol that is missing; empty if all are there.
std::string find_all(void* library, Symbols& s) {
  Loader loader(library);
  loader.find(s.fork_init, "ibv_fork_init");
  loader.find(s.is_fork_initialized, "ibv_is_fork_initialized");
  loader.find(s.get_device_list, "ibv_get_device_list");
  loader.find(s.free_device_list, "ibv_free_device_list");
  loader.find(s.get_device_name, "ibv_get_device_name");
  loader.find(s.open_device, "ibv_open_device");
  loader.find(s.close_device, "ibv_close_device");
  loader.find(s.query_device, "ibv_query_device");
  loader.find(s.query_port, "ibv_query_port");
  loader.find(s.query_gid_table, "_ibv_query_gid_table");
  loader.find(s.get_async_event, "ibv_get_async_event");
  loader.find(s.ack_async_event, "ibv_ack_async_event");
  loader.find(s.alloc_pd, "ibv_alloc_pd");
  loader.find(s.dealloc_pd, "ibv_dealloc_pd");
  loader.find(s.reg_mr, "ibv_reg_mr");
  loader.find(s.dereg_mr, "ibv_dereg_mr");
  loader.find(s.create_comp_channel, "ibv_create_comp_channel");
  loader.find(s.destroy_comp_channel, "ibv_destroy_comp_channel");
  loader.find(s.create_cq, "ibv_create_cq");
  loader.find(s.destroy_cq, "ibv_destroy_cq");
  loader.find(s.get_cq_event, "ibv_get_cq_event");
  loader.find(s.ack_cq_events, "ibv_ack_cq_events");
  loader.find(s.wc_status_str, "ibv_wc_status_str");
  loader.find(s.create_qp, "ibv_create_qp");
  loader.find(s.destroy_qp, "ibv_destroy_qp");
  loader.find(s.modify_qp, "ibv_modify_qp");
  return loader.missing();
}

class LoadedApi final : public VerbsApi {
 public:
  explicit LoadedApi(const Symbols& symbols) : s_(symbols) {}

  int fork_init() const override { return s_.fork_init(); }
  ibv_fork_status is_fork_initialized() const override { return s_.is_fork_initialized(); }
  ibv_device** get_device_list(int* count) const override { return s_.get_device_list(count); }
  void free_device_list(ibv_device** list) const override { s_.free_device_list(list); }
  const char* get_device_name(ibv_device* d) const override { return s_.get_device_name(d); }
  ibv_context* open_device(ibv_device* device) const override { return s_.open_device(device); }
  int close_device(ibv_context* context) const override { return s_.close_device(context); }
  int query_device(ibv_context* context, ibv_device_attr* attributes) const override {
    return s_.query_device(context, attributes);
  }
  int query_port(ibv_context* context, std::uint8_t port,
                 ibv_port_attr* attributes) const override {
    *attributes = {};
    return s_.query_port(context, port, reinterpret_cast<_compat_ibv_port_attr*>(attributes));
  }
  ssize_t query_gid_table(ibv_context* context, ibv_gid_entry* entries,
                          std::size_t most) const override {
    return s_.query_gid_table(context, entries, most, 0, sizeof(*entries));
  }
  int get_async_event(ibv_context* context, ibv_async_event* event) const override {
    return s_.get_async_event(context, event);
  }
  void ack_async_event(ibv_async_event* event) const override { s_.ack_async_event(event); }

  ibv_pd* alloc_pd(ibv_context* context) const override { return s_.alloc_pd(context); }
  int dealloc_pd(ibv_pd* domain) const override { return s_.dealloc_pd(domain); }
  ibv_mr* reg_mr(ibv_pd* domain, void* address, std::size_t length, int access) const override {
    return s_.reg_mr(domain, address, length, access);
  }
  int dereg_mr(ibv_mr* region) const override { return s_.dereg_mr(region); }

  ibv_comp_channel* create_comp_channel(ibv_context* context) const override {
    return s_.create_comp_channel(context);
  }
  int destroy_comp_channel(ibv_comp_channel* channel) const override {
    return s_.destroy_comp_channel(channel);
  }
  ibv_cq* create_cq(ibv_context* context, int entries, void* cq_context,
                    ibv_comp_channel* channel) const override {
    return s_.create_cq(context, entries, cq_context, channel, 0);
  }
  int destroy_cq(ibv_cq* queue) const override { return s_.destroy_cq(queue); }
  int req_notify_cq(ibv_cq* queue, int solicited_only) const override {
    return queue->context->ops.req_notify_cq(queue, solicited_only);
  }
  int get_cq_event(ibv_comp_channel* channel, ibv_cq** queue, void** cq_context) const override {
    return s_.get_cq_event(channel, queue, cq_context);
  }
  void ack_cq_events(ibv_cq* queue, unsigned count) const override {
    s_.ack_cq_events(queue, count);
  }
  int poll_cq(ibv_cq* queue, int most, ibv_wc* completions) const override {
    return queue->context->ops.poll_cq(queue, most, completions);
  }
  const char* wc_status_str(ibv_wc_status status) const override {
    return s_.wc_status_str(status);
  }

  ibv_qp* create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) const override {
    return s_.create_qp(domain, attributes);
  }
  int destroy_qp(ibv_qp* pair) const override { return s_.destroy_qp(pair); }
  int modify_qp(ibv_qp* pair, ibv_qp_attr* attributes, int mask) const override {
    return s_.modify_qp(pair, attributes, mask);
  }
  int post_send(ibv_qp* pair, ibv_send_wr* request, ibv_send_wr** bad) const override {
    return pair->context->ops.post_send(pair, request, bad);
  }
  int post_recv(ibv_qp* pair, ibv_recv_wr* request, ibv_recv_wr** bad) const override {
    return pair->context->ops.post_recv(pair, request, bad);
  }

 private:
  Symbols s_;
};

}  // namespace

std::shared_ptr<const VerbsApi> load_verbs_api(std::string& why_not, const char* library) {
  Symbols symbols;
  if (!load(library, symbols, find_all, why_not)) return nullptr;
  return std::make_shared<LoadedApi>(symbols);
}

}  // namespace paceline::transport::verbs
