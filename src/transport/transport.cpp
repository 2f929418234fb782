// The contract is all interfaces; this file makes sure that its header compiles alone.
#include "transport/transport.h"
