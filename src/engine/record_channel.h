// The channel in which this rank and a peer tell each other of the messages between them: a ring of
// records in each direction.
//
// Why not the endpoint's mailbox. A mailbox is one queue: behind a collective's message that this
// rank has not called for yet, a recv could not see its own. A ring of one's own, filled by puts on
// a lane of one's own, has nothing to do with collectives.
//
// A ring lies in the receiver's registered memory. The sender puts one record after the other into
// it, and the n-th put on the lane is the n-th record: an arrival needs no mark in memory. A record
// begins before the end of the ring and may reach beyond it, so that none is ever cut in two; the
// next one then begins at the start:
//
//      0                                              kRing        kRing + kLongestRecord
//      [rec 9][ rec 10 ]....[ rec 6 ][ rec 7 ][ rec 8 |     ]
//                      ^ the next one
//
// Of the latest kWindow bytes that were told, all may be in the ring still; a new record of n bytes
// goes out when so much of them has been processed that at most kWindow - n are left. What was told
// before those kWindow bytes begins, counted backwards over the seam, at least kLongestRecord
// behind the place of the new one, so it is never written over (kRing = kWindow + kLongestRecord).
//
// Where the peer's memory is mapped, a record is stored in place and signalled. Elsewhere it is put
// from a mirror of the ring: the same offsets in memory of ours, whose bytes stay as they are until
// the peer has processed them.
//
// Each record says how far its teller has come with the other's (Progress). If there is nothing
// else to say, a record of kind `progress` does, once a quarter of something has come together. It
// takes room as well, for which the others leave kReserve: a rank that is short of room has told
// the other a window full, all of which that one processes, so it reports, and at most four such
// reports of this rank can be under way before it has heard one.
//
// Making it. As the first message on every link each rank sends the address of the peer's *cell*,
// 64 bytes (Engine::connect). That is all that is spent on links which carry no messages between
// two ranks. Who first wants to send or receive puts into its cell at the peer where its ring is,
// as the first put on the lane, and can tell as soon as it has the same of the peer.
//
// Threads: the owner of progress only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/record.h"
#include "memory/registrar.h"
#include "transport/transport.h"

namespace paceline::engine {

struct Edge;

/// What they tell each other; data that is too long for that. See kPipelineLanes.
inline constexpr transport::Lane kRecordLane = transport::kPipelineLanes;
inline constexpr transport::Lane kDataLane = transport::kPipelineLanes + 1;

/// Records begin at multiples of a cache line; the longest has as much data as a message may.
inline constexpr std::size_t kRecordAlignment = 64;
inline constexpr std::size_t kLongestRecord = 4096 + kRecordBytes;
static_assert(kLongestRecord <= transport::kMaxMessage && kLongestRecord % kRecordAlignment == 0);
/// Fifteen of the longest, a thousand of the shortest: more than fits between two looks of a peer
/// that is in the middle of something.
inline constexpr std::size_t kWindow = 64 * 1024;
inline constexpr std::size_t kRing = kWindow + kLongestRecord;
inline constexpr std::size_t kRingBytes = kRing + kLongestRecord;
/// Bytes of eager records that no recv has taken: what this rank makes a peer keep. The rest of the
/// window stays free for records that are dealt with at once.
inline constexpr std::size_t kEagerWindow = kWindow / 2;
/// Twice what is needed, see above.
inline constexpr std::size_t kReserve = 8 * kRecordBytes;

/// A rank's cells lie one after the other in the order of the peers' ranks.
inline constexpr std::size_t kCellBytes = 64;

class RecordChannel {
 public:
  /// `cell` is ours, in which the peer says where its ring is. `me` is for the texts of errors.
  RecordChannel(Edge& edge, memory::Registrar& registrar, const std::byte* cell, int me);

  /// Goes on with making it; true once both rings are known. The edge is connected.
  bool open();
  [[nodiscard]] bool is_open() const { return open_; }

  // --- telling
  /// False: not now. The payload is copied.
  bool tell(Record record, ConstBytes payload = {});
  [[nodiscard]] bool has_eager_room(std::size_t payload) const {
    return told_eager_ - theirs_.taken + length_of(payload) <= kEagerWindow;
  }
  /// Puts data; empty data is a signal. False: not now.
  bool put(ConstBytes source, const memory::Region* region, transport::RemoteAddress target);
  /// How many of those there were, and how many of them the peer has made use of.
  [[nodiscard]] std::uint64_t puts() const { return puts_; }
  [[nodiscard]] std::uint64_t landed() const { return theirs_.landed; }
  [[nodiscard]] bool flushed();

  // --- hearing
  /// The oldest record that has not been popped. Throws if it cannot be one.
  std::optional<Record> front();
  /// Its payload, until pop().
  [[nodiscard]] ConstBytes payload() const { return payload_; }
  void pop();
  /// A recv has this eager payload.
  void take(std::size_t payload) { mine_.taken += length_of(payload); }
  /// True if a put of data is here that has not been made use of.
  [[nodiscard]] bool data_here();
  void land() { ++mine_.landed; }

  // --- progress
  /// True if the peer should hear how far we are.
  [[nodiscard]] bool report_due() const;
  /// False: not now. A peer that is gone needs no report: that is no error.
  bool report();

  /// Of the memory that it has allocated.
  [[nodiscard]] std::size_t bytes() const;
  [[noreturn]] void garbled(const std::string& what) const;

 private:
  static std::size_t length_of(std::size_t payload) {
    return (kRecordBytes + payload + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
  }
  bool put_record(const Record& record, ConstBytes payload);
  void believe(const Progress& progress);

  Edge& edge_;
  const std::byte* cell_;
  int me_;
  std::shared_ptr<memory::Region> ring_;    ///< in which we hear
  std::shared_ptr<memory::Region> mirror_;  ///< of the peer's; null where that is mapped
  /// What the peer's cell is told; lives as long as the link may read it.
  std::array<std::byte, kCellBytes> note_ = {};
  bool noted_ = false;
  bool open_ = false;
  bool mute_ = false;  ///< the peer is gone
  transport::RemoteAddress peer_ring_ = {};

  std::size_t tell_at_ = 0;  ///< offset in the peer's ring
  std::uint64_t told_ = 0;   ///< bytes
  std::uint64_t told_eager_ = 0;
  std::uint64_t puts_ = 0;
  Progress theirs_ = {};

  std::size_t hear_at_ = 0;  ///< offset in our ring
  std::uint64_t heard_ = 0;  ///< records, and the note before them
  std::uint64_t heard_eager_ = 0;
  ConstBytes payload_ = {};  ///< of the one in front
  bool eager_ = false;       ///< likewise
  Progress mine_ = {};
  Progress reported_ = {};
};

}  // namespace paceline::engine
