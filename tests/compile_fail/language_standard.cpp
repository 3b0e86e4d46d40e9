// expect-error: Fanfold needs C\+\+20: pass -std=c\+\+20
#ifdef MISTAKE
#undef __cplusplus
#define __cplusplus 201703L
#endif
#include "fanfold/core/config.hpp"
