// Collectives of a list of tensors, one for each rank: through one flat buffer, which the library
// takes whole. Tensors that lie one behind the other in one storage, as those of chunk() do, are
// that buffer themselves. docs/design/torch.md says what else was tried.
#include "errors.h"
#include "process_group.h"
#include "tensors.h"

namespace paceline::torch_backend {

namespace {

void check_length(const Tensors& list, int size, const char* what) {
  if (list.size() == static_cast<std::size_t>(size)) return;
  refuse(std::string(what) + " has " + std::to_string(list.size()) +
         " tensors; it must have one for each of the " + std::to_string(size) + " ranks");
}

void check_own_block(const Flat& flat, const at::Tensor& own, int rank, const char* what) {
  const std::size_t expected = flat.lengths[static_cast<std::size_t>(rank)];
  if (flat.tensor.scalar_type() != own.scalar_type()) {
    refuse(std::string(what) + ": inputs and outputs are of " +
           c10::toString(flat.tensor.scalar_type()) + " and " + c10::toString(own.scalar_type()) +
           "; they must be of one dtype");
  }
  if (expected == static_cast<std::size_t>(own.numel())) return;
  refuse(std::string(what) + ": tensor " + std::to_string(rank) + " of the list has " +
         std::to_string(expected) + " elements, and the own one " + std::to_string(own.numel()));
}

// Lengths in elements as the library counts them: of complex numbers and bytes there are more.
std::vector<std::size_t> scaled(const Flat& flat, const Elements& e) {
  std::vector<std::size_t> lengths = flat.lengths;
  const auto total = static_cast<std::size_t>(flat.tensor.numel());
  for (std::size_t& length : lengths) length *= total > 0 ? e.count / total : 1;
  return lengths;
}

}  // namespace

WorkPtr ProcessGroupPaceline::allgather(TensorLists& outputs, Tensors& inputs,
                                        const c10d::AllgatherOptions& options) {
  const Tensors& list = only(outputs, "the output of all_gather");
  check_length(list, getSize(), "the output of all_gather");
  const Flat flat = room_for(list, "the output of all_gather");
  const at::Tensor in = packed(only(inputs, "the input of all_gather"), "the input of all_gather");
  check_own_block(flat, in, getRank(), "all_gather");
  const Elements from = to_move(in);
  const Elements to = to_move(flat.tensor);
  Operation::Call call;
  call.type = c10d::OpType::ALLGATHER;
  call.name = "paceline:all_gather";
  call.results = list;
  call.kept = {in, flat.tensor};
  if (!flat.is_view) call.afterwards = [flat, list] { unpack(flat, list); };
  call.launch = [from, to, even = flat.even, lengths = scaled(flat, to)](
                    Communicator& comm, Operation::Mode mode) -> paceline::Work {
    const bool start = mode == Operation::Mode::start;
    if (even && start) return comm.all_gather_async(from.data, to.data, from.count, from.type);
    if (start) return comm.all_gather_v_async(from.data, to.data, {lengths}, from.type);
    if (even) {
      comm.all_gather(from.data, to.data, from.count, from.type);
    } else {
      comm.all_gather_v(from.data, to.data, {lengths}, from.type);
    }
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::reduce_scatter(Tensors& outputs, TensorLists& inputs,
                                             const c10d::ReduceScatterOptions& options) {
  const Tensors& list = only(inputs, "the input of reduce_scatter");
  const at::Tensor& output = only(outputs, "the output of reduce_scatter");
  check_length(list, getSize(), "the input of reduce_scatter");
  check_contiguous(output, "the output of reduce_scatter");
  const Flat flat = room_for(list, "the input of reduce_scatter");
  check_own_block(flat, output, getRank(), "reduce_scatter");
  const Elements from = to_reduce(flat.tensor, options.reduceOp);
  const Elements to = to_move(output);
  const Reduction op = reduction_of(options.reduceOp);
  pack(list, flat);
  Operation::Call call;
  call.type = c10d::OpType::REDUCE_SCATTER;
  call.name = "paceline:reduce_scatter";
  call.results = {output};
  call.kept = {flat.tensor};
  call.launch = [from, to, op, even = flat.even, lengths = scaled(flat, from)](
                    Communicator& comm, Operation::Mode mode) -> paceline::Work {
    const bool start = mode == Operation::Mode::start;
    if (even && start) {
      return comm.reduce_scatter_async(from.data, to.data, to.count, to.type, op);
    }
    if (start) return comm.reduce_scatter_v_async(from.data, to.data, {lengths}, to.type, op);
    if (even) {
      comm.reduce_scatter(from.data, to.data, to.count, to.type, op);
    } else {
      comm.reduce_scatter_v(from.data, to.data, {lengths}, to.type, op);
    }
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::alltoall(Tensors& outputs, Tensors& inputs,
                                       const c10d::AllToAllOptions& options) {
  check_length(inputs, getSize(), "the input of all_to_all");
  check_length(outputs, getSize(), "the output of all_to_all");
  const Flat in = room_for(inputs, "the input of all_to_all");
  const Flat out = room_for(outputs, "the output of all_to_all");
  if (in.tensor.scalar_type() != out.tensor.scalar_type()) {
    refuse("all_to_all: inputs and outputs are of different dtypes");
  }
  pack(inputs, in);
  const Elements from = to_move(in.tensor);
  const Elements to = to_move(out.tensor);
  Operation::Call call;
  call.type = c10d::OpType::ALLTOALL;
  call.name = "paceline:all_to_all";
  call.results = outputs;
  call.kept = {in.tensor, out.tensor};
  if (!out.is_view) call.afterwards = [out, outputs] { unpack(out, outputs); };
  // With lengths per rank whatever they are: whether all are equal is not known of other ranks.
  call.launch = [from, to, ins = scaled(in, from), outs = scaled(out, to)](
                    Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.all_to_all_v_async(from.data, {ins}, to.data, {outs}, from.type);
    }
    comm.all_to_all_v(from.data, {ins}, to.data, {outs}, from.type);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::gather(TensorLists& outputs, Tensors& inputs,
                                     const c10d::GatherOptions& options) {
  check_root(options.rootRank, "gather");
  const int root = static_cast<int>(options.rootRank);
  const at::Tensor in = packed(only(inputs, "the input of gather"), "the input of gather");
  const Elements from = to_move(in);
  Operation::Call call;
  call.type = c10d::OpType::GATHER;
  call.name = "paceline:gather";
  call.kept = {in};
  void* out = nullptr;
  if (getRank() == root) {
    const Tensors& list = only(outputs, "the output of gather on its root");
    check_length(list, getSize(), "the output of gather on its root");
    const Flat flat = room_for(list, "the output of gather");
    if (!flat.even) refuse("gather: the tensors of its output have different lengths");
    check_own_block(flat, in, root, "gather");
    out = flat.tensor.data_ptr();
    call.results = list;
    call.kept.push_back(flat.tensor);
    if (!flat.is_view) call.afterwards = [flat, list] { unpack(flat, list); };
  } else if (!outputs.empty()) {
    refuse("gather: an output was given on rank " + std::to_string(getRank()) +
           ", which is not its root, " + std::to_string(root));
  }
  call.launch = [from, out, root](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.gather_async(from.data, out, from.count, from.type, root);
    }
    comm.gather(from.data, out, from.count, from.type, root);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::scatter(Tensors& outputs, TensorLists& inputs,
                                      const c10d::ScatterOptions& options) {
  check_root(options.rootRank, "scatter");
  const int root = static_cast<int>(options.rootRank);
  const at::Tensor& output = only(outputs, "the output of scatter");
  check_contiguous(output, "the output of scatter");
  const Elements to = to_move(output);
  Operation::Call call;
  call.type = c10d::OpType::SCATTER;
  call.name = "paceline:scatter";
  call.results = {output};
  const void* in = nullptr;
  if (getRank() == root) {
    const Tensors& list = only(inputs, "the input of scatter on its root");
    check_length(list, getSize(), "the input of scatter on its root");
    const Flat flat = room_for(list, "the input of scatter");
    if (!flat.even) refuse("scatter: the tensors of its input have different lengths");
    check_own_block(flat, output, root, "scatter");
    pack(list, flat);
    in = flat.tensor.data_ptr();
    call.kept = {flat.tensor};
  } else if (!inputs.empty()) {
    refuse("scatter: an input was given on rank " + std::to_string(getRank()) +
           ", which is not its root, " + std::to_string(root));
  }
  call.launch = [in, to, root](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.scatter_async(in, to.data, to.count, to.type, root);
    }
    comm.scatter(in, to.data, to.count, to.type, root);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

}  // namespace paceline::torch_backend
