#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row.hpp"

/// \file
/// Relations between tokens for token_graph_router: row-stochastic T x T matrices. Device executors need kernel/token_graph.hpp.

namespace fanfold::inline FANFOLD_ABI::route {

/// S = softmax over j of <x_i, x_j> / tau among the tokens that i may see: those up to i where `causal`, and those of its own document
/// where `document` holds one number a token. For a W_s other than the identity hand in x W_s as `left`.
struct similarity {
  double tau = 1;
  bool causal = false;
  view<std::int32_t const> document{};

  FANFOLD_HD bool sees(std::int64_t i, std::int64_t j) const {
    return (!causal || j <= i) && (document.data() == nullptr || document.data()[i] == document.data()[j]);
  }
};

namespace detail {

/// row[j] := softmax over the tokens that i sees of row[j] / tau.
template <row_group G, class R>
FANFOLD_HD void similarity_row(G const& g, similarity const& s, R inverse, std::int64_t i, R* row, std::int64_t n) {
  for (std::int64_t j = g.rank(); j < n; j += g.size()) row[j] = s.sees(i, j) ? row[j] * inverse : -math::infinity<R>();
  softmax_row(g, row, row, n);
}

}  // namespace detail

/// What `run_loop` runs after the products of tokens: the softmax of what a token sees.
struct similarity_loop {
  similarity relation{};
};

template <host_executor E, class R>
void run_loop(E const& ex, similarity_loop const& loop, matrix_view<R> out, workspace& ws) {
  R const inverse = R(1) / static_cast<R>(loop.relation.tau);
  detail::for_each_row<R>(ex, out.rows(), 0, ws, [&](std::int64_t i, R*) {
    detail::similarity_row(host_lane{}, loop.relation, inverse, i, out.row(i).data(), out.cols());
  });
}

template <executor E, class X, class R>
void relate(E const& ex, similarity const& s, matrix_view<X const> left, matrix_view<X const> x, matrix_view<R> out, workspace& ws) {
  static constexpr char function[] = "route::relate";
  check_argument(s.tau > 0 && s.tau < 1e30, function, "tau", s.tau, "positive and finite");
  check_argument(left.rows() == x.rows() && left.cols() == x.cols(), function, "shape of the left side", left.rows(), "the shape of the tokens");
  check_argument(out.rows() == x.rows() && out.cols() == x.rows(), function, "shape of the relation", out.cols(), "tokens x tokens");
  check_argument(s.document.data() == nullptr || s.document.size() == x.rows(), function, "size of document", s.document.size(), "the number of tokens");
  run_loop(ex, detail::transposed_product{}, left, x, view<X const>{}, out, ws);
  run_loop(ex, similarity_loop{s}, out, ws);
}

/// How the attention heads of a token become one row.
enum class head_reduce : unsigned char { mean, min_entropy };

/// What `run_loop` runs for `reduce_heads`.
struct reduce_heads_loop {
  head_reduce how = head_reduce::mean;
  std::int64_t heads = 1;
};

namespace detail {

/// -p log p, 0 at 0 and below.
template <class X>
struct entropy_of {
  X const* p;
  FANFOLD_HD double operator()(std::int64_t j) const {
    auto const x = static_cast<double>(to_arithmetic(p[j]));
    return x > 0 ? -(x * math::log(x)) : 0.0;
  }
};

/// Row i of the reduced attention.
template <row_group G, class X, class R>
FANFOLD_HD void reduce_heads_row(G const& g, reduce_heads_loop const& loop, std::int64_t i, matrix_view<X const> attention, R* out, std::int64_t n) {
  auto const head = [&](std::int64_t h) { return attention.data() + (h * n + i) * attention.stride(); };
  std::int64_t best = 0;
  double least = math::infinity<double>();
  for (std::int64_t h = 0; h < loop.heads && loop.how == head_reduce::min_entropy; ++h) {
    double const entropy = g.fold(row_sum<double>{}, n, entropy_of<X>{head(h)});
    if (entropy < least) {
      least = entropy;
      best = h;
    }
  }
  for (std::int64_t j = g.rank(); j < n; j += g.size()) {
    R sum = loop.how == head_reduce::mean ? R(0) : static_cast<R>(to_arithmetic(head(best)[j]));
    for (std::int64_t h = 0; h < loop.heads && loop.how == head_reduce::mean; ++h) sum += static_cast<R>(to_arithmetic(head(h)[j]));
    out[j] = loop.how == head_reduce::mean ? sum / static_cast<R>(loop.heads) : sum;
  }
  g.sync();
}

}  // namespace detail

template <host_executor E, class X, class R>
void run_loop(E const& ex, reduce_heads_loop const& loop, matrix_view<X const> attention, matrix_view<R> out, workspace& ws) {
  detail::for_each_row<R>(ex, out.rows(), 0, ws, [&](std::int64_t i, R*) {
    detail::reduce_heads_row(host_lane{}, loop, i, attention, out.row(i).data(), out.cols());
  });
}

/// out = the attention of the preceding layer (heads matrices of T x T, one after the other), heads averaged or, row by row, the head of
/// least entropy.
template <executor E, class X, class R>
void reduce_heads(E const& ex, head_reduce how, std::int64_t heads, matrix_view<X const> attention, matrix_view<R> out, workspace& ws) {
  static constexpr char function[] = "route::reduce_heads";
  std::int64_t const n = out.rows();
  check_argument(heads >= 1, function, "heads", heads, "1 or more");
  check_argument(out.cols() == n && attention.cols() == n && attention.rows() == heads * n, function, "rows of the attention", attention.rows(),
                 "heads times tokens");
  run_loop(ex, reduce_heads_loop{how, heads}, attention, out, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
