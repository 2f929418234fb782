#include "bootstrap/pmi1_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "bootstrap/addresses.h"

namespace paceline::bootstrap {

namespace {

/// What the standard guarantees at least; a launcher that says less has misunderstood the question.
constexpr int kLeastKey = 32;
constexpr int kLeastValue = 64;

constexpr const char* kAdvice = "; PACELINE_ROOT=host:port does without it";

}  // namespace

Pmi1Channel::Identity Pmi1Channel::introduce(int id, Nanoseconds deadline) {
  // One question, four answers: each fact comes as a command of its own.
  const std::string question = "cmd=initack pmiid=" + std::to_string(id);
  (void)ask(question, "initack", deadline);
  Identity identity;
  identity.size = number(answer(question, "set", deadline), "size", question);
  identity.rank = number(answer(question, "set", deadline), "rank", question);
  (void)number(answer(question, "set", deadline), "debug", question);
  if (identity.size < 1 || identity.rank < 0 || identity.rank >= identity.size) {
    give_up(ErrorCode::bootstrap_failed, "it says that this is rank " +
                                             std::to_string(identity.rank) + " of " +
                                             std::to_string(identity.size) + ", which cannot be");
  }
  return identity;
}

void Pmi1Channel::begin(int size, Nanoseconds deadline) {
  const std::string hello = "cmd=init pmi_version=1 pmi_subversion=1";
  const PmiWords version = ask(hello, "response_to_init", deadline);
  if (number(version, "pmi_version", hello) != 1) {
    give_up(ErrorCode::unsupported, "it does not speak version 1 of PMI, but " +
                                        pmi_quoted(version.find("pmi_version")->second));
  }
  const std::string limits = "cmd=get_maxes";
  const PmiWords maxes = ask(limits, "maxes", deadline);
  const int key = number(maxes, "keylen_max", limits);
  const int value = number(maxes, "vallen_max", limits);
  if (key < kLeastKey || value < kLeastValue) {
    give_up(ErrorCode::unsupported, "it takes keys of " + std::to_string(key) + " and values of " +
                                        std::to_string(value) +
                                        " bytes only; 32 and 64 are needed at least");
  }
  const PmiWords named = ask("cmd=get_my_kvsname", "my_kvsname", deadline);
  const auto name = named.find("kvsname");
  if (name == named.end() || name->second.empty()) {
    give_up(ErrorCode::bootstrap_failed, "it has no name for the job's keys (get_my_kvsname)");
  }
  space_ = name->second;
  // The limits count a terminating zero.
  longest_key_ = static_cast<std::size_t>(key) - 1;
  const std::string around = "cmd=put kvsname=" + space_ + " key= value=\n";
  if (around.size() + longest_key_ + kLeastValue > kMaxPmiQuestion) {
    give_up(ErrorCode::unsupported, "its names are too long for a line of PMI-1");
  }
  longest_value_ =
      std::min(static_cast<std::size_t>(value) - 1, kMaxPmiQuestion - around.size() - longest_key_);
  // Less than 1: the launcher does not know. Otherwise no job is larger than its universe.
  const std::string count = "cmd=get_universe_size";
  const int universe = number(ask(count, "universe_size", deadline), "size", count);
  if (universe >= 1 && size > universe) {
    give_up(ErrorCode::invalid_configuration,
            "it runs at most " + std::to_string(universe) + " processes, but PMI_SIZE says " +
                std::to_string(size) + "; is the variable left over from another job?");
  }
}

void Pmi1Channel::put(const std::string& key, const std::string& value, Nanoseconds deadline) {
  const std::string question = "cmd=put kvsname=" + space_ + " key=" + key + " value=" + value;
  if (number(ask(question, "put_result", deadline), "rc", question) != 0) {
    throw complaint(ErrorCode::bootstrap_failed, "it does not take the key " + key);
  }
}

std::string Pmi1Channel::get(const std::string& key, Nanoseconds deadline) {
  const std::string question = "cmd=get kvsname=" + space_ + " key=" + key;
  const PmiWords result = ask(question, "get_result", deadline);
  const auto value = result.find("value");
  if (number(result, "rc", question) != 0 || value == result.end()) {
    throw complaint(
        ErrorCode::bootstrap_failed,
        "it has no key " + key + ": do all ranks create the same communicators in the same order?");
  }
  return value->second;
}

void Pmi1Channel::barrier(Nanoseconds deadline) {
  (void)ask("cmd=barrier_in", "barrier_out", deadline);
}

void Pmi1Channel::finalize(Nanoseconds deadline) {
  (void)ask("cmd=finalize", "finalize_ack", deadline);
}

PmiWords Pmi1Channel::ask(const std::string& question, std::string_view expected,
                          Nanoseconds deadline) {
  if (broken()) throw Error(ErrorCode::bootstrap_failed, trouble_);
  send(question, deadline);
  return answer(question, expected, deadline);
}

PmiWords Pmi1Channel::answer(const std::string& question, std::string_view expected,
                             Nanoseconds deadline) {
  const std::string text = line(question, deadline);
  std::optional<PmiWords> words = pmi_words(text);
  const auto command = words ? words->find("cmd") : PmiWords::iterator{};
  if (!words || command == words->end() || command->second != expected) {
    give_up(ErrorCode::bootstrap_failed,
            "it answers " + pmi_quoted(text) + " to " + pmi_quoted(question));
  }
  return *std::move(words);
}

void Pmi1Channel::send(const std::string& question, Nanoseconds deadline) {
  const std::string bytes = question + "\n";
  for (std::size_t done = 0; done < bytes.size();) {
    wait(POLLOUT, question, deadline);
    const ssize_t n =
        ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno != EINTR && errno != EAGAIN) {
      give_up(ErrorCode::bootstrap_failed, "nothing can be sent to it: " + errno_text(errno));
    }
  }
}

std::string Pmi1Channel::line(const std::string& question, Nanoseconds deadline) {
  for (;;) {
    if (std::optional<std::string> whole = lines_.take()) return *std::move(whole);
    wait(POLLIN, question, deadline);
    std::array<char, 1024> bytes;
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n == 0) {
      give_up(ErrorCode::bootstrap_failed,
              "it closed the connection instead of answering " + pmi_quoted(question));
    }
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      give_up(ErrorCode::bootstrap_failed, "nothing can be heard from it: " + errno_text(errno));
    }
    if (n > 0 && !lines_.add({bytes.data(), static_cast<std::size_t>(n)})) {
      give_up(ErrorCode::bootstrap_failed, "it answers more than " + std::to_string(kMaxPmiLine) +
                                               " bytes to " + pmi_quoted(question));
    }
  }
}

void Pmi1Channel::wait(short events, const std::string& question, Nanoseconds deadline) {
  for (;;) {
    const Nanoseconds left = deadline - steady_now();
    pollfd one{fd_, events, 0};
    // Rounded up, so as not to spin through the last millisecond.
    const Nanoseconds most = std::clamp<Nanoseconds>(left / kMillisecond + 1, 0, INT_MAX);
    const int ready = left <= 0 ? 0 : ::poll(&one, 1, static_cast<int>(most));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) {
      give_up(ErrorCode::internal, "poll fails: " + errno_text(errno));
    }
    if (ready == 0 && steady_now() >= deadline) {
      give_up(ErrorCode::timeout,
              "it has not answered " + pmi_quoted(question) +
                  " in time: does every process of the job create the communicator? "
                  "(PACELINE_TIMEOUT)");
    }
  }
}

int Pmi1Channel::number(const PmiWords& words, std::string_view key, const std::string& question) {
  const std::optional<int> found = pmi_number(words, key);
  if (!found) {
    give_up(ErrorCode::bootstrap_failed, "its answer to " + pmi_quoted(question) +
                                             " has no number \"" + std::string(key) + "\"");
  }
  return *found;
}

Error Pmi1Channel::complaint(ErrorCode code, const std::string& what) const {
  return {code, "the launcher's channel, " + who_ + ", is of no use: " + what + kAdvice};
}

void Pmi1Channel::give_up(ErrorCode code, const std::string& what) {
  const Error error = complaint(code, what);
  trouble_ = error.what();
  throw error;
}

}  // namespace paceline::bootstrap
