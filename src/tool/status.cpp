// paceline status: what the ranks of a running job are doing, asked without disturbing them.
#include <cstdio>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>

#include "base/number.h"
#include "tool/command.h"
#include "tool/door.h"
#include "tool/program.h"

namespace paceline::tool {
namespace {

std::string seconds_text(const Json& value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", value.get<double>());
  return text;
}

// "in call #7, all_reduce(8 x float32, sum): waits for rank 3 over tcp, step 5 of 12, for 6.0 s"
std::string doing(const Json& rank) {
  if (!rank.value("answered", false)) return "does not answer";
  const std::string call = rank.value("call", std::string("an earlier call"));
  std::string text;
  if (!rank.value("inside", false)) {
    const auto finished = rank.value("calls_finished", std::uint64_t{0});
    if (finished == 0 && !rank.contains("message")) return "has made no call yet";
    text = "has finished call #" + std::to_string(finished - 1) + ", " + call;
    if (finished == 0) text = "has finished no numbered call";
    text += "; quiet for " + seconds_text(rank["quiet_seconds"]);
  } else {
    text = "in call #" + std::to_string(rank.value("sequence", std::uint64_t{0})) + ", " + call;
    if (rank.contains("waiting_for")) {
      text += ": waits for rank " + rank["waiting_for"].dump() + " over " +
              rank["wire"].get<std::string>() + ", step " + rank["step"].dump() + " of " +
              rank["steps"].dump() + ", for " + seconds_text(rank["stopped_seconds"]);
    }
  }
  if (rank.contains("message")) {
    text += "; has waited for " + seconds_text(rank["message_seconds"]) + " in " +
            rank["message"].get<std::string>();
  }
  return rank.value("failed", false) ? text + " (failed)" : text;
}

void print_all(const Json& answer, std::ostream& out) {
  for (const Json& comm : answer["communicators"]) {
    if (!comm.is_object()) continue;
    out << "communicator \"" << comm["name"].get<std::string>() << "\", job "
        << comm["job"].get<std::string>() << ", " << comm["size"] << " ranks\n";
    for (const Json& rank : comm["ranks"]) {
      out << "  " << rank["name"].get<std::string>() << "  " << doing(rank) << '\n';
    }
    if (comm.contains("error")) out << "  error: " << comm["error"].get<std::string>() << '\n';
    if (comm.contains("verdict"))
      out << "  verdict: " << comm["verdict"].get<std::string>() << '\n';
  }
}

// One process after the other; those that end or are stopped meanwhile are told of, too.
Json ask_everybody() {
  Json list = Json::array();
  for (const pid_t pid : processes_with_a_door()) {
    try {
      list.push_back(ask_process(pid, false));
    } catch (const std::runtime_error& error) {
      list.push_back({{"pid", pid}, {"trouble", error.what()}});
    }
  }
  return list;
}

void print_list(const Json& list, std::ostream& out) {
  if (list.empty()) {
    out << "no process of this machine (and network namespace) has a communicator of Paceline\n";
  }
  for (const Json& process : list) {
    if (process.contains("trouble")) {
      out << process["trouble"].get<std::string>() << '\n';
      continue;
    }
    for (const Json& comm : process["communicators"]) {
      if (!comm.is_object()) continue;
      out << "job " << comm["job"].get<std::string>() << "  pid " << process["pid"] << "  rank "
          << comm["rank"] << " of " << comm["size"] << "  ";
      for (const Json& rank : comm["ranks"]) out << doing(rank);
      out << '\n';
    }
  }
}

// A process's number, or a job: then any of its processes.
pid_t process_of(const std::string& given) {
  const auto number = number_from<pid_t>(given);
  const std::vector<pid_t> pids = processes_with_a_door();
  for (const pid_t pid : pids) {
    if (number && pid == *number) return pid;
  }
  for (const pid_t pid : pids) {
    try {
      const Json answer = ask_process(pid, false);
      for (const Json& comm : answer["communicators"]) {
        if (comm.is_object() && comm["job"] == given) return pid;
      }
    } catch (const std::runtime_error&) {
      continue;  // stopped: another process of the job may answer
    }
  }
  throw std::runtime_error(
      "\"" + given +
      "\" is neither a process of this machine with a communicator nor the job "
      "of one: `paceline status` lists both");
}

void run(Session& session, const std::string& whom, bool as_json) {
  const Json answer = whom.empty() ? ask_everybody() : ask_process(process_of(whom), true);
  if (as_json) {
    session.out << answer.dump(2) << '\n';
  } else if (whom.empty()) {
    print_list(answer, session.out);
  } else {
    print_all(answer, session.out);
  }
  if (whom.empty()) return;
  for (const Json& comm : answer["communicators"]) {
    if (comm.contains("verdict") || comm.contains("error")) session.exit_code = kTrouble;
  }
}

}  // namespace

void add_status(Session& session) {
  CLI::App* const status =
      session.program.add_subcommand("status", "Say what the ranks of a running job are doing");
  CLI::Option* const whom = status->add_option("WHOM")->description(
      "A process or a job of this machine; without it, all are listed");
  CLI::Option* const json = status->add_flag("--json")->description("Print JSON");
  status->callback([&session, whom, json] {
    run(session, whom->empty() ? std::string() : whom->as<std::string>(), json->count() > 0);
  });
}

}  // namespace paceline::tool
