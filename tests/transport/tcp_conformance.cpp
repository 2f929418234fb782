#include "transport/conformance.h"
#include "transport_tcp/tcp_transport.h"

namespace paceline::transport::conformance {
namespace {

class TcpWorld final : public World {
 public:
  explicit TcpWorld(int links) : links_(links) {}
  std::unique_ptr<Transport> make_transport(int /*rank*/) override {
    return make_tcp_transport({.links = links_});
  }
  bool wakes_by_descriptor() const override { return true; }

 private:
  int links_;
};

Wire with_links(int links) {
  return {"links_" + std::to_string(links), [links] { return std::make_unique<TcpWorld>(links); }};
}

INSTANTIATE_TEST_SUITE_P(Tcp, Conformance,
                         ::testing::Values(with_links(1), with_links(2), with_links(4)), wire_name);

}  // namespace
}  // namespace paceline::transport::conformance
