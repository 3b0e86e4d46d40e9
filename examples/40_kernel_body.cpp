// A kernel body of one's own, checked on the CPU: the largest difference between neighbours in each row of a matrix.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/warp.hpp"

namespace example {

// [body]
struct larger {
  FANFOLD_HD float operator()(float a, float b) const { return a < b ? b : a; }
};

/// out[r] = max over c of |x(r, c + 1) - x(r, c)|; a warp takes a row.
struct steepest_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, fanfold::matrix_view<float const> x, fanfold::view<float> out) const {
    for (std::int64_t r = fanfold::grid_warp(b); r < x.rows(); r += fanfold::grid_warps(b)) {
      float steepest = 0;
      for (std::int64_t c = fanfold::lane_of(b); c + 1 < x.cols(); c += 32) {
        float const step = x(r, c + 1) - x(r, c);
        steepest = larger{}(steepest, step < 0 ? -step : step);
      }
      steepest = fanfold::warp_all_fold(b, steepest, larger{});
      if (fanfold::lane_of(b) == 0) out[r] = steepest;
    }
  }
};
// [body]

// [launch]
template <fanfold::device_executor E>
void steepest(E const& ex, fanfold::matrix_view<float const> x, fanfold::view<float> out) {
  fanfold::check_argument(out.size() == x.rows(), "steepest", "out.size()", out.size(), "the number of rows");
  unsigned const threads = fanfold::threads_for<steepest_body>(ex);
  ex.launch(steepest_body{}, fanfold::blocks_for(ex, x.rows(), threads / 32, threads), threads, x, out);
}
// [launch]

}  // namespace example

int main() {
  constexpr std::int64_t rows = 37, cols = 100;
  std::vector<float> x(rows * cols), want(rows);
  for (std::int64_t i = 0; i < rows * cols; ++i) x[static_cast<std::size_t>(i)] = static_cast<float>((i * 7919 + i / cols) % 1009) / 64;
  fanfold::matrix_view<float const> const matrix(x.data(), rows, cols);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c + 1 < cols; ++c) {
      float const step = std::fabs(matrix(r, c + 1) - matrix(r, c));
      if (step > want[static_cast<std::size_t>(r)]) want[static_cast<std::size_t>(r)] = step;
    }

  // [check]
  fanfold::workspace ws;
  for (unsigned threads : {32u, 64u, 128u, 256u})
    for (bool descending : {false, true}) {
      fanfold::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 1, .descending = descending});
      std::vector<float> out(rows);
      example::steepest(ex, matrix, out);
      std::printf("blocks of %u threads, %s: %s\n", threads, descending ? "falling" : "rising", out == want ? "equal" : "different");
    }
  // [check]
}

// output:
// blocks of 32 threads, rising: equal
// blocks of 32 threads, falling: equal
// blocks of 64 threads, rising: equal
// blocks of 64 threads, falling: equal
// blocks of 128 threads, rising: equal
// blocks of 128 threads, falling: equal
// blocks of 256 threads, rising: equal
// blocks of 256 threads, falling: equal
