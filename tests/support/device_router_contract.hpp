#pragma once

#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "support/emulated.hpp"
#include "support/router_contract.hpp"

namespace support {

template <int Part>
void check_routers_on_device() {
  auto const devices = [](auto const& f) {
    fanfold::workspace ws;
    f("emulated, 32 threads", fanfold::emulate::executor(ws, {.block_threads = 32, .resident_blocks = 2}));
    if (!thread_sanitizer) f("emulated, 96 threads", fanfold::emulate::executor(ws, {.block_threads = 96, .resident_blocks = 3, .descending = true}));
  };
  for_each_named_router<Part>([&](char const* names, auto const& make) {
    CAPTURE(names);
    check_shape<float>(make, {5, 17, 4}, thread_sanitizer ? 6 : 1, devices);
    for (router_shape const s : {router_shape{2, 1, 1}, {35, 3, 2}, {2, 65, 33}, {1, 257, 9}}) check_shape<float>(make, s, 6, devices);
  });
}

}  // namespace support
