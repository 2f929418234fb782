// PMI-1, the protocol that MPICH's and Intel MPI's mpiexec, srun --mpi=pmi2 and others speak with
// their processes: one line of text for a question, one for its answer, "cmd=put key=a value=b\n".
// Here are the lines themselves: pure functions, no descriptor.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "paceline/error.h"

namespace paceline::bootstrap {

/// No answer is longer: the longest holds a value, for which launchers allow up to 4,096 bytes
/// (Intel MPI), and less than another 1,000 of words around it.
inline constexpr std::size_t kMaxPmiLine = 8192;
/// No question may be longer: older servers read into a buffer of 1,024.
inline constexpr std::size_t kMaxPmiQuestion = 1000;

/// The words of a line, "cmd" among them.
using PmiWords = std::map<std::string, std::string, std::less<>>;

/// Reads a line without its newline. Empty if it is not made of key=value words, one blank between
/// two of them, no key twice, all bytes printable.
std::optional<PmiWords> pmi_words(std::string_view line);

/// A word of a line, read as a number; empty if it is missing or none.
std::optional<int> pmi_number(const PmiWords& words, std::string_view key);

/// Collects the lines that come in pieces, of any size.
class PmiLines {
 public:
  /// False, for good, once a line grows longer than kMaxPmiLine.
  [[nodiscard]] bool add(std::string_view bytes);
  /// The next whole line, without its newline.
  [[nodiscard]] std::optional<std::string> take();

 private:
  std::string pending_;
  bool overlong_ = false;
};

/// A value cut into pieces that fit: each holds at most `longest` bytes, all of them hex digits but
/// for the first one's prefix "COUNT.", COUNT being the number of pieces. `longest` is at least 16.
std::vector<std::string> pmi_pieces(std::string_view value, std::size_t longest);
/// How many pieces there are, from the first of them; empty if it is none.
std::optional<std::size_t> pmi_piece_count(std::string_view first);
/// The value again; empty if the pieces, which are all of them, are no such pieces.
std::optional<std::string> pmi_value(const std::vector<std::string>& pieces);

/// What somebody else sent, for an error text: in quotes, without control characters, cut short.
std::string pmi_quoted(std::string_view text);

}  // namespace paceline::bootstrap
