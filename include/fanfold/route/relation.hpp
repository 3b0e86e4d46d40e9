#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row.hpp"

/// \file
/// Relations between tokens for token_graph_router: row-stochastic T x T matrices. Host executors.

namespace fanfold::inline FANFOLD_ABI::route {

/// S = softmax over j of <x_i, x_j> / tau among the tokens that i may see: those up to i where `causal`, and those of its own document
/// where `document` holds one number a token. For a W_s other than the identity hand in x W_s as `left`.
struct similarity {
  double tau = 1;
  bool causal = false;
  view<std::int32_t const> document{};

  bool sees(std::int64_t i, std::int64_t j) const {
    return (!causal || j <= i) && (document.data() == nullptr || document[i] == document[j]);
  }
};

template <host_executor E, class X, class R>
void relate(E const& ex, similarity const& s, matrix_view<X const> left, matrix_view<X const> x, matrix_view<R> out, workspace& ws) {
  static constexpr char function[] = "route::relate";
  check_argument(s.tau > 0 && s.tau < 1e30, function, "tau", s.tau, "positive and finite");
  check_argument(left.rows() == x.rows() && left.cols() == x.cols(), function, "shape of the left side", left.rows(), "the shape of the tokens");
  check_argument(out.rows() == x.rows() && out.cols() == x.rows(), function, "shape of the relation", out.cols(), "tokens x tokens");
  check_argument(s.document.data() == nullptr || s.document.size() == x.rows(), function, "size of document", s.document.size(), "the number of tokens");
  std::int64_t const n = x.rows();
  detail::multiply_transposed(ex, left, x, view<X const>{}, out, ws);
  R const inverse = R(1) / static_cast<R>(s.tau);
  detail::for_each_row<R>(ex, n, 0, ws, [&](std::int64_t i, R*) {
    R* const row = out.row(i).data();
    for (std::int64_t j = 0; j < n; ++j) row[j] = s.sees(i, j) ? row[j] * inverse : -math::infinity<R>();
    detail::softmax_row(host_lane{}, row, row, n);
  });
}

/// How the attention heads of a token become one row.
enum class head_reduce : unsigned char { mean, min_entropy };

/// out = the attention of the preceding layer (heads matrices of T x T, one after the other), heads averaged or, row by row, the head of
/// least entropy.
template <host_executor E, class X, class R>
void reduce_heads(E const& ex, head_reduce how, std::int64_t heads, matrix_view<X const> attention, matrix_view<R> out, workspace& ws) {
  static constexpr char function[] = "route::reduce_heads";
  std::int64_t const n = out.rows();
  check_argument(heads >= 1, function, "heads", heads, "1 or more");
  check_argument(out.cols() == n && attention.cols() == n && attention.rows() == heads * n, function, "rows of the attention", attention.rows(),
                 "heads times tokens");
  detail::for_each_row<R>(ex, n, 0, ws, [&](std::int64_t i, R*) {
    std::int64_t best = 0;
    double least = math::infinity<double>();
    for (std::int64_t h = 0; h < heads && how == head_reduce::min_entropy; ++h) {
      double entropy = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        auto const p = static_cast<double>(to_arithmetic(attention(h * n + i, j)));
        entropy -= p > 0 ? p * math::log(p) : 0;
      }
      if (entropy < least) {
        least = entropy;
        best = h;
      }
    }
    for (std::int64_t j = 0; j < n; ++j) {
      R sum = how == head_reduce::mean ? R(0) : static_cast<R>(to_arithmetic(attention(best * n + i, j)));
      for (std::int64_t h = 0; h < heads && how == head_reduce::mean; ++h) sum += static_cast<R>(to_arithmetic(attention(h * n + i, j)));
      out(i, j) = how == head_reduce::mean ? sum / static_cast<R>(heads) : sum;
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::route
