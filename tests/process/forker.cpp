// One rank as a process of its own that forks, as data loaders do: all_reduce in a loop in one
// thread, every result checked, while another thread forks children at random moments. What each
// child does with what it inherited is told by its number; every child must end with exit code 0
// within its time. It uses the public face only.
//
//   forker [--forks N] [--seed N] [--memory plain|allocate] [--linger SECONDS]
//
// --linger: one child, which does nothing for so long, also after the death of this process.
//
// Exit codes: 0 all children ended well and all results were right; 1 a result was wrong; 2 bad
// usage; 3 a paceline::Error, whose code and text stand on stderr; 4 a child did not end well.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "paceline/paceline.hpp"

namespace {

using namespace paceline;

constexpr int kDone = 0;
constexpr int kWrong = 1;
constexpr int kUsage = 2;
constexpr int kError = 3;
constexpr int kChild = 4;

// A child does next to nothing. One that waits for a lock or a thread that is not there is killed.
constexpr unsigned kChildSeconds = 20;
constexpr std::size_t kElements = 20'000;  // neither eager nor one instance

struct Options {
  int forks = 20;
  unsigned seed = 1;
  bool plain = false;
  unsigned linger = 0;
};

// Everything that a child inherits. Static, so that exit() in a child runs the destructors.
struct World {
  Communicator comm;
  Memory memory;
  std::vector<float> buffer;
  Memory registered;
  Work finished;
};
std::optional<World> world;
std::atomic<bool> all_forked{false};
std::atomic<int> bad_children{0};
bool in_a_child = false;

// --- in a child

// Whether `call` throws the Error that names both processes.
bool refused(const char* name, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    const std::string text = error.what();
    const auto has = [&](const std::string& part) { return text.find(part) != std::string::npos; };
    if (error.code() == ErrorCode::invalid_argument &&
        has("was made by pid " + std::to_string(::getppid())) &&
        has("child pid " + std::to_string(::getpid())) && has("forkserver")) {
      return true;
    }
    std::fprintf(stderr, "in a child, %s threw: %s\n", name, text.c_str());
    return false;
  }
  std::fprintf(stderr, "in a child, %s threw nothing\n", name);
  return false;
}

int touch_everything() {
  Communicator& comm = world->comm;
  std::vector<float> own(100);
  bool good = comm.rank() >= 0 && comm.size() > 1;  // facts can still be asked for
  good &= refused("all_reduce", [&] { comm.all_reduce(std::span(own), ReduceOp::sum); });
  good &= refused("all_reduce_async",
                  [&] { comm.all_reduce_async(std::span(own), ReduceOp::sum).wait(); });
  good &= refused("broadcast", [&] { comm.broadcast(std::span(own), 0); });
  good &= refused("barrier", [&] { comm.barrier(); });
  good &= refused("allocate", [&] { (void)comm.allocate(100); });
  good &= refused("register_memory", [&] { (void)comm.register_memory(own.data(), 100); });
  good &= refused("abort", [&] { comm.abort(); });
  good &= refused("history", [&] { (void)comm.history(); });
  good &= refused("Work::wait", [&] { world->finished.wait(); });
  good &= refused("Work::done", [&] { (void)world->finished.done(); });
  good &= refused("Memory::data", [&] { (void)world->memory.data(); });
  good &= world->registered.data() == reinterpret_cast<std::byte*>(world->buffer.data());
  return good ? 0 : 1;
}

int drop_everything() {
  {
    const Communicator comm = std::move(world->comm);
    const Work work = std::move(world->finished);
    const Memory memory = std::move(world->memory);
    world->registered = Memory();
  }
  return 0;
}

int make_one_of_its_own() {
  Communicator comm = Communicator::create(Config{});
  const Memory memory = comm.allocate(400);
  memory.as<float>()[7] = 7;
  comm.all_reduce(memory.as<float>(), ReduceOp::sum);
  return comm.size() == 1 && memory.as<float>()[7] == 7 ? 0 : 1;
}

[[noreturn]] void be_a_child(int number) {
  in_a_child = true;
  ::alarm(kChildSeconds);
  switch (number % 6) {
    case 0:
      ::_exit(0);
    case 1:
      std::exit(0);
    case 2:
      std::exit(touch_everything());
    case 3:
      std::exit(drop_everything());
    case 4:
      std::exit(make_one_of_its_own());
    default:
      ::execl("/bin/true", "true", nullptr);
      ::_exit(1);
  }
}

// --- in the rank

void fork_children(const Options& options) {
  std::mt19937 random(options.seed);
  std::uniform_int_distribution<int> pause_us(0, 20'000);
  std::vector<pid_t> children;
  for (int i = 0; i < options.forks; ++i) {
    ::usleep(static_cast<useconds_t>(pause_us(random)));
    const pid_t child = ::fork();
    if (child == 0) be_a_child(i);
    if (child < 0) {
      std::perror("forker: fork");
      ++bad_children;
      continue;
    }
    children.push_back(child);
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    if (::waitpid(children[i], &status, 0) == children[i] && status == 0) continue;
    std::fprintf(stderr, "forker: child %zu ended with status %#x\n", i, status);
    ++bad_children;
  }
  all_forked = true;
}

// Calls until all ranks have forked all their children: element 0 counts them.
int loop(std::span<float> data, bool for_ever) {
  Communicator& comm = world->comm;
  const auto size = static_cast<float>(comm.size());
  for (int round = 0;; ++round) {
    const auto value = static_cast<float>(round % 100);
    std::fill(data.begin(), data.end(), value);
    data[0] = all_forked && !for_ever ? 1 : 0;
    if (round % 2 == 0) {
      comm.all_reduce(data, ReduceOp::sum);
    } else {
      comm.all_reduce_async(data, ReduceOp::sum).wait();
    }
    for (std::size_t i = 1; i < data.size(); ++i) {
      if (data[i] == size * value) continue;
      std::fprintf(stderr, "round %d: element %zu is %g, not %g\n", round, i,
                   static_cast<double>(data[i]), static_cast<double>(size * value));
      return kWrong;
    }
    if (data[0] == size) {
      std::printf("done after %d rounds\n", round + 1);
      return kDone;
    }
  }
}

int run(const Options& options) {
  world.emplace(World{Communicator::from_environment(), {}, std::vector<float>(kElements), {}, {}});
  Communicator& comm = world->comm;
  world->memory = comm.allocate(kElements * sizeof(float));
  world->registered = comm.register_memory(world->buffer.data(), kElements * sizeof(float));
  world->finished = comm.all_reduce_async(std::span(world->buffer), ReduceOp::sum);
  world->finished.wait();
  const std::span<float> data =
      options.plain ? std::span(world->buffer) : world->memory.as<float>();
  if (options.linger != 0) {
    if (::fork() == 0) {
      ::sleep(options.linger);
      ::_exit(0);
    }
    std::printf("forked\n");
    return loop(data, true);
  }
  std::thread forker([&] { fork_children(options); });
  int result = kError;
  try {
    result = loop(data, false);
  } catch (const Error& error) {
    std::fprintf(stderr, "error %s: %s\n", std::string(to_string(error.code())).c_str(),
                 error.what());
  }
  forker.join();
  world.reset();
  return result == kDone && bad_children != 0 ? kChild : result;
}

}  // namespace

// The leak sanitizer asks this at the end of a process. It cannot look at the child of a process
// with threads: it goes on looking for those. The ranks themselves are looked at.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() {
  return in_a_child ? 1 : 0;
}

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // children must not inherit a line that waits
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--forks") {
      options.forks = std::atoi(value.c_str());
    } else if (flag == "--seed") {
      options.seed = static_cast<unsigned>(std::atoi(value.c_str()));
    } else if (flag == "--memory") {
      options.plain = value == "plain";
    } else if (flag == "--linger") {
      options.linger = static_cast<unsigned>(std::atoi(value.c_str()));
    } else {
      std::fprintf(stderr, "forker: unknown flag %s; see the top of forker.cpp\n", flag.c_str());
      return kUsage;
    }
  }
  try {
    return run(options);
  } catch (const Error& error) {
    std::fprintf(stderr, "error %s: %s\n", std::string(to_string(error.code())).c_str(),
                 error.what());
    world.reset();  // before OpenSSL ends itself: it is of no use to the service thread then
    return kError;
  }
}
