// Life of a process group: how its ranks meet, and how it ends.
#include "process_group.h"

#include <algorithm>

#include "errors.h"
#include "store.h"

namespace paceline::torch_backend {

namespace {

// Who we are and where we meet comes from torch; everything else may be configured.
Config configuration(const ProcessGroupPaceline::Settings& settings) {
  std::map<std::string, std::string> environment = settings.environment;
  for (const char* name : {"PACELINE_RANK", "PACELINE_SIZE", "PACELINE_ROOT"}) {
    environment.erase(name);
  }
  Config config = Config::from(environment);
  config.launcher = Launcher::none;
  config.rank = settings.rank;
  config.size = settings.size;
  config.timeout = settings.timeout;
  return config;
}

Communicator meet(c10::intrusive_ptr<c10d::Store> store,
                  const ProcessGroupPaceline::Settings& settings) {
  try {
    auto ours = std::make_shared<TorchStore>(std::move(store), settings.size);
    return Communicator::create(configuration(settings), std::move(ours), settings.name);
  } catch (...) {
    std::rethrow_exception(current_as_torch_error());
  }
}

Communicator second_of(const std::shared_ptr<Progress>& progress) {
  try {
    return progress->communicator()->duplicate();
  } catch (...) {
    progress->close();
    std::rethrow_exception(current_as_torch_error());
  }
}

}  // namespace

ProcessGroupPaceline::ProcessGroupPaceline(c10::intrusive_ptr<c10d::Store> store,
                                           const Settings& settings)
    : c10d::Backend(settings.rank, settings.size),
      settings_(settings),
      options_(c10::make_intrusive<Options>("paceline", settings.timeout)),
      progress_(Progress::start(meet(std::move(store), settings))),
      messages_(Progress::start(second_of(progress_))),
      memory_(std::make_shared<MemoryPool>(progress_)) {
  init();
}

ProcessGroupPaceline::~ProcessGroupPaceline() {
  if (progress_->own_process()) {
    shutdown();
    return;
  }
  // In a child of fork() neither the thread nor the locks are what they were: all is left as it is.
  new std::shared_ptr<Progress>(std::move(progress_));
  new std::shared_ptr<Progress>(std::move(messages_));
  new std::shared_ptr<MemoryPool>(std::move(memory_));
}

void ProcessGroupPaceline::setTimeout(std::chrono::milliseconds timeout) {
  if (timeout > settings_.timeout) {
    TORCH_WARN("paceline: the time-out can be made shorter than the ", settings_.timeout.count(),
               " ms that the group was made with, not longer (", timeout.count(),
               " ms): give init_process_group() or new_group() the longer one");
  }
  limit_ = timeout < settings_.timeout ? timeout : std::chrono::milliseconds(0);
}

void ProcessGroupPaceline::abort() {
  const std::string reason = "ProcessGroup.abort() was called on rank " + std::to_string(getRank());
  progress_->abort(reason);
  messages_->abort(reason);
}

void ProcessGroupPaceline::shutdown() {
  if (!progress_->own_process()) return;
  memory_->close();
  messages_->close();
  progress_->close();
}

c10::intrusive_ptr<c10d::Backend::Options> ProcessGroupPaceline::getBackendOptions() {
  return options_;
}

std::shared_ptr<c10::Allocator> ProcessGroupPaceline::getMemAllocator() {
  return memory_;
}

at::Tensor ProcessGroupPaceline::allocateTensor(long size, at::TensorOptions options) {
  return memory_->empty({size}, options);
}

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 15
c10::intrusive_ptr<c10d::Backend> ProcessGroupPaceline::split(
    const c10::intrusive_ptr<c10d::Store>& store, const std::vector<int>& ranks,
    const c10::intrusive_ptr<Options>& options) {
  const auto me = std::find(ranks.begin(), ranks.end(), getRank());
  if (me == ranks.end()) return nullptr;
  Settings settings = settings_;
  settings.rank = static_cast<int>(me - ranks.begin());
  settings.size = static_cast<int>(ranks.size());
  if (options) {
    settings.timeout = options->timeout;
    if (!options->group_name.empty()) settings.name = options->group_name;
  }
  return c10::make_intrusive<ProcessGroupPaceline>(store, settings);
}
#endif

WorkPtr ProcessGroupPaceline::submit(Operation::Call call, std::chrono::milliseconds timeout,
                                     bool asynchronous) {
  const std::chrono::milliseconds wanted = timeout.count() > 0 ? timeout : limit_;
  if (wanted < settings_.timeout) call.timeout = wanted;
  // The library's blocking calls have its own time-out only.
  call.polled = call.timeout.count() > 0;
  call.blocking = !asynchronous && !call.polled;
  auto operation = c10::make_intrusive<Operation>(getRank(), ++sequence_, std::move(call),
                                                  std::weak_ptr<Progress>(progress_));
  progress_->submit(operation);
  if (coalesced_) coalesced_->push_back(operation);
  return operation;
}

WorkPtr ProcessGroupPaceline::submit_message(Operation::Call call) {
  call.timeout = limit_;
  call.polled = true;
  auto operation = c10::make_intrusive<Operation>(getRank(), ++sequence_, std::move(call),
                                                  std::weak_ptr<Progress>(messages_));
  messages_->submit(operation);
  if (coalesced_) coalesced_->push_back(operation);
  return operation;
}

void ProcessGroupPaceline::check_root(std::int64_t root, const char* what) const {
  if (root >= 0 && root < getSize()) return;
  refuse(std::string(what) + ": root " + std::to_string(root) + " is no rank of this group: 0 to " +
         std::to_string(getSize() - 1) + " are");
}

}  // namespace paceline::torch_backend
