// Verbs objects that destroy themselves. Each must go before the one that it was made from, which
// is what the order of members in Device and VerbsEndpoint is for.
//
// After a fork() the child holds the parent's descriptors too: an object that the child destroys
// would be destroyed for the parent. So in a child they are forgotten instead.
#pragma once

#include <memory>

#include "base/fork.h"
#include "transport_verbs/ibv_api.h"

namespace paceline::transport::verbs {

template <class Object, class Api, auto Destroy>
struct Destroyer {
  const Api* api = nullptr;
  int generation = process_generation();
  void operator()(Object* object) const noexcept {
    if (generation == process_generation()) (void)(api->*Destroy)(object);
  }
};

template <class Object, class Api, auto Destroy>
using Handle = std::unique_ptr<Object, Destroyer<Object, Api, Destroy>>;

using ContextHandle = Handle<ibv_context, VerbsApi, &VerbsApi::close_device>;
using DomainHandle = Handle<ibv_pd, VerbsApi, &VerbsApi::dealloc_pd>;
using RegionHandle = Handle<ibv_mr, VerbsApi, &VerbsApi::dereg_mr>;
using ChannelHandle = Handle<ibv_comp_channel, VerbsApi, &VerbsApi::destroy_comp_channel>;
using CompletionQueueHandle = Handle<ibv_cq, VerbsApi, &VerbsApi::destroy_cq>;
using QueuePairHandle = Handle<ibv_qp, VerbsApi, &VerbsApi::destroy_qp>;

}  // namespace paceline::transport::verbs
