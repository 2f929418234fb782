// Many collectives of one kind at once: one group of the library's, in which small ones travel
// together.
#include "errors.h"
#include "joined.h"
#include "process_group.h"
#include "tensors.h"

namespace paceline::torch_backend {

namespace {

using Part = std::function<void(Communicator&)>;

Operation::Launch grouped(std::vector<Part> parts) {
  return [parts = std::move(parts)](Communicator& comm, Operation::Mode mode) -> paceline::Work {
    comm.group_begin();
    try {
      for (const Part& part : parts) part(comm);
    } catch (...) {
      // What was collected runs, here as on the other ranks; only then can the group be left.
      comm.group_end();
      throw;
    }
    if (mode == Operation::Mode::start) return comm.group_end_async();
    comm.group_end();
    return {};
  };
}

void check_same_number(const Tensors& a, const Tensors& b, const char* what) {
  if (a.size() == b.size()) return;
  refuse(std::string(what) + ": " + std::to_string(a.size()) + " outputs and " +
         std::to_string(b.size()) + " inputs; there must be as many of both");
}

void check_parts(const at::Tensor& whole, const at::Tensor& part, int size, const char* what) {
  if (whole.scalar_type() != part.scalar_type()) {
    refuse(std::string(what) + ": input and output are of different dtypes");
  }
  if (whole.numel() == part.numel() * size) return;
  refuse(std::string(what) + ": the tensors have " + std::to_string(whole.numel()) + " and " +
         std::to_string(part.numel()) + " elements; with " + std::to_string(size) +
         " ranks the one must have " + std::to_string(size) + " times as many as the other");
}

}  // namespace

void ProcessGroupPaceline::startCoalescing() {
  coalesced_.emplace();
}

WorkPtr ProcessGroupPaceline::endCoalescing() {
  if (!coalesced_) refuse("endCoalescing() was called without startCoalescing() before it");
  auto parts = std::exchange(coalesced_, std::nullopt);
  return Joined::make(getRank(), std::move(*parts));
}

WorkPtr ProcessGroupPaceline::allreduce_coalesced(Tensors& tensors,
                                                  const c10d::AllreduceCoalescedOptions& options) {
  Operation::Call call;
  call.type = c10d::OpType::ALLREDUCE_COALESCED;
  call.name = "paceline:all_reduce_coalesced";
  call.results = tensors;
  const Reduction op = reduction_of(options.reduceOp);
  std::vector<Part> parts;
  for (const at::Tensor& tensor : tensors) {
    check_dense(tensor, "a tensor of all_reduce_coalesced");
    const Elements e = to_reduce(tensor, options.reduceOp);
    parts.emplace_back(
        [e, op](Communicator& comm) { comm.all_reduce(e.data, e.data, e.count, e.type, op); });
  }
  call.launch = grouped(std::move(parts));
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::allgather_into_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) {
  check_same_number(outputs, inputs, "all_gather_into_tensor_coalesced");
  Operation::Call call;
  call.type = c10d::OpType::COALESCED;  // torch 2.11 has no type of its own for it
  call.name = "paceline:all_gather_coalesced";
  call.results = outputs;
  std::vector<Part> parts;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_contiguous(outputs[i], "an output of all_gather_into_tensor_coalesced");
    const at::Tensor in = packed(inputs[i], "an input of all_gather_into_tensor_coalesced");
    check_parts(outputs[i], in, getSize(), "all_gather_into_tensor_coalesced");
    call.kept.push_back(in);
    parts.emplace_back([from = to_move(in), out = outputs[i].data_ptr()](Communicator& comm) {
      comm.all_gather(from.data, out, from.count, from.type);
    });
  }
  call.launch = grouped(std::move(parts));
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::reduce_scatter_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::ReduceScatterOptions& options) {
  check_same_number(outputs, inputs, "reduce_scatter_tensor_coalesced");
  Operation::Call call;
  call.type = c10d::OpType::COALESCED;
  call.name = "paceline:reduce_scatter_coalesced";
  call.results = outputs;
  const Reduction op = reduction_of(options.reduceOp);
  std::vector<Part> parts;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_contiguous(outputs[i], "an output of reduce_scatter_tensor_coalesced");
    const at::Tensor in = packed(inputs[i], "an input of reduce_scatter_tensor_coalesced");
    check_parts(in, outputs[i], getSize(), "reduce_scatter_tensor_coalesced");
    call.kept.push_back(in);
    const Elements to = to_reduce(outputs[i], options.reduceOp);
    parts.emplace_back([from = in.data_ptr(), to, op](Communicator& comm) {
      comm.reduce_scatter(from, to.data, to.count, to.type, op);
    });
  }
  call.launch = grouped(std::move(parts));
  return submit(std::move(call), options.timeout, options.asyncOp);
}

WorkPtr ProcessGroupPaceline::allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                                                  const c10d::AllgatherOptions& options) {
  if (outputs.size() != static_cast<std::size_t>(getSize())) {
    refuse("all_gather_coalesced: " + std::to_string(outputs.size()) +
           " lists of outputs; there must be one for each of the " + std::to_string(getSize()) +
           " ranks");
  }
  Operation::Call call;
  call.type = c10d::OpType::ALLGATHER_COALESCED;
  call.name = "paceline:all_gather_coalesced";
  std::vector<Part> parts;
  std::vector<std::function<void()>> copies;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensors list;  // the outputs of this input, one from each rank
    for (const Tensors& of_rank : outputs) {
      check_same_number(of_rank, inputs, "all_gather_coalesced");
      list.push_back(of_rank[i]);
    }
    const at::Tensor in = packed(inputs[i], "an input of all_gather_coalesced");
    const Flat flat = room_for(list, "an output of all_gather_coalesced");
    check_parts(flat.tensor, in, getSize(), "all_gather_coalesced");
    if (!flat.even) refuse("all_gather_coalesced: outputs of one input have different lengths");
    call.kept.insert(call.kept.end(), {in, flat.tensor});
    copies.emplace_back([flat, list] { unpack(flat, list); });
    parts.emplace_back([from = to_move(in), out = flat.tensor.data_ptr()](Communicator& comm) {
      comm.all_gather(from.data, out, from.count, from.type);
    });
  }
  for (const Tensors& of_rank : outputs) {
    call.results.insert(call.results.end(), of_rank.begin(), of_rank.end());
  }
  call.afterwards = [copies = std::move(copies)] {
    for (const auto& copy : copies) copy();
  };
  call.launch = grouped(std::move(parts));
  return submit(std::move(call), options.timeout, options.asyncOp);
}

}  // namespace paceline::torch_backend
