// The connection manager's objects, destroyed like those of verbs (ibv_handles.h). An id goes
// before the channel that its events come by.
#pragma once

#include "transport_verbs/cm_api.h"
#include "transport_verbs/ibv_handles.h"

namespace paceline::transport::verbs {

using CmChannelHandle = Handle<rdma_event_channel, CmApi, &CmApi::destroy_event_channel>;
using CmIdHandle = Handle<rdma_cm_id, CmApi, &CmApi::destroy_id>;

}  // namespace paceline::transport::verbs
