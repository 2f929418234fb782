#include "base/host_port.h"

#include <gtest/gtest.h>

namespace paceline {
namespace {

TEST(HostPort, NamesAndAddresses) {
  EXPECT_EQ(host_port_from("localhost:29500"), (HostPort{"localhost", 29500}));
  EXPECT_EQ(host_port_from("10.0.0.1:1"), (HostPort{"10.0.0.1", 1}));
  EXPECT_EQ(host_port_from("[::1]:65535"), (HostPort{"::1", 65535}));
  EXPECT_EQ(host_port_from("[fe80::1%eth0]:7"), (HostPort{"fe80::1%eth0", 7}));
}

TEST(HostPort, WhatIsNeitherIsRefused) {
  for (const char* text :
       {"", ":", "host", "host:", ":1", "host:0", "host:65536", "host:-1", "host:+1", "host:1 ",
        "host:1x", "::1:5", "[]:5", "[::1]5", "[::1:5", "a b:5", "host:0x10"}) {
    EXPECT_EQ(host_port_from(text), std::nullopt) << text;
  }
}

TEST(HostPort, TextGoesBothWays) {
  for (const char* text : {"node-3.cluster:29500", "[2001:db8::1]:80", "127.0.0.1:9"}) {
    EXPECT_EQ(to_string(*host_port_from(text)), text);
  }
}

}  // namespace
}  // namespace paceline
