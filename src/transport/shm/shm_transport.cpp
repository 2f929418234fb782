#include "transport_shm/shm_transport.h"

#include <unistd.h>

#include <algorithm>

#include "transport_shm/shm_connector.h"
#include "transport_shm/shm_endpoint.h"

namespace paceline::transport {
namespace shm {
namespace {

constexpr std::uint8_t kDescriptionVersion = 2;
/// A description may have 512 bytes; no host name or boot id comes near this.
constexpr std::size_t kMaxHostId = 256;

/// progress() is called in every turn of a waiting loop and there is hardly ever anything to do:
/// it looks at words in memory once in so many calls, and at the clock then too.
constexpr std::uint32_t kCallsPerLook = 64;
/// How old the news of a peer's death may be. Sockets cost a system call each, so they are not
/// read more often; less than this is nothing beside restarting a process.
constexpr Nanoseconds kSocketInterval = 10 * kMillisecond;

class ShmRegistration final : public Registration {
 public:
  ShmRegistration(ShmCore& core, std::uint64_t id) : core_(core), id_(id) {}
  ~ShmRegistration() override {
    if (id_ == kNoKey) return;
    core_.exports.erase(id_);
    for (ShmEndpoint* endpoint : core_.endpoints) endpoint->withdraw(id_);
  }
  ShmRegistration(const ShmRegistration&) = delete;
  ShmRegistration& operator=(const ShmRegistration&) = delete;
  std::uint64_t key() const override { return id_; }

 private:
  ShmCore& core_;
  std::uint64_t id_;
};

class ShmTransport final : public Transport {
 public:
  explicit ShmTransport(const ShmOptions& options) : host_id_(options.host_id) {}

  std::string_view name() const override { return "shm"; }
  Bytes describe() const override {
    return WireWriter().u8(kDescriptionVersion).text(host_id_).take();
  }
  Reachable reachable(ConstBytes peer_description) const override;

  SocketNeed sockets() const override { return {SocketNeed::Family::local, 1}; }
  std::unique_ptr<Connector> connect(int peer, Role /*role*/,
                                     std::vector<UniqueFd> sockets) override {
    return std::make_unique<ShmConnector>(core_, peer, std::move(sockets));
  }
  std::unique_ptr<Registration> register_memory(const MemoryView& memory) override;

  void progress() override {
    if (look_now_ || ++calls_ % kCallsPerLook == 0) look();
  }
  bool needs_progress() const override { return true; }
  bool always_flushed() const override { return true; }
  bool prepare_sleep(std::vector<pollfd>& descriptors) override;

 private:
  void look();

  std::string host_id_;
  ShmCore core_;
  std::uint32_t calls_ = 0;
  bool look_now_ = false;
  Nanoseconds sockets_read_ = 0;
};

Reachable ShmTransport::reachable(ConstBytes peer_description) const {
  WireReader reader(peer_description);
  const std::uint8_t version = reader.u8();
  const std::string host_id = reader.text(kMaxHostId);
  if (!reader.finished() || version != kDescriptionVersion) {
    return {false, "rank describes its shared memory in a way that this build does not know"};
  }
  if (host_id != host_id_) {
    return {false, "rank is on another host (host id " + host_id + ", here " + host_id_ + ")"};
  }
  return {true, {}};
}

std::unique_ptr<Registration> ShmTransport::register_memory(const MemoryView& memory) {
  if (memory.shareable_fd < 0 || memory.length == 0) {
    return std::make_unique<ShmRegistration>(core_, kNoKey);
  }
  const ShmCore::Export exported{reinterpret_cast<std::uint64_t>(memory.data), memory.length,
                                 memory.shareable_fd};
  const std::uint64_t id = ++core_.last_id;
  core_.exports.emplace(id, exported);
  auto registration = std::make_unique<ShmRegistration>(core_, id);
  for (ShmEndpoint* endpoint : core_.endpoints) endpoint->announce(id, exported);
  return registration;
}

void ShmTransport::look() {
  const Nanoseconds now = steady_now();
  const bool read = look_now_ || now - sockets_read_ >= kSocketInterval;
  look_now_ = false;
  if (read) sockets_read_ = now;
  for (ShmEndpoint* endpoint : core_.endpoints) {
    if (read) endpoint->read_socket();
    endpoint->look();
  }
}

bool ShmTransport::prepare_sleep(std::vector<pollfd>& descriptors) {
  for (const ShmEndpoint* endpoint : core_.endpoints) endpoint->add_descriptors(descriptors);
  look_now_ = true;  // a descriptor may be what ends the sleep
  return true;
}

}  // namespace
}  // namespace shm

std::unique_ptr<Transport> make_shm_transport(const ShmOptions& options) {
  if (options.host_id.empty() || options.host_id.size() > shm::kMaxHostId) {
    throw Error(ErrorCode::invalid_configuration,
                "a host id has " + std::to_string(options.host_id.size()) + " bytes; 1.." +
                    std::to_string(shm::kMaxHostId) + " are allowed (PACELINE_HOST_ID)");
  }
  return std::make_unique<shm::ShmTransport>(options);
}

}  // namespace paceline::transport
