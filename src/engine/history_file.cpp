#include "engine/history_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/path_pattern.h"

namespace paceline::engine {

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

Nanoseconds since_start(steady_clock::time_point time) {
  return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

// A time that has not come is null.
Json time_of(steady_clock::time_point time) {
  return time == steady_clock::time_point{} ? Json() : Json(since_start(time));
}

Json rank_of(int rank) {
  return rank == Error::kNoRank ? Json() : Json(rank);
}

// What is said of a call in either format, times apart.
Json facts(const OperationRecord& r) {
  if (r.kind != CallKind::collective) {
    return {{"sequence", r.sequence},
            {"call", to_string(r.kind)},
            {"type", to_string(r.type)},
            {"count", r.count},
            {"bytes", r.bytes},
            {"peer", r.peer},
            {"tag", r.tag},
            {"outcome", to_string(r.outcome)},
            {"waited_for", rank_of(r.waited_for)},
            {"waited_us", r.waited.count()}};
  }
  Json json = {{"sequence", r.sequence}, {"call", to_string(r.collective)}};
  if (r.collective != Collective::barrier) {
    json["type"] = to_string(r.type);
    json["count"] = r.count;
    json["bytes"] = r.bytes;
  }
  if (reduces(r.collective)) json["op"] = to_string(r.op);
  if (has_root(r.collective)) json["root"] = r.root;
  json["algorithm"] = to_string(r.algorithm);
  json["outcome"] = to_string(r.outcome);
  json["waited_for"] = rank_of(r.waited_for);
  json["waited_us"] = r.waited.count();
  return json;
}

Json owner_facts(const HistoryOwner& owner) {
  return {{"rank", owner.rank},
          {"size", owner.size},
          {"communicator", owner.communicator},
          {"host", owner.host},
          {"pid", owner.pid}};
}

Json plain(const HistoryOwner& owner, const std::vector<OperationRecord>& records) {
  Json calls = Json::array();
  for (const OperationRecord& r : records) {
    Json call = facts(r);
    call["submitted_ns"] = time_of(r.submitted);
    call["started_ns"] = time_of(r.started);
    call["finished_ns"] = time_of(r.finished);
    calls.push_back(std::move(call));
  }
  Json json = owner_facts(owner);
  json["taken"] = {{"steady_ns", owner.steady}, {"unix_ns", owner.unix_time}};
  json["calls"] = std::move(calls);
  return json;
}

// The Trace Event Format: complete events ("X") with times in microseconds, which count from the
// first call: since 1970 they would not fit into a double with their fractions.
Json chrome(const HistoryOwner& owner, const std::vector<OperationRecord>& records) {
  const Nanoseconds origin = records.empty() ? owner.steady : since_start(records[0].submitted);
  const auto microseconds = [](Nanoseconds time) { return static_cast<double>(time) / 1000; };
  Json events = Json::array();
  const auto name = [&](const char* what, const std::string& text) {
    events.push_back(
        {{"ph", "M"}, {"name", what}, {"pid", owner.rank}, {"tid", 0}, {"args", {{"name", text}}}});
  };
  name("process_name", "rank " + std::to_string(owner.rank) + " (" + owner.host + ", pid " +
                           std::to_string(owner.pid) + ")");
  name("thread_name", owner.communicator);
  for (const OperationRecord& r : records) {
    if (r.started == steady_clock::time_point{}) continue;  // it never ran
    const bool ended = r.finished != steady_clock::time_point{};
    const Nanoseconds begin = since_start(r.started);
    const Nanoseconds end = ended ? since_start(r.finished) : owner.steady;
    Json args = facts(r);
    if (r.kind != CallKind::collective) {
      // They overlap each other and everything else, which complete events of a row may not.
      const char* const kind = r.kind == CallKind::send ? "send" : "recv";
      const Json common = {
          {"name", kind}, {"cat", "paceline"}, {"pid", owner.rank}, {"tid", 0}, {"id", r.sequence}};
      Json start = common;
      start.update({{"ph", "b"}, {"ts", microseconds(begin - origin)}, {"args", std::move(args)}});
      Json stop = common;
      stop.update({{"ph", "e"}, {"ts", microseconds(std::max(begin, end) - origin)}});
      events.push_back(std::move(start));
      events.push_back(std::move(stop));
      continue;
    }
    args["queued_us"] = microseconds(begin - since_start(r.submitted));
    events.push_back({{"ph", "X"},
                      {"name", to_string(r.collective)},
                      {"cat", "paceline"},
                      {"pid", owner.rank},
                      {"tid", 0},
                      {"ts", microseconds(begin - origin)},
                      {"dur", microseconds(std::max<Nanoseconds>(end - begin, 0))},
                      {"args", std::move(args)}});
  }
  Json other = owner_facts(owner);
  other["origin_unix_ns"] = owner.unix_time - (owner.steady - origin);
  return {{"displayTimeUnit", "ns"}, {"otherData", std::move(other)}, {"traceEvents", events}};
}

}  // namespace

HistoryOwner HistoryOwner::now(int rank, int size, const std::string& communicator) {
  HistoryOwner owner{rank, size, communicator, this_host(), ::getpid(), steady_now()};
  owner.unix_time = std::chrono::duration_cast<std::chrono::nanoseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  return owner;
}

std::string history_text(const HistoryOwner& owner, const std::vector<OperationRecord>& records,
                         HistoryFormat format) {
  const Json json = format == HistoryFormat::json ? plain(owner, records) : chrome(owner, records);
  // One line per call or event would be nicer to read, but it is programs that read this. A name
  // that is no UTF-8 is still written.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return;
  throw Error(ErrorCode::invalid_argument, "the history cannot be written to \"" + path +
                                               "\": " + std::strerror(errno) +
                                               "; name a file in a folder that exists and may be "
                                               "written");
}

}  // namespace paceline::engine
