// Collectives of one tensor, which the library takes as they are.
#include "errors.h"
#include "process_group.h"
#include "tensors.h"

namespace paceline::torch_backend {

namespace {

std::string count_text(const at::Tensor& tensor) {
  return std::to_string(tensor.numel()) + " elements";
}

// `whole` holds a block for each of `size` ranks, `part` is one.
void check_blocks(const at::Tensor& whole, const at::Tensor& part, int size, const char* what) {
  if (whole.scalar_type() != part.scalar_type()) {
    refuse(std::string(what) + ": input and output are of " + c10::toString(whole.scalar_type()) +
           " and " + c10::toString(part.scalar_type()) + "; they must be of one dtype");
  }
  if (whole.numel() == part.numel() * size) return;
  refuse(std::string(what) + ": the tensors have " + count_text(whole) + " and " +
         count_text(part) + "; with " + std::to_string(size) + " ranks the one must have " +
         std::to_string(size) + " times as many as the other");
}

/// Lengths of the blocks of an all_to_all, in elements of the tensor.
std::vector<std::size_t> lengths_of(const std::vector<std::int64_t>& splits,
                                    const at::Tensor& tensor, int size, const char* what) {
  const std::int64_t rows = tensor.dim() > 0 ? tensor.size(0) : 0;
  if (splits.empty()) {
    if (rows % size != 0) {
      refuse(std::string(what) + ": " + std::to_string(rows) + " rows cannot be split among " +
             std::to_string(size) + " ranks; give split sizes");
    }
    return std::vector<std::size_t>(static_cast<std::size_t>(size),
                                    static_cast<std::size_t>(tensor.numel() / size));
  }
  std::int64_t sum = 0;
  for (const std::int64_t split : splits) sum += split < 0 ? rows + 1 : split;
  if (splits.size() != static_cast<std::size_t>(size) || sum != rows) {
    refuse(std::string(what) + ": " + std::to_string(splits.size()) +
           " split sizes were given; they must be " + std::to_string(size) +
           ", none negative, and add up to the " + std::to_string(rows) + " rows of the tensor");
  }
  std::vector<std::size_t> lengths;
  const std::int64_t row = rows > 0 ? tensor.numel() / rows : 0;
  for (const std::int64_t split : splits) lengths.push_back(static_cast<std::size_t>(split * row));
  return lengths;
}

}  // namespace

WorkPtr ProcessGroupPaceline::broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) {
  const at::Tensor& tensor = only(tensors, "the tensor of broadcast");
  check_dense(tensor, "the tensor of broadcast");
  const int root = static_cast<int>(options.rootRank);
  check_root(options.rootRank, "broadcast");
  const Elements e = to_move(tensor);
  Operation::Call call;
  call.type = c10d::OpType::BROADCAST;
  call.name = "paceline:broadcast";
  call.results = {tensor};
  call.launch = [e, root](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) return comm.broadcast_async(e.data, e.count, e.type, root);
    comm.broadcast(e.data, e.count, e.type, root);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) {
  const at::Tensor& tensor = only(tensors, "the tensor of all_reduce");
  check_dense(tensor, "the tensor of all_reduce");
  const Elements e = to_reduce(tensor, options.reduceOp);
  const Reduction op = reduction_of(options.reduceOp);
  Operation::Call call;
  call.type = c10d::OpType::ALLREDUCE;
  call.name = "paceline:all_reduce";
  call.results = {tensor};
  call.launch = [e, op](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.all_reduce_async(e.data, e.data, e.count, e.type, op);
    }
    comm.all_reduce(e.data, e.data, e.count, e.type, op);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::reduce(Tensors& tensors, const c10d::ReduceOptions& options) {
  const at::Tensor& tensor = only(tensors, "the tensor of reduce");
  check_dense(tensor, "the tensor of reduce");
  check_root(options.rootRank, "reduce");
  const int root = static_cast<int>(options.rootRank);
  const Elements e = to_reduce(tensor, options.reduceOp);
  const Reduction op = reduction_of(options.reduceOp);
  void* const out = getRank() == root ? e.data : nullptr;
  Operation::Call call;
  call.type = c10d::OpType::REDUCE;
  call.name = "paceline:reduce";
  call.results = {tensor};
  call.launch = [e, op, out, root](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.reduce_async(e.data, out, e.count, e.type, op, root);
    }
    comm.reduce(e.data, out, e.count, e.type, op, root);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::_allgather_base(at::Tensor& output, at::Tensor& input,
                                              const c10d::AllgatherOptions& options) {
  check_contiguous(output, "the output of all_gather_into_tensor");
  const at::Tensor in = packed(input, "the input of all_gather_into_tensor");
  check_blocks(output, in, getSize(), "all_gather_into_tensor");
  const Elements from = to_move(in);
  void* const out = output.data_ptr();
  Operation::Call call;
  call.type = c10d::OpType::_ALLGATHER_BASE;
  call.name = "paceline:all_gather";
  call.results = {output};
  call.kept = {in};
  call.launch = [from, out](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.all_gather_async(from.data, out, from.count, from.type);
    }
    comm.all_gather(from.data, out, from.count, from.type);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::_reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                   const c10d::ReduceScatterOptions& options) {
  check_contiguous(output, "the output of reduce_scatter_tensor");
  const at::Tensor in = packed(input, "the input of reduce_scatter_tensor");
  check_blocks(in, output, getSize(), "reduce_scatter_tensor");
  const Elements to = to_reduce(output, options.reduceOp);
  const Reduction op = reduction_of(options.reduceOp);
  const void* const from = in.data_ptr();
  Operation::Call call;
  call.type = c10d::OpType::_REDUCE_SCATTER_BASE;
  call.name = "paceline:reduce_scatter";
  call.results = {output};
  call.kept = {in};
  call.launch = [from, to, op](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.reduce_scatter_async(from, to.data, to.count, to.type, op);
    }
    comm.reduce_scatter(from, to.data, to.count, to.type, op);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::alltoall_base(at::Tensor& output, at::Tensor& input,
                                            std::vector<std::int64_t>& output_splits,
                                            std::vector<std::int64_t>& input_splits,
                                            const c10d::AllToAllOptions& options) {
  check_contiguous(output, "the output of all_to_all_single");
  const at::Tensor in = packed(input, "the input of all_to_all_single");
  if (in.scalar_type() != output.scalar_type()) {
    refuse("all_to_all_single: input and output are of different dtypes");
  }
  Operation::Call call;
  call.type = c10d::OpType::ALLTOALL_BASE;
  call.name = "paceline:all_to_all";
  call.results = {output};
  call.kept = {in};
  const Elements from = to_move(in);
  const Elements to = to_move(output);
  if (output_splits.empty() && input_splits.empty() && in.numel() == output.numel()) {
    (void)lengths_of({}, in, getSize(), "the input of all_to_all_single");
    const std::size_t count = from.count / static_cast<std::size_t>(getSize());
    call.launch = [from, to, count](Communicator& comm, Operation::Mode mode) -> paceline::Work {
      if (mode == Operation::Mode::start) {
        return comm.all_to_all_async(from.data, to.data, count, from.type);
      }
      comm.all_to_all(from.data, to.data, count, from.type);
      return {};
    };
    return submit(std::move(call), options.timeout, options.asyncOp);
  }
  auto ins = lengths_of(input_splits, in, getSize(), "the input of all_to_all_single");
  auto outs = lengths_of(output_splits, output, getSize(), "the output of all_to_all_single");
  // Complex numbers and what travels as bytes are several elements of the library's.
  const std::size_t in_unit =
      in.numel() > 0 ? from.count / static_cast<std::size_t>(in.numel()) : 1;
  const std::size_t out_unit =
      output.numel() > 0 ? to.count / static_cast<std::size_t>(output.numel()) : 1;
  for (std::size_t& length : ins) length *= in_unit;
  for (std::size_t& length : outs) length *= out_unit;
  call.launch = [from, to, ins, outs](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) {
      return comm.all_to_all_v_async(from.data, {ins}, to.data, {outs}, from.type);
    }
    comm.all_to_all_v(from.data, {ins}, to.data, {outs}, from.type);
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::barrier(const c10d::BarrierOptions& options) {
  Operation::Call call;
  call.type = c10d::OpType::BARRIER;
  call.name = "paceline:barrier";
  call.launch = [](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    if (mode == Operation::Mode::start) return comm.barrier_async();
    comm.barrier();
    return {};
  };
  return submit(std::move(call), options.timeout, options.asyncOp);
}

}  // namespace paceline::torch_backend
