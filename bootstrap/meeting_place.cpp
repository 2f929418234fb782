#include "bootstrap/meeting_place.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "bootstrap/acceptor.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/launcher_store.h"
#include "bootstrap/messages.h"
#include "bootstrap/secret.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

/// What rank 0 leaves in a Store.
struct Invitation {
  std::string network;
  std::string secret;  // empty: everybody has Config::secret
  std::vector<SocketAddress> addresses;

  [[nodiscard]] std::string encode() const {
    WireWriter out;
    out.u16(kVersion).text(network).text(secret).u8(static_cast<std::uint8_t>(addresses.size()));
    for (const SocketAddress& address : addresses) address.encode(out);
    const Bytes& bytes = out.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  static Invitation decode(const std::string& text) {
    WireReader in(std::as_bytes(std::span(text)));
    Invitation result;
    const std::uint16_t version = in.u16();
    if (in.ok() && version != kVersion) {
      throw Error(ErrorCode::bootstrap_failed,
                  "rank 0 speaks version " + std::to_string(version) + ", this rank version " +
                      std::to_string(kVersion) + ": all ranks need the same version of Paceline");
    }
    result.network = in.text(kMaxName);
    result.secret = in.text(kSecretBytes);
    for (int left = in.u8(); left > 0 && in.ok(); --left) {
      result.addresses.push_back(SocketAddress::decode(in));
    }
    if (!in.finished() || result.addresses.empty()) {
      throw Error(ErrorCode::bootstrap_failed,
                  "what the store holds for this communicator was not written by rank 0 of this "
                  "job: use a fresh store, or another name");
    }
    return result;
  }
};

UniqueFd listen_in_range(const Config& config, const SocketAddress& address) {
  return listen_tcp(address.with_port(0), config.port_first, config.port_last, config.rank);
}

// Without a secret everybody who can connect could join, so only this host may.
std::vector<SocketAddress> served(const Config& config, std::vector<SocketAddress> addresses) {
  if (!config.secret.empty()) return addresses;
  std::erase_if(addresses, [](const SocketAddress& a) { return !a.loopback(); });
  if (addresses.empty()) {
    throw Error(
        ErrorCode::authentication_failed,
        config.root +
            " is not a loopback address, and other addresses are served only with a "
            "secret: give all ranks the same PACELINE_SECRET or PACELINE_SECRET_FILE "
            "(Config::secret, at least 16 bytes)" +
            (config.launcher == Launcher::slurm
                 ? ", or start them with srun --mpi=pmix or --mpi=pmi2, whose channel hands "
                   "out a fresh one"
                 : ""));
  }
  return addresses;
}

std::vector<UniqueFd> listen_at_root(const Config& config,
                                     const std::vector<SocketAddress>& addresses) {
  std::vector<UniqueFd> result;
  std::string troubles;
  for (const SocketAddress& address : addresses) {
    try {
      result.push_back(listen_tcp(address, 0, 0, 0));
    } catch (const Error& e) {
      troubles += std::string(troubles.empty() ? "" : "; ") + e.what();
    }
  }
  if (result.empty()) {
    throw Error(ErrorCode::bootstrap_failed,
                troubles + " (rank 0 listens at Config::root, PACELINE_ROOT, " + config.root +
                    ": it must be an address of rank 0's host, and a free port: is there a second "
                    "rank 0, or another job?)");
  }
  return result;
}

MeetingPlace at_root(const Config& config) {
  MeetingPlace place;
  place.secret = config.secret;
  place.root = served(config, resolve(config.root));
  SocketAddress own;
  if (!config.interface_name.empty()) {
    own = interface_address(config.interface_name, place.root.front().family());
    if (config.secret.empty() && !own.loopback()) {
      throw Error(ErrorCode::authentication_failed,
                  "interface " + config.interface_name +
                      " is not loopback, and other addresses are served only with a secret: give "
                      "all ranks the same PACELINE_SECRET or PACELINE_SECRET_FILE");
    }
    place.source = own;
  }
  if (config.rank == 0) {
    place.fixed = listen_at_root(config, place.root);
    if (own.empty()) own = SocketAddress::local_end(place.fixed.front().get());
  }
  if (!own.empty()) place.listeners.push_back(listen_in_range(config, own));
  return place;
}

std::string key_of(const std::string& name) {
  return "paceline/" + name + "/rank0";
}

// A caller's own store throws what it likes: the text says whose trouble it is.
template <class Use>
auto use_store(const std::string& what, Use use) {
  try {
    return use();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorCode::bootstrap_failed, "the store failed to " + what + ": " + e.what());
  }
}

// Rank 0 listens at loopback and at an address that other hosts reach, since it cannot know yet
// where the others are. Once they have met, what is not needed is closed.
MeetingPlace invite(const Config& config, Store& store, const std::string& name) {
  MeetingPlace place;
  Invitation invitation;
  invitation.network = default_host_id();
  if (config.secret.empty()) {
    const Bytes fresh = random_bytes(kSecretBytes);
    invitation.secret.assign(reinterpret_cast<const char*>(fresh.data()), fresh.size());
  }
  place.secret = config.secret.empty() ? invitation.secret : config.secret;
  std::vector<SocketAddress> own;
  if (!config.interface_name.empty()) {
    place.source = interface_address(config.interface_name, AF_UNSPEC);
    own.push_back(place.source);
  } else {
    own.push_back(SocketAddress::loopback_v4());
    if (const SocketAddress outside = external_address(); !outside.empty()) own.push_back(outside);
  }
  for (const SocketAddress& address : own) {
    place.listeners.push_back(listen_in_range(config, address));
    invitation.addresses.push_back(SocketAddress::local_end(place.listeners.back().get()));
  }
  const std::string key = key_of(name);
  use_store("set \"" + key + "\"", [&] { store.set(key, invitation.encode()); });
  return place;
}

MeetingPlace accept_invitation(const Config& config, Store& store, const std::string& name,
                               Nanoseconds deadline) {
  const Nanoseconds left = std::max<Nanoseconds>(deadline - steady_now(), kMillisecond);
  const std::string key = key_of(name);
  const Invitation invitation = Invitation::decode(use_store("get \"" + key + "\"", [&] {
    return store.get(key, std::chrono::milliseconds(left / kMillisecond));
  }));
  MeetingPlace place;
  place.secret = config.secret.empty() ? invitation.secret : config.secret;
  const bool near = invitation.network == default_host_id();
  for (const SocketAddress& address : invitation.addresses) {
    if (near || !address.loopback()) place.root.push_back(address);
  }
  if (place.root.empty()) {
    throw Error(ErrorCode::bootstrap_failed,
                "rank 0 is on another host or in another network namespace and has no address but "
                "loopback; name its interface (PACELINE_INTERFACE)");
  }
  if (!config.interface_name.empty()) {
    place.source = interface_address(config.interface_name, place.root.front().family());
    place.listeners.push_back(listen_in_range(config, place.source));
    return place;
  }
  for (const SocketAddress& address : place.root) {
    const SocketAddress own = source_towards(address);
    if (!own.empty()) place.listeners.push_back(listen_in_range(config, own));
  }
  return place;
}

}  // namespace

MeetingPlace find_meeting_place(const Config& config, const std::shared_ptr<Store>& store,
                                const std::string& name, Nanoseconds deadline) {
  std::shared_ptr<Store> through = store;
  if (!through && config.root.empty()) through = make_launcher_store(config);
  if (!through) return at_root(config);
  return config.rank == 0 ? invite(config, *through, name)
                          : accept_invitation(config, *through, name, deadline);
}

}  // namespace paceline::bootstrap
