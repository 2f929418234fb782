// Making communicators, groups, trouble, and the end.
#include <pybind11/stl.h>
#include <algorithm>

#include "config.h"
#include "errors.h"
#include "handle.h"
#include "store.h"

namespace paceline::python {

Handle::Handle(Communicator communicator)
    : rank(communicator.rank()),
      size(communicator.size()),
      hosts(communicator.hosts()),
      ranks_on_host(communicator.ranks_on_host()),
      communicator_(std::make_shared<Communicator>(std::move(communicator))) {
  communicator_->while_waiting(ask_python);
}

std::shared_ptr<Communicator> Handle::get() {
  refuse_in_handler();
  if (!orphans_.empty()) [[unlikely]]
    sweep();
  return get_anywhere();
}

std::shared_ptr<Communicator> Handle::get_anywhere() {
  if (communicator_ == nullptr) {
    refuse(
        "the communicator is closed: use it before close(), or make a new one with "
        "paceline.init()");
  }
  return communicator_;
}

// Orphans last: the end of the communicator is the end of their operations.
void Handle::close() {
  if (communicator_ == nullptr) return;
  std::shared_ptr<Communicator> communicator = std::move(communicator_);
  std::vector<Pending> orphans = std::move(orphans_);
  group.reset();
  const Unlocked unlocked;
  communicator.reset();
  for (Pending& orphan : orphans) orphan.work = Work();
}

void Handle::adopt(Pending pending) {
  orphans_.push_back(std::move(pending));
}

void Handle::sweep() {
  std::erase_if(orphans_, [](Pending& orphan) { return orphan.work.done(); });
}

std::shared_ptr<Handle> make_handle(Communicator communicator) {
  return std::make_shared<Handle>(std::move(communicator));
}

namespace {

using Made = std::shared_ptr<Communicator>;

std::shared_ptr<Handle> handle_of(const Made& made) {
  return made == nullptr ? nullptr : make_handle(std::move(*made));
}

std::shared_ptr<Handle> create(const std::map<std::string, std::string>& environment,
                               const py::dict& fields, const py::object& store,
                               const std::string& name) {
  std::shared_ptr<Store> meeting = store_from(store);
  const Config config = config_from(environment, fields, meeting != nullptr);
  return handle_of(interruptible<Made>([config, meeting, name] {
    return std::make_shared<Communicator>(Communicator::create(config, meeting, name));
  }));
}

std::shared_ptr<Handle> split(Handle& self, int color, int key) {
  return handle_of(interruptible<Made>([parent = self.get(), color, key] {
    std::optional<Communicator> part = parent->split(color, key);
    return part ? std::make_shared<Communicator>(*std::move(part)) : nullptr;
  }));
}

std::shared_ptr<Handle> duplicate(Handle& self) {
  return handle_of(interruptible<Made>(
      [parent = self.get()] { return std::make_shared<Communicator>(parent->duplicate()); }));
}

std::shared_ptr<Handle> shrink(Handle& self) {
  return handle_of(interruptible<Made>(
      [parent = self.get()] { return std::make_shared<Communicator>(parent->shrink()); }));
}

std::vector<int> survivors(Handle& self) {
  return interruptible<std::vector<int>>([parent = self.get()] { return parent->survivors(); });
}

void group_begin(Handle& self) {
  blocking([comm = self.get()] { comm->group_begin(); });
  self.group.emplace();
}

py::object group_end(const std::shared_ptr<Handle>& self, bool async) {
  const std::shared_ptr<Communicator> communicator = self->get();
  Kept kept = std::exchange(self->group, std::nullopt).value_or(Kept{});
  try {
    return launch(
        self, kept, async, [](Communicator& comm) { comm.group_end(); },
        [](Communicator& comm) { return comm.group_end_async(); });
  } catch (const Error& error) {
    // What has started uses the arrays, which are let go here.
    const std::string reason = std::string("a group could not be launched: ") + error.what();
    if (!communicator->failed()) blocking([&] { communicator->abort(reason); });
    throw;
  }
}

// Sends and recvs that have started cannot be taken back: then the others are told.
void group_cancel(Handle& self, const std::string& reason) {
  const Kept kept = std::exchange(self.group, std::nullopt).value_or(Kept{});
  blocking([comm = self.get(), &reason] {
    try {
      comm->group_cancel();
    } catch (const Error&) {
      if (!comm->failed()) comm->abort(reason);
    }
  });
}

void abort(Handle& self, const std::string& reason) {
  blocking([comm = self.get_anywhere(), &reason] { comm->abort(reason); });
}

void close(Handle& self) {
  refuse_in_handler();
  self.close();
}

}  // namespace

void bind_communicator(py::module_& module) {
  py::class_<Handle, std::shared_ptr<Handle>> type(module, "Communicator");
  type.def_readonly("rank", &Handle::rank)
      .def_readonly("size", &Handle::size)
      .def_readonly("hosts", &Handle::hosts)
      .def_readonly("ranks_on_host", &Handle::ranks_on_host)
      .def_property_readonly("closed", &Handle::closed)
      .def_property_readonly("failed", [](Handle& self) { return self.get_anywhere()->failed(); })
      .def("split", &split)
      .def("duplicate", &duplicate)
      .def("shrink", &shrink)
      .def("survivors", &survivors)
      .def("group_begin", &group_begin)
      .def("group_end", &group_end)
      .def("group_cancel", &group_cancel)
      .def("abort", &abort)
      .def("close", &close);
  module.def("create", &create);
  bind_collectives(type);
  bind_uneven(type);
  bind_records(type);
  bind_memory(module, type);
}

}  // namespace paceline::python
