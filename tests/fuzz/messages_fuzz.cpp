// The payloads of the bootstrap, from strangers and from members. What is accepted says all there
// is to say: written out again it is the same bytes.
#include "bootstrap/messages.h"

#include "bootstrap/group_messages.h"
#include "bootstrap/handshake.h"
#include "bootstrap/secret.h"
#include "fuzz/input.h"

namespace paceline::bootstrap {
namespace {

using fuzz::Input;
using fuzz::require;

void require_same(const Bytes& written, ConstBytes read) {
  require(std::equal(written.begin(), written.end(), read.begin(), read.end()),
          "a message that was accepted is written as it was read");
}

template <class Message>
void read_message(ConstBytes bytes) {
  if (const std::optional<Message> message = Message::decode(bytes)) {
    require_same(message->encode(), bytes);
  }
}

// Texts that were cut in the middle of a character are accepted and would be cut shorter again, so
// records are only used.
void read_records(ConstBytes bytes) {
  WireReader in(bytes);
  if (const auto record = MemberRecord::decode(in)) {
    (void)record->who();
    (void)record->address_for(record->network).text();
  }
  if (const auto table = Table::decode(bytes)) {
    const auto again = Table::decode(table->encode());
    require(again && again->neighbours.size() == table->neighbours.size(),
            "a table that was accepted can be passed on");
  }
}

void read_notice(ConstBytes bytes) {
  const auto notice = decode_notice(bytes);
  if (!notice) return;
  require(notice->text.size() <= kMaxNoticeText, "a notice is within its limits");
  require(decode_notice(encode_notice(*notice)).has_value(), "a notice can be passed on");
}

// A frame has one or more of them.
void read_blocks(ConstBytes bytes) {
  WireReader in(bytes);
  Bytes written;
  while (const std::optional<Block> block = Block::decode(in)) {
    const Bytes one = block->encode();
    written.insert(written.end(), one.begin(), one.end());
  }
  require_same(written, bytes.first(written.size()));
}

// Nobody who does not know the secret gets past a handshake, on either side.
void shake_hands(Input& input) {
  const std::string secret = "sixteen bytes or more";
  Hello hello;
  hello.name = "world";
  DialerHandshake dialer(secret, hello);
  require(dialer.on_challenge(input.take(input.byte())) != DialerHandshake::Outcome::good,
          "a made-up challenge is not good");
  ListenerHandshake listener(secret, Bytes(input.byte() % kMaxInfo));
  const std::size_t length = input.word();
  (void)listener.on_hello(input.take(length));
  require(!listener.on_proof(input.rest()), "a made-up proof is not good");
}

void read_header(ConstBytes bytes) {
  Bytes header(bytes.begin(), bytes.end());
  header.resize(kHeaderBytes);
  const Header h = decode_header(header);
  if (h.magic != kMagic || h.version != kVersion || h.length > kMaxPayload) return;
  const Bytes frame = encode_frame(h.type, Bytes(h.length));
  require_same({frame.begin(), frame.begin() + kHeaderBytes}, header);
}

}  // namespace
}  // namespace paceline::bootstrap

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace paceline::bootstrap;
  paceline::fuzz::Input input(data, size);
  switch (input.byte() % 14) {
    case 0:
      read_message<Hello>(input.rest());
      break;
    case 1:
      read_message<LinkHello>(input.rest());
      break;
    case 2:
      if (const auto refusal = Refusal::decode(input.rest())) (void)refusal->encode();
      break;
    case 3:
      read_records(input.rest());
      break;
    case 4:
      if (const auto failure = RendezvousFailure::decode(input.rest())) (void)failure->encode();
      break;
    case 5:
      read_blocks(input.rest());
      break;
    case 6:
      read_notice(input.rest());
      break;
    case 7:
      shake_hands(input);
      break;
    case 8:
      read_header(input.rest());
      break;
    case 9:
      read_message<Inquiry>(input.rest());
      break;
    case 10:
      read_message<Answer>(input.rest());
      break;
    case 11:
      read_message<Gone>(input.rest());
      break;
    case 12:
      read_message<Decision>(input.rest());
      break;
    case 13:
      read_message<Note>(input.rest());
      break;
  }
  return 0;
}
