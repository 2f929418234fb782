#include "base/caches.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace paceline {
namespace {

class CachesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("caches-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void add(int index, const std::string& type, const std::string& level, const std::string& size) {
    const std::filesystem::path cache = folder_ / ("index" + std::to_string(index));
    std::filesystem::create_directories(cache);
    std::ofstream(cache / "type") << type << "\n";
    std::ofstream(cache / "level") << level << "\n";
    std::ofstream(cache / "size") << size << "\n";
  }
  std::filesystem::path folder_;
};

TEST_F(CachesTest, AreWhatTheKernelSays) {
  add(0, "Data", "1", "32K");
  add(1, "Instruction", "1", "32K");
  add(2, "Unified", "2", "1024K");
  add(3, "Unified", "3", "32M");
  const Caches found = read_caches(folder_);
  EXPECT_EQ(found.second, std::size_t{1} << 20);
  EXPECT_EQ(found.last, std::size_t{32} << 20);
}

TEST_F(CachesTest, TheLastOneMayBeTheSecond) {
  add(0, "Data", "1", "48K");
  add(1, "Unified", "2", "2048K");
  EXPECT_EQ(read_caches(folder_).last, std::size_t{2} << 20);
}

TEST_F(CachesTest, WhatMakesNoSenseIsNotBelieved) {
  add(0, "Data", "1", "32K");
  add(1, "Unified", "2", "many");
  add(2, "Unified", "3", "");
  EXPECT_EQ(read_caches(folder_).last, std::size_t{32} << 10);
}

// Or whatever the C library says: it is asked then.
TEST_F(CachesTest, AFolderThatIsNotThereIsNoError) {
  (void)read_caches(folder_ / "nowhere");
}

}  // namespace
}  // namespace paceline
