// Collectives with a length per rank.
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "array.h"
#include "errors.h"
#include "handle.h"
#include "reduction.h"

namespace paceline::python {

namespace {

/// One side's blocks, as Python gave them.
struct Lengths {
  std::vector<std::size_t> counts;
  std::vector<std::size_t> displacements;

  [[nodiscard]] CountsPerRank spans() const { return {counts, displacements}; }
};

std::vector<std::size_t> numbers(py::handle given, const char* name, int size) {
  std::vector<std::size_t> result;
  const std::string must = std::string(name) + " must be a sequence of " + std::to_string(size) +
                           " lengths in elements, one for each rank";
  if (PySequence_Check(given.ptr()) == 0 && !py::hasattr(given, "__iter__")) {
    refuse(must + ", and is " + a_type(given));
  }
  for (const py::handle item : py::reinterpret_borrow<py::object>(given)) {
    const Py_ssize_t n = PyNumber_AsSsize_t(item.ptr(), PyExc_OverflowError);
    if (PyErr_Occurred() != nullptr || n < 0) {
      PyErr_Clear();
      refuse(must + ", and one of them is " + std::string(py::str(item)));
    }
    result.push_back(static_cast<std::size_t>(n));
  }
  if (result.size() != static_cast<std::size_t>(size)) {
    refuse(must + ", and has " + std::to_string(result.size()));
  }
  return result;
}

Lengths lengths(py::handle counts, py::handle displacements, const char* name, int size) {
  Lengths result;
  if (counts.is_none()) return result;
  result.counts = numbers(counts, name, size);
  if (!displacements.is_none()) {
    result.displacements = numbers(displacements, "displacements", size);
  }
  return result;
}

// Up to where the blocks reach must belong to the array.
void require_room(const Array& array, const Lengths& blocks, const char* name) {
  std::size_t end = 0;
  std::size_t next = 0;
  for (std::size_t r = 0; r < blocks.counts.size(); ++r) {
    const std::size_t begin = blocks.displacements.empty() ? next : blocks.displacements[r];
    next = begin + blocks.counts[r];
    if (next < begin) refuse(std::string(name) + ": a block's end does not fit into 64 bits");
    if (blocks.counts[r] != 0) end = std::max(end, next);
  }
  if (array.count >= end) return;
  refuse(std::string(name) + " has " + std::to_string(array.count) +
         " elements, and its blocks reach up to " + std::to_string(end) +
         ": give a longer array, or other counts");
}

void require_own_block(const Array& array, const Lengths& blocks, int rank, const char* name) {
  const std::size_t own = blocks.counts[static_cast<std::size_t>(rank)];
  if (array.count == own) return;
  refuse(std::string(name) + " has " + std::to_string(array.count) +
         " elements, and counts say that this rank's block has " + std::to_string(own));
}

void require_same_type(const Array& x, const Array& out) {
  if (x.type == out.type) return;
  refuse("x has elements of type " + std::string(to_string(x.type)) + " and out of type " +
         std::string(to_string(out.type)) + ": give arrays of one type");
}

using Self = std::shared_ptr<Handle>;

py::object all_gather_v(const Self& self, py::handle x, py::handle counts, py::handle out,
                        py::handle displacements, bool async) {
  const Lengths to = lengths(counts, displacements, "counts", self->size);
  const Array a = take({x, "x", Use::read});
  const Array b = take({out, "out", Use::write});
  require_same_type(a, b);
  require_own_block(a, to, self->rank, "x");
  require_room(b, to, "out");
  return launch(
      self, {a.keep, b.keep}, async,
      [&](Communicator& comm) { comm.all_gather_v(a.data, b.data, to.spans(), a.type); },
      [&](Communicator& comm) {
        return comm.all_gather_v_async(a.data, b.data, to.spans(), a.type);
      });
}

py::object reduce_scatter_v(const Self& self, py::handle x, py::handle counts, py::handle out,
                            py::handle op, py::handle displacements, bool async) {
  const Lengths from = lengths(counts, displacements, "counts", self->size);
  const Reduction reduction = reduction_from(op);
  const Array a = take({x, "x", Use::read});
  const Array b = take({out, "out", Use::write});
  require_same_type(a, b);
  require_room(a, from, "x");
  require_own_block(b, from, self->rank, "out");
  return launch(
      self, {a.keep, b.keep}, async,
      [&](Communicator& comm) {
        comm.reduce_scatter_v(a.data, b.data, from.spans(), a.type, reduction);
      },
      [&](Communicator& comm) {
        return comm.reduce_scatter_v_async(a.data, b.data, from.spans(), a.type, reduction);
      });
}

py::object all_to_all_v(const Self& self, py::handle x, py::handle in_counts, py::handle out,
                        py::handle out_counts, py::handle in_displacements,
                        py::handle out_displacements, bool async) {
  const Lengths from = lengths(in_counts, in_displacements, "in_counts", self->size);
  const Lengths to = lengths(out_counts, out_displacements, "out_counts", self->size);
  const Array a = take({x, "x", Use::read});
  const Array b = take({out, "out", Use::write});
  require_same_type(a, b);
  require_room(a, from, "x");
  require_room(b, to, "out");
  return launch(
      self, {a.keep, b.keep}, async,
      [&](Communicator& comm) {
        comm.all_to_all_v(a.data, from.spans(), b.data, to.spans(), a.type);
      },
      [&](Communicator& comm) {
        return comm.all_to_all_v_async(a.data, from.spans(), b.data, to.spans(), a.type);
      });
}

void require_root(int root, const Handle& handle) {
  if (root >= 0 && root < handle.size) return;
  refuse("root is " + std::to_string(root) + ": give a rank of this communicator, 0 to " +
         std::to_string(handle.size - 1));
}

py::object gather_v(const Self& self, py::handle x, py::handle counts, py::handle out, int root,
                    py::handle displacements, bool async) {
  require_root(root, *self);
  const Array a = take({x, "x", Use::read});
  Lengths to;
  Array b;
  if (self->rank == root) {
    to = lengths(counts, displacements, "counts", self->size);
    b = take({out, "out", Use::write});
    require_same_type(a, b);
    if (to.counts.empty())
      refuse("counts is None: the root must say how much comes from each rank");
    require_room(b, to, "out");
  }
  return launch(
      self, {a.keep, b.keep}, async,
      [&](Communicator& comm) { comm.gather_v(a.data, a.count, b.data, to.spans(), a.type, root); },
      [&](Communicator& comm) {
        return comm.gather_v_async(a.data, a.count, b.data, to.spans(), a.type, root);
      });
}

py::object scatter_v(const Self& self, py::handle x, py::handle counts, py::handle out, int root,
                     py::handle displacements, bool async) {
  require_root(root, *self);
  const Array b = take({out, "out", Use::write});
  Lengths from;
  Array a;
  if (self->rank == root) {
    from = lengths(counts, displacements, "counts", self->size);
    a = take({x, "x", Use::read});
    require_same_type(a, b);
    if (from.counts.empty()) refuse("counts is None: the root must say how much goes to each rank");
    require_room(a, from, "x");
  }
  return launch(
      self, {a.keep, b.keep}, async,
      [&](Communicator& comm) {
        comm.scatter_v(a.data, from.spans(), b.data, b.count, b.type, root);
      },
      [&](Communicator& comm) {
        return comm.scatter_v_async(a.data, from.spans(), b.data, b.count, b.type, root);
      });
}

}  // namespace

void bind_uneven(py::class_<Handle, std::shared_ptr<Handle>>& type) {
  type.def("all_gather_v", &all_gather_v)
      .def("reduce_scatter_v", &reduce_scatter_v)
      .def("all_to_all_v", &all_to_all_v)
      .def("gather_v", &gather_v)
      .def("scatter_v", &scatter_v);
}

}  // namespace paceline::python
