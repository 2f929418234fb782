#include "bootstrap/pmix_store.h"

#include <pmix.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "bootstrap/pmix_library.h"
#include "bootstrap/secret.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

void check(const PmixLibrary& library, pmix_status_t status, const char* what) {
  if (status == PMIX_SUCCESS) return;
  throw Error(ErrorCode::bootstrap_failed,
              std::string(what) + ": " + library.error_string(status) +
                  " (the launcher's PMIx; PACELINE_ROOT=host:port does without it)");
}

/// The process's connection to its launcher. PMIx counts its users, so that MPI's own use is not
/// touched; but a connection that was closed by its last user cannot be opened again (MPI_Init
/// would fail after us), so ours is kept until the process ends. It must be closed then: a process
/// that ends without is taken for crashed, and mpirun ends the job.
class Session {
 public:
  static Session& of_process(const PmixChannel& channel) {
    static Session session(PmixLibrary::of_process(channel));
    return session;
  }
  ~Session() {
    if (owner_ == ::getpid()) library_.finalize(nullptr, 0);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const PmixLibrary& library() const { return library_; }
  [[nodiscard]] const pmix_proc_t& self() const { return self_; }
  /// Counts the exchanges: a key of PMIx keeps its first value where it has been got, but the name
  /// of a communicator can come again.
  [[nodiscard]] int next_round() { return round_++; }

  /// How many processes the job has.
  [[nodiscard]] int size() const {
    pmix_proc_t job = self_;
    job.rank = PMIX_RANK_WILDCARD;
    pmix_value_t* found = nullptr;
    check(library_, library_.get(&job, PMIX_JOB_SIZE, nullptr, 0, &found), "PMIx_Get of the size");
    const bool fits = found->type == PMIX_UINT32;
    const std::uint32_t size = fits ? found->data.uint32 : 0;
    std::free(found);
    if (size == 0 || size > INT32_MAX) {
      throw Error(ErrorCode::bootstrap_failed,
                  "the launcher's PMIx does not say how many processes there are; set "
                  "PACELINE_RANK, PACELINE_SIZE and PACELINE_ROOT");
    }
    return static_cast<int>(size);
  }

 private:
  explicit Session(const PmixLibrary& library) : library_(library) {
    check(library_, library_.init(&self_, nullptr, 0), "PMIx_Init");
  }

  const PmixLibrary& library_;
  pmix_proc_t self_{};
  int round_ = 0;
  pid_t owner_ = ::getpid();  // a child made by fork() must not close it
};

class PmixStore final : public Store {
 public:
  PmixStore(Session& session, const Config& config)
      : session_(session), library_(session.library()), timeout_(config.timeout) {
    const int size = session_.size();
    if (session_.self().rank == static_cast<pmix_rank_t>(config.rank) && size == config.size) {
      return;
    }
    throw Error(ErrorCode::invalid_configuration,
                "the launcher says this is rank " + std::to_string(session_.self().rank) + " of " +
                    std::to_string(size) + ", the configuration says " +
                    std::to_string(config.rank) + " of " + std::to_string(config.size) +
                    ": meet at PACELINE_ROOT instead, or leave rank and size to the launcher");
  }

  void set(const std::string& key, const std::string& value) override {
    std::string bytes = value;
    pmix_value_t wrapped{};
    wrapped.type = PMIX_BYTE_OBJECT;
    wrapped.data.bo.bytes = bytes.data();
    wrapped.data.bo.size = bytes.size();
    const std::string name = name_of(session_.next_round(), key);
    check(library_, library_.put(PMIX_GLOBAL, name.c_str(), &wrapped), "PMIx_Put");
    check(library_, library_.commit(), "PMIx_Commit");
    fence(timeout_);
  }

  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    const std::string name = name_of(session_.next_round(), key);
    fence(timeout);
    pmix_proc_t root = session_.self();
    root.rank = 0;
    pmix_value_t* found = nullptr;
    check(library_, library_.get(&root, name.c_str(), nullptr, 0, &found), "PMIx_Get");
    std::string value;
    if (found->type == PMIX_BYTE_OBJECT) {
      value.assign(found->data.bo.bytes, found->data.bo.size);
      std::free(found->data.bo.bytes);
    }
    std::free(found);
    return value;
  }

 private:
  struct Fence {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<pmix_status_t> status;
  };

  // The blocking fence has no time-out that every launcher honours, so the other one is awaited.
  // PMIx may call back after we gave up: the callback owns its share of the state.
  void fence(std::chrono::milliseconds timeout) {
    const auto state = std::make_shared<Fence>();
    auto* const shared = new std::shared_ptr<Fence>(state);
    pmix_info_t collect{};
    std::strncpy(collect.key, PMIX_COLLECT_DATA, PMIX_MAX_KEYLEN);
    collect.value.type = PMIX_BOOL;
    collect.value.data.flag = true;
    const auto callback = [](pmix_status_t status, void* argument) {
      const std::unique_ptr<std::shared_ptr<Fence>> owner(
          static_cast<std::shared_ptr<Fence>*>(argument));
      std::lock_guard lock((*owner)->mutex);
      (*owner)->status = status;
      (*owner)->done.notify_all();
    };
    const pmix_status_t started = library_.fence(nullptr, 0, &collect, 1, callback, shared);
    if (started != PMIX_SUCCESS) {
      delete shared;  // then there is no callback
      if (started == PMIX_OPERATION_SUCCEEDED) return;
      check(library_, started, "PMIx_Fence_nb");
    }
    std::unique_lock lock(state->mutex);
    if (!state->done.wait_for(lock, timeout, [&] { return state->status.has_value(); })) {
      throw Error(ErrorCode::timeout,
                  "not all processes of the job came to the launcher's fence within " +
                      std::to_string(timeout.count()) +
                      " ms: does each of them create the communicator? (PACELINE_TIMEOUT)");
    }
    check(library_, *state->status, "PMIx_Fence");
  }

  // PMIx limits keys to 511 bytes; a name may be long.
  static std::string name_of(int round, const std::string& key) {
    return "paceline." + std::to_string(round) + "." + hex(hmac("", std::as_bytes(std::span(key))));
  }

  Session& session_;
  const PmixLibrary& library_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace

std::shared_ptr<Store> make_pmix_store(const PmixChannel& channel, const Config& config) {
  return std::make_shared<PmixStore>(Session::of_process(channel), config);
}

int ask_pmix_size(const PmixChannel& channel, const Config& config) {
  const Session& session = Session::of_process(channel);
  if (session.self().rank == static_cast<pmix_rank_t>(config.rank)) return session.size();
  throw Error(ErrorCode::invalid_configuration,
              "the launcher says this is rank " + std::to_string(session.self().rank) +
                  ", PMIX_RANK says " + std::to_string(config.rank) +
                  ": is the variable left over from another job?");
}

}  // namespace paceline::bootstrap
