#include "communicator/roster.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "paceline/error.h"

namespace paceline {

namespace {

constexpr std::uint8_t kCardVersion = 2;
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxReason = 512;
constexpr std::size_t kMaxDescription = 512;  // the transports' own limit
constexpr std::size_t kMaxPath = 4096;        // PACELINE_TUNING's own limit
constexpr std::size_t kMaxTrouble = kMaxPath + kMaxReason;

}  // namespace

RankCard RankCard::mine(const Config& config, const std::string& host_id) {
  RankCard card;
  card.host_id = host_id.substr(0, kMaxName);
  char name[kMaxName] = {};
  if (::gethostname(name, sizeof name - 1) != 0) name[0] = '\0';
  card.host_name = name[0] == '\0' ? "unnamed host" : name;
  card.pid = static_cast<std::uint32_t>(::getpid());
  CPU_ZERO(&card.cores);
  ::sched_getaffinity(0, sizeof card.cores, &card.cores);
  card.algorithm = config.algorithm;
  card.eager_bytes = static_cast<std::uint32_t>(config.eager_bytes);
  card.segment_bytes = static_cast<std::uint32_t>(config.segment_bytes);
  card.lanes = static_cast<std::uint8_t>(config.lanes);
  return card;
}

Bytes RankCard::write() const {
  WireWriter w;
  w.u8(kCardVersion).text(host_id).text(host_name).u32(pid);
  w.raw(std::as_bytes(std::span(&cores, 1)));
  for (const WireCard& wire : wires) {
    w.u8(wire.offered ? 1 : 0).text(wire.why_not.substr(0, kMaxReason)).blob(wire.description);
  }
  w.u8(static_cast<std::uint8_t>(algorithm)).u32(eager_bytes).u32(segment_bytes).u8(lanes);
  w.text(tuning.path).text(tuning.text).text(tuning.trouble.substr(0, kMaxTrouble));
  return w.take();
}

RankCard RankCard::read(int rank, ConstBytes bytes) {
  WireReader r(bytes);
  RankCard card;
  const std::uint8_t version = r.u8();
  card.host_id = r.text(kMaxName);
  card.host_name = r.text(kMaxName);
  card.pid = r.u32();
  const ConstBytes cores = r.raw(sizeof card.cores);
  for (WireCard& wire : card.wires) {
    wire.offered = r.u8() != 0;
    wire.why_not = r.text(kMaxReason);
    const ConstBytes description = r.blob(kMaxDescription);
    wire.description.assign(description.begin(), description.end());
  }
  card.algorithm = static_cast<Algorithm>(r.u8());
  card.eager_bytes = r.u32();
  card.segment_bytes = r.u32();
  card.lanes = r.u8();
  card.tuning.path = r.text(kMaxPath);
  card.tuning.text = r.text(TuningText::kMost);
  card.tuning.trouble = r.text(kMaxTrouble);
  if (!r.finished() || version != kCardVersion) {
    throw Error(ErrorCode::bootstrap_failed,
                "rank " + std::to_string(rank) + " described itself in " +
                    std::to_string(bytes.size()) + " bytes of version " + std::to_string(version) +
                    ", which this version (" + std::to_string(kCardVersion) +
                    ") cannot read: all ranks must run the same version of the library");
  }
  std::copy(cores.begin(), cores.end(), reinterpret_cast<std::byte*>(&card.cores));
  return card;
}

namespace {

struct Host {
  int ranks = 0;
  cpu_set_t cores = {};  ///< of all its ranks together

  [[nodiscard]] int ranks_per_core() const {
    // A set that could not be read is empty: then say nothing about crowding.
    const int count = CPU_COUNT(&cores);
    return count > 0 ? (ranks + count - 1) / count : 1;
  }
};

}  // namespace

Roster::Roster(int rank, const std::vector<Bytes>& cards) {
  for (std::size_t r = 0; r < cards.size(); ++r) {
    cards_.push_back(RankCard::read(static_cast<int>(r), cards[r]));
  }
  std::map<std::string, int> numbers;  // of hosts, as they come
  std::vector<Host> hosts;
  std::vector<int> host_of;
  for (const RankCard& card : cards_) {
    const auto [at, is_new] = numbers.try_emplace(card.host_id, static_cast<int>(numbers.size()));
    host_of.push_back(at->second);
    if (is_new) hosts.emplace_back();
    Host& host = hosts[static_cast<std::size_t>(at->second)];
    ++host.ranks;
    CPU_OR(&host.cores, &host.cores, &card.cores);
  }
  placement_ = std::make_shared<const collectives::Placement>(host_of);
  const Host& here = hosts[static_cast<std::size_t>(host_of[static_cast<std::size_t>(rank)])];
  ranks_on_host_ = here.ranks;
  ranks_per_core_ = here.ranks_per_core();
  for (const Host& host : hosts) {
    most_ranks_per_core_ = std::max(most_ranks_per_core_, host.ranks_per_core());
  }
}

std::string Roster::name(int rank) const {
  const RankCard& card = (*this)[rank];
  return "rank " + std::to_string(rank) + " (" + card.host_name + ", pid " +
         std::to_string(card.pid) + ")";
}

}  // namespace paceline
