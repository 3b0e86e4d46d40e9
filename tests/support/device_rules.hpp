#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "fanfold/kernel/gram.hpp"
#include "fanfold/kernel/map_fold.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/robust_rules.hpp"

namespace support {

struct attacked_table {
  std::string attack;
  table<float> rows;
};
/// 11 rows of which the last two come from each attack in turn, also from such as send what is not finite (attacked_tables.cpp).
std::vector<attacked_table> attacked_tables();

/// Calls f(ex) with emulated devices of two shapes.
template <class F>
void for_each_device(F&& f) {
  for (unsigned threads : {32u, 128u}) {
    if (thread_sanitizer && threads != 32) continue;
    fanfold::workspace ws;
    f(fanfold::emulate::executor(ws, {.block_threads = threads, .resident_blocks = 3, .descending = threads == 128}));
  }
}

/// Under every attack the rule gives on devices the bits that it gives on the host.
template <class R, class... Options>
void check_on_devices(std::string const& name, R const& rule, Options const&... options) {
  CAPTURE(name);
  for (attacked_table const& x : attacked_tables()) {
    CAPTURE(x.attack);
    auto const expected = aggregated(rule, x.rows, options...);
    for_each_device([&](auto const& ex) {
      std::vector<float> out(expected.size(), 7.0f);
      fanfold::aggregate::robust(ex, rule, x.rows.view(), out, options...);
      fanfold::finish(ex);
      CHECK(same_bits(out, expected));
    });
  }
}

}  // namespace support
