#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"
#include "support/sparse_memory.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using floats = std::vector<float>;
using ints = std::vector<std::int32_t>;
using routes_type = route::assignment<float const, std::int32_t const>;

ints routing(char const* kind, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  std::mt19937 engine(5);
  ints ids(static_cast<std::size_t>(tokens * slots));
  for (std::size_t a = 0; a < ids.size(); ++a) {
    auto const any = static_cast<std::int32_t>(engine() % static_cast<unsigned>(experts));
    double const u = static_cast<double>(engine()) / 4294967296.0;
    switch (kind[0]) {
      case 'a': ids[a] = static_cast<std::int32_t>(experts - 1); break;                                  // all to one
      case 'z': ids[a] = static_cast<std::int32_t>(static_cast<double>(experts) * u * u * u * u); break;  // few take most
      case 'e': ids[a] = experts > 1 && any == 0 ? 1 : any; break;                                       // expert 0 stays empty
      case 'n': ids[a] = -1; break;                                                                      // none
      case 'd': ids[a] = a % static_cast<std::size_t>(slots) == 0 ? any : ids[a - 1]; break;             // duplicates
      default: ids[a] = any;
    }
  }
  return ids;
}

floats randoms(std::size_t n) {
  std::mt19937 engine(7);
  floats v(n);
  for (auto& x : v) x = static_cast<float>(static_cast<int>(engine() % 2001) - 1000) / 1024;
  return v;
}

template <class Layout>
void check_layout(Layout const& layout, ints const& ids, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  std::int64_t const cols = tokens == 64 ? 64 : 3;
  routes_type const routes{{ids.data(), tokens, slots}, {}};
  auto const x = randoms(static_cast<std::size_t>(tokens * cols)), w = randoms(ids.size());
  matrix_view<float const> const xs(x.data(), tokens, cols), ws(w.data(), tokens, slots);
  dispatch_plan first(layout, tokens, slots, experts);
  make_plan(layout, routes, first.view());
  auto const p = first.view();
  CHECK(validate_plan(p));
  std::int64_t used = 0, dropped = 0;
  for (std::int64_t e = 0; e < experts; ++e) used += p.counts[e], dropped += p.counts[e] - p.kept[e];
  std::int64_t unused = 0, rows = 0;
  for (auto id : ids) unused += id < 0;
  for (std::int64_t a = 0; a < p.assignments(); ++a) rows += p.row_of[a] >= 0;
  CHECK(used + unused == tokens * slots);
  CHECK(rows + dropped == used);
  floats z(static_cast<std::size_t>(p.rows() * cols)), y(x.size()), expected(x.size());
  gather(p, xs, matrix_view(z.data(), p.rows(), cols));
  fold_combine(serial, weighted_sum{}, p, matrix_view(z.data(), p.rows(), cols), ws, matrix_view(y.data(), tokens, cols));
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t c = 0; c < cols; ++c) {
      float sum = 0;
      bool any = false;
      for (std::int64_t s = 0; s < slots; ++s) {
        if (p.row_of[t * slots + s] < 0) continue;
        float const item = ws(t, s) * xs(t, c);
        sum = any ? sum + item : item;
        any = true;
      }
      expected[static_cast<std::size_t>(t * cols + c)] = sum;
    }
  CHECK(support::same_bits(y, expected));
  if (tokens != 1000) return;
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    dispatch_plan other(layout, tokens, slots, experts);
    make_plan(ex, layout, routes, other.view());
    auto const q = other.view();
    bool same = q.rows() == p.rows();
    for (std::int64_t a = 0; a < p.assignments(); ++a) same = same && p.row_of[a] == q.row_of[a];
    for (std::int64_t r = 0; r < p.rows(); ++r) same = same && p.src_of[r] == q.src_of[r];
    CHECK(same);
    floats again(x.size());
    fold_combine(ex, weighted_sum{}, q, matrix_view(z.data(), p.rows(), cols), ws, matrix_view(again.data(), tokens, cols));
    CHECK(support::same_bits(again, y));
  });
}

}  // namespace

TEST_CASE("plan, gather, combine: the matrix of sizes, routings and layouts") {
  for (std::int64_t tokens : {0, 1, 2, 7, 64, 1000})
    for (std::int64_t slots : {1, 2, 8})
      for (std::int64_t experts : {1, 2, 8, 60, 256, 1024}) {
        if (tokens == 1000 && (experts == 2 || experts == 60 || slots == 1)) continue;
        for (char const* kind : {"uniform", "all to one", "zipf", "empty expert", "none", "duplicates"}) {
          CAPTURE(tokens);
          CAPTURE(slots);
          CAPTURE(experts);
          CAPTURE(kind);
          auto const ids = routing(kind, tokens, slots, experts);
          check_layout(packed{}, ids, tokens, slots, experts);
          if (tokens == 1000 && kind[0] != 'z') continue;
          check_layout(packed{16}, ids, tokens, slots, experts);
          if (experts <= 60) check_layout(packed{128}, ids, tokens, slots, experts);
          check_layout(capacity{3}, ids, tokens, slots, experts);
          check_layout(masked{3}, ids, tokens, slots, experts);
        }
      }
}

TEST_CASE("plan, gather, combine: widths and storage types") {
  auto const check = [](auto zero, std::int64_t cols) {
    using T = decltype(zero);
    using A = arithmetic_t<T>;
    std::int64_t const tokens = 7, slots = 8, experts = 8;
    for (char const* kind : {"uniform", "duplicates"}) {
      auto const ids = routing(kind, tokens, slots, experts);
      auto const x = support::randoms<T>(tokens * cols, 1);
      auto const w = support::randoms<A>(tokens * slots, 2);
      auto plan = support::plan_of(packed{16}, ids, slots, experts);
      auto const p = plan.view();
      std::vector<T> rows(static_cast<std::size_t>(p.rows() * cols), from_arithmetic<T>(A(5)));
      std::vector<A> y(x.size()), expected(x.size());
      gather(p, support::matrix(x, tokens, cols), support::matrix(rows, p.rows(), cols));
      for (std::int64_t r = 0; r < p.rows(); ++r)
        if (p.src_of[r] < 0)
          for (std::int64_t c = 0; c < cols; ++c) REQUIRE(to_arithmetic(rows[static_cast<std::size_t>(r * cols + c)]) == A(0));
      fold_combine(serial, weighted_sum{}, p, support::matrix(rows, p.rows(), cols), support::matrix(w, tokens, slots), support::matrix(y, tokens, cols));
      for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t c = 0; c < cols; ++c) {
          A sum = A(0);
          for (std::int64_t s = 0; s < slots; ++s) {
            A const item = w[static_cast<std::size_t>(t * slots + s)] * to_arithmetic(x[static_cast<std::size_t>(t * cols + c)]);
            sum = s == 0 ? item : sum + item;
          }
          expected[static_cast<std::size_t>(t * cols + c)] = sum;
        }
      CHECK(support::same_bits(y, expected));
    }
  };
  for (std::int64_t cols : {1, 3, 64, 1000}) {
    check(0.0f, cols);
    check(0.0, cols);
    check(bfloat16(), cols);
  }
}

TEST_CASE("rows past 2^31 elements are addressed in 64 bits: strides, not memory") {
  // four rows 2^30 elements apart: row 3 begins at 3 * 2^30 floats, 12 GiB of addresses and a few pages of memory
  std::int64_t const far_apart = std::int64_t{1} << 30, cols = 5;
  support::sparse_memory const memory(static_cast<std::size_t>(3 * far_apart + 64) * sizeof(float)), result(static_cast<std::size_t>(3 * far_apart + 64) * sizeof(float));
  if (!memory || !result) {
    MESSAGE("no address space for this test");
    return;
  }
  matrix_view<float> const x(memory.floats(), 4, cols, far_apart), rows(result.floats(), 4, cols, far_apart);
  ints const ids{1, 0, 1, 0};
  dispatch_plan plan(packed{}, 4, 1, 2);
  make_plan(packed{}, routes_type{{ids.data(), 4, 1}, {}}, plan.view());
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t c = 0; c < cols; ++c) x(t, c) = static_cast<float>(10 * t + c);
  gather(plan.view(), x, rows);
  std::int64_t const order[] = {1, 3, 0, 2};
  for (std::int64_t r = 0; r < 4; ++r)
    for (std::int64_t c = 0; c < cols; ++c) CHECK(rows(r, c) == static_cast<float>(10 * order[r] + c));
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t c = 0; c < cols; ++c) x(t, c) = 0;
  fold_combine(serial, weighted_sum{}, plan.view(), rows, matrix_view<float const>(), x);
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t c = 0; c < cols; ++c) CHECK(x(t, c) == static_cast<float>(10 * t + c));
  // products read and write such rows, with the second expert's weights past 2^31 elements too
  weight_bank<float> bank(memory.floats() + 16, 2, cols, 1);
  bank.expert_stride = 3 * far_apart;
  for (std::int64_t k = 0; k < cols; ++k) bank(0, k, 0) = 1, bank(1, k, 0) = 2;
  matrix_view<float> const y(result.floats() + 16, 4, 1, far_apart);
  grouped_gemm(serial, plan.view(), gathered{x}, weight_bank<float const>(bank), row_sink{y});
  for (std::int64_t r = 0; r < 4; ++r) CHECK(y(r, 0) == static_cast<float>((order[r] * 50 + 10) * (r < 2 ? 1 : 2)));
}
