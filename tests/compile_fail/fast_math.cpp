// expect-error: compile without -ffast-math
#ifdef MISTAKE
#define __FAST_MATH__ 1
#endif
#include "fanfold/core/config.hpp"
