// Every collective with every type and operation that go together, against what has to come out.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "common/operation.h"
#include "paceline/paceline.hpp"

namespace paceline::testing_support {

/// What was wrong first, "" if nothing was; `cases` is counted up.
class Matrix {
 public:
  explicit Matrix(Communicator& comm) : comm_(comm) {}

  enum class Range { all, sums_of_float32 };

  std::string run(const std::vector<std::size_t>& counts, Range range = Range::all) {
    for (int c = 1; is_valid(static_cast<Collective>(c)); ++c) {
      for (int t = 1; is_valid(static_cast<DataType>(t)); ++t) {
        for (int o = 1; o <= static_cast<int>(ReduceOp::bxor); ++o) {
          const auto collective = static_cast<Collective>(c);
          const auto type = static_cast<DataType>(t);
          const auto op = static_cast<ReduceOp>(o);
          if (collective == Collective::barrier) continue;
          if (range == Range::sums_of_float32 &&
              (type != DataType::float32 || op != ReduceOp::sum)) {
            continue;
          }
          if (reduces(collective) ? !offers(op, type) : o != 1) continue;
          for (const std::size_t count : counts) {
            std::string wrong = check(collective, type, op, count);
            if (!wrong.empty()) return wrong;
          }
        }
      }
    }
    return "";
  }
  [[nodiscard]] int cases() const { return cases_; }

 private:
  std::string check(Collective collective, DataType type, ReduceOp op, std::size_t count) {
    const int root = cases_ % comm_.size();
    const auto operation = bench::make_operation(comm_, collective, type, op, root);
    const std::size_t bytes = std::max<std::size_t>(
        1, count * static_cast<std::size_t>(operation->blocks()) * size_of(type));
    const Memory first = comm_.allocate(bytes);
    const Memory second = comm_.allocate(bytes);
    for (const bool in_place : {false, true}) {
      const bench::Buffers buffers = in_place ? operation->in_place(first.data(), count)
                                              : bench::Buffers{first.data(), second.data()};
      std::memset(second.data(), 0x5a, bytes);
      operation->fill(buffers, count);
      operation->call(buffers, count);
      ++cases_;
      const std::uint64_t wrong = operation->check(buffers, count);
      if (wrong == 0) continue;
      return std::to_string(wrong) + " wrong elements: " + std::string(to_string(collective)) +
             " of " + std::to_string(count) + " x " + std::string(to_string(type)) + ", " +
             std::string(to_string(op)) + ", rank " + std::to_string(comm_.rank()) + " of " +
             std::to_string(comm_.size()) + ", root " + std::to_string(root) +
             (in_place ? ", in place" : "");
    }
    return "";
  }

  Communicator& comm_;
  int cases_ = 0;
};

}  // namespace paceline::testing_support
