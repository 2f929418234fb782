#include "transport_verbs/completion_text.h"

#include <system_error>

namespace paceline::transport::verbs {

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

const char* probable_cause(ibv_wc_status status) {
  // An integer, so that statuses of newer libraries end up below and not in undefined behaviour.
  switch (static_cast<int>(status)) {
    case IBV_WC_RETRY_EXC_ERR:
      return "the peer does not answer: its process or host is gone, the GID is of a network that "
             "does not reach it, or full-size packets do not get through (MTU)";
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return "the peer had no receive posted, which is a defect of this library";
    case IBV_WC_REM_ACCESS_ERR:
      return "the put was outside of the peer's registered memory, or that registration is gone";
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_REM_OP_ERR:
      return "the peer's device refused the request";
    case IBV_WC_LOC_PROT_ERR:
      return "the source is not covered by its registration any more (or PCIe access control "
             "stands between device and memory)";
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_LOC_QP_OP_ERR:
      return "this side's device refused the request, which is a defect of this library";
    case IBV_WC_WR_FLUSH_ERR:
      return "the link had already failed; the peer should know why";
    case IBV_WC_FATAL_ERR:
      return "the device failed";
    default:
      return "see the device's documentation";
  }
}

AsyncTrouble async_trouble(ibv_event_type type) {
  using Scope = AsyncTrouble::Scope;
  switch (static_cast<int>(type)) {
    case IBV_EVENT_DEVICE_FATAL:
      return {Scope::device, "the device reports that it has failed"};
    case IBV_EVENT_CQ_ERR:
      return {Scope::completion_queue, "the completion queue overflowed or failed"};
    case IBV_EVENT_QP_FATAL:
      return {Scope::queue_pair, "the queue pair failed"};
    case IBV_EVENT_QP_REQ_ERR:
      return {Scope::queue_pair, "the peer sent an invalid request"};
    case IBV_EVENT_QP_ACCESS_ERR:
      return {Scope::queue_pair,
              "the peer put outside of this side's registered memory and was refused"};
    default:
      // A port that went down may come up again, and retries find out; the rest is news only.
      return {};
  }
}

}  // namespace paceline::transport::verbs
