// Collectives and messages on arrays.
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "array.h"
#include "errors.h"
#include "handle.h"
#include "reduction.h"

namespace paceline::python {

namespace {

/// A collective with its buffers found and compared.
struct Prepared {
  Collective collective = Collective::barrier;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  std::size_t count = 0;  ///< of one block
  DataType type = DataType::float32;
  Reduction op = ReduceOp::sum;
  int root = 0;
  CallOptions options = {};
  Kept kept = {};
};

std::string number_text(std::size_t n) {
  return std::to_string(n);
}

// What one block has, of an array of `blocks`.
std::size_t block_of(const Array& array, int blocks, const char* name) {
  const auto n = static_cast<std::size_t>(blocks);
  if (array.count % n == 0) return array.count / n;
  refuse(std::string(name) + " has " + number_text(array.count) +
         " elements: a block for each of " + number_text(n) + " ranks makes a multiple of " +
         number_text(n));
}

void require_array(py::handle object, const char* name, const std::string& needed) {
  if (!object.is_none()) return;
  refuse(std::string(name) + " is None: " + needed);
}

// One array, that is both.
void prepare_in_place(Prepared& call, const Blocks& mine, py::handle x, const Handle& handle) {
  const bool receives =
      call.collective == Collective::broadcast ? handle.rank != call.root : mine.output > 0;
  Array array = take({x, "x", receives ? Use::write : Use::read});
  call.in = array.data;
  call.out = array.data;
  call.count = array.count;
  call.type = array.type;
  call.kept.push_back(std::move(array.keep));
}

void prepare_both(Prepared& call, const Blocks& mine, py::handle x, py::handle out) {
  std::optional<Array> from;
  std::optional<Array> to;
  const std::string name(to_string(call.collective));
  if (mine.input > 0) {
    require_array(x, "x", name + " reads it on this rank");
    from = take({x, "x", Use::read});
  }
  if (mine.output > 0) {
    require_array(out, "out", name + " writes its result there on this rank");
    to = take({out, "out", Use::write});
  }
  if (from && to && from->type != to->type) {
    refuse("x has elements of type " + std::string(to_string(from->type)) + " and out of type " +
           std::string(to_string(to->type)) + ": give arrays of one type");
  }
  if (from && to &&
      from->count * static_cast<std::size_t>(mine.output) !=
          to->count * static_cast<std::size_t>(mine.input)) {
    refuse("x has " + number_text(from->count) + " elements and out has " + number_text(to->count) +
           ": " + name + " of x, with " + number_text(static_cast<std::size_t>(mine.input)) +
           (mine.input == 1 ? " block" : " blocks") + ", gives " +
           number_text(static_cast<std::size_t>(mine.output)));
  }
  if (from) {
    call.count = block_of(*from, mine.input, "x");
    call.type = from->type;
    call.in = from->data;
    call.kept.push_back(std::move(from->keep));
  }
  if (to) {
    call.count = block_of(*to, mine.output, "out");
    call.type = to->type;
    call.out = to->data;
    call.kept.push_back(std::move(to->keep));
  }
}

Algorithm algorithm_named(py::handle name) {
  if (name.is_none()) return Algorithm::automatic;
  const std::string text = py::str(name);
  if (const auto known = algorithm_from(text)) return *known;
  refuse("algorithm is \"" + text +
         "\": give the name of one, as docs/design/algorithms.md lists "
         "them, or None");
}

Prepared prepare(const Handle& handle, Collective collective, py::handle x, py::handle out,
                 py::handle op, int root, py::handle algorithm) {
  Prepared call;
  call.collective = collective;
  call.root = root;
  call.options.algorithm = algorithm_named(algorithm);
  if (collective == Collective::barrier) return call;
  if (has_root(collective) && (root < 0 || root >= handle.size)) {
    refuse("root is " + std::to_string(root) + ": give a rank of this communicator, 0 to " +
           std::to_string(handle.size - 1));
  }
  if (reduces(collective)) call.op = reduction_from(op);
  const Blocks mine = blocks_of(collective, handle.rank, handle.size, root);
  const bool same_shape = collective == Collective::all_reduce || collective == Collective::reduce;
  if (collective == Collective::broadcast || (same_shape && out.is_none())) {
    prepare_in_place(call, mine, x, handle);
  } else {
    prepare_both(call, mine, x, out);
  }
  return call;
}

void run(Communicator& comm, const Prepared& c) {
  switch (c.collective) {
    case Collective::all_reduce:
      return comm.all_reduce(c.in, c.out, c.count, c.type, c.op, c.options);
    case Collective::broadcast:
      return comm.broadcast(c.out, c.count, c.type, c.root, c.options);
    case Collective::barrier:
      return comm.barrier();
    case Collective::reduce_scatter:
      return comm.reduce_scatter(c.in, c.out, c.count, c.type, c.op, c.options);
    case Collective::all_gather:
      return comm.all_gather(c.in, c.out, c.count, c.type, c.options);
    case Collective::all_to_all:
      return comm.all_to_all(c.in, c.out, c.count, c.type, c.options);
    case Collective::reduce:
      return comm.reduce(c.in, c.out, c.count, c.type, c.op, c.root, c.options);
    case Collective::gather:
      return comm.gather(c.in, c.out, c.count, c.type, c.root, c.options);
    case Collective::scatter:
      return comm.scatter(c.in, c.out, c.count, c.type, c.root, c.options);
  }
}

Work start(Communicator& comm, const Prepared& c) {
  switch (c.collective) {
    case Collective::all_reduce:
      return comm.all_reduce_async(c.in, c.out, c.count, c.type, c.op, c.options);
    case Collective::broadcast:
      return comm.broadcast_async(c.out, c.count, c.type, c.root, c.options);
    case Collective::barrier:
      return comm.barrier_async();
    case Collective::reduce_scatter:
      return comm.reduce_scatter_async(c.in, c.out, c.count, c.type, c.op, c.options);
    case Collective::all_gather:
      return comm.all_gather_async(c.in, c.out, c.count, c.type, c.options);
    case Collective::all_to_all:
      return comm.all_to_all_async(c.in, c.out, c.count, c.type, c.options);
    case Collective::reduce:
      return comm.reduce_async(c.in, c.out, c.count, c.type, c.op, c.root, c.options);
    case Collective::gather:
      return comm.gather_async(c.in, c.out, c.count, c.type, c.root, c.options);
    case Collective::scatter:
      return comm.scatter_async(c.in, c.out, c.count, c.type, c.root, c.options);
  }
  return {};
}

py::object collective(const std::shared_ptr<Handle>& self, int which, py::handle x, py::handle out,
                      py::handle op, int root, py::handle algorithm, bool async) {
  Prepared call = prepare(*self, static_cast<Collective>(which), x, out, op, root, algorithm);
  return launch(
      self, std::move(call.kept), async, [&](Communicator& comm) { run(comm, call); },
      [&](Communicator& comm) { return start(comm, call); });
}

py::object message(const std::shared_ptr<Handle>& self, bool sends, py::handle x, int peer, int tag,
                   bool async) {
  Array a = take({x, "x", sends ? Use::read : Use::write});
  Kept kept = {std::move(a.keep)};
  if (sends) {
    return launch(
        self, std::move(kept), async,
        [&](Communicator& comm) { comm.send(a.data, a.count, a.type, peer, tag); },
        [&](Communicator& comm) { return comm.send_async(a.data, a.count, a.type, peer, tag); });
  }
  return launch(
      self, std::move(kept), async,
      [&](Communicator& comm) { comm.recv(a.data, a.count, a.type, peer, tag); },
      [&](Communicator& comm) { return comm.recv_async(a.data, a.count, a.type, peer, tag); });
}

std::string algorithm_for(Handle& self, const std::string& collective, std::size_t count,
                          const std::string& type) {
  const auto which = collective_from(collective);
  if (!which) refuse("\"" + collective + "\" is no collective: give \"all_reduce\" or another one");
  const auto element = data_type_named(type);
  if (!element) refuse("\"" + type + "\" is no type of elements that is carried: give \"float32\"");
  return std::string(to_string(self.get()->algorithm_for(*which, count, *element)));
}

}  // namespace

void bind_collectives(py::class_<Handle, std::shared_ptr<Handle>>& type) {
  type.def("collective", &collective).def("message", &message).def("algorithm_for", &algorithm_for);
}

}  // namespace paceline::python
