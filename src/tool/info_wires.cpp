#include "tool/info_wires.h"

#include <string>
#include <vector>

#include "bootstrap/addresses.h"
#include "bootstrap/bootstrap.h"
#include "communicator/wires.h"
#include "paceline/error.h"
#include "transport_shm/mapping.h"
#include "transport_verbs/device.h"

namespace paceline::tool {
namespace {

// The transport itself finds out with the first link; here it is tried: a sealed file in memory
// that is mapped.
std::string cannot_share_memory() {
  constexpr std::size_t kPage = 4096;  // any length would do
  try {
    const UniqueFd file = transport::shm::make_sealed_file("paceline-info", kPage);
    (void)transport::shm::map_file(file.get(), kPage, transport::shm::Populate::no);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

// Empty, or why a rank here would not offer it.
std::string why_not(WireNumber number, const Config& config, const std::string& host_id) {
  const MadeTransport made = make_transport(number, config, host_id, Logger());
  if (!made.transport) return made.why_not;
  switch (number) {
    case WireNumber::shm:
      return cannot_share_memory();
    case WireNumber::verbs:
    case WireNumber::tcp:
      return {};
  }
  return {};
}

// ibv_mtu counts powers of two: 1 is 256 bytes.
int bytes_of_mtu(std::uint8_t mtu) {
  return 128 << mtu;
}

// In the order of ibv_devices.
std::vector<std::string> device_names(const transport::verbs::VerbsApi& api) {
  std::vector<std::string> names;
  int count = 0;
  ibv_device** const list = api.get_device_list(&count);
  if (list == nullptr) return names;
  for (int i = 0; i < count; ++i) names.emplace_back(api.get_device_name(list[i]));
  api.free_device_list(list);
  return names;
}

// Opened the way the transport opens it, so that the answer is the transport's own.
Json device_facts(const std::string& name, const Config& config,
                  const std::shared_ptr<const transport::verbs::VerbsApi>& api) {
  transport::VerbsOptions options;
  options.device = name;
  options.gid_index = config.ib_gid_index;
  options.connect = config.ib_connect;
  Json facts = {{"name", name}};
  std::string reason;
  try {
    const auto device = transport::verbs::Device::open(options, api, reason);
    if (device) {
      const transport::verbs::Port& port = device->port();
      facts.update(ability(""));
      facts["port"] = port.number;
      facts["link"] = transport::verbs::to_string(port.kind);
      facts["gid"] = transport::verbs::to_text(port.gid.gid);
      facts["gid_index"] = port.gid.index;
      facts["mtu_bytes"] = bytes_of_mtu(port.mtu);
      return facts;
    }
  } catch (const Error& error) {
    reason = error.what();
  }
  facts.update(ability(reason));
  return facts;
}

}  // namespace

Json transport_facts(const Config& config) {
  const std::string host_id =
      config.host_id.empty() ? bootstrap::default_host_id() : config.host_id;
  Json facts = Json::object();
  for (std::uint8_t n = 0; n < kWireCount; ++n) {
    facts[kWireNames[n]] = ability(why_not(static_cast<WireNumber>(n), config, host_id));
  }
  const bootstrap::SocketAddress address = bootstrap::external_address();
  const std::string text = address.text();  // with a port, which means nothing yet
  facts["address_for_other_hosts"] =
      address.empty() ? "none: only loopback" : text.substr(0, text.rfind(':'));
  return facts;
}

Json rdma_device_facts(const Config& config) {
  std::string reason;
  const auto api = transport::verbs::load_verbs_api(reason);
  return api ? rdma_device_facts(config, api) : Json::array();
}

Json rdma_device_facts(const Config& config,
                       const std::shared_ptr<const transport::verbs::VerbsApi>& api) {
  Json facts = Json::array();
  for (const std::string& name : device_names(*api)) {
    facts.push_back(device_facts(name, config, api));
  }
  return facts;
}

}  // namespace paceline::tool
