#include "fanfold/fold/message.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"

namespace {

struct twice_column {
  FANFOLD_HD std::int64_t operator()(std::int64_t, std::int64_t, std::int64_t, std::int64_t column) const { return 2 * column; }
};

static_assert(fanfold::message<fanfold::source_rows<float>>);
static_assert(fanfold::message<fanfold::weighted_source_rows<fanfold::bfloat16, double>>);
static_assert(fanfold::message<fanfold::edge_rows<double>>);
static_assert(fanfold::message<fanfold::edge_function<twice_column>>);
static_assert(!fanfold::message<twice_column>);

}  // namespace

TEST_CASE("messages read the row that they say") {
  std::vector<float> const data{1, 2, 3, 4, 5, 6, 7, 8};
  fanfold::matrix_view<float const> const x(data.data(), 2, 3, 4);
  CHECK(fanfold::source_rows{x}.row(9, 1, 7)[2] == 7);
  CHECK(fanfold::source_rows{x}.sources() == 2);
  CHECK(fanfold::edge_rows{x}.row(9, 7, 1)[0] == 5);
  CHECK(fanfold::edge_rows{x}.edges() == 2);
  std::vector<double> const w{0.5, 3};
  CHECK(fanfold::weighted_source_rows{x, w}.row(0, 0, 1)[1] == 6.0f);
  CHECK(fanfold::weighted_source_rows{x, w}.columns() == 3);
  CHECK(fanfold::edge_function{twice_column{}}.row(0, 0, 0)[21] == 42);
  CHECK(fanfold::edge_function{twice_column{}, 5}.sources() == 5);
}
