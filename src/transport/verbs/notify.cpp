#include "transport_verbs/notify.h"

#include <cstring>

namespace paceline::transport::verbs {
namespace {

class ImmediateNotifier final : public Notifier {
 public:
  explicit ImmediateNotifier(const NotifyPlaces& places) : places_(places) {}

  [[nodiscard]] std::uint32_t requests() const override { return 1; }

  void tell(Posting& posting, Immediate note) override {
    if (posting.count == 0) posting.write({}, places_.peer_address, places_.peer_key, false);
    ibv_send_wr& request = posting.requests[posting.count - 1];
    request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    request.imm_data = to_wire(note);
  }

  // A receive is only the place of a notification: it needs no memory.
  void prepare(ibv_recv_wr& /*receive*/, ibv_sge& /*piece*/,
               std::uint32_t /*slot*/) const override {}

  [[nodiscard]] std::optional<Immediate> read(const ibv_wc& completion,
                                              std::uint32_t /*slot*/) const override {
    if ((completion.wc_flags & IBV_WC_WITH_IMM) == 0) return std::nullopt;
    return from_wire(completion.imm_data);
  }

 private:
  NotifyPlaces places_;
};

class SendNotifier final : public Notifier {
 public:
  explicit SendNotifier(const NotifyPlaces& places) : places_(places) {}

  [[nodiscard]] std::uint32_t requests() const override { return 2; }

  void tell(Posting& posting, Immediate note) override {
    // As many slots as the send queue has requests: when ours is taken again, the send that used it
    // before is done.
    std::byte* slot = places_.outgoing + told_++ % places_.outgoing_slots * kNoteBytes;
    const std::uint32_t wire = to_wire(note);
    std::memcpy(slot, &wire, kNoteBytes);
    ibv_send_wr& request = posting.add(IBV_WR_SEND);
    posting.note = {reinterpret_cast<std::uint64_t>(slot), kNoteBytes, places_.local_key};
    request.sg_list = &posting.note;
    request.num_sge = 1;
    if (kNoteBytes <= places_.inline_bytes) request.send_flags = IBV_SEND_INLINE;
  }

  void prepare(ibv_recv_wr& receive, ibv_sge& piece, std::uint32_t slot) const override {
    piece = {reinterpret_cast<std::uint64_t>(incoming(slot)), kNoteBytes, places_.local_key};
    receive.sg_list = &piece;
    receive.num_sge = 1;
  }

  [[nodiscard]] std::optional<Immediate> read(const ibv_wc& completion,
                                              std::uint32_t slot) const override {
    if (completion.opcode != IBV_WC_RECV || completion.byte_len != kNoteBytes) return std::nullopt;
    std::uint32_t wire = 0;
    std::memcpy(&wire, incoming(slot), kNoteBytes);
    return from_wire(wire);
  }

 private:
  [[nodiscard]] std::byte* incoming(std::uint32_t slot) const {
    return places_.incoming + std::size_t{slot} * kNoteBytes;
  }

  NotifyPlaces places_;
  std::uint64_t told_ = 0;
};

}  // namespace

std::unique_ptr<Notifier> make_notifier(Notify way, const NotifyPlaces& places) {
  switch (way) {
    case Notify::write_with_immediate:
      return std::make_unique<ImmediateNotifier>(places);
    case Notify::write_then_send:
      return std::make_unique<SendNotifier>(places);
  }
  return nullptr;
}

}  // namespace paceline::transport::verbs
