// What a copy between processes costs on this machine beside copies by the processor.
#pragma once

namespace paceline::transport::shm {

/// Whether the kernel's copy (process_vm_readv) of long data takes less time than two copies within
/// a process: that is what it stands against, one into memory that both ranks map and one out of
/// it. On some machines it is half of that, on others, where looking up pages is dear, nearly
/// twice. Measured by the first call in a process, in some 0.2 ms. Any thread.
bool get_beats_copies();

}  // namespace paceline::transport::shm
