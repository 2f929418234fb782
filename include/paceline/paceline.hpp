// The whole public face in one include.
#pragma once

#include "paceline/communicator.h"
#include "paceline/config.h"
#include "paceline/counts.h"
#include "paceline/error.h"
#include "paceline/floats.h"
#include "paceline/history.h"
#include "paceline/log.h"
#include "paceline/memory.h"
#include "paceline/reduction.h"
#include "paceline/store.h"
#include "paceline/types.h"
#include "paceline/usage.h"
#include "paceline/work.h"
