#include "transport_verbs/cm_api.h"

#include <arpa/inet.h>

#include "transport_verbs/loader.h"

namespace paceline::transport::verbs {
namespace {

struct Symbols {
  rdma_event_channel* (*create_event_channel)() = nullptr;
  void (*destroy_event_channel)(rdma_event_channel*) = nullptr;
  int (*create_id)(rdma_event_channel*, rdma_cm_id**, void*, rdma_port_space) = nullptr;
  int (*destroy_id)(rdma_cm_id*) = nullptr;
  int (*get_cm_event)(rdma_event_channel*, rdma_cm_event**) = nullptr;
  int (*ack_cm_event)(rdma_cm_event*) = nullptr;
  int (*bind_addr)(rdma_cm_id*, sockaddr*) = nullptr;
  int (*resolve_addr)(rdma_cm_id*, sockaddr*, sockaddr*, int) = nullptr;
  int (*resolve_route)(rdma_cm_id*, int) = nullptr;
  std::uint16_t (*get_src_port)(rdma_cm_id*) = nullptr;
  int (*listen)(rdma_cm_id*, int) = nullptr;
  int (*connect)(rdma_cm_id*, rdma_conn_param*) = nullptr;
  int (*accept)(rdma_cm_id*, rdma_conn_param*) = nullptr;
  int (*reject)(rdma_cm_id*, const void*, std::uint8_t) = nullptr;
  int (*establish)(rdma_cm_id*) = nullptr;
  int (*init_qp_attr)(rdma_cm_id*, ibv_qp_attr*, int*) = nullptr;
};

/// The name of the first symbol that is missing; empty if all are there.
std::string find_all(void* library, Symbols& s) {
  Loader loader(library);
  loader.find(s.create_event_channel, "rdma_create_event_channel");
  loader.find(s.destroy_event_channel, "rdma_destroy_event_channel");
  loader.find(s.create_id, "rdma_create_id");
  loader.find(s.destroy_id, "rdma_destroy_id");
  loader.find(s.get_cm_event, "rdma_get_cm_event");
  loader.find(s.ack_cm_event, "rdma_ack_cm_event");
  loader.find(s.bind_addr, "rdma_bind_addr");
  loader.find(s.resolve_addr, "rdma_resolve_addr");
  loader.find(s.resolve_route, "rdma_resolve_route");
  loader.find(s.get_src_port, "rdma_get_src_port");
  loader.find(s.listen, "rdma_listen");
  loader.find(s.connect, "rdma_connect");
  loader.find(s.accept, "rdma_accept");
  loader.find(s.reject, "rdma_reject");
  loader.find(s.establish, "rdma_establish");
  loader.find(s.init_qp_attr, "rdma_init_qp_attr");
  return loader.missing();
}

class LoadedApi final : public CmApi {
 public:
  explicit LoadedApi(const Symbols& symbols) : s_(symbols) {}

  rdma_event_channel* create_event_channel() const override { return s_.create_event_channel(); }
  void destroy_event_channel(rdma_event_channel* channel) const override {
    s_.destroy_event_channel(channel);
  }
  int create_id(rdma_event_channel* channel, rdma_cm_id** id) const override {
    return s_.create_id(channel, id, nullptr, RDMA_PS_TCP);
  }
  int destroy_id(rdma_cm_id* id) const override { return s_.destroy_id(id); }
  int get_cm_event(rdma_event_channel* channel, rdma_cm_event** event) const override {
    return s_.get_cm_event(channel, event);
  }
  int ack_cm_event(rdma_cm_event* event) const override { return s_.ack_cm_event(event); }

  int bind_addr(rdma_cm_id* id, sockaddr* address) const override {
    return s_.bind_addr(id, address);
  }
  int resolve_addr(rdma_cm_id* id, sockaddr* to, int timeout_ms) const override {
    return s_.resolve_addr(id, nullptr, to, timeout_ms);
  }
  int resolve_route(rdma_cm_id* id, int timeout_ms) const override {
    return s_.resolve_route(id, timeout_ms);
  }
  std::uint16_t get_src_port(rdma_cm_id* id) const override { return ntohs(s_.get_src_port(id)); }

  int listen(rdma_cm_id* id, int backlog) const override { return s_.listen(id, backlog); }
  int connect(rdma_cm_id* id, rdma_conn_param* parameters) const override {
    return s_.connect(id, parameters);
  }
  int accept(rdma_cm_id* id, rdma_conn_param* parameters) const override {
    return s_.accept(id, parameters);
  }
  int reject(rdma_cm_id* id) const override { return s_.reject(id, nullptr, 0); }
  int establish(rdma_cm_id* id) const override { return s_.establish(id); }
  int init_qp_attr(rdma_cm_id* id, ibv_qp_attr* attributes, int* mask) const override {
    return s_.init_qp_attr(id, attributes, mask);
  }

 private:
  Symbols s_;
};

}  // namespace

std::shared_ptr<const CmApi> load_cm_api(std::string& why_not, const char* library) {
  Symbols symbols;
  if (!load(library, symbols, find_all, why_not)) return nullptr;
  return std::make_shared<LoadedApi>(symbols);
}

}  // namespace paceline::transport::verbs
