#include "fanfold/kernel/row_table.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/emulate/executor.hpp"

namespace {

struct first_items_body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::device_rows<float const> x, fanfold::view<float> out) const {
    for (std::int64_t r = fanfold::grid_thread(b); r < x.rows(); r += fanfold::grid_threads(b)) out[r] = x.row(r)[x.cols() - 1];
  }
};

void check_rows(fanfold::rows_view<float const> const& x) {
  fanfold::workspace ws;
  for (unsigned threads : {32u, 256u}) {
    fanfold::emulate::executor const ex(ws, {.block_threads = threads});
    std::vector<float> out(static_cast<std::size_t>(x.rows()), -1);
    {
      fanfold::workspace::frame frame(ws);
      ex.launch(first_items_body{}, 2, threads, to_device_rows(ex, x, frame), fanfold::view<float>(out));
    }
    for (std::int64_t r = 0; r < x.rows(); ++r) CHECK(out[static_cast<std::size_t>(r)] == x.row(r)[x.cols() - 1]);
  }
}

}  // namespace

TEST_CASE("rows of a matrix and of tables of any length reach a kernel") {
  std::vector<float> data(600 * 3);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  check_rows(fanfold::matrix_view<float const>(data.data(), 300, 4, 6));
  for (std::int64_t n : {0, 1, 255, 256, 257, 600}) {
    std::vector<float const*> table;
    for (std::int64_t r = 0; r < n; ++r) table.push_back(data.data() + (n - 1 - r) * 3);
    check_rows(fanfold::rows_view<float const>(table.data(), n, 3));
  }
}
