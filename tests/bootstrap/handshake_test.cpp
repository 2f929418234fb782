#include "bootstrap/handshake.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace paceline::bootstrap {
namespace {

constexpr char kSecret[] = "sixteen bytes or more";

Hello sample() {
  Hello hello;
  hello.purpose = Purpose::link;
  hello.name = "world";
  hello.from = 3;
  hello.to = 1;
  hello.size = 4;
  hello.body = LinkHello{7, 2, 1, 2}.encode();
  return hello;
}

TEST(Handshake, SucceedsWithTheSameSecret) {
  DialerHandshake dialer(kSecret, sample());
  ListenerHandshake listener(kSecret, to_bytes("session"));
  const auto challenge = listener.on_hello(dialer.hello_payload());
  ASSERT_TRUE(challenge);
  ASSERT_EQ(dialer.on_challenge(*challenge), DialerHandshake::Outcome::good);
  EXPECT_EQ(dialer.info(), to_bytes("session"));
  EXPECT_TRUE(listener.on_proof(dialer.proof_payload()));
  EXPECT_EQ(listener.hello().from, 3U);
  EXPECT_EQ(LinkHello::decode(listener.hello().body)->index, 1);
}

TEST(Handshake, EitherSideNoticesAnotherSecret) {
  DialerHandshake dialer(kSecret, sample());
  ListenerHandshake listener("another secret, of others", {});
  const auto challenge = listener.on_hello(dialer.hello_payload());
  EXPECT_EQ(dialer.on_challenge(*challenge), DialerHandshake::Outcome::wrong_secret);
  EXPECT_FALSE(listener.on_proof(dialer.proof_payload()));  // empty
  EXPECT_FALSE(listener.on_proof(Bytes(kMacBytes)));
}

TEST(Handshake, NeitherProofNorChallengeCanBeUsedElsewhere) {
  DialerHandshake dialer(kSecret, sample());
  ListenerHandshake listener(kSecret, {});
  const auto challenge = listener.on_hello(dialer.hello_payload());
  ASSERT_EQ(dialer.on_challenge(*challenge), DialerHandshake::Outcome::good);

  // Replayed to a listener that drew another nonce, with the same hello.
  ListenerHandshake second(kSecret, {});
  ASSERT_TRUE(second.on_hello(dialer.hello_payload()));
  EXPECT_FALSE(second.on_proof(dialer.proof_payload()));

  // The listener's own MAC sent back as a proof.
  const Bytes reflected(challenge->end() - kMacBytes, challenge->end());
  EXPECT_FALSE(listener.on_proof(reflected));

  // A challenge for one dialer given to another.
  DialerHandshake other(kSecret, sample());
  EXPECT_EQ(other.on_challenge(*challenge), DialerHandshake::Outcome::wrong_secret);

  // A changed info, a changed hello.
  Bytes changed = *challenge;
  changed[kNonceBytes + 3] = std::byte{1};
  EXPECT_NE(dialer.on_challenge(changed), DialerHandshake::Outcome::good);
  Bytes hello = dialer.hello_payload();
  hello.back() ^= std::byte{1};
  ListenerHandshake third(kSecret, {});
  if (const auto answer = third.on_hello(hello)) {
    EXPECT_EQ(dialer.on_challenge(*answer), DialerHandshake::Outcome::wrong_secret);
  }
}

TEST(Handshake, MalformedPayloadsAreTold) {
  ListenerHandshake listener(kSecret, {});
  EXPECT_FALSE(listener.on_hello({}));
  EXPECT_FALSE(listener.on_hello(Bytes(kNonceBytes)));
  EXPECT_FALSE(listener.on_hello(Bytes(kMaxStrangerPayload, std::byte{0xff})));
  EXPECT_FALSE(listener.on_proof({}));
  DialerHandshake dialer(kSecret, sample());
  EXPECT_EQ(dialer.on_challenge(Bytes(5)), DialerHandshake::Outcome::malformed);
}

TEST(Messages, EveryPrefixOfAMessageIsRefused) {
  MemberRecord record{3, 99, "node", "boot:net", {resolve("127.0.0.1:80").front()}, "paceline-x"};
  Table table{{record, record}};
  FailureNotice notice{ErrorCode::timeout, 1, -1, 17, "late"};
  const Bytes bytes = to_bytes("payload");
  const auto all_prefixes = [](const Bytes& whole, const auto& decodes) {
    EXPECT_TRUE(decodes(whole));
    for (std::size_t n = 0; n < whole.size(); ++n) {
      EXPECT_FALSE(decodes(ConstBytes(whole).first(n))) << n << " of " << whole.size();
    }
    Bytes longer = whole;
    longer.push_back({});
    EXPECT_FALSE(decodes(longer));
  };
  all_prefixes(sample().encode(), [](ConstBytes b) { return Hello::decode(b).has_value(); });
  all_prefixes(table.encode(), [](ConstBytes b) { return Table::decode(b).has_value(); });
  all_prefixes(encode_notice(notice), [](ConstBytes b) { return decode_notice(b).has_value(); });
  all_prefixes(Block{1, 2, 3, bytes}.encode(), [](ConstBytes b) {
    WireReader in(b);
    return Block::decode(in) && in.finished();
  });
  all_prefixes(RendezvousFailure{ErrorCode::timeout, -1, "x"}.encode(),
               [](ConstBytes b) { return RendezvousFailure::decode(b).has_value(); });
  all_prefixes(Refusal{RefusalCode::malformed, "x"}.encode(),
               [](ConstBytes b) { return Refusal::decode(b).has_value(); });
}

TEST(Messages, NoticesKeepTheirFieldsAndShortenTheirText) {
  FailureNotice notice{ErrorCode::mismatch, 4, 2, 1234567890123, std::string(3000, 'x')};
  const auto back = decode_notice(encode_notice(notice));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->code, ErrorCode::mismatch);
  EXPECT_EQ(back->origin, 4);
  EXPECT_EQ(back->culprit, 2);
  EXPECT_EQ(back->sequence, 1234567890123U);
  EXPECT_EQ(back->text.size(), 1000U);
  EXPECT_EQ(shortened("a\xc3\xa4", 2), "a");
}

TEST(Addresses, RootIsParsedOrRefusedInWords) {
  EXPECT_EQ(resolve("127.0.0.1:5000").front().text(), "127.0.0.1:5000");
  EXPECT_EQ(resolve("[::1]:5000").front().text(), "[::1]:5000");
  EXPECT_TRUE(resolve("[::1]:5000").front().loopback());
  EXPECT_FALSE(resolve("10.0.0.1:1").front().loopback());
  for (const char* bad : {"", "host", ":5000", "::1:5000", "127.0.0.1:", "127.0.0.1:0",
                          "127.0.0.1:65536", "127.0.0.1:12x", "0.0.0.0:5000", "[::]:5000"}) {
    EXPECT_THROW((void)resolve(bad), Error) << bad;
  }
  try {
    (void)interface_address("no-such-interface", AF_UNSPEC);
    FAIL();
  } catch (const Error& e) {
    EXPECT_TRUE(contains(e.what(), "does not exist; there are: ")) << e.what();
    EXPECT_TRUE(contains(e.what(), "lo")) << e.what();
  }
  EXPECT_TRUE(interface_address("lo", AF_INET).loopback());
}

TEST(HostId, IsStableAndNotEmpty) {
  EXPECT_EQ(default_host_id(), default_host_id());
  EXPECT_TRUE(contains(default_host_id(), ":net:["));
}

}  // namespace
}  // namespace paceline::bootstrap
