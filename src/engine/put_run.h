// Runs an announced operation: every lane takes its instances, one after the other, through the
// steps of the schedule, each lowered to what the edge can do.
//
// While one lane waits for a peer, another reduces: that is how transfer and reduction overlap.
#pragma once

#include "engine/engine.h"

namespace paceline::engine {

class PutRun {
 public:
  PutRun(Engine& engine, Operation& operation) : engine_(engine), operation_(operation) {}

  /// Announces to the peers that have not been told; true if at least one was told.
  bool announce();
  /// Reads the peers' announcements and moves every lane as far as it goes; true if any moved.
  /// Sets the phase to flushing when all lanes are done.
  bool advance();
  /// In the phase flushing: true once no peer needs the buffers of this rank any more.
  bool finish();
  /// True once the peer has announced this operation.
  bool bound(Edge& edge);

 private:
  /// Where my buffers are, or those of a peer that are mapped here. Scratch and shadow are those of
  /// an instance, input and output the whole ones.
  struct Bases {
    std::byte* input;
    std::byte* output;
    std::byte* scratch;
    std::byte* shadow;
    bool are_mine;
  };

  Announcement describe(const Edge& edge) const;
  void bind(Edge& edge, const Announcement& announcement);
  bool map(Edge& edge, collectives::Buffer buffer);
  void compare_lengths(const Edge& edge, const Announcement& theirs) const;
  /// Tells the peers from whose memory was fetched that it may be written over.
  bool release();
  /// Reads from the peer's memory what `reference` names; false: not yet.
  bool fetch(Edge& edge, const collectives::Step& step, std::uint64_t instance,
             const std::byte* reference, std::span<std::byte> target);
  /// Whether a slice is an instance's part of a block, behind which that of the next one lies.
  [[nodiscard]] bool is_part_of_block(const collectives::Slice& slice) const;
  /// Of a slice of mine: whether all of its block can be fetched from the beginning.
  [[nodiscard]] bool is_ready_as_a_whole(const collectives::Slice& slice) const;
  [[nodiscard]] std::uint64_t key_of_unreachable_output(const Edge& edge) const;
  [[nodiscard]] bool in_turns(const Edge& edge) const;
  /// What the ends can do with each other's buffers, in an instance.
  [[nodiscard]] collectives::EdgeReach reach(const Edge& edge, std::uint64_t instance) const;
  void choose_schedule(Edge& edge);
  void agree_to_keep(Edge& edge) const;
  /// How many scratches all lanes have, each of which an instance uses.
  [[nodiscard]] std::uint64_t scratches() const {
    return static_cast<std::uint64_t>(operation_.plan_->lanes()) * operation_.turns_;
  }
  /// Whether a signal or wait does not take place; most do without being asked.
  [[nodiscard]] bool left_out(const collectives::Step& step, const Edge& edge,
                              std::uint64_t instance) const {
    return step.only != collectives::Only::always &&
           !collectives::takes_place(step, reach(edge, instance));
  }
  [[nodiscard]] bool keeps(const Edge& edge, std::uint64_t instance) const;
  const std::byte* kept_by(Edge& edge, std::uint64_t kept, std::uint64_t count,
                           std::uint64_t instance);
  [[nodiscard]] std::uint64_t shortest_fetched() const;
  bool put_reference(Edge& edge, const collectives::Step& step, ConstBytes source,
                     transport::Lane lane, std::uint64_t instance);
  void require_scratch(const Edge& edge, std::uint64_t needed, std::uint64_t given) const;

  bool advance_lane(transport::Lane lane, LaneState& state);
  bool take(const collectives::Schedule& schedule, const collectives::Step& step, std::uint64_t i,
            transport::Lane lane, std::uint64_t instance);
  bool put(const collectives::Step& step, transport::Lane lane, std::uint64_t instance);
  bool wait(const collectives::Step& step, transport::Lane lane, std::uint64_t instance);
  [[nodiscard]] std::uint64_t reduced(const collectives::Schedule& schedule,
                                      const collectives::Step& step, std::uint64_t i,
                                      std::uint64_t instance) const;
  bool reduce(const collectives::Schedule& schedule, const collectives::Step& step, std::uint64_t i,
              std::uint64_t instance);
  bool find_sources(const collectives::Schedule& schedule, const collectives::Step& step,
                    std::uint64_t i, std::uint64_t instance, std::uint64_t count);
  bool find_destinations(const collectives::Schedule& schedule, const collectives::Step& step,
                         std::uint64_t i, std::uint64_t instance, std::uint64_t count,
                         std::size_t& streamed);
  [[nodiscard]] bool streams() const;
  bool flushed();

  [[nodiscard]] std::size_t bytes(std::uint64_t elements) const { return elements * element_; }
  [[nodiscard]] Bases mine(std::uint64_t instance) const;
  [[nodiscard]] Bases theirs(const Edge& edge, std::uint64_t instance) const;
  [[nodiscard]] std::uint64_t element(const collectives::Slice& slice, std::uint64_t instance,
                                      bool is_mine) const;
  [[nodiscard]] std::uint64_t clipped(const collectives::Slice& slice, std::uint64_t instance,
                                      int owner) const;
  [[nodiscard]] bool concerns(int peer, std::uint64_t instance) const;
  [[nodiscard]] std::byte* at(const Bases& bases, const collectives::Slice& slice,
                              std::uint64_t instance) const;
  [[nodiscard]] transport::RemoteAddress remote(const Edge& edge, const collectives::Slice& slice,
                                                bool shadow, std::uint64_t instance) const;
  [[nodiscard]] const transport::Registration* registration_of(const Edge& edge,
                                                               collectives::Buffer buffer) const;

  Engine& engine_;
  Operation& operation_;
  const Extents* const extents_ = operation_.given_.extents.get();
  std::size_t element_ = size_of(operation_.call().type);
};

}  // namespace paceline::engine
