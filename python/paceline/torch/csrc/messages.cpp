// Sends and recvs.
#include "errors.h"
#include "process_group.h"
#include "tensors.h"

namespace paceline::torch_backend {

WorkPtr ProcessGroupPaceline::send(Tensors& tensors, int peer, int tag) {
  const at::Tensor in = packed(only(tensors, "the tensor of send"), "the tensor of send");
  const Elements e = to_move(in);
  Operation::Call call;
  call.type = c10d::OpType::SEND;
  call.name = "paceline:send";
  call.results = {in};
  call.launch = [e, peer, tag](Communicator& comm, Operation::Mode) {
    return comm.send_async(e.data, e.count, e.type, peer, tag);
  };
  return submit_message(std::move(call));
}

WorkPtr ProcessGroupPaceline::recv(Tensors& tensors, int peer, int tag) {
  const at::Tensor& out = only(tensors, "the tensor of recv");
  check_contiguous(out, "the tensor of recv");
  const Elements e = to_move(out);
  Operation::Call call;
  call.type = c10d::OpType::RECV;
  call.name = "paceline:recv";
  call.results = {out};
  call.launch = [e, peer, tag](Communicator& comm, Operation::Mode) {
    return comm.recv_async(e.data, e.count, e.type, peer, tag);
  };
  return submit_message(std::move(call));
}

WorkPtr ProcessGroupPaceline::recvAnysource(Tensors&, int) {
  refuse("paceline cannot receive from any rank: name the source, recv(tensor, src=...)");
}

}  // namespace paceline::torch_backend
