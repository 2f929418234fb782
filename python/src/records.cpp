// What a communicator knows of itself, as tuples that paceline/records.py gives names.
#include <pybind11/stl.h>

#include <string>

#include "config.h"
#include "errors.h"
#include "handle.h"

namespace paceline::python {

namespace {

double seconds_of(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

py::object rank_or_none(int rank) {
  return rank == Error::kNoRank ? py::object(py::none()) : py::object(py::int_(rank));
}

template <class Enum>
py::str name(Enum value) {
  return py::str(std::string(to_string(value)));
}

py::tuple tuple_of(const OperationRecord& r) {
  const bool collective = r.kind == CallKind::collective;
  const py::object none = py::none();
  return py::make_tuple(r.sequence, collective ? name(r.collective) : name(r.kind), name(r.type),
                        collective && reduces(r.collective) ? py::object(name(r.op)) : none,
                        collective ? py::object(name(r.algorithm)) : none,
                        collective && has_root(r.collective) ? py::object(py::int_(r.root)) : none,
                        r.count, r.bytes, seconds_of(r.submitted), seconds_of(r.started),
                        seconds_of(r.finished), name(r.outcome), rank_or_none(r.waited_for),
                        std::chrono::duration<double>(r.waited).count(),
                        collective ? none : py::object(py::int_(r.peer)),
                        collective ? none : py::object(py::int_(r.tag)));
}

py::list history(Handle& self) {
  std::vector<OperationRecord> records;
  blocking([&, comm = self.get()] { records = comm->history(); });
  py::list result;
  for (const OperationRecord& record : records) result.append(tuple_of(record));
  return result;
}

void write_history(Handle& self, const std::string& path, const std::string& format) {
  const bool trace = format == "chrome_trace";
  if (!trace && format != "json") {
    refuse("format is \"" + format + "\": give \"json\" or \"chrome_trace\"");
  }
  blocking([&, comm = self.get()] {
    comm->write_history(path, trace ? HistoryFormat::chrome_trace : HistoryFormat::json);
  });
}

py::list wires(Handle& self) {
  std::vector<Wire> all;
  blocking([&, comm = self.get()] { all = comm->wires(); });
  py::list result;
  for (const Wire& wire : all)
    result.append(py::make_tuple(wire.peer, wire.transport, wire.reason));
  return result;
}

py::tuple usage(Handle& self) {
  Usage u;
  blocking([&, comm = self.get()] { u = comm->usage(); });
  return py::make_tuple(u.allocated_bytes, u.registered_bytes, u.scratch_bytes, u.link_bytes,
                        u.links, u.control_links, u.descriptors, u.rounds);
}

}  // namespace

void bind_records(py::class_<Handle, std::shared_ptr<Handle>>& type) {
  type.def("history", &history)
      .def("write_history", &write_history)
      .def("wires", &wires)
      .def("usage", &usage)
      .def("config", [](Handle& self) { return fields_of(self.get()->config()); });
}

}  // namespace paceline::python
