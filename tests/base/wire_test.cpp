#include "base/wire.h"

#include <gtest/gtest.h>

namespace paceline {
namespace {

TEST(Wire, WhatWasWrittenIsRead) {
  WireWriter writer;
  writer.u8(0x12).u16(0x3456).u32(0x789abcde).u64(0x0123456789abcdefULL).text("hello").text("");
  WireReader reader(writer.bytes());
  EXPECT_EQ(reader.u8(), 0x12);
  EXPECT_EQ(reader.u16(), 0x3456);
  EXPECT_EQ(reader.u32(), 0x789abcdeU);
  EXPECT_EQ(reader.u64(), 0x0123456789abcdefULL);
  EXPECT_EQ(reader.text(5), "hello");
  EXPECT_EQ(reader.text(5), "");
  EXPECT_TRUE(reader.finished());
}

TEST(Wire, TheOrderOfBytesIsTheNetworks) {
  WireWriter writer;
  writer.u32(0x01020304);
  const Bytes expected = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  EXPECT_EQ(writer.bytes(), expected);
}

TEST(Wire, EveryTruncationIsNoticed) {
  WireWriter writer;
  writer.u16(1).u32(2).text("abc").u64(3);
  const Bytes whole = writer.take();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    WireReader reader(ConstBytes(whole).first(length));
    (void)reader.u16();
    (void)reader.u32();
    (void)reader.text(16);
    (void)reader.u64();
    EXPECT_FALSE(reader.ok()) << length;
    EXPECT_EQ(reader.u64(), 0U);
    EXPECT_FALSE(reader.finished());
  }
}

TEST(Wire, ABlobLongerThanTheLimitIsNotRead) {
  WireWriter writer;
  writer.text("12345");
  WireReader reader(writer.bytes());
  EXPECT_EQ(reader.text(4), "");
  EXPECT_FALSE(reader.ok());
}

TEST(Wire, ALengthBeyondTheEndIsNotBelieved) {
  WireWriter writer;
  writer.u32(0xffffffff).u8(1);
  WireReader reader(writer.bytes());
  EXPECT_TRUE(reader.blob(~std::size_t{0}).empty());
  EXPECT_FALSE(reader.ok());
}

TEST(Wire, WhatIsLeftOverIsNoticed) {
  WireWriter writer;
  writer.u8(1).u8(2);
  WireReader reader(writer.bytes());
  (void)reader.u8();
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.finished());
  EXPECT_EQ(reader.rest().size(), 1U);
}

}  // namespace
}  // namespace paceline
