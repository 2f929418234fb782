#include "store.h"

#include <chrono>
#include <string>
#include <utility>

#include "errors.h"

namespace paceline::python {

namespace {

/// Methods are called by a thread without the interpreter's lock.
class PythonStore final : public Store {
 public:
  explicit PythonStore(py::object store) : store_(std::move(store)) {}
  ~PythonStore() override {
    const py::gil_scoped_acquire locked;
    store_ = py::object();
  }

  void set(const std::string& key, const std::string& value) override {
    ask("set", [&] { store_.attr("set")(key, py::bytes(value)); });
  }
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    std::string value;
    ask("get", [&] {
      const double seconds = static_cast<double>(timeout.count()) / 1000;
      value = py::bytes(store_.attr("get")(key, seconds));
    });
    return value;
  }

 private:
  template <class Question>
  void ask(const char* method, const Question& question) const {
    const py::gil_scoped_acquire locked;
    try {
      question();
    } catch (const py::error_already_set& error) {
      // As an Error: without the interpreter's lock nobody may touch the exception any more.
      const ErrorCode code =
          error.matches(PyExc_TimeoutError) ? ErrorCode::timeout : ErrorCode::bootstrap_failed;
      throw Error(code, std::string("the store's ") + method + "() raised " + error.what());
    }
  }

  py::object store_;
};

}  // namespace

std::shared_ptr<Store> store_from(const py::object& given) {
  if (given.is_none()) return nullptr;
  if (py::isinstance<py::str>(given) || py::hasattr(given, "__fspath__")) {
    const py::object path = py::module_::import("os").attr("fspath")(given);
    return make_file_store(path.cast<std::string>());
  }
  if (py::hasattr(given, "set") && py::hasattr(given, "get")) {
    return std::make_shared<PythonStore>(given);
  }
  refuse("store is " + a_type(given) +
         ": give the path of a folder that all ranks share, or an object with set(key, value) and "
         "get(key, timeout)");
}

}  // namespace paceline::python
