// Gloo over TCP, the only wire it has between processes; its ranks meet in a folder.
//   --algorithm ring (Gloo's default) or bcube, which is about all_reduce only
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include "compare/method.h"

namespace {

using paceline::Collective;
using paceline::compare::Arguments;
using paceline::compare::Call;

// Longer than any call takes; bench/compare/run ends a library that hangs.
constexpr std::chrono::seconds kTimeout{600};

class Gloo final : public paceline::compare::Library {
 public:
  Gloo(const Arguments& arguments, int rank)
      : bcube_(arguments.text("algorithm", "ring") == "bcube") {
    gloo::transport::tcp::attr attributes;
    attributes.hostname = arguments.text("address");
    auto device = gloo::transport::tcp::CreateDevice(attributes);
    gloo::rendezvous::FileStore store(arguments.text("store"));
    auto context = std::make_shared<gloo::rendezvous::Context>(
        rank, static_cast<int>(arguments.number("ranks")));
    context->setTimeout(kTimeout);
    connect(*context, store, device);
    context_ = context;
  }

  // Its reduce_scatter is of another kind: in place only, and of a buffer that it is tied to.
  [[nodiscard]] bool offers(Collective collective, bool in_place) const override {
    if (bcube_) return collective == Collective::all_reduce;
    return collective != Collective::reduce_scatter &&
           !(in_place && collective == Collective::all_to_all);
  }

  void call(const Call& c) override {
    const auto ranks = static_cast<std::size_t>(context_->size);
    auto* const in = const_cast<float*>(c.in);
    if (c.collective == Collective::all_reduce) {
      gloo::AllreduceOptions options(context_);
      options.setAlgorithm(bcube_ ? gloo::AllreduceOptions::Algorithm::BCUBE
                                  : gloo::AllreduceOptions::Algorithm::RING);
      if (!c.in_place) options.setInput(in, c.count);
      options.setOutput(c.out, c.count);
      options.setReduceFunction([](void* sum, const void* a, const void* b, std::size_t n) {
        gloo::sum<float>(sum, a, b, n);
      });
      gloo::allreduce(options);
    } else if (c.collective == Collective::all_gather) {
      gloo::AllgatherOptions options(context_);
      if (!c.in_place) options.setInput(in, c.count);
      options.setOutput(c.out, c.count * ranks);
      gloo::allgather(options);
    } else if (c.collective == Collective::all_to_all) {
      gloo::AlltoallOptions options(context_);
      options.setInput(in, c.count * ranks);
      options.setOutput(c.out, c.count * ranks);
      gloo::alltoall(options);
    } else if (c.collective == Collective::broadcast) {
      gloo::BroadcastOptions options(context_);
      options.setOutput(c.out, c.count);
      options.setRoot(0);
      gloo::broadcast(options);
    }
  }

 private:
  // Releases differ in whether they want the store itself or a pointer to it.
  template <class Context, class Store, class Device>
  static void connect(Context& context, Store& store, Device& device) {
    if constexpr (requires { context.connectFullMesh(store, device); }) {
      context.connectFullMesh(store, device);
    } else {
      context.connectFullMesh(std::shared_ptr<Store>(&store, [](Store*) {}), device);
    }
  }

  const bool bcube_;
  std::shared_ptr<gloo::Context> context_;
};

}  // namespace

int main(int argc, char** argv) {
  return paceline::compare::adapter_main(argc, argv, [](const Arguments& arguments, int rank) {
    return std::make_unique<Gloo>(arguments, rank);
  });
}
