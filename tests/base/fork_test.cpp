// What a child of fork() finds.
#include "base/fork.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "base/service_thread.h"

namespace paceline {
namespace {

// Runs `body` in a child, which has ten seconds; its result.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(10);
    std::_Exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Fork, AMarkKnowsItsProcess) {
  const ProcessMark mark;
  EXPECT_FALSE(mark.foreign());
  EXPECT_EQ(in_child([&] { return mark.foreign() && !ProcessMark().foreign() ? 0 : 1; }), 0);
  EXPECT_FALSE(mark.foreign());
  const std::string text = mark.text("x");
  EXPECT_NE(text.find("x was made by pid " + std::to_string(::getpid())), std::string::npos);
}

TEST(Fork, TheChildHasNoDescriptorsOfTheServiceThread) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ServiceClient client;
  client.add(ends[1], 0, [](std::uint32_t) {});
  int sync[2];
  ASSERT_EQ(::pipe(sync), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(10);
    char byte = 0;
    (void)!::read(sync[0], &byte, 1);  // lives on
    std::_Exit(0);
  }
  client.remove(ends[1]);
  ::close(ends[1]);
  // With a copy in the child this would block.
  ::alarm(20);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::alarm(0);
  ASSERT_EQ(::write(sync[1], "x", 1), 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  for (const int fd : {ends[0], sync[0], sync[1]}) ::close(fd);
}

// The thread sanitizer ends a child that starts a thread, if its parent had several ("starting new
// threads after multi-threaded fork is not supported"), so there the test does not exist.
#ifndef __SANITIZE_THREAD__
TEST(Fork, TheChildCanStartAServiceThreadOfItsOwn) {
  std::atomic<bool> stop{false};
  ServiceClient inherited;
#ifdef __SANITIZE_ADDRESS__
  // The allocator of this sanitizer does not survive a fork while another thread allocates.
  std::thread busy;
#else
  std::thread busy([&] {  // keeps the loop's locks in use
    while (!stop) inherited.cancel(inherited.after(std::chrono::seconds(60), [] {}));
  });
#endif
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(in_child([&] {
                inherited.post([] { std::_Exit(1); });
                ServiceClient own;
                std::atomic<bool> ran{false};
                own.post([&] { ran = true; });
                while (!ran) std::this_thread::yield();
                return 0;
              }),
              0);
  }
  stop = true;
  if (busy.joinable()) busy.join();
  std::atomic<bool> ran{false};
  inherited.post([&] { ran = true; });
  while (!ran) std::this_thread::yield();
}
#endif

}  // namespace
}  // namespace paceline
