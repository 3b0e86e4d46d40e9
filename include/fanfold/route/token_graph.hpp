#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/relation.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Logits that are probabilities already: y = l, the share too.
struct probability_score : detail::elementwise_score<detail::identity_map> {
  static constexpr bool monotone = true;
  static constexpr bool nonnegative = true;
  static constexpr bool share_is_softmax = false;

  template <row_group G, class R>
  FANFOLD_HD void share(G const& g, R const* l, R* p, std::int64_t n) const {
    forward(g, l, p, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void share_backward(G const& g, R const* l, R const* p, R const* dp, R* dl, std::int64_t n) const {
    backward(g, l, p, dp, dl, n);
  }
};

/// S(i, j): how much token i listens to token j; rows sum to 1 within 1e-3, or `normalise`. Dense, or compressed rows with values, where
/// an empty row stands for the token itself.
struct token_relation {
  matrix_view<float const> dense{};
  csr_view<float> sparse{};
  bool normalise = false;

  FANFOLD_HD bool is_dense() const { return dense.data() != nullptr; }
  FANFOLD_HD std::int64_t rows() const { return is_dense() ? dense.rows() : sparse.rows(); }
  /// Calls f(j, S(i, j)) for the entries of row i, ascending.
  template <class F>
  void for_each(std::int64_t i, F const& f) const {
    if (is_dense()) {
      for (std::int64_t j = 0; j < dense.cols(); ++j)
        if (dense(i, j) != 0) f(j, static_cast<double>(dense(i, j)));
    } else if (sparse.offsets[i] == sparse.offsets[i + 1]) {
      f(i, 1.0);
    } else {
      for (std::int64_t a = sparse.offsets[i]; a < sparse.offsets[i + 1]; ++a) f(std::int64_t{sparse.ids[a]}, static_cast<double>(sparse.values[a]));
    }
  }
  double row_sum(std::int64_t i) const {
    double sum = 0;
    for_each(i, [&](std::int64_t, double s) { sum += s; });
    return sum;
  }
};

/// Graph of Tokens ("Improving Routing in Sparse Mixture of Experts with Graph of Tokens", 2505.00792): a token picks a related token by S
/// and takes the expert which that one would take, so P~ = S P with P the softmax rows; the k best of P~, normalised. Relations:
/// `similarity`, or the attention of the layer before (`reduce_heads`). `Causal` promises S(i, j) = 0 for j > i, which `assign` checks.
template <bool Causal = false>
struct token_graph_router {
  std::int64_t k = 2;
  token_relation relation{};

  static constexpr bool causal = Causal;
  using choice = token_choice<probability_score, top_k, sum_norm>;
};

namespace detail {

template <bool Causal>
void check_relation_shape(token_graph_router<Causal> const& router, std::int64_t rows, char const* function) {
  auto const& r = router.relation;
  check_argument(r.rows() == rows, function, "rows of the relation", r.rows(), "the rows of the logits");
  if (r.is_dense()) check_argument(r.dense.cols() == rows, function, "columns of the relation", r.dense.cols(), "the rows of the logits");
}

template <bool Causal>
void check_relation(token_graph_router<Causal> const& router, std::int64_t rows, char const* function) {
  auto const& r = router.relation;
  check_relation_shape(router, rows, function);
  for (std::int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    r.for_each(i, [&](std::int64_t j, double s) {
      check_argument(j >= 0 && j < rows, function, "a related token", j, "a row of the logits");
      check_argument(s >= 0 && s < 1e30, function, "an entry of the relation", s, "0 or more and finite");
      check_argument(!Causal || j <= i, function, "a related token of a causal relation", j, "not after the token");
      sum += s;
    });
    check_argument(r.normalise ? sum > 0 : sum > 1 - 1e-3 && sum < 1 + 1e-3, function, "sum of a row of the relation", sum, "1 within 1e-3");
  }
}

/// mixed := S softmax(logits), sums over j in ascending order, in double; scores := softmax(logits).
template <host_executor E, class L, class R>
void mix_rows(E const& ex, token_relation const& relation, matrix_view<L const> logits, R* score, R* mixed, workspace& ws) {
  std::int64_t const n = logits.cols();
  for_each_row<R>(ex, logits.rows(), 0, ws, [&](std::int64_t t, R*) {
    load_logits(host_lane{}, logits.row(t).data(), score + t * n, n);
    softmax_row(host_lane{}, score + t * n, score + t * n, n);
  });
  for_each_row<double>(ex, logits.rows(), n, ws, [&](std::int64_t t, double* sum) {
    double const scale = relation.normalise ? 1 / relation.row_sum(t) : 1.0;
    for (std::int64_t e = 0; e < n; ++e) sum[e] = 0;
    relation.for_each(t, [&](std::int64_t j, double s) {
      for (std::int64_t e = 0; e < n; ++e) sum[e] += s * scale * static_cast<double>(score[j * n + e]);
    });
    double most = 0;
    for (std::int64_t e = 0; e < n; ++e) most = sum[e] > most ? sum[e] : most;
    for (std::int64_t e = 0; e < n; ++e) mixed[t * n + e] = most == 0 ? -math::infinity<R>() : static_cast<R>(sum[e]);
  });
}

}  // namespace detail

/// What `run_loop` runs before the choice: the mixed rows, after the relation has been looked at.
template <bool Causal>
struct token_graph_loop {
  token_graph_router<Causal> router{};
};

template <host_executor E, bool Causal, class L, class R>
void run_loop(E const& ex, token_graph_loop<Causal> const& loop, matrix_view<L const> logits, view<R> score, view<R> mixed, workspace& ws) {
  detail::check_relation(loop.router, logits.rows(), "route::assign");
  detail::mix_rows(ex, loop.router.relation, logits, score.data(), mixed.data(), ws);
}

/// Routes by related tokens:  assign(ex, router, logits, out[, stats.view()][, row_mask{...}][, workspace]). Statistics are those of the mixed
/// rows. A row all of whose relatives are degenerate is degenerate. A device reports a bad relation by `fetch` and leaves its entry out.
template <executor E, bool Causal, matrix_viewable X, class W, class Id, detail::route_option... Options>
void assign(E const& ex, token_graph_router<Causal> const& router, X const& x, assignment<W, Id> out, Options&&... options) {
  auto const logits = as_const(as_matrix_view(x));
  using R = arithmetic_t<typename decltype(logits)::value_type>;
  std::int64_t const n = logits.cols(), rows = logits.rows();
  detail::check_relation_shape(router, rows, "route::assign");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  auto const score = frame.take<R>(rows * n), mixed = frame.take<R>(rows * n);
  run_loop(ex, token_graph_loop<Causal>{router}, logits, score, mixed, ws);
  using choice = typename token_graph_router<Causal>::choice;
  assign(ex, choice{{}, {router.k}}, matrix_view<R>(mixed.data(), rows, n), out, options...);
}

/// The vjp: dlogits from the gradients of the weights, and dS(i, j) = <dP~_i, P_j> on the entries of a dense (T x T) or sparse (one number
/// an entry, as one row) relation where `drelation` is given. `normalise` is not differentiated.
template <host_executor E, bool Causal, matrix_viewable X, class W, class Id, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(E const& ex, token_graph_router<Causal> const& router, X const& x, assignment<W, Id> const& forward, Y const& y, Z&& z,
                matrix_view<double> drelation, Options&&... options) {
  static constexpr char function[] = "route::assign_vjp";
  auto const logits = as_const(as_matrix_view(x));
  auto const dlogits = as_matrix_view(z);
  using R = arithmetic_t<typename decltype(logits)::value_type>;
  using D = typename std::remove_cvref_t<decltype(dlogits)>::value_type;
  std::int64_t const n = logits.cols(), rows = logits.rows();
  auto const& relation = router.relation;
  detail::check_relation(router, rows, function);
  check_argument(dlogits.rows() == rows && dlogits.cols() == n, function, "shape of dlogits", dlogits.cols(), "the shape of the logits");
  bool const fits = relation.is_dense() ? drelation.rows() == rows && drelation.cols() == rows : drelation.rows() == 1 && drelation.cols() == relation.sparse.entries();
  check_argument(drelation.data() == nullptr || fits, function, "shape of the gradient of the relation", drelation.cols(), "that of the relation");
  workspace own;
  workspace::frame frame(own);
  R* const score = frame.take<R>(rows * n).data();
  R* const mixed = frame.take<R>(rows * n).data();
  R* const dmixed = frame.take<R>(rows * n).data();
  double* const dscore = frame.take<double>(rows * n).data();
  detail::mix_rows(ex, relation, logits, score, mixed, own);
  using choice = typename token_graph_router<Causal>::choice;
  assign_vjp(ex, choice{{}, {router.k}}, matrix_view<R>(mixed, rows, n), forward, y, matrix_view<R>(dmixed, rows, n), options...);
  for (std::int64_t i = 0; i < rows * n; ++i) dscore[i] = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    double const scale = relation.normalise ? 1 / relation.row_sum(i) : 1.0;
    std::int64_t entry = relation.is_dense() ? 0 : relation.sparse.offsets[i];
    relation.for_each(i, [&](std::int64_t j, double s) {
      for (std::int64_t e = 0; e < n; ++e) dscore[j * n + e] += s * scale * static_cast<double>(dmixed[i * n + e]);
    });
    if (drelation.data() == nullptr) continue;
    auto const of_entry = [&](std::int64_t j) {
      double sum = 0;
      for (std::int64_t e = 0; e < n; ++e) sum += static_cast<double>(dmixed[i * n + e]) * static_cast<double>(score[j * n + e]);
      return sum * scale;
    };
    if (relation.is_dense())
      for (std::int64_t j = 0; j < rows; ++j) drelation(i, j) = relation.dense(i, j) != 0 ? of_entry(j) : 0.0;
    else
      for (; entry < relation.sparse.offsets[i + 1]; ++entry) drelation(0, entry) = of_entry(relation.sparse.ids[entry]);
  }
  for (std::int64_t t = 0; t < rows; ++t) {
    R* const d = dmixed + t * n;
    for (std::int64_t e = 0; e < n; ++e) d[e] = static_cast<R>(dscore[t * n + e]);
    detail::softmax_row_vjp(host_lane{}, score + t * n, d, d, n);
    for (std::int64_t e = 0; e < n; ++e) dlogits(t, e) = from_arithmetic<D>(static_cast<arithmetic_t<D>>(d[e]));
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::route
