#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "support/bits.hpp"
#include "support/coordinate_rules.hpp"
#include "support/samples.hpp"

namespace ff = fanfold;

TEST_CASE("coordinate_fold on a device: double and bfloat16 rows") {
  std::int64_t const n = 50, d = 33;
  std::vector<double> wide;
  std::vector<ff::bfloat16> brain;
  for (float v : support::reals(static_cast<std::size_t>(n * d), 3)) {
    wide.push_back(static_cast<double>(v));
    brain.push_back(ff::bfloat16(v));
  }
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {.block_threads = 64});
  std::vector<double> a(static_cast<std::size_t>(d)), b(a);
  ff::coordinate_fold(support::trimmed{3}, ff::matrix_view<double const>(wide.data(), n, d), a);
  ff::coordinate_fold(ex, support::trimmed{3}, ff::matrix_view<double const>(wide.data(), n, d), b);
  CHECK(support::same_bits(a, b));
  std::vector<ff::bfloat16> u(static_cast<std::size_t>(d)), v(u);
  ff::coordinate_fold(support::trimmed{3}, ff::matrix_view<ff::bfloat16 const>(brain.data(), n, d), u);
  ff::coordinate_fold(ex, support::trimmed{3}, ff::matrix_view<ff::bfloat16 const>(brain.data(), n, d), v);
  for (std::size_t c = 0; c < u.size(); ++c) CHECK(u[c].bits == v[c].bits);
}
