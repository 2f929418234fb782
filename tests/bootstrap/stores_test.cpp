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

TEST(FileStore, RanksMeetInIt) {
  const bootstrap::TimeLimit limit(std::chrono::seconds(30));
  const TemporaryDirectory directory;
  auto ranks = bootstrap::create_all(bootstrap::configs_of(3), make_file_store(directory.path()));
  bootstrap::expect_all_met(ranks);
  bootstrap::expect_gathers(ranks, "file");
}

}  // namespace
}  // namespace paceline
