#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/aggregate/set/learned_binary_op.hpp"
#include "fanfold/core/math.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

/// One gated recurrent unit of width d over pre-activations: `wx` = W x + b of the input, `uh` = U h + c of the state, gates r, z, n.
template <class A>
struct gru_gates {
  A r, z, n;
  FANFOLD_INLINE gru_gates(A const* wx, A const* uh, std::int64_t c, std::int64_t d)
      : r(math::sigmoid(wx[c] + uh[c])), z(math::sigmoid(wx[d + c] + uh[d + c])), n(math::tanh(wx[2 * d + c] + r * uh[2 * d + c])) {}
  FANFOLD_INLINE A output(A h) const { return (A(1) - z) * n + z * h; }
};

/// Gradients of the pre-activations for a few columns, gate after gate, and the direct one of the state.
template <class A>
struct gru_columns {
  static constexpr int most = 32;
  A r[most], z[most], n[most], gated_n[most], state[most];

  FANFOLD_INLINE void differentiate(A const* wx, A const* uh, A const* h, A const* g, A scale, std::int64_t c, int count, std::int64_t d) {
    for (int i = 0; i < count; ++i) {
      gru_gates<A> const s(wx, uh, c + i, d);
      A const share = scale * g[c + i], dz = share * (h[c + i] - s.n), an = share * (A(1) - s.z) * (A(1) - s.n * s.n);
      r[i] = an * uh[2 * d + c + i] * s.r * (A(1) - s.r);
      z[i] = dz * s.z * (A(1) - s.z);
      n[i] = an;
      gated_n[i] = an * s.r;
      state[i] = share * s.z;
    }
  }
  FANFOLD_INLINE void store(A* dwx, A* duh, A* dh, std::int64_t c, int count, std::int64_t d) const {
    for (int i = 0; i < count; ++i) dwx[c + i] = duh[c + i] = r[i];
    for (int i = 0; i < count; ++i) dwx[d + c + i] = duh[d + c + i] = z[i];
    for (int i = 0; i < count; ++i) dwx[2 * d + c + i] = n[i];
    for (int i = 0; i < count; ++i) duh[2 * d + c + i] = gated_n[i];
    for (int i = 0; i < count; ++i) dh[c + i] = state[i];
  }
};

// `left` and `right` hold (W v + b, U v + c) of the two operands, 6 d numbers each.
template <bool Symmetric, class A>
FANFOLD_NOINLINE void gru_pair(A const* FANFOLD_RESTRICT left, A const* FANFOLD_RESTRICT right, A const* FANFOLD_RESTRICT a,
                               A const* FANFOLD_RESTRICT b, A* FANFOLD_RESTRICT y, std::int64_t d) {
  for (std::int64_t c = 0; c < d; ++c) {
    A const input_right = gru_gates<A>(right, left + 3 * d, c, d).output(a[c]);
    if constexpr (Symmetric)
      y[c] = A(0.5) * (gru_gates<A>(left, right + 3 * d, c, d).output(b[c]) + input_right);
    else
      y[c] = input_right;
  }
}

template <bool Symmetric, class A>
FANFOLD_NOINLINE void gru_pair_vjp(A const* FANFOLD_RESTRICT left, A const* FANFOLD_RESTRICT right, A const* FANFOLD_RESTRICT a,
                                   A const* FANFOLD_RESTRICT b, A const* FANFOLD_RESTRICT g, A* FANFOLD_RESTRICT dleft,
                                   A* FANFOLD_RESTRICT dright, A* FANFOLD_RESTRICT da, A* FANFOLD_RESTRICT db, std::int64_t d) {
  gru_columns<A> columns;  // apart from the outputs, whose distances the compiler does not know
  for (std::int64_t c = 0; c < d; c += gru_columns<A>::most) {
    int const n = d - c < gru_columns<A>::most ? static_cast<int>(d - c) : gru_columns<A>::most;
    columns.differentiate(right, left + 3 * d, a, g, Symmetric ? A(0.5) : A(1), c, n, d);
    columns.store(dright, dleft + 3 * d, da, c, n, d);
    if constexpr (Symmetric) {
      columns.differentiate(left, right + 3 * d, b, g, A(0.5), c, n, d);
      columns.store(dleft, dright + 3 * d, db, c, n, d);
    } else {
      for (std::int64_t i = c; i < c + n; ++i) {
        db[i] = 0;
        for (int gate = 0; gate < 3; ++gate) dleft[gate * d + i] = dright[(3 + gate) * d + i] = 0;
      }
    }
  }
}

}  // namespace detail

/// a (+) b = 1/2 (GRU(a; b) + GRU(b; a)), commutative to the bit; GRU(x; h) is the gated recurrent unit of input x and state h:
/// r = sigmoid(W_r x + b_r + U_r h + c_r), z likewise, n = tanh(W_n x + b_n + r (U_n h + c_n)), (1 - z) n + z h.
/// `parameter` holds W [3d, d], U [3d, d], b [3d], c [3d], gates in the order r, z, n. A level is one product [2P, d] x [d, 6d].
/// Ong and Velickovic, Learnable Commutative Monoids for Graph Neural Networks, 2022 (arXiv 2212.08541).
template <class A, bool Symmetric = true>
struct binary_gru {
  using value_type = A;
  static constexpr bool commutative = Symmetric;
  std::int64_t size = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d) { return 6 * d * (d + 1); }
  std::int64_t width() const { return size; }
  std::int64_t parameters() const { return parameters_of(size); }
  void check() const {
    check_argument(size >= 1, "binary_gru", "size", size, "1 or more");
    check_argument(parameter.size() == parameters(), "binary_gru", "parameter.size()", parameter.size(), "6 d (d + 1)");
    check_argument(parameter.data() != nullptr, "binary_gru", "parameter", "null", "not null");
  }

  template <host_executor E>
  void apply(E const& ex, matrix_view<A const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    std::int64_t const most = pairs_in_cache() < y.rows() ? pairs_in_cache() : y.rows();
    auto const pre = detail::take_matrix<A>(frame, 2 * most, 6 * size);
    for (std::int64_t first = 0; first < y.rows(); first += most) {
      std::int64_t const n = y.rows() - first < most ? y.rows() - first : most;
      detail::dense_layer(ex, layer(), x.sub_rows(2 * first, 2 * n), pre.sub_rows(0, 2 * n), ws);
      detail::for_each_row(ex, n, 64 * size, [&](std::int64_t p) {
        std::int64_t const a = 2 * (first + p);
        detail::gru_pair<Symmetric>(at(pre, 2 * p), at(pre, 2 * p + 1), at(x, a), at(x, a + 1), at(y, first + p), size);
      });
    }
  }

  template <host_executor E>
  void vjp(E const& ex, matrix_view<A const> x, matrix_view<A const> g, matrix_view<A> dx, view<A> dparameter, workspace& ws) const {
    workspace::frame frame(ws);
    auto const pre = detail::take_matrix<A>(frame, x.rows(), 6 * size), dpre = detail::take_matrix<A>(frame, x.rows(), 6 * size),
               direct = detail::take_matrix<A>(frame, x.rows(), size);
    detail::dense_layer(ex, layer(), x, pre, ws);
    detail::for_each_row(ex, g.rows(), 128 * size, [&](std::int64_t p) {
      std::int64_t const a = 2 * p, b = a + 1;
      detail::gru_pair_vjp<Symmetric>(at(pre, a), at(pre, b), at(x, a), at(x, b), at(g, p), at(dpre, a), at(dpre, b), at(direct, a),
                                      at(direct, b), size);
    });
    detail::dense_layer_inputs(ex, layer(), as_const(dpre), dx, ws);
    detail::for_each_row(ex, dx.rows(), size, [&](std::int64_t r) {
      for (std::int64_t c = 0; c < size; ++c) at(dx, r)[c] += at(direct, r)[c];
    });
    detail::dense_layer_parameters(ex, x, as_const(dpre), dparameter.data(), dparameter.data() + 6 * size * size, ws);
  }

 private:
  // Pairs whose pre-activations stay in a second-level cache; rows do not depend on each other, so the cut changes no bit.
  std::int64_t pairs_in_cache() const {
    std::int64_t const n = (std::int64_t{1} << 20) / (12 * size * static_cast<std::int64_t>(sizeof(A)));
    return n < 64 ? 64 : n;
  }
  detail::dense_weights<A> layer() const { return {parameter.data(), parameter.data() + 6 * size * size, 6 * size, size}; }
  template <class T>
  static T* at(matrix_view<T> m, std::int64_t r) {
    return m.data() + r * m.stride();
  }
};

/// GRU(b; a): a recurrent unit in the state a reads b. Not commutative; over `fold_shape::sequential` it reads items one after the other.
/// Parameters as those of `binary_gru`.
template <class A>
using gru_step = binary_gru<A, false>;

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
