#include "base/launcher_channel.h"

#include "base/number.h"

namespace paceline {
namespace {

constexpr std::string_view kPmix = "pmix";
constexpr std::string_view kFd = "pmi:fd=";
constexpr std::string_view kPort = "pmi:port=";
constexpr std::string_view kId = ",id=";

std::optional<LauncherChannel> pmix_from(std::string_view folders) {
  PmixChannel channel;
  while (!folders.empty()) {
    if (folders.front() != ':') return std::nullopt;
    folders.remove_prefix(1);
    const std::string_view folder = folders.substr(0, folders.find(':'));
    if (!folder.starts_with('/')) return std::nullopt;
    channel.folders.emplace_back(folder);
    folders.remove_prefix(folder.size());
  }
  return channel;
}

std::optional<LauncherChannel> server_from(std::string_view text) {
  const std::size_t at = text.rfind(kId);
  if (at == std::string_view::npos) return std::nullopt;
  const auto where = host_port_from(text.substr(0, at));
  const auto id = number_from<int>(text.substr(at + kId.size()));
  if (!where || !id || *id < 0) return std::nullopt;
  return PmiServer{*where, *id};
}

}  // namespace

std::optional<LauncherChannel> launcher_channel_from(std::string_view text) {
  if (text.starts_with(kPmix)) return pmix_from(text.substr(kPmix.size()));
  if (text.starts_with(kPort)) return server_from(text.substr(kPort.size()));
  if (!text.starts_with(kFd)) return std::nullopt;
  const auto fd = number_from<int>(text.substr(kFd.size()));
  if (!fd || *fd < 0) return std::nullopt;
  return PmiSocket{*fd};
}

std::string to_string(const LauncherChannel& channel) {
  if (const auto* socket = std::get_if<PmiSocket>(&channel)) {
    return std::string(kFd) + std::to_string(socket->fd);
  }
  if (const auto* server = std::get_if<PmiServer>(&channel)) {
    return std::string(kPort) + to_string(server->where) + std::string(kId) +
           std::to_string(server->id);
  }
  std::string text(kPmix);
  for (const std::string& folder : std::get<PmixChannel>(channel).folders) text += ":" + folder;
  return text;
}

}  // namespace paceline
