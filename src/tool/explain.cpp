// paceline explain: which algorithm, segment and lanes a call would take, and why. Asks the very
// table that communicators look their calls up in, so what it says is what would be done.
#include <algorithm>
#include <cstdio>
#include <iomanip>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "collectives/choice.h"
#include "communicator/tuning.h"
#include "communicator/wires.h"
#include "paceline/error.h"
#include "tool/command.h"
#include "tool/report.h"

namespace paceline::tool {
namespace {

using collectives::Candidate;
using collectives::Choice;
using collectives::Policy;

/// What is asked.
struct Question {
  Collective collective = Collective::all_reduce;
  std::uint64_t bytes = 0;
  DataType type = DataType::float32;
  int ranks = 2;
  int hosts = 1;
  int ranks_per_core = 1;
  WireNumber wire = WireNumber::shm;
  WireNumber between = WireNumber::tcp;
  std::string tuning;
  std::optional<Algorithm> algorithm;
  std::optional<std::uint64_t> segment_bytes;
  std::optional<int> lanes;
  bool as_json = false;
};

std::string microseconds(double nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f us", nanoseconds / 1000);
  return text;
}

/// "128K", or bytes where that is no whole number.
std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kKilo = 1024;
  for (const char unit : {'G', 'M', 'K'}) {
    const std::uint64_t factor = unit == 'G'   ? kKilo * kKilo * kKilo
                                 : unit == 'M' ? kKilo * kKilo
                                               : kKilo;
    if (bytes >= factor && bytes % factor == 0) return std::to_string(bytes / factor) + unit;
  }
  return std::to_string(bytes);
}

Policy policy_of(const Question& question) {
  // As a communicator of these ranks would have it; what the environment sets counts there, too.
  Config config = Config::from_environment();
  if (!question.tuning.empty()) config.tuning = question.tuning;
  if (question.algorithm) config.algorithm = *question.algorithm;
  if (question.segment_bytes) config.segment_bytes = *question.segment_bytes;
  if (question.lanes) config.lanes = *question.lanes;
  config.validate();
  const Tuning tuning = tuning_from(read_tuning(config.tuning));
  const EagerBytes eager =
      longest_eager(question.hosts < question.ranks ? question.wire : question.between)
          .with(longest_eager(question.hosts > 1 ? question.between : question.wire));
  return {.layout = {question.ranks, question.hosts, question.wire == WireNumber::shm,
                     question.ranks_per_core},
          .parameters = tuning.applied_to(built_in_parameters(question.wire, question.between)),
          .rules = tuning.rules,
          .eager_bytes = std::min(config.eager_bytes, eager.block),
          .eager_piece_bytes = eager.piece_for(question.ranks_per_core),
          .algorithm = config.algorithm,
          .segment_bytes = config.segment_bytes,
          .lanes = config.lanes};
}

Json described(const Candidate& candidate) {
  return {{"algorithm", to_string(candidate.choice.algorithm)},
          {"segment_bytes", candidate.choice.segment_bytes},
          {"lanes", candidate.choice.lanes},
          {"predicted_us", candidate.predicted_ns / 1000}};
}

/// What decided on the algorithm.
std::string reason(const Question& question, const Policy& policy, const Choice& chosen,
                   const std::vector<Candidate>& all, const std::string& path) {
  if (policy.algorithm == chosen.algorithm) return "the configuration sets it";
  const collectives::Rule* rule =
      collectives::matching_rule(question.collective, question.bytes, policy);
  if (rule != nullptr && rule->algorithm == chosen.algorithm) {
    return "the rule at " + path + ":" + std::to_string(rule->line) + " says so";
  }
  std::string text;
  if (all.size() == 1) {
    text = "no other algorithm offers it";
  } else {
    const auto time_of = [&](bool wanted) {
      return std::find_if(all.begin(), all.end(), [&](const Candidate& one) {
        return (one.choice.algorithm == chosen.algorithm) == wanted;
      });
    };
    const Candidate& mine = *time_of(true);
    const Candidate& next = *time_of(false);
    char ratio[32];
    std::snprintf(ratio, sizeof ratio, "%.2f", next.predicted_ns / mine.predicted_ns);
    // Of those that are alike, the first is taken.
    text = std::string("the cost model predicts ") +
           (next.predicted_ns < mine.predicted_ns ? "next to " : "") +
           "the least time; next comes " + std::string(to_string(next.choice.algorithm)) +
           ", which takes " + ratio + " times that";
  }
  if (rule != nullptr) {
    text += "; the rule at " + path + ":" + std::to_string(rule->line) + " decides on the rest";
  }
  return text;
}

Json link_facts(const collectives::LinkCost& link) {
  return {{"eager", link.eager}, {"alpha", link.alpha}, {"post", link.post},
          {"beta", link.beta},   {"port", link.port},   {"cpu", link.cpu}};
}

Json answer(const Question& question) {
  const Policy policy = policy_of(question);
  const std::string path =
      question.tuning.empty() ? Config::from_environment().tuning : question.tuning;
  const Choice chosen = collectives::Choices(policy).at(question.collective, question.bytes);
  std::vector<Candidate> all = collectives::candidates(question.collective, question.bytes, policy);
  const double predicted =
      collectives::predicted_ns(question.collective, chosen.algorithm, policy.layout,
                                question.bytes, policy.cut(chosen), policy.parameters);
  Json candidates = Json::array();
  for (const Candidate& one : all) candidates.push_back(described(one));
  Json parameters = {{"inside", link_facts(policy.parameters.inside)}};
  if (question.hosts > 1) {
    parameters["between"] = link_facts(policy.parameters.between);
    parameters["host"] = policy.parameters.host;
  }
  parameters["mapped"] = policy.parameters.mapped;
  parameters["gamma"] = policy.parameters.gamma;
  return {{"collective", to_string(question.collective)},
          {"bytes", question.bytes},
          {"type", to_string(question.type)},
          {"count", question.bytes / size_of(question.type)},
          {"ranks", question.ranks},
          {"hosts", question.hosts},
          {"ranks_per_core", question.ranks_per_core},
          {"wire", kWireNames[static_cast<std::size_t>(question.wire)]},
          {"chosen", described({chosen, predicted})},
          {"why", reason(question, policy, chosen, all, path)},
          {"candidates", candidates},
          {"parameters_ns", parameters}};
}

void print(const Json& a, std::ostream& out) {
  const auto text = [](const Json& value) { return value.get<std::string>(); };
  const auto time = [](const Json& one) {
    return microseconds(one["predicted_us"].get<double>() * 1000);
  };
  out << text(a["collective"]) << " of " << a["count"] << " x " << text(a["type"]) << " ("
      << size_text(a["bytes"].get<std::uint64_t>()) << " bytes), " << a["ranks"] << " ranks on "
      << a["hosts"] << (a["hosts"] == 1 ? " host" : " hosts");
  if (a["ranks_per_core"] != 1) out << ", " << a["ranks_per_core"] << " to a core";
  out << ", " << text(a["wire"]) << "\n";
  const Json& chosen = a["chosen"];
  out << "takes " << text(chosen["algorithm"]) << ", segments of "
      << size_text(chosen["segment_bytes"].get<std::uint64_t>()) << ", " << chosen["lanes"]
      << (chosen["lanes"] == 1 ? " lane" : " lanes") << ": " << time(chosen) << " predicted\n"
      << "because " << text(a["why"]) << "\n\n"
      << std::left << std::setw(20) << "algorithm" << std::right << std::setw(10) << "segment"
      << std::setw(7) << "lanes" << std::setw(18) << "predicted" << '\n';
  for (const Json& one : a["candidates"]) {
    out << std::left << std::setw(20) << text(one["algorithm"]) << std::right << std::setw(10)
        << size_text(one["segment_bytes"].get<std::uint64_t>()) << std::setw(7)
        << one["lanes"].get<int>() << std::setw(18) << time(one) << '\n';
  }
}

void run(Session& session, const Question& question) {
  if (question.hosts > question.ranks) {
    throw std::runtime_error(std::to_string(question.hosts) +
                             " hosts have at least as many ranks, "
                             "but --ranks is " +
                             std::to_string(question.ranks));
  }
  if (question.bytes % size_of(question.type) != 0) {
    throw std::runtime_error(std::to_string(question.bytes) + " bytes are no whole number of " +
                             std::string(to_string(question.type)) + ", of which each has " +
                             std::to_string(size_of(question.type)));
  }
  const Json found = answer(question);
  if (question.as_json) {
    session.out << found.dump(2) << '\n';
  } else {
    print(found, session.out);
  }
}

// --- the command line ----------------------------------------------------------------------------

/// An option whose value `read` turns into something, or not.
template <class Read, class Target>
CLI::Option* add(CLI::App* command, const std::string& name, Read read, Target& target,
                 const std::string& allowed, const std::string& help) {
  return command
      ->add_option_function<std::string>(
          name,
          [=, &target](const std::string& text) {
            const auto value = read(text);
            if (!value) {
              throw CLI::ValidationError(name + " is \"" + text + "\"; allowed: " + allowed);
            }
            target = *value;
          })
      ->description(help);
}

std::optional<WireNumber> wire_from(const std::string& text) {
  for (std::uint8_t number = 0; number < kWireCount; ++number) {
    if (text == kWireNames[number]) return static_cast<WireNumber>(number);
  }
  return std::nullopt;
}

}  // namespace

void add_explain(Session& session) {
  CLI::App* const explain =
      session.program.add_subcommand("explain", "Say which algorithm a call would take, and why");
  const auto question = std::make_shared<Question>();
  add(explain, "--collective", collective_from, question->collective,
      "all_reduce, broadcast, barrier, reduce_scatter, all_gather, all_to_all, reduce, gather or "
      "scatter",
      "all_reduce, broadcast, ...")
      ->required();
  add(explain, "--bytes", size_from, question->bytes, "bytes, or with K, M or G",
      "Of one block: what count times the size of the type gives")
      ->required();
  explain->add_option("--ranks", question->ranks, "How many ranks")
      ->check(CLI::Range(1, 1 << 20))
      ->required();
  explain->add_option("--hosts", question->hosts, "On how many hosts [1]")
      ->check(CLI::Range(1, 1 << 20));
  explain
      ->add_option("--ranks-per-core", question->ranks_per_core,
                   "How many ranks share a core, where they are more than cores [1]")
      ->check(CLI::Range(1, 1 << 20));
  add(explain, "--type", data_type_from, question->type, "float32, float16, int8, ...",
      "The elements' type [float32]");
  add(explain, "--wire", wire_from, question->wire, "shm, verbs or tcp",
      "Between ranks of one host: shm, verbs or tcp [shm]");
  add(explain, "--between", wire_from, question->between, "verbs or tcp",
      "Between ranks of different hosts: verbs or tcp [tcp]");
  explain->add_option("--tuning", question->tuning, "A tuning file [PACELINE_TUNING]");
  add(explain, "--algorithm", algorithm_from, question->algorithm,
      "a name as in PACELINE_ALGORITHM", "As PACELINE_ALGORITHM");
  add(explain, "--segment", size_from, question->segment_bytes, "bytes, or with K or M",
      "As PACELINE_SEGMENT_BYTES");
  explain->add_option("--lanes", question->lanes, "As PACELINE_LANES");
  explain->add_flag("--json", question->as_json, "Print JSON");
  explain->callback([&session, question] { run(session, *question); });
}

}  // namespace paceline::tool
