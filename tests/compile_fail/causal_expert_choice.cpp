// expect-error: looks at later tokens
#include "fanfold/route/causal.hpp"
#include "fanfold/route/expert_choice.hpp"

#ifdef MISTAKE
using router = fanfold::route::expert_choice;
#else
using router = fanfold::route::token_choice<>;
#endif

void use() { fanfold::route::require_causal<router>(); }
