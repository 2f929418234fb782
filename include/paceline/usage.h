// What a communicator holds of its process's resources.
#pragma once

#include <cstddef>

namespace paceline {

/// One rank's share of one communicator. A communicator of one rank without allocate() holds
/// nothing: no link, no thread, no descriptor. Descriptors and the service thread (one per process,
/// with three descriptors, plus one for `paceline status`) are bounded by Config: a control link
/// per rank 2^k ahead and behind, at most 2 log2(size) of them; a link, when an algorithm first
/// needs it, of one descriptor (shm, verbs) or Config::tcp_links.
struct Usage {
  std::size_t allocated_bytes = 0;   ///< given out by allocate() and not destroyed yet
  std::size_t registered_bytes = 0;  ///< the caller's, by register_memory()
  std::size_t scratch_bytes = 0;     ///< of the operations; as much as the largest call needed
  std::size_t link_bytes = 0;        ///< mailboxes and buffers of the links, this end's
  int links = 0;                     ///< to peers that data has been exchanged with
  int control_links = 0;             ///< for heartbeats and news
  int descriptors = 0;               ///< open files of all the above
  int rounds = 0;  ///< rounds of messages that it took to tell everybody about everybody
};

}  // namespace paceline
