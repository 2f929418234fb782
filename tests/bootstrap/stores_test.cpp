#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "paceline/error.h"
#include "paceline/store.h"
#include "support.h"

namespace paceline {
namespace {

using bootstrap::contains;
using std::chrono::milliseconds;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "paceline-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// What every Store does.
void check_contract(Store& store) {
  const std::string value("any\0bytes\xff", 10);
  store.set("paceline/a b/../rank0", value);
  EXPECT_EQ(store.get("paceline/a b/../rank0", milliseconds(1000)), value);
  store.set(std::string(300, 'k'), "");
  EXPECT_EQ(store.get(std::string(300, 'k'), milliseconds(1000)), "");
  EXPECT_THROW(store.set("paceline/a b/../rank0", "again"), Error);
  EXPECT_EQ(store.get("paceline/a b/../rank0", milliseconds(0)), value);
  try {
    (void)store.get("missing", milliseconds(30));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::timeout);
    EXPECT_TRUE(contains(e.what(), "missing")) << e.what();
  }
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    store.set("late", "came");
  });
  EXPECT_EQ(store.get("late", milliseconds(10'000)), "came");
  writer.join();
}

TEST(ProcessStore, KeepsTheContract) {
  check_contract(*make_process_store());
}

TEST(FileStore, KeepsTheContract) {
  const TemporaryDirectory directory;
  check_contract(*make_file_store(directory.path() / "made"));
  // No drafts are left behind.
  for (const auto& entry : std::filesystem::directory_iterator(directory.path() / "made")) {
    EXPECT_FALSE(contains(entry.path().filename(), "draft")) << entry.path();
  }
}

TEST(FileStore, RefusesADirectoryThatOthersCanRead) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  EXPECT_THROW((void)make_file_store(directory.path()), Error);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0700), 0);
  EXPECT_NO_THROW((void)make_file_store(directory.path()));
  EXPECT_THROW((void)make_file_store(directory.path() / "no" / "parent"), Error);
}

// Of three ranks rank 0 has not come yet.
TEST(FileStore, ThatVanishesWhileRanksWaitIsSaidAtOnce) {
  const bootstrap::TimeLimit limit(std::chrono::seconds(100));
  const TemporaryDirectory parent;
  const auto directory = parent.path() / "store";
  const auto store = make_file_store(directory);
  std::thread remover([&] {
    std::this_thread::sleep_for(milliseconds(100));
    std::filesystem::remove_all(directory);
  });
  auto configs = bootstrap::configs_of(3);
  configs.erase(configs.begin());
  const auto begin = std::chrono::steady_clock::now();
  const auto ranks = bootstrap::create_all(configs, store);
  remover.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
  for (const auto& rank : ranks) {
    ASSERT_TRUE(rank.error);
    EXPECT_EQ(rank.error->code(), ErrorCode::bootstrap_failed);
    EXPECT_TRUE(contains(bootstrap::text_of(rank.error),
                         "the file store cannot find its directory, which it had when it was "
                         "opened, " +
                             directory.string() + ": No such file or directory"))
        << bootstrap::text_of(rank.error);
  }
  // Nor can rank 0 come any more.
  EXPECT_THROW(store->set("key", "value"), Error);
}

class BrokenStore final : public Store {
 public:
  void set(const std::string&, const std::string&) override {
    throw std::runtime_error("connection to the key-value server lost");
  }
  std::string get(const std::string&, milliseconds) override {
    throw std::runtime_error("connection to the key-value server lost");
  }
};

TEST(CallersStore, WhatItThrowsIsSaidWithTheKey) {
  const bootstrap::TimeLimit limit(std::chrono::seconds(100));
  for (const auto& rank :
       bootstrap::create_all(bootstrap::configs_of(2), std::make_shared<BrokenStore>())) {
    ASSERT_TRUE(rank.error);
    EXPECT_EQ(rank.error->code(), ErrorCode::bootstrap_failed);
    EXPECT_TRUE(contains(bootstrap::text_of(rank.error),
                         "/rank0\": connection to the key-value server lost"))
        << bootstrap::text_of(rank.error);
  }
}

TEST(FileStore, RanksMeetInIt) {
  const bootstrap::TimeLimit limit(std::chrono::seconds(100));
  const TemporaryDirectory directory;
  auto ranks = bootstrap::create_all(bootstrap::configs_of(3), make_file_store(directory.path()));
  bootstrap::expect_all_met(ranks);
  bootstrap::expect_gathers(ranks, "file");
}

}  // namespace
}  // namespace paceline
