#include "fanfold/core/view.hpp"

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <type_traits>
#include <vector>

namespace {

using fanfold::as_const;
using fanfold::as_matrix_view;
using fanfold::as_rows_view;
using fanfold::as_view;
using fanfold::matrix_view;
using fanfold::rows_view;
using fanfold::view;

struct base {
  int a = 0;
};
struct derived : base {
  int b = 0;
};
struct owning_matrix {
  std::vector<float> storage = std::vector<float>(12);
  float* data() { return storage.data(); }
  float const* data() const { return storage.data(); }
  std::int64_t rows() const { return 3; }
  std::int64_t cols() const { return 4; }
  std::int64_t stride() const { return 4; }
};

// Views travel into kernels by value.
static_assert(std::is_trivially_copyable_v<view<float>> && std::is_standard_layout_v<view<float>>);
static_assert(std::is_trivially_copyable_v<matrix_view<float>> && std::is_standard_layout_v<matrix_view<float>>);
static_assert(std::is_trivially_copyable_v<rows_view<float>>);

static_assert(std::is_convertible_v<std::vector<int>&, view<int>> && std::is_convertible_v<std::vector<int> const&, view<int const>>);
static_assert(std::is_convertible_v<std::span<int>, view<int const>> && std::is_convertible_v<view<int>, view<int const>>);
static_assert(!std::is_convertible_v<std::vector<int> const&, view<int>> && !std::is_convertible_v<view<int const>, view<int>>);
static_assert(!std::is_convertible_v<std::vector<int>&, view<float>>);
// An array of derived objects is no array of base objects.
static_assert(!std::is_convertible_v<std::vector<derived>&, view<base>> && !std::is_convertible_v<view<derived>, view<base>>);
static_assert(std::is_convertible_v<matrix_view<float>, matrix_view<float const>> && !std::is_convertible_v<matrix_view<float const>, matrix_view<float>>);
static_assert(std::is_convertible_v<rows_view<float>, rows_view<float const>> && !std::is_convertible_v<rows_view<float const>, rows_view<float>>);

static_assert(fanfold::viewable<std::vector<int>&> && fanfold::viewable<int (&)[3]> && fanfold::viewable<view<int>> && !fanfold::viewable<int>);
static_assert(fanfold::matrix_viewable<matrix_view<int>> && fanfold::matrix_viewable<owning_matrix&> && !fanfold::matrix_viewable<std::vector<int>>);
static_assert(fanfold::rows_viewable<rows_view<int>> && fanfold::rows_viewable<matrix_view<int>> && !fanfold::rows_viewable<view<int>>);

static_assert(std::is_same_v<decltype(as_view(std::declval<std::vector<int> const&>())), view<int const>>);
static_assert(std::is_same_v<decltype(as_view(std::declval<int (&)[3]>())), view<int>>);
static_assert(std::is_same_v<decltype(as_matrix_view(std::declval<owning_matrix const&>())), matrix_view<float const>>);
static_assert(std::is_same_v<decltype(as_rows_view(std::declval<owning_matrix&>())), rows_view<float>>);
static_assert(std::is_same_v<decltype(view(std::declval<std::vector<float>&>())), view<float>>);

constexpr int constant_sum() {
  int x[] = {1, 2, 3, 4};
  int sum = 0;
  for (int const v : view<int>(x).subview(1, 2)) sum += v;
  return sum;
}
static_assert(constant_sum() == 5);

TEST_CASE("view: refers to the elements of what it was made from") {
  std::vector<int> v{1, 2, 3};
  view<int> const a = v;
  CHECK(a.data() == v.data());
  CHECK(a.size() == 3);
  a[1] = 7;
  CHECK(v[1] == 7);
  CHECK(a.subview(1, 2)[1] == 3);
  CHECK(a.subview(3, 0).empty());
  std::array<int, 2> b{4, 5};
  CHECK(view<int const>(b)[1] == 5);
  int c[] = {6};
  CHECK(as_const(as_view(c))[0] == 6);
  CHECK(view<int>().empty());
  CHECK(view<int>().data() == nullptr);
  CHECK(view<int const>(std::vector<int>{}).empty());
}

TEST_CASE("matrix_view: rows at a stride") {
  std::vector<float> x(12);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  matrix_view<float> const m(x.data(), 3, 2, 4);
  CHECK(m(2, 1) == 9);
  CHECK(m.row(1).size() == 2);
  CHECK(m.row(1)[0] == 4);
  matrix_view<float const> const tail = m.sub_rows(1, 2);
  CHECK(tail.rows() == 2);
  CHECK(tail.stride() == 4);
  CHECK(tail(0, 1) == 5);
  CHECK(as_const(m)(0, 1) == 1);
  CHECK(matrix_view<float>(x.data(), 3, 4).stride() == 4);
  CHECK(matrix_view<float>(x.data(), 0, 4).empty());
  CHECK(matrix_view<float>(x.data(), 3, 0).empty());
}

TEST_CASE("rows_view: from a matrix, a table of pointers and a list of views") {
  std::vector<float> a{1, 2}, b{3, 4}, c{5, 6};
  rows_view<float> const list{a, b, c};
  CHECK(list.rows() == 3);
  CHECK(list.cols() == 2);

  view<float> const views[] = {a, b, c};
  rows_view<float> const from_views(views, 3);
  float* const table[] = {a.data(), b.data(), c.data()};
  rows_view<float> const from_table(table, 3, 2);
  std::vector<float> flat{1, 2, 0, 3, 4, 0, 5, 6, 0};
  rows_view<float> const from_matrix = as_rows_view(matrix_view<float>(flat.data(), 3, 2, 3));
  CHECK(from_table.base() == nullptr);
  CHECK(from_matrix.base() == flat.data());
  for (rows_view<float const> r : {rows_view<float const>(from_views), rows_view<float const>(from_table), rows_view<float const>(from_matrix)}) {
    REQUIRE(r.rows() == 3);
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t j = 0; j < 2; ++j) CHECK(r[i][j] == static_cast<float>(2 * i + j + 1));
  }
  from_table[2][1] = 8;
  CHECK(c[1] == 8);
  CHECK(rows_view<float>().empty());
}

TEST_CASE("rows_view: rows of different lengths are refused") {
  std::vector<float> a{1, 2}, b{3};
  CHECK_THROWS_WITH_AS((rows_view<float>{a, b}), "fanfold::rows_view: length of a row is 1, must be the length of the first row",
                       fanfold::argument_error);
}

TEST_CASE("csr_view: rows, entries, weights") {
  std::vector<std::int64_t> const offsets{0, 2, 2, 3};
  std::vector<std::int32_t> const ids{1, 2, 0};
  fanfold::csr_view<> const plain{offsets, ids};
  CHECK(plain.rows() == 3);
  CHECK(plain.entries() == 3);
  CHECK_FALSE(plain.weighted());
  std::vector<float> const values{1, 2, 3};
  CHECK(fanfold::csr_view<float>{offsets, ids, values}.weighted());
  CHECK(fanfold::csr_view<>{}.rows() == 0);
}

TEST_CASE("overlaps: shared bytes only") {
  std::vector<double> x(8);
  auto const all = as_view(x);
  CHECK(fanfold::overlaps(all, all));
  CHECK(fanfold::overlaps(all.subview(0, 5), all.subview(4, 4)));
  CHECK_FALSE(fanfold::overlaps(all.subview(0, 4), all.subview(4, 4)));
  CHECK_FALSE(fanfold::overlaps(all, all.subview(4, 0)));
  CHECK(fanfold::overlaps(all, view<char>(reinterpret_cast<char*>(x.data() + 7) + 7, 1)));
  CHECK_FALSE(fanfold::overlaps(all, view<char>(reinterpret_cast<char*>(x.data()) + 64, 1)));
}

#if FANFOLD_CHECKED
TEST_CASE("views: an index out of range is caught in checked builds") {
  std::vector<int> x(6);
  view<int> const v = x;
  matrix_view<int> const m(x.data(), 2, 3);
  CHECK_THROWS_AS(v[6], fanfold::assertion_error);
  CHECK_THROWS_AS(v[-1], fanfold::assertion_error);
  CHECK_THROWS_AS(v.subview(4, 3), fanfold::assertion_error);
  CHECK_THROWS_AS(m(2, 0), fanfold::assertion_error);
  CHECK_THROWS_AS(m(0, 3), fanfold::assertion_error);
  CHECK_THROWS_AS(m.row(-1), fanfold::assertion_error);
  CHECK_THROWS_AS(m.sub_rows(1, 2), fanfold::assertion_error);
  CHECK_THROWS_AS(rows_view<int>(m).row(2), fanfold::assertion_error);
}
#endif

}  // namespace
