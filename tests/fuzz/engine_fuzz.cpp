// Rank 0's engine in calls with a rank 1 that is played by the input: it says what it likes, in
// order or not, over the simulated wire. The call ends, fails with an Error, or waits; nothing else
// happens.
#include "engine/engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "fuzz/input.h"
#include "transport_sim/sim_fabric.h"

namespace paceline::engine {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr std::size_t kMostElements = 600;
constexpr std::array kAlgorithms = {Algorithm::ring, Algorithm::recursive_doubling,
                                    Algorithm::direct, Algorithm::binomial};

class World final : public Peers {
 public:
  explicit World(std::uint8_t features)
      : fabric_(options(features)),
        ours_(fabric_.make_transport(0)),
        theirs_(fabric_.make_transport(1)),
        registrar_(
            std::make_shared<memory::Registrar>(std::vector<transport::Transport*>{ours_.get()},
                                                std::make_shared<std::recursive_mutex>())) {
    std::tie(at_us_, at_them_) = transport::link_ranks(*ours_, 0, *theirs_, 1);
    registered_ = theirs_->register_memory({memory_.data(), memory_.size()});
    PlanOptions plan;
    plan.size = 2;
    plan.eager_bytes = 256;
    plan.segment_bytes = 512;
    plan.fetch_bytes = 64;
    plan.lanes = 3;
    engine_ = std::make_unique<Engine>(plan, 100 * kSecond, *this, registrar_);
  }
  ~World() override {
    engine_.reset();
    registrar_->close(memory::Registrar::Sever::no);
  }

  transport::Endpoint* endpoint(int) override { return at_us_.get(); }
  bool linked(int) override { return true; }
  std::size_t transport_of(int) override { return 0; }
  std::string name(int peer) override { return "rank " + std::to_string(peer); }

  // Another call of ours, after those that are under way.
  void call(Input& input) {
    const Algorithm algorithm = kAlgorithms[input.byte() % kAlgorithms.size()];
    const bool broadcast = algorithm == Algorithm::binomial;
    last_ = {broadcast ? Collective::broadcast : Collective::all_reduce,
             DataType::float64,
             ReduceOp::sum,
             algorithm,
             broadcast ? input.byte() % 2 : 0,
             input.word() % kMostElements};
    buffers_.push_back(std::make_unique<std::array<double, kMostElements>>());
    auto* const bytes = reinterpret_cast<std::byte*>(buffers_.back()->data());
    operations_.push_back(engine_->submit(last_, {bytes, bytes}));
  }

  // A message whose header fits our latest call, but for what the input changes.
  void say(Input& input) {
    const auto kind = static_cast<MessageKind>(1 + input.byte() % 2);
    const std::uint32_t number = input.byte() % 8;
    const std::uint64_t sequence = input.byte() % 4;
    Call call = last_;
    if (input.byte() == 1) call.count = input.word();
    std::array<std::byte, kAnnouncementBytes> told;
    ConstBytes payload;
    if (kind == MessageKind::announcement) {
      announcement(input).write(reinterpret_cast<std::byte(&)[kAnnouncementBytes]>(*told.data()));
      payload = told;
    } else {
      payload = input.take(input.word() % 300);
    }
    const std::size_t claimed = payload.size() + (input.byte() == 1 ? input.byte() : 0);
    const Header header = Header::make(kind, claimed, number, sequence, call);
    (void)at_them_->send(header.bytes(), payload);
  }
  void say_anything(Input& input) {
    const ConstBytes bytes = input.take(1 + input.byte());
    if (!bytes.empty()) (void)at_them_->send(bytes, {});
  }
  // A send or recv of ours.
  void message_call(Input& input) {
    const auto kind = input.byte() % 2 == 0 ? CallKind::send : CallKind::recv;
    buffers_.push_back(std::make_unique<std::array<double, kMostElements>>());
    auto* const bytes = reinterpret_cast<std::byte*>(buffers_.back()->data());
    const int peer = input.byte() % 4 == 0 ? 0 : 1;
    const MessageCall call{kind, DataType::float64, peer, input.byte() % 3,
                           input.word() % kMostElements};
    messages_.push_back(engine_->submit(call, kind == CallKind::send ? bytes : nullptr,
                                        kind == CallKind::recv ? bytes : nullptr));
  }

  // The peer's part in making the channel: where our cell is, or where its ring is. Its memory has
  // the cell at its start and the ring behind.
  void make_channel(Input& input) {
    const auto start = reinterpret_cast<std::uint64_t>(memory_.data());
    if (input.byte() % 2 == 0) {
      const std::uint64_t words[2] = {network_order(start), network_order(registered_->key())};
      const Header header = Header::make(MessageKind::cell, sizeof words, 0, 0, Call{});
      (void)at_them_->send(header.bytes(), std::as_bytes(std::span(words)));
      return;
    }
    if (our_cell_.key == transport::kNoKey) return;
    const bool right = input.byte() != 1;
    const std::uint64_t words[3] = {network_order(0x504c4352'00000001u + (right ? 0 : 1)),
                                    network_order(start + kCellBytes + (right ? 0 : 1 << 16)),
                                    network_order(registered_->key())};
    put_later(kRecordLane, std::as_bytes(std::span(words)), our_cell_);
  }

  // A record, or data, where we expect it, that fits or does not.
  void tell(Input& input) {
    std::uint64_t note[3];
    std::memcpy(note, memory_.data(), sizeof note);
    if (note[0] == 0) return;  // we have not said where our ring is
    transport::RemoteAddress ring{network_order(note[1]), network_order(note[2])};
    const std::uint8_t choice = input.byte();
    if (choice % 4 == 0) {
      put_later(kDataLane, input.take(input.byte()), {ring.address + input.byte(), ring.key});
      return;
    }
    Record record;
    record.kind = static_cast<RecordKind>(choice / 4 % 6);
    record.type = input.byte() % 8 == 0 ? static_cast<DataType>(input.byte()) : DataType::float64;
    record.staged = input.byte() % 2 == 1;
    record.tag = input.byte() % 3;
    record.number = input.byte() % 8 == 0 ? input.word() : told_;
    record.count = input.byte() % 8 == 0 ? ~std::uint64_t{input.word()} : input.byte() % 64;
    record.progress = {input.word(), input.byte() % 64u * 64, input.byte() % 4u};
    if (input.byte() % 4 != 0) record.progress = {};
    record.target = place(input);
    const std::size_t data =
        record.kind == RecordKind::eager ? std::min<std::uint64_t>(record.count * 8, 512) : 0;
    Bytes bytes(kRecordBytes + data);
    record.write(bytes.data());
    const ConstBytes payload = input.take(data);
    std::copy(payload.begin(), payload.end(), bytes.begin() + kRecordBytes);
    told_ += record.kind == RecordKind::eager || record.kind == RecordKind::offer ? 1 : 0;
    put_later(kRecordLane, bytes, {ring.address + ring_at_, ring.key});
    ring_at_ += (bytes.size() + 63) / 64 * 64;
    if (ring_at_ >= kRing) ring_at_ = 0;
  }

  void signal(Input& input) { (void)at_them_->signal(input.byte() % transport::kMaxLanes); }

  void go_on() {
    for (int i = 0; i < 4 && fabric_.advance(); ++i) {
      ours_->progress();
      while (engine_->poll(fabric_.now() + 1)) ours_->progress();
      engine_->examine_stall(fabric_.now() + 1);
      if (!at_them_->front().empty()) hear();
    }
  }

  // As the communicator does with the first error: everything that is under way fails with it.
  void fail(const Error& error) {
    engine_->fail(error);
    for (const auto& operation : operations_) {
      require(operation->finished(), "after a failure every call is finished");
    }
    for (const auto& message : messages_) {
      require(message->finished(), "after a failure every send and recv is finished");
    }
  }

 private:
  static transport::SimOptions options(std::uint8_t features) {
    transport::SimOptions o;
    o.ranks_per_host = 2;
    o.mappable = (features & 1) != 0;
    o.gettable = (features & 2) != 0;
    return o;
  }

  // The peer hears of us what it needs: where its cell is.
  void hear() {
    const ConstBytes message = at_them_->front();
    if (message.size() == kHeaderBytes + kAddressBytes &&
        Header::read(message.data()).kind() == MessageKind::cell) {
      our_cell_ = read_address(message.data() + kHeaderBytes);
    }
    at_them_->pop();
  }
  // A put's source stays as it is.
  void put_later(transport::Lane lane, ConstBytes bytes, transport::RemoteAddress target) {
    sources_.emplace_back(bytes.begin(), bytes.end());
    (void)at_them_->put(lane, sources_.back(), nullptr, target);
  }

  // Where the peer's buffers are: in its memory, near it, or nowhere.
  transport::RemoteAddress place(Input& input) const {
    const std::uint8_t choice = input.byte();
    if (choice % 4 == 0) return {};
    const auto start = reinterpret_cast<std::uint64_t>(memory_.data());
    return {start + input.word(), registered_->key() + (choice % 4 == 1 ? 1 : 0)};
  }
  Announcement announcement(Input& input) const {
    Announcement told{place(input), place(input), place(input), 0, 0};
    told.turn_stride = input.word();
    told.shadow_offset = input.word();
    told.turns = input.byte();
    if (input.byte() == 1) told.turn_stride = ~told.turn_stride;
    if (input.byte() == 1) told.shadow_offset = ~told.shadow_offset;
    return told;
  }

  transport::SimFabric fabric_;
  std::unique_ptr<transport::Transport> ours_;
  std::unique_ptr<transport::Transport> theirs_;
  std::shared_ptr<memory::Registrar> registrar_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(1 << 17);
  std::unique_ptr<transport::Registration> registered_;
  std::unique_ptr<transport::Endpoint> at_us_;
  std::unique_ptr<transport::Endpoint> at_them_;
  std::vector<std::unique_ptr<std::array<double, kMostElements>>> buffers_;
  std::vector<std::shared_ptr<Operation>> operations_;
  std::vector<MessagePtr> messages_;
  transport::RemoteAddress our_cell_ = {};
  std::list<Bytes> sources_;
  std::uint64_t told_ = 0;
  std::size_t ring_at_ = 0;
  std::unique_ptr<Engine> engine_;
  Call last_ = {};
};

void run(Input input) {
  World world(input.byte());
  world.call(input);
  try {
    while (!input.empty()) {
      const std::uint8_t what = input.byte();
      if (what >= 0xc0) {  // sends and recvs
        switch (what % 4) {
          case 0:
            world.message_call(input);
            break;
          case 1:
            world.make_channel(input);
            break;
          default:
            world.tell(input);
        }
        continue;
      }
      switch (what % 6) {
        case 0:
          world.call(input);
          break;
        case 1:
          world.say_anything(input);
          break;
        case 2:
          world.signal(input);
          break;
        case 3:
        case 4:
          world.say(input);
          break;
        default:
          world.go_on();
      }
    }
    world.go_on();
  } catch (const Error& error) {
    require(*error.what() != '\0', "what fails says why");
    world.fail(error);
  }
}

}  // namespace
}  // namespace paceline::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  paceline::engine::run({data, size});
  return 0;
}
