// Whether the program itself uses MPI.
#pragma once

namespace paceline::bootstrap {

/// Whether MPI_Init has been called in this process, whichever MPI it is and however its library
/// was loaded (linked, or by dlopen as from Python). True after MPI_Finalize too. Links no MPI.
bool mpi_was_initialized();

}  // namespace paceline::bootstrap
