// The functions of libpmix that are used, found at run time: a program whose launcher does not
// speak PMIx needs no libpmix.
#pragma once

#include <pmix.h>

#include "base/launcher_channel.h"

namespace paceline::bootstrap {

struct PmixLibrary {
  decltype(&PMIx_Init) init;
  decltype(&PMIx_Finalize) finalize;
  decltype(&PMIx_Put) put;
  decltype(&PMIx_Commit) commit;
  decltype(&PMIx_Fence_nb) fence;
  decltype(&PMIx_Get) get;
  decltype(&PMIx_Error_string) error_string;

  /// The process's: the first call loads it, from where its `channel` says. Throws Error
  /// (unsupported).
  static const PmixLibrary& of_process(const PmixChannel& channel);

 private:
  explicit PmixLibrary(void* handle);
};

}  // namespace paceline::bootstrap
