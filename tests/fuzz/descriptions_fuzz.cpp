// What ranks tell about themselves before they are linked, and the headers of the engine's
// messages.
#include <array>

#include "collectives/schedule.h"
#include "communicator/roster.h"
#include "communicator/tuning.h"
#include "communicator/verdict.h"
#include "engine/announcement.h"
#include "fuzz/input.h"
#include "paceline/error.h"
#include "transport_shm/shm_transport.h"
#include "transport_tcp/tcp_transport.h"
#include "transport_verbs/qp_info.h"

namespace paceline {
namespace {

using fuzz::Input;
using fuzz::require;

bool same(const Bytes& written, ConstBytes read) {
  return std::equal(written.begin(), written.end(), read.begin(), read.end());
}

void read_port(ConstBytes bytes) {
  std::string why_not;
  const auto port = transport::verbs::PortInfo::unpack(bytes, why_not);
  require(port.has_value() == why_not.empty(), "a port that is refused has a reason");
  if (!port) return;
  const auto again = transport::verbs::PortInfo::unpack(port->pack(), why_not);
  require(again && again->label == port->label && again->gid == port->gid,
          "a port that was read is written alike");
}

void read_queue_pair(ConstBytes bytes) {
  try {
    const auto info = transport::verbs::QpInfo::unpack(bytes, 1);
    const auto again = transport::verbs::QpInfo::unpack(info.pack(), 1);
    require(again.qp_number == info.qp_number && again.mailbox_address == info.mailbox_address &&
                again.message_slots == info.message_slots && again.receives == info.receives,
            "a queue pair that was read is written alike");
  } catch (const Error&) {
    return;
  }
}

// What ranks say of themselves is judged, whatever they say.
void read_testimonies(Input& input) {
  Hang hang;
  hang.name = [](int rank) { return std::to_string(rank); };
  const std::size_t length = input.word();
  for (const ConstBytes bytes : {input.take(length), input.rest()}) {
    hang.ranks.push_back(Testimony::read(bytes));
    if (hang.ranks.back()) {
      require(same(hang.ranks.back()->write(), bytes), "a testimony is written as it was read");
    }
  }
  require(!judge(hang).text.empty(), "there is always a verdict");
  (void)progress_text(hang.ranks);
}

// All of the job's ranks have the card and compute from it.
void read_cards(Input& input) {
  std::vector<Bytes> cards = {RankCard::mine(Config{}, "here").write()};
  const std::size_t length = input.word();
  const ConstBytes first = input.take(length);
  cards.emplace_back(first.begin(), first.end());
  const ConstBytes second = input.rest();
  if (!second.empty()) cards.emplace_back(second.begin(), second.end());
  try {
    const Roster roster(0, cards);
    require(roster.ranks_on_host() >= 1 && roster.ranks_on_host() <= roster.size() &&
                roster.hosts() >= 1 && roster.hosts() <= roster.size(),
            "ranks and hosts are counted");
    for (int rank = 0; rank < roster.size(); ++rank) (void)roster.name(rank);
    require(same(RankCard::read(1, cards[1]).write(), cards[1]),
            "a card is written as it was read");
  } catch (const Error&) {
    return;
  }
}

// A tuning file is refused in words that name the line, or gives a table that has an answer for
// every size.
void read_tuning_text(const std::string& text) {
  collectives::Policy policy;
  try {
    const Tuning tuning = tuning_from({.path = "file", .text = text});
    // Each rule makes the table longer, and slower to make; none is like another to the reader.
    if (tuning.rules.size() > 8) return;
    policy.rules = tuning.rules;
    policy.parameters = tuning.applied_to(built_in_parameters(WireNumber::shm, WireNumber::tcp));
  } catch (const Error& error) {
    require(error.code() == ErrorCode::invalid_configuration &&
                std::string(error.what()).starts_with("tuning file file:"),
            "what is refused is refused in words");
    return;
  }
  policy.layout = {.ranks = 6, .hosts = 2, .mapped = true};
  const collectives::Choices choices(policy);
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{70'000}, ~std::uint64_t{0}}) {
    const collectives::Choice choice = choices.at(Collective::all_reduce, bytes);
    require(collectives::offers(Collective::all_reduce, choice.algorithm) &&
                choice.segment_bytes >= 4096 && choice.lanes >= 1,
            "there is a choice for every size");
  }
}

void read_reachable(ConstBytes bytes) {
  static const auto shm = transport::make_shm_transport({"a host"});
  static const auto tcp = transport::make_tcp_transport({});
  for (const transport::Transport* wire : {shm.get(), tcp.get()}) {
    const transport::Reachable reachable = wire->reachable(bytes);
    require(reachable.yes == same(wire->describe(), bytes),
            "who describes itself like us, and nobody else, is reached");
    require(reachable.yes == reachable.why_not.empty(), "who is not reached is told why");
  }
}

void read_engine_header(ConstBytes bytes) {
  std::array<std::byte, engine::kHeaderBytes + engine::kAnnouncementBytes> message{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), message.size()), message.begin());
  const engine::Header header = engine::Header::read(message.data());
  require(!header.call().text().empty(), "every call can be named");
  const engine::Call call = header.call();
  require(engine::Call::from_words(call.word(), call.count) == call, "a call is its two words");

  const auto told = engine::Announcement::read(message.data() + engine::kHeaderBytes);
  std::byte written[engine::kAnnouncementBytes];
  told.write(written);
  require(
      std::equal(std::begin(written), std::end(written), message.begin() + engine::kHeaderBytes),
      "an announcement is written as it was read");
}

}  // namespace
}  // namespace paceline

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace paceline;
  Input input(data, size);
  switch (input.byte() % 7) {
    case 0:
      read_port(input.rest());
      break;
    case 1:
      read_queue_pair(input.rest());
      break;
    case 2:
      read_cards(input);
      break;
    case 3:
      read_reachable(input.rest());
      break;
    case 4:
      read_engine_header(input.rest());
      break;
    case 5:
      read_testimonies(input);
      break;
    case 6:
      read_tuning_text(fuzz::text_of(input.rest()));
      break;
  }
  return 0;
}
