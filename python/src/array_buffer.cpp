// The buffer protocol: bytearray, memoryview, array.array, ctypes arrays, mmap. A memoryview is
// kept, which forbids their owner to move them.
#include <cstring>
#include <string_view>

#include "array.h"
#include "errors.h"

namespace paceline::python {

namespace {

// A letter of the struct module, with its size.
std::optional<DataType> data_type_of(char letter, Py_ssize_t bytes) {
  const auto one_of = [&](std::string_view letters) {
    return letters.find(letter) != std::string_view::npos;
  };
  const std::string bits = std::to_string(8 * bytes);
  if (letter == '?') return DataType::boolean;
  if (one_of("bhilqn")) return data_type_named("int" + bits);
  if (one_of("BHILQN")) return data_type_named("uint" + bits);
  if (one_of("efd")) return data_type_named("float" + bits);
  return std::nullopt;
}

}  // namespace

std::optional<Array> take_buffer(const Argument& argument) {
  if (PyObject_CheckBuffer(argument.object.ptr()) == 0) return std::nullopt;
  const auto view =
      py::reinterpret_steal<py::object>(PyMemoryView_FromObject(argument.object.ptr()));
  if (!view) throw py::error_already_set();
  const Py_buffer& buffer = *PyMemoryView_GET_BUFFER(view.ptr());
  std::string_view format = buffer.format == nullptr ? "B" : buffer.format;
  if (format.starts_with('>') || format.starts_with('!')) {
    refuse_byte_order(argument, "'" + std::string(format) + "'");
  }
  if (format.starts_with('@') || format.starts_with('=') || format.starts_with('<')) {
    format.remove_prefix(1);
  }
  const auto type = format.size() == 1 ? data_type_of(format[0], buffer.itemsize) : std::nullopt;
  if (!type) {
    refuse_type(argument, "'" + std::string(format) + "' (of the buffer protocol, " +
                              std::to_string(8 * buffer.itemsize) + " bits)");
  }
  if (PyBuffer_IsContiguous(&buffer, 'C') == 0) {
    refuse_gaps(argument, py::str(view.attr("shape")));
  }
  if (argument.use == Use::write && buffer.readonly != 0) refuse_read_only(argument);
  return Array{static_cast<std::byte*>(buffer.buf),
               static_cast<std::size_t>(buffer.len / buffer.itemsize), *type, view};
}

}  // namespace paceline::python
