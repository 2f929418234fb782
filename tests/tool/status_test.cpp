// `paceline status` of this very process, whose ranks are threads.
#include <unistd.h>

#include <atomic>
#include <future>
#include <sstream>
#include <utility>

#include "support/world.h"
#include "tool/door.h"
#include "tool/program.h"

namespace paceline::tool {
namespace {

using testing_support::expect_error;
using testing_support::run_world;

struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

Said status(const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"status"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::ostringstream out;
  std::ostringstream err;
  const int code = run(all, out, err);
  return {code, out.str(), err.str()};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Status, ListsAndDescribesRanksThatGoOn) {
  // The others are in no call until rank 1 has asked: one that takes a second gets a verdict.
  std::promise<void> asking;
  const std::shared_future<void> asked = asking.get_future();
  run_world(3, [&](Communicator& comm) {
    comm.barrier();
    comm.barrier();
    if (comm.rank() == 1) {
      const std::promise<void> until_it_goes = std::move(asking);
      const std::string pid = std::to_string(::getpid());
      const Said list = status({});
      EXPECT_EQ(list.code, kFine) << list.err;
      EXPECT_TRUE(has(list.out, "pid " + pid + "  rank ")) << list.out;
      const Json answer = ask_process(::getpid(), false);
      ASSERT_EQ(answer["communicators"].size(), 3u) << "one for each rank of this process";
      const auto job = answer["communicators"][0]["job"].get<std::string>();
      EXPECT_EQ(job.size(), 8u);
      const Said all = status({job});
      EXPECT_EQ(all.code, kFine) << all.out << all.err;
      EXPECT_TRUE(has(all.out, "communicator \"world\", job " + job + ", 3 ranks\n")) << all.out;
      EXPECT_TRUE(has(all.out, "pid " + pid + ")  ")) << all.out;
      EXPECT_FALSE(has(all.out, "verdict")) << all.out;
      const Json json = Json::parse(status({"--json", pid}).out);
      EXPECT_EQ(json["communicators"][0]["ranks"].size(), 3u);
    } else {
      asked.wait();
    }
    comm.barrier();
  });
}

TEST(Status, NamesWhoHoldsUpTheOthers) {
  std::atomic<bool> asked{false};
  run_world(3, [&](Communicator& comm) {
    comm.barrier();
    if (comm.rank() != 2) return comm.barrier();
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    const Said said = status({std::to_string(::getpid())});
    asked = true;
    EXPECT_EQ(said.code, kTrouble);
    EXPECT_TRUE(has(said.out, "in call #1, barrier(): waits for rank ")) << said.out;
    EXPECT_TRUE(has(said.out, "has finished call #0, barrier(); quiet for ")) << said.out;
    EXPECT_TRUE(has(said.out, "verdict: rank 2 (")) << said.out;
    EXPECT_TRUE(has(said.out, "has not made call #1, barrier(), in which ranks 0 and 1 wait"))
        << said.out;
    comm.barrier();  // nobody was disturbed
  });
  EXPECT_TRUE(asked);
}

TEST(Status, TellsOfAFailure) {
  run_world(2, [](Communicator& comm) {
    (void)expect_error([&] {
      for (;;) {
        comm.barrier();
        if (comm.rank() == 0) comm.abort("for the test");
      }
    });
    const Said said = status({std::to_string(::getpid())});
    EXPECT_EQ(said.code, kTrouble);
    EXPECT_TRUE(has(said.out, "aborted the communicator: for the test")) << said.out;
    (void)comm.survivors();  // both have asked before one leaves
  });
}

TEST(Status, OfNobodySaysWhatToDo) {
  const Said said = status({"1"});
  EXPECT_EQ(said.code, kInterrupted);
  EXPECT_TRUE(has(said.err, "\"1\" is neither a process of this machine")) << said.err;
  EXPECT_TRUE(has(said.err, "`paceline status` lists both")) << said.err;
}

}  // namespace
}  // namespace paceline::tool
