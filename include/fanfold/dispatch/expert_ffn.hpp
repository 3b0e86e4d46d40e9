#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/activation.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/weight_bank.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Weights of E feed-forward networks, not owned: gate and up are H x I, down is I x H. Networks without a gate leave `gate` empty.
template <class T>
struct ffn_weights {
  weight_bank<T> gate{}, up{}, down{};
};

/// The same packed once. `Gated` as in the activation.
template <class T, bool Gated = true>
class packed_ffn {
 public:
  packed_ffn() = default;
  template <class U, host_executor E = serial_executor>
  explicit packed_ffn(ffn_weights<U> const& w, E const& ex = {}) : in_(pack(w, ex)), down_(w.down, ex) {}

  packed_bank<T, Gated ? 2 : 1> const& in() const { return in_; }
  packed_bank<T> const& down() const { return down_; }

 private:
  template <class U, class E>
  static packed_bank<T, Gated ? 2 : 1> pack(ffn_weights<U> const& w, E const& ex) {
    if constexpr (Gated)
      return packed_bank<T, 2>(w.gate, w.up, ex);
    else
      return packed_bank<T>(w.up, ex);
  }
  packed_bank<T, Gated ? 2 : 1> in_;
  packed_bank<T> down_;
};

/// The down projection folds straight into the tokens, in ascending experts: no rows of results in between (on a device never more than 512
/// of their columns). Opt-in, as its bracket is by_expert.
struct fused_by_expert {};

/// How expert networks run: the activation (glu, plain, clamped_swiglu), how results are folded (a weighted_sum, or fused_by_expert), and
/// whether weights multiply the tokens before the network instead of its results.
template <class Activation = glu<silu>, class Combine = weighted_sum<by_slot>>
struct ffn_policy {
  Activation activation{};
  Combine combine{};
  bool weigh_input = false;
};
ffn_policy() -> ffn_policy<>;
template <class A>
ffn_policy(A) -> ffn_policy<A>;
template <class A, class C>
ffn_policy(A, C) -> ffn_policy<A, C>;
template <class A, class C>
ffn_policy(A, C, bool) -> ffn_policy<A, C>;

/// rows[r, :] = activation of the sums of gate and up, or of up alone.
template <class T, class Activation>
struct activated_sink {
  static constexpr int panels = Activation::gated ? 2 : 1;
  matrix_view<T> rows{};
  Activation activation{};

  template <class A>
  FANFOLD_HD void store(plan_view const&, std::int64_t, std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    T* const FANFOLD_RESTRICT to = rows.data() + r * rows.stride() + column;
    if constexpr (Activation::gated) {
      A const *const gate = sums[0], *const up = sums[1];
      for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(activation.value(gate[c], up[c]));
    } else {
      A const* const up = sums[0];
      for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(activation.value(up[c]));
    }
  }
  template <class E>
  void check(char const* function, E const& ex, plan_view const& plan, std::int64_t outer) const {
    detail::check_rows(function, "hidden rows", ex, plan, rows, outer);
  }
};

namespace detail {

template <bool Gated, class T>
auto input_bank(ffn_weights<T> const& w) {
  if constexpr (Gated)
    return bank_pair<weight_bank<T>>{w.gate, w.up};
  else
    return w.up;
}
template <bool Gated, class T>
packed_bank<T, Gated ? 2 : 1> const& input_bank(packed_ffn<T, Gated> const& w) {
  return w.in();
}
template <class T>
weight_bank<T> const& output_bank(ffn_weights<T> const& w) {
  return w.down;
}
template <class T, bool Gated>
packed_bank<T> const& output_bank(packed_ffn<T, Gated> const& w) {
  return w.down();
}
/// Any other weights of networks, for instance those of a library's products.
template <class W>
concept bank_provider = requires(W const& w) {
  w.in();
  w.down();
};
template <bool, bank_provider W>
auto const& input_bank(W const& w) {
  return w.in();
}
template <bank_provider W>
auto const& output_bank(W const& w) {
  return w.down();
}
template <bank_provider W>
void check_gate(char const*, W const&, bool) {}

template <class T>
void check_gate(char const* function, ffn_weights<T> const& w, bool gated) {
  if (!gated) return;
  check_argument(w.gate.experts == w.up.experts && w.gate.inner == w.up.inner && w.gate.outer == w.up.outer, function, "shape of the gate", "another",
                 "that of the up projection");
}
template <class T, bool G>
void check_gate(char const*, packed_ffn<T, G> const&, bool) {}

/// What fused_by_expert is on a device: stripes of columns of the results, each folded before the next is made, so that there are never more
/// than 512 columns of them. The same bits up to 32 kept slots.
template <class E, class T, class Bank, class W, class Initial, class Y>
void combine_in_stripes(E const& ex, plan_view const& plan, matrix_view<T const> hidden, Bank const& bank, matrix_view<W const> weight,
                        matrix_view<Initial const> init, matrix_view<Y> y, workspace& ws) {
  constexpr std::int64_t widest = 512;
  std::int64_t const rows = rows_to_hold(ex, plan), width = y.cols() < widest ? y.cols() : widest;
  workspace::frame frame(ws);
  T* const memory = frame.take<T>(rows * width).data();
  for (std::int64_t first = 0; first < y.cols(); first += widest) {
    std::int64_t const n = y.cols() - first < widest ? y.cols() - first : widest;
    matrix_view<T> const results(memory, rows, n);
    auto const stripe = [&](auto m) { return m.data() == nullptr ? m : decltype(m)(m.data() + first, m.rows(), n, m.stride()); };
    grouped_gemm(ex, plan, plan_rows{hidden}, bank.columns(first, n), row_sink{results}, ws);
    run_combine(ex, weighted_sum<by_expert>{}, plan, as_const(results), weight, stripe(init), stripe(y), ws);
  }
}

template <class E, class Policy, class Weights, class T, class W, class Initial, class Y, class... Options>
void run_ffn(E const& ex, Policy const& policy, plan_view const& plan, Weights const& weights, matrix_view<T const> x, matrix_view<W const> weight,
             matrix_view<Initial const> init, matrix_view<Y> y, Options&... options) {
  using Activation = std::remove_cvref_t<decltype(policy.activation)>;
  using Combine = std::remove_cvref_t<decltype(policy.combine)>;
  auto const& in = input_bank<Activation::gated>(weights);
  auto const& out = output_bank(weights);
  auto const first = sizes_of(in);
  auto const second = sizes_of(out);
  check_gate("expert_ffn", weights, Activation::gated);
  check_argument(first.experts == plan.experts() && second.experts == plan.experts(), "expert_ffn", "experts of the weights", first.experts,
                 "the plan's experts");
  check_argument(first.inner == x.cols() && second.outer == y.cols() && second.inner == first.outer, "expert_ffn", "shape of the weights", "another",
                 "x.cols() x hidden, hidden x y.cols()");
  check_plan_shape("expert_ffn", plan);
  check_tokens("expert_ffn", "x", plan, x, x.cols());
  check_tokens("expert_ffn", "y", plan, y, y.cols());
  check_tokens("expert_ffn", "weight", plan, weight, plan.slots, true);
  check_tokens("expert_ffn", "init", plan, init, y.cols(), true);
  check_apart("expert_ffn", "x and y", x, y);

  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  std::int64_t const rows = rows_to_hold(ex, plan);
  matrix_view<T> const hidden(frame.template take<T>(rows * first.outer).data(), rows, first.outer);
  matrix_view<W const> const none;
  gathered<T, W> const source{x, policy.weigh_input ? weight : none};
  grouped_gemm(ex, plan, source, in, activated_sink<T, Activation>{hidden, policy.activation}, ws);
  auto const after = policy.weigh_input ? none : weight;
  if constexpr (std::is_same_v<Combine, fused_by_expert>) {
    static_assert(std::is_same_v<Y, arithmetic_t<Y>> && std::is_same_v<Y, W> && std::is_same_v<Y, Initial>,
                  "fused_by_expert folds in place: y, init and weights have the arithmetic type");
    if constexpr (device_executor<E>)
      combine_in_stripes(ex, plan, as_const(hidden), out, after, init, y, ws);
    else
      grouped_gemm(ex, plan, plan_rows{as_const(hidden)}, out, folding_sink<Y, T>{y, after, init}, ws);
  } else {
    matrix_view<T> const results(frame.template take<T>(rows * y.cols()).data(), rows, y.cols());
    grouped_gemm(ex, plan, plan_rows{as_const(hidden)}, out, row_sink{results}, ws);
    run_combine(ex, policy.combine, plan, as_const(results), after, init, y, ws);
  }
}

}  // namespace detail

/// A bank of expert networks on the tokens that a plan carries to them:
/// `y[t, :] = init[t, :] + sum over kept slots of w[t, s] * down_e^T h`, `h = act(gate_e^T x) * (up_e^T x)` or `act(up_e^T x)`, rows rounded to
/// the storage type of x.
///
/// `weights` is an ffn_weights (packed on the way) or a packed_ffn. Shared experts are a dense network whose output is `init`.
/// Tokens are gathered while they are packed, so nothing but the hidden rows and the results is stored.
/// \throws argument_error for shapes that do not match, x and y that overlap.
/// \par Determinism  as grouped_gemm and fold_combine: a token's bits depend neither on threads nor on the rest of the batch.
template <executor E, class Policy, class Weights, matrix_viewable X, matrix_viewable W, matrix_viewable Y, fanfold::detail::call_option... Options>
void expert_ffn(E const& ex, Policy const& policy, plan_view const& plan, Weights const& weights, X const& x, W const& weight, Y&& y, Options&&... options) {
  auto const out = as_matrix_view(y);
  using element = typename std::remove_cv_t<decltype(out)>::value_type;
  detail::run_ffn(ex, policy, plan, weights, as_const(as_matrix_view(x)), as_const(as_matrix_view(weight)), matrix_view<element const>(), out, options...);
}
/// With `init` (T x columns; may be `y` itself).
template <executor E, class Policy, class Weights, matrix_viewable X, matrix_viewable W, matrix_viewable Init, matrix_viewable Y,
          fanfold::detail::call_option... Options>
void expert_ffn(E const& ex, Policy const& policy, plan_view const& plan, Weights const& weights, X const& x, W const& weight, Init const& init, Y&& y,
                Options&&... options) {
  detail::run_ffn(ex, policy, plan, weights, as_const(as_matrix_view(x)), as_const(as_matrix_view(weight)), as_const(as_matrix_view(init)),
                  as_matrix_view(y), options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
