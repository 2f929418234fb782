#include "communicator/status_door.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "bootstrap/acceptor.h"
#include "communicator/core.h"

namespace paceline {

namespace {

/// Somebody who looks in is one person, or a few; more are turned away.
constexpr std::size_t kMaxVisitors = 8;
/// Who connects and asks nothing is not kept for ever.
constexpr std::chrono::seconds kPatience{10};

// Null if the system refuses the socket.
UniqueFd listen_as(pid_t pid) {
  try {
    return bootstrap::listen_local(door_name(pid));
  } catch (const Error&) {
    return {};
  }
}

bool may_ask(int socket) {
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return false;
  return who.uid == 0 || who.uid == ::geteuid();
}

}  // namespace

std::string door_name(pid_t pid) {
  return kDoorPrefix + std::to_string(pid);
}

std::shared_ptr<StatusDoor> StatusDoor::of_this_process() {
  static std::mutex mutex;
  static std::weak_ptr<StatusDoor> open;
  static pid_t owner = 0;
  const std::lock_guard lock(mutex);
  if (auto door = open.lock(); door != nullptr && owner == ::getpid()) return door;
  UniqueFd listener = listen_as(::getpid());
  if (!listener) return nullptr;
  std::shared_ptr<StatusDoor> door(new StatusDoor(std::move(listener)));
  open = door;
  owner = ::getpid();
  door->begin();
  return door;
}

StatusDoor::StatusDoor(UniqueFd listener) : listener_(std::move(listener)) {}

StatusDoor::~StatusDoor() {
  service_.detach();
}

void StatusDoor::begin() {
  service_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { let_in(); });
}

void StatusDoor::add(const std::shared_ptr<CommunicatorCore>& core) {
  service_.post([this, weak = std::weak_ptr(core)] {
    std::erase_if(cores_, [](const auto& c) { return c.expired(); });
    cores_.push_back(weak);
  });
}

// --- the service thread

void StatusDoor::let_in() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || !may_ask(socket.get()) || visitors_.size() >= kMaxVisitors) return;
  const auto visitor = std::make_shared<Visitor>();
  visitor->socket = std::move(socket);
  visitors_.push_back(visitor);
  service_.add(visitor->socket.get(), EPOLLIN,
               [this, visitor](std::uint32_t) { on_ready(visitor); });
  service_.after(kPatience, [this, weak = std::weak_ptr(visitor)] {
    if (const auto late = weak.lock()) dismiss(late);
  });
}

void StatusDoor::on_ready(const std::shared_ptr<Visitor>& visitor) {
  if (!visitor->reply.empty()) return write(visitor);
  char question = 0;
  const ssize_t n = ::read(visitor->socket.get(), &question, 1);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n != 1 || visitor->asked || (question != 'a' && question != 'b')) return dismiss(visitor);
  visitor->asked = true;
  ask(visitor, question == 'a');
}

void StatusDoor::ask(const std::shared_ptr<Visitor>& visitor, bool all_ranks) {
  std::vector<std::shared_ptr<CommunicatorCore>> cores;
  for (const auto& weak : cores_) {
    if (auto core = weak.lock()) cores.push_back(std::move(core));
  }
  visitor->waiting = cores.size();
  for (std::size_t i = 0; i < cores.size(); ++i) {
    cores[i]->describe_status(all_ranks, [weak = weak_from_this(), visitor, i](std::string text) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      visitor->answers[i] = std::move(text);
      if (--visitor->waiting == 0) self->reply(visitor);
    });
  }
  if (cores.empty()) reply(visitor);
}

void StatusDoor::reply(const std::shared_ptr<Visitor>& visitor) {
  if (!visitor->socket) return;  // was dismissed meanwhile
  std::string& text = visitor->reply;
  text = "{\"pid\": " + std::to_string(::getpid()) + ", \"communicators\": [";
  for (const auto& [number, answer] : visitor->answers) {
    if (text.back() != '[') text += ", ";
    text += answer;
  }
  text += "]}\n";
  service_.modify(visitor->socket.get(), EPOLLOUT);
  write(visitor);
}

void StatusDoor::write(const std::shared_ptr<Visitor>& visitor) {
  while (visitor->sent < visitor->reply.size()) {
    const ssize_t n = ::send(visitor->socket.get(), visitor->reply.data() + visitor->sent,
                             visitor->reply.size() - visitor->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) break;
    visitor->sent += static_cast<std::size_t>(n);
  }
  dismiss(visitor);
}

void StatusDoor::dismiss(const std::shared_ptr<Visitor>& visitor) {
  if (!visitor->socket) return;
  service_.remove(visitor->socket.get());
  visitor->socket.reset();
  std::erase(visitors_, visitor);
}

}  // namespace paceline
