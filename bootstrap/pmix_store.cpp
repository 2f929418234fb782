#include "bootstrap/pmix_store.h"

#include <dlfcn.h>
#include <pmix.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "bootstrap/secret.h"
#include "paceline/error.h"

namespace paceline::bootstrap {

namespace {

/// The functions that are used, found at run time: a program that is not started by Open MPI needs
/// no libpmix.
struct Library {
  decltype(&PMIx_Init) init;
  decltype(&PMIx_Finalize) finalize;
  decltype(&PMIx_Put) put;
  decltype(&PMIx_Commit) commit;
  decltype(&PMIx_Fence_nb) fence;
  decltype(&PMIx_Get) get;
  decltype(&PMIx_Error_string) error_string;

  static const Library& instance() {
    static const Library library;
    return library;
  }

 private:
  Library() {
    // The soname, as it is installed; the library's own programs' path does not matter.
    void* const handle = ::dlopen("libpmix.so.2", RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) {
      throw Error(
          ErrorCode::unsupported,
          std::string("started by Open MPI, but its library libpmix.so.2 cannot be loaded (") +
              ::dlerror() + "); install it, or set PACELINE_ROOT=host:port");
    }
    find(handle, "PMIx_Init", init);
    find(handle, "PMIx_Finalize", finalize);
    find(handle, "PMIx_Put", put);
    find(handle, "PMIx_Commit", commit);
    find(handle, "PMIx_Fence_nb", fence);
    find(handle, "PMIx_Get", get);
    find(handle, "PMIx_Error_string", error_string);
  }

  template <class Function>
  static void find(void* handle, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    if (function == nullptr) {
      throw Error(ErrorCode::unsupported,
                  std::string("libpmix.so.2 has no ") + name + "; set PACELINE_ROOT=host:port");
    }
  }
};

void check(pmix_status_t status, const char* what) {
  if (status == PMIX_SUCCESS) return;
  throw Error(ErrorCode::bootstrap_failed,
              std::string(what) + ": " + Library::instance().error_string(status) +
                  " (the launcher's PMIx; PACELINE_ROOT=host:port does without it)");
}

/// The process's connection to its launcher. PMIx counts its users, so that MPI's own use is not
/// touched; but a connection that was closed by its last user cannot be opened again (MPI_Init
/// would fail after us), so ours is kept until the process ends. It must be closed then: a process
/// that ends without is taken for crashed, and mpirun ends the job.
class Session {
 public:
  static const Session& of_process() {
    static const Session session;
    return session;
  }
  ~Session() { library_.finalize(nullptr, 0); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  [[nodiscard]] const pmix_proc_t& self() const { return self_; }

 private:
  Session() : library_(Library::instance()) {
    check(library_.init(&self_, nullptr, 0), "PMIx_Init");
  }

  const Library& library_;
  pmix_proc_t self_{};
};

class PmixStore final : public Store {
 public:
  PmixStore(int rank, std::chrono::milliseconds timeout)
      : library_(Library::instance()), session_(Session::of_process()), timeout_(timeout) {
    if (session_.self().rank != static_cast<pmix_rank_t>(rank)) {
      throw Error(ErrorCode::invalid_configuration,
                  "the launcher says this is rank " + std::to_string(session_.self().rank) +
                      ", the configuration says " + std::to_string(rank) +
                      ": meet at PACELINE_ROOT instead, or leave PACELINE_RANK to the launcher");
    }
  }

  void set(const std::string& key, const std::string& value) override {
    std::string bytes = value;
    pmix_value_t wrapped{};
    wrapped.type = PMIX_BYTE_OBJECT;
    wrapped.data.bo.bytes = bytes.data();
    wrapped.data.bo.size = bytes.size();
    check(library_.put(PMIX_GLOBAL, name_of(key).c_str(), &wrapped), "PMIx_Put");
    check(library_.commit(), "PMIx_Commit");
    fence(timeout_);
  }

  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    fence(timeout);
    pmix_proc_t root = session_.self();
    root.rank = 0;
    pmix_value_t* found = nullptr;
    check(library_.get(&root, name_of(key).c_str(), nullptr, 0, &found), "PMIx_Get");
    std::string value;
    if (found->type == PMIX_BYTE_OBJECT) {
      value.assign(found->data.bo.bytes, found->data.bo.size);
      ::free(found->data.bo.bytes);
    }
    ::free(found);
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
      check(started, "PMIx_Fence_nb");
    }
    std::unique_lock lock(state->mutex);
    if (!state->done.wait_for(lock, timeout, [&] { return state->status.has_value(); })) {
      throw Error(ErrorCode::timeout,
                  "not all processes of the job came to the launcher's fence within " +
                      std::to_string(timeout.count()) +
                      " ms: does each of them create the communicator? (PACELINE_TIMEOUT)");
    }
    check(*state->status, "PMIx_Fence");
  }

  // PMIx limits keys to 511 bytes; a name may be long.
  static std::string name_of(const std::string& key) {
    return "paceline." + hex(hmac("", std::as_bytes(std::span(key))));
  }

  const Library& library_;
  const Session& session_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace

std::shared_ptr<Store> make_pmix_store(int rank, std::chrono::milliseconds timeout) {
  return std::make_shared<PmixStore>(rank, timeout);
}

}  // namespace paceline::bootstrap
