#pragma once

#include <cstdio>
#include <exception>
#include <vector>

#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"

/// Launches a faulty body once; the process prints what was thrown, and the sanitizer what it saw.
namespace bug {

template <class F>
int run(F const& f) {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  try {
    f(ex);
  } catch (std::exception const& e) {
    std::printf("thrown: %s\n", e.what());
  }
  return 0;
}

}  // namespace bug
