#pragma once

#include "support/executors.hpp"
#include "support/router_contract.hpp"

namespace support {

/// All host executors where the work splits into several tasks or rows fill vectors, one for the many shapes.
template <int Part>
void check_routers_on_host() {
  auto const all = [](auto const& f) { for_each_executor(f); };
  auto const threaded = [](auto const& f) { f("thread pool, 2 threads", shared_pool().ref()); };
  for_each_named_router<Part>([&](char const* names, auto const& make) {
    CAPTURE(names);
    check_shape<float>(make, {70, 64, 8}, 3, all);
    for (router_shape const s : {router_shape{37, 7, 3}, {19, 17, 4}, {18, 60, 9}}) check_shape<float>(make, s, 1, threaded);
    for (router_shape const s : {router_shape{5, 1, 1}, {4, 2, 1}, {3, 3, 3}, {9, 8, 8}, {3, 65, 33}, {17, 100, 100}, {3, 160, 6}, {17, 256, 17},
                                 {3, 257, 32}, {2, 384, 8}, {2, 512, 64}, {17, 1000, 31}, {2, 1024, 1024}, {2, 2048, 2}})
      check_shape<float>(make, s, 5, threaded);
  });
}

/// Logits of two bytes: the same ids as for the same numbers in float.
template <int Part>
void check_routers_on_narrow_logits() {
  for_each_named_router<Part>([&](char const* names, auto const& make) {
    CAPTURE(names);
    for (router_shape const s : {router_shape{19, 33, 5}, {3, 65, 9}, {2, 300, 17}})
      check_shape<fanfold::bfloat16>(make, s, 2, [](auto const& f) { f("serial", fanfold::serial); });
  });
}

}  // namespace support
