// One collective, or a send and a recv, of one element type and operation: how it is called, what
// goes in, and whether what comes out is right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/data.h"
#include "common/pattern.h"
#include "paceline/paceline.hpp"

namespace paceline::bench {

struct Buffers {
  std::byte* in = nullptr;
  std::byte* out = nullptr;
};

/// `count` is the collective's own: elements of one block.
class Operation {
 public:
  virtual ~Operation() = default;
  /// Blocks of the longer one of the two buffers: nccl-tests' "size" is the bytes of that.
  [[nodiscard]] virtual int blocks() const = 0;
  /// A broadcast is in place by itself; out of place, the root copies first.
  virtual void call(const Buffers& buffers, std::size_t count) = 0;
  virtual Work start(const Buffers& buffers, std::size_t count) = 0;
  /// The two buffers of a call in place within one of size() blocks; null where there is none.
  [[nodiscard]] virtual Buffers in_place(std::byte* memory, std::size_t count) const = 0;
  [[nodiscard]] virtual std::size_t output_bytes(std::size_t count) const = 0;
  /// Fills this rank's input for the check; `check` counts wrong elements of its output.
  virtual void fill(const Buffers& buffers, std::size_t count) = 0;
  [[nodiscard]] virtual std::uint64_t check(const Buffers& buffers, std::size_t count) = 0;
};

template <class T>
class TypedOperation final : public Operation {
 public:
  TypedOperation(Communicator& comm, Collective collective, ReduceOp op, int root)
      : comm_(comm),
        collective_(collective),
        op_(op == ReduceOp::premul_sum ? Reduction::premul_sum(factor_of(comm.rank()))
                                       : Reduction(op)),
        root_(root),
        data_(collective, op, root, comm.rank(), comm.size()) {}

  [[nodiscard]] int blocks() const override {
    const Blocks blocks = of_root();
    return std::max(blocks.input, blocks.output);
  }

  void call(const Buffers& b, std::size_t n) override {
    switch (collective_) {
      case Collective::all_reduce:
        return comm_.all_reduce(b.in, b.out, n, kType, op_);
      case Collective::broadcast:
        if (comm_.rank() == root_ && b.in != b.out) std::memcpy(b.out, b.in, n * sizeof(T));
        return comm_.broadcast(b.out, n, kType, root_);
      case Collective::barrier:
        return comm_.barrier();
      case Collective::reduce_scatter:
        return comm_.reduce_scatter(b.in, b.out, n, kType, op_);
      case Collective::all_gather:
        return comm_.all_gather(b.in, b.out, n, kType);
      case Collective::all_to_all:
        return comm_.all_to_all(b.in, b.out, n, kType);
      case Collective::reduce:
        return comm_.reduce(b.in, b.out, n, kType, op_, root_);
      case Collective::gather:
        return comm_.gather(b.in, b.out, n, kType, root_);
      case Collective::scatter:
        return comm_.scatter(b.in, b.out, n, kType, root_);
    }
  }

  Work start(const Buffers& b, std::size_t n) override {
    switch (collective_) {
      case Collective::all_reduce:
        return comm_.all_reduce_async(b.in, b.out, n, kType, op_);
      case Collective::broadcast:
        if (comm_.rank() == root_ && b.in != b.out) std::memcpy(b.out, b.in, n * sizeof(T));
        return comm_.broadcast_async(b.out, n, kType, root_);
      case Collective::barrier:
        break;
      case Collective::reduce_scatter:
        return comm_.reduce_scatter_async(b.in, b.out, n, kType, op_);
      case Collective::all_gather:
        return comm_.all_gather_async(b.in, b.out, n, kType);
      case Collective::all_to_all:
        return comm_.all_to_all_async(b.in, b.out, n, kType);
      case Collective::reduce:
        return comm_.reduce_async(b.in, b.out, n, kType, op_, root_);
      case Collective::gather:
        return comm_.gather_async(b.in, b.out, n, kType, root_);
      case Collective::scatter:
        return comm_.scatter_async(b.in, b.out, n, kType, root_);
    }
    return comm_.barrier_async();
  }

  // The shorter of the two is the rank's own block of the longer one.
  [[nodiscard]] Buffers in_place(std::byte* memory, std::size_t count) const override {
    std::byte* const own = memory + static_cast<std::size_t>(comm_.rank()) * count * sizeof(T);
    const Blocks blocks = of_root();
    return {blocks.input < blocks.output ? own : memory,
            blocks.output < blocks.input ? own : memory};
  }

  [[nodiscard]] std::size_t output_bytes(std::size_t count) const override {
    return data_.outputs() * count * sizeof(T);
  }
  void fill(const Buffers& buffers, std::size_t count) override {
    data_.fill(reinterpret_cast<T*>(buffers.in), count);
  }
  std::uint64_t check(const Buffers& buffers, std::size_t count) override {
    return data_.wrong(reinterpret_cast<const T*>(buffers.out), count);
  }

 private:
  static constexpr DataType kType = DataTypeOf<T>::value;

  /// Where only one rank has a buffer, that is the root.
  [[nodiscard]] Blocks of_root() const {
    return blocks_of(collective_, root_, comm_.size(), root_);
  }

  Communicator& comm_;
  const Collective collective_;
  const Reduction op_;
  const int root_;
  const Data<T> data_;
};

/// nccl-tests' sendrecv: each rank sends to the next one and receives from the one before.
template <class T>
class SendRecv final : public Operation {
 public:
  explicit SendRecv(Communicator& comm)
      : comm_(comm),
        next_((comm.rank() + 1) % comm.size()),
        previous_((comm.rank() + comm.size() - 1) % comm.size()),
        input_(Pattern<T>::input(ReduceOp::max, comm.rank(), comm.size())),
        output_(Pattern<T>::input(ReduceOp::max, previous_, comm.size())) {}

  [[nodiscard]] int blocks() const override { return 1; }
  // If all sent first, none might receive.
  void call(const Buffers& b, std::size_t n) override {
    Work sent = comm_.send_async(b.in, n, kType, next_);
    comm_.recv(b.out, n, kType, previous_);
    sent.wait();
  }
  Work start(const Buffers& b, std::size_t n) override {
    Work received = comm_.recv_async(b.out, n, kType, previous_);
    comm_.send(b.in, n, kType, next_);
    return received;
  }
  [[nodiscard]] Buffers in_place(std::byte*, std::size_t) const override { return {}; }
  [[nodiscard]] std::size_t output_bytes(std::size_t count) const override {
    return count * sizeof(T);
  }
  void fill(const Buffers& buffers, std::size_t count) override {
    input_.write(reinterpret_cast<T*>(buffers.in), count);
  }
  std::uint64_t check(const Buffers& buffers, std::size_t count) override {
    return output_.wrong(reinterpret_cast<const T*>(buffers.out), count);
  }

 private:
  static constexpr DataType kType = DataTypeOf<T>::value;

  Communicator& comm_;
  const int next_;
  const int previous_;
  const Pattern<T> input_;
  const Pattern<T> output_;
};

/// Without a collective: a send and a recv.
inline std::unique_ptr<Operation> make_operation(Communicator& comm,
                                                 std::optional<Collective> collective,
                                                 DataType type, ReduceOp op, int root) {
  return with_type(type, [&](auto zero) -> std::unique_ptr<Operation> {
    using T = decltype(zero);
    if (!collective) return std::make_unique<SendRecv<T>>(comm);
    return std::make_unique<TypedOperation<T>>(comm, *collective, op, root);
  });
}

}  // namespace paceline::bench
