// One rank as a process. Without arguments, under a launcher: two communicators of one name, one
// after the other. With them: rank size root heartbeat_ms [secret]; then it takes commands from its
// standard input. A root that begins with a slash is a file store's directory.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "bootstrap/bootstrap.h"
#include "bootstrap/launcher_store.h"

namespace {

using paceline::Config;
using paceline::Error;
using paceline::bootstrap::Bootstrap;

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void check_gather(Bootstrap& bootstrap) {
  const auto number = static_cast<std::byte>(bootstrap.rank());
  const auto all = bootstrap.all_gather(paceline::Bytes(1000, number));
  for (int i = 0; i < bootstrap.size(); ++i) {
    if (all[static_cast<std::size_t>(i)] != paceline::Bytes(1000, static_cast<std::byte>(i))) {
      throw Error(paceline::ErrorCode::internal, "all_gather mixed up the blocks");
    }
  }
}

int under_a_launcher() {
  Config config = paceline::bootstrap::with_rank_and_size(Config::from_environment());
  config.timeout = std::chrono::seconds(20);
  const std::string me =
      "rank " + std::to_string(config.rank) + " of " + std::to_string(config.size);
  for (const char* state : {": ready", ": ready again"}) {
    const auto bootstrap = paceline::bootstrap::create(config);
    check_gather(*bootstrap);
    say(me + state);
  }
  return 0;
}

int commanded(Config config) {
  std::shared_ptr<paceline::Store> store;
  if (config.root.starts_with("/")) {
    store = paceline::make_file_store(config.root);
    config.root.clear();
  }
  std::unique_ptr<Bootstrap> bootstrap = paceline::bootstrap::create(config, store);
  check_gather(*bootstrap);
  bootstrap->watch({[](const paceline::bootstrap::FailureNotice& notice) {
                      say("failed " + std::to_string(static_cast<int>(notice.code)) + " " +
                          std::to_string(notice.culprit) + " " + notice.text);
                    },
                    {}});
  say("ready");
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "leave") {
      bootstrap->leave();
      say("left");
    } else if (line.starts_with("abort ")) {
      paceline::bootstrap::FailureNotice notice;
      notice.code = paceline::ErrorCode::aborted;
      notice.origin = config.rank;
      notice.text = line.substr(6);
      bootstrap->announce_failure(notice);
    } else if (line.starts_with("survivors ")) {
      try {
        std::string text = "survivors";
        const auto limit = std::chrono::milliseconds(std::atoi(line.c_str() + 10));
        for (const int rank : bootstrap->survivors(limit)) text += " " + std::to_string(rank);
        say(text);
      } catch (const Error& e) {
        say(std::string("threw ") + e.what());
      }
    } else if (line == "gather") {
      try {
        check_gather(*bootstrap);
        say("gathered");
      } catch (const Error& e) {
        say(std::string("threw ") + e.what());
      }
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 1) return under_a_launcher();
    if (argc != 5 && argc != 6) return 2;
    Config config;
    config.rank = std::atoi(argv[1]);
    config.size = std::atoi(argv[2]);
    config.root = argv[3];
    config.timeout = std::chrono::seconds(20);
    config.heartbeat_timeout = std::chrono::milliseconds(std::atoi(argv[4]));
    if (argc == 6) config.secret = argv[5];
    return commanded(config);
  } catch (const Error& e) {
    say(std::string("error ") + e.what());
    return 1;
  }
}
