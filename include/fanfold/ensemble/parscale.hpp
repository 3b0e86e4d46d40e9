#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/activation.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/ensemble/softmax.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// The layer that weighs P streams of one model for every token: logits = W_2 silu(W_1 c + b_1) + b_2, w = softmax(logits),
/// w' = (1 - smoothing) w + smoothing / P. c holds a token's streams feature by feature: entry f P + p is feature f of stream p.
/// `parameter` holds W_1 [d, P d], b_1 [d], W_2 [P, d], b_2 [P]; nothing for one stream, which needs no layer. `smoothing` is in [0, 1).
/// Parallel Scaling Law for Language Models, 2025 (arXiv 2505.10475).
template <class A>
struct parscale {
  using value_type = A;
  std::int64_t size = 0, streams = 0;
  double smoothing = 0.01;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d, std::int64_t streams) { return streams == 1 ? 0 : d * (streams * d + 1) + streams * (d + 1); }
  std::int64_t parameters() const { return parameters_of(size, streams); }
};

/// Constants of the parallel scaling law: `scale` in billions of parameters, `gain` of a stream's logarithm.
struct parscale_law {
  double irreducible = 0, scale = 1, exponent = 1, gain = 0;
};

/// Expected loss of a model of `parameters` weights run in `streams` parallel streams: E + (A 10^9 / (N (1 + k ln P)))^alpha.
/// \throws argument_error for no parameters, less than one stream, a scale that is not above 0 or a negative gain.
inline double parscale_loss(double parameters, double streams, parscale_law const& law) {
  char const* const f = "ensemble::parscale_loss";
  check_argument(parameters > 0, f, "parameters", parameters, "above 0");
  check_argument(streams >= 1, f, "streams", streams, "1 or more");
  check_argument(law.scale > 0, f, "scale", law.scale, "above 0");
  check_argument(law.gain >= 0, f, "gain", law.gain, "0 or more");
  return law.irreducible + math::exp(law.exponent * math::log(law.scale * 1e9 / (parameters * (1 + law.gain * math::log(streams)))));
}

namespace detail {

template <class A, class H, class Y>
std::int64_t check_parscale(char const* f, parscale<A> const& layer, matrix_view<H> h, matrix_view<Y> y) {
  check_argument(layer.size >= 1, f, "size", layer.size, "1 or more");
  check_argument(layer.streams >= 1, f, "streams", layer.streams, "1 or more");
  check_argument(layer.smoothing >= 0 && layer.smoothing < 1, f, "smoothing", layer.smoothing, "in [0, 1)");
  check_argument(layer.parameter.size() == layer.parameters(), f, "parameter.size()", layer.parameter.size(), "d (P d + 1) + P (d + 1), or 0 for one stream");
  check_argument(h.cols() == layer.size, f, "columns of the streams", h.cols(), "the size of the layer");
  check_argument(h.rows() % layer.streams == 0, f, "rows of the streams", h.rows(), "a multiple of the number of streams");
  check_argument(h.rows() <= fanfold::most_rows, f, "rows of the streams", h.rows(), "at most 2^31 - 1");
  check_argument(y.rows() == h.rows() / layer.streams, f, "rows of the result", y.rows(), "the number of tokens");
  check_argument(y.cols() == layer.size, f, "columns of the result", y.cols(), "the size of the layer");
  return y.rows();
}

/// Token t takes rows t, N + t, 2 N + t, ... of the stack: the plan in which every stream holds every token.
inline dispatch::plan_view stream_plan(workspace::frame& frame, std::int64_t tokens, std::int64_t streams) {
  auto const plan = dispatch::take_plan(frame, dispatch::packed{}, tokens, streams, streams);
  for (std::int64_t p = 0; p <= streams; ++p) plan.offsets[p] = p * tokens;
  for (std::int64_t p = 0; p < streams; ++p) {
    plan.counts[p] = plan.kept[p] = static_cast<std::int32_t>(tokens);
    for (std::int64_t t = 0; t < tokens; ++t) {
      plan.row_of[t * streams + p] = static_cast<std::int32_t>(p * tokens + t);
      plan.src_of[p * tokens + t] = static_cast<std::int32_t>(t * streams + p);
    }
  }
  return plan;
}

template <class A>
aggregate::detail::dense_weights<A> parscale_input(parscale<A> const& l) {
  std::int64_t const inputs = l.streams * l.size;
  return {l.parameter.data(), l.parameter.data() + l.size * inputs, l.size, inputs};
}
template <class A>
aggregate::detail::dense_weights<A> parscale_output(parscale<A> const& l) {
  A const* const weight = l.parameter.data() + l.size * (l.streams * l.size + 1);
  return {weight, weight + l.streams * l.size, l.streams, l.size};
}

/// softmax(z), in place; NaN anywhere is NaN everywhere.
template <class A>
FANFOLD_NOINLINE void stream_weights(A* z, std::int64_t streams) {
  bool defined = true;
  for (std::int64_t p = 0; p < streams; ++p) defined = defined && z[p] == z[p];
  if (defined) return softmax_row(z, streams, z);
  for (std::int64_t p = 0; p < streams; ++p) z[p] = math::quiet_nan<A>();
}

template <class A>
FANFOLD_NOINLINE void smooth_weights(A const* w, A* to, std::int64_t streams, double smoothing) {
  A const kept = static_cast<A>(1 - smoothing), floor = static_cast<A>(smoothing / static_cast<double>(streams));
  for (std::int64_t p = 0; p < streams; ++p) to[p] = smoothing == 0 ? w[p] : kept * w[p] + floor;
}

/// What the gradient needs of every token: c, W_1 c + b_1, its activation, w and w'.
template <class A>
struct parscale_layers {
  matrix_view<A> joint, pre, hidden, weight, smoothed;
};

template <class E, class A, class T>
parscale_layers<A> parscale_forward(E const& ex, parscale<A> const& layer, matrix_view<T const> h, std::int64_t tokens, workspace::frame& frame, workspace& ws) {
  namespace dense = aggregate::detail;
  std::int64_t const d = layer.size, streams = layer.streams;
  parscale_layers<A> const s{dense::take_matrix<A>(frame, tokens, streams * d), dense::take_matrix<A>(frame, tokens, d), dense::take_matrix<A>(frame, tokens, d),
                             dense::take_matrix<A>(frame, tokens, streams), dense::take_matrix<A>(frame, tokens, streams)};
  dense::for_each_row(ex, tokens, streams * d, [&](std::int64_t t) {
    for (std::int64_t p = 0; p < streams; ++p)
      for (std::int64_t c = 0; c < d; ++c) s.joint(t, c * streams + p) = to_arithmetic(h(p * tokens + t, c));
  });
  dense::dense_layer(ex, parscale_input(layer), as_const(s.joint), s.pre, ws);
  dense::for_each_row(ex, tokens, 16 * d, [&](std::int64_t t) {
    for (std::int64_t c = 0; c < d; ++c) s.hidden(t, c) = dispatch::silu::value(s.pre(t, c));
  });
  dense::dense_layer(ex, parscale_output(layer), as_const(s.hidden), s.weight, ws);
  dense::for_each_row(ex, tokens, 32 * streams, [&](std::int64_t t) {
    stream_weights(s.weight.row(t).data(), streams);
    smooth_weights(s.weight.row(t).data(), s.smoothed.row(t).data(), streams, layer.smoothing);
  });
  return s;
}

}  // namespace detail

/// y[t] = sum over p of w'_p(t) H_p[t]: one hidden state from P streams of a model, token by token, with the weights of `layer`. `streams` [P N, d] stacks the
/// N tokens of stream 0, of stream 1, and so on (after the final norm); `y` is [N, d]; `weights` [N, P] gets w', or is empty. Weights are computed in float
/// (double for double), y is rounded once. One stream is copied and has weight 1.
///
/// Weights are smoothing / P or more and sum to 1. A NaN among a token's logits makes all its weights NaN.
/// \throws argument_error, before any output, for shapes that do not match, smoothing outside [0, 1) and streams that overlap y.
/// \par Determinism The layers as grouped_gemm, a token's streams by the row tree in ascending order: bits depend neither on threads nor on other tokens.
template <host_executor E, class A, matrix_viewable H, matrix_viewable Y, matrix_viewable W, fanfold::detail::call_option... Options>
void parscale_aggregate(E const& ex, parscale<A> const& layer, H const& streams, Y&& y, W&& weights, Options&&... options) {
  char const* const f = "ensemble::parscale_aggregate";
  auto const h = as_const(as_matrix_view(streams));
  auto const out = as_matrix_view(y);
  auto const w = as_matrix_view(weights);
  using T = typename std::remove_cv_t<decltype(h)>::value_type;
  using U = typename std::remove_cv_t<decltype(out)>::value_type;
  using V = typename std::remove_cv_t<decltype(w)>::value_type;
  static_assert(std::is_same_v<arithmetic_t<T>, A> && std::is_same_v<arithmetic_t<U>, A>, "the layer must hold the type that the streams compute in");
  std::int64_t const tokens = detail::check_parscale(f, layer, h, out);
  check_argument(w.data() == nullptr || (w.rows() == tokens && w.cols() == layer.streams), f, "shape of the weights", "another", "tokens x streams");
  dispatch::detail::check_apart(f, "streams and y", h, out);
  if (tokens == 0) return;
  fanfold::detail::call_workspace call(ex, options...);
  workspace::frame frame(call.get());
  auto const copy_weights = [&](matrix_view<A const> from) {
    if (w.data() == nullptr) return;
    aggregate::detail::for_each_row(ex, tokens, layer.streams, [&](std::int64_t t) {
      for (std::int64_t p = 0; p < layer.streams; ++p) w(t, p) = from_arithmetic<V>(static_cast<arithmetic_t<V>>(from.data() == nullptr ? A(1) : from(t, p)));
    });
  };
  if (layer.streams == 1) {
    aggregate::detail::for_each_row(ex, tokens, layer.size, [&](std::int64_t t) {
      for (std::int64_t c = 0; c < layer.size; ++c) out(t, c) = from_arithmetic<U>(to_arithmetic(h(t, c)));
    });
    return copy_weights({});
  }
  auto const s = detail::parscale_forward(ex, layer, h, tokens, frame, call.get());
  dispatch::fold_combine(ex, dispatch::weighted_sum<dispatch::by_slot>{}, detail::stream_plan(frame, tokens, layer.streams), h, as_const(s.smoothed), out, call.get());
  copy_weights(as_const(s.smoothed));
}

/// Gradients of `parscale_aggregate` for `dy` = dL/dy: of the streams [P N, d], through the sum and through the weights, and of the parameters (in the layer's
/// layout); both overwritten. dL/dlogit = (1 - smoothing) w (g - <w, g>), g_p = <H_p, dy>. The layer's activations are computed again.
/// \throws argument_error as above, and for dy that overlaps dstreams.
template <host_executor E, class A, matrix_viewable H, matrix_viewable G, matrix_viewable DH, viewable DP, fanfold::detail::call_option... Options>
void parscale_aggregate_vjp(E const& ex, parscale<A> const& layer, H const& streams, G const& dy, DH&& dstreams, DP&& dparameter, Options&&... options) {
  namespace dense = aggregate::detail;
  char const* const f = "ensemble::parscale_aggregate_vjp";
  auto const h = as_const(as_matrix_view(streams));
  auto const g = as_const(as_matrix_view(dy));
  auto const dh = as_matrix_view(dstreams);
  auto const dp = as_view(dparameter);
  using T = typename std::remove_cv_t<decltype(h)>::value_type;
  using DT = typename std::remove_cv_t<decltype(dh)>::value_type;
  static_assert(std::is_same_v<arithmetic_t<T>, A> && std::is_same_v<arithmetic_t<DT>, A>, "the layer must hold the type that the streams compute in");
  std::int64_t const d = layer.size, count = layer.streams, tokens = detail::check_parscale(f, layer, h, g);
  check_argument(dh.rows() == h.rows() && dh.cols() == d, f, "shape of dstreams", "another", "that of the streams");
  check_argument(dp.size() == layer.parameters(), f, "dparameter.size()", dp.size(), "that of the parameters");
  dispatch::detail::check_apart(f, "dy and dstreams", g, dh);
  if (count == 1) {
    dense::for_each_row(ex, tokens, d, [&](std::int64_t t) {
      for (std::int64_t c = 0; c < d; ++c) dh(t, c) = from_arithmetic<DT>(static_cast<A>(to_arithmetic(g(t, c))));
    });
    return;
  }
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  if (tokens == 0) {
    for (A& x : dp) x = A(0);
    return;
  }
  auto const s = detail::parscale_forward(ex, layer, h, tokens, frame, ws);
  auto const direct = dense::take_matrix<A>(frame, count * tokens, d), dlogit = dense::take_matrix<A>(frame, tokens, count);
  auto const plan = detail::stream_plan(frame, tokens, count);
  dispatch::fold_combine_vjp(ex, dispatch::weighted_sum<dispatch::by_slot>{}, plan, h, as_const(s.smoothed), g, direct, dlogit, ws);
  A const kept = static_cast<A>(1 - layer.smoothing);
  dense::for_each_row(ex, tokens, 4 * count, [&](std::int64_t t) {
    A mean = A(0);
    for (std::int64_t p = 0; p < count; ++p) mean = mean + s.weight(t, p) * dlogit(t, p);
    for (std::int64_t p = 0; p < count; ++p) dlogit(t, p) = kept * s.weight(t, p) * (dlogit(t, p) - mean);
  });
  auto const input = detail::parscale_input(layer), output = detail::parscale_output(layer);
  A* const to = dp.data();
  auto const place = [&](A const* parameter) { return to + (parameter - layer.parameter.data()); };
  dense::dense_layer_parameters(ex, as_const(s.hidden), as_const(dlogit), place(output.weight), place(output.bias), ws);
  dense::dense_layer_inputs(ex, output, as_const(dlogit), s.hidden, ws);
  dense::for_each_row(ex, tokens, 16 * d, [&](std::int64_t t) {
    for (std::int64_t c = 0; c < d; ++c) s.hidden(t, c) = s.hidden(t, c) * dispatch::silu::slope(s.pre(t, c));
  });
  dense::dense_layer_parameters(ex, as_const(s.joint), as_const(s.hidden), place(input.weight), place(input.bias), ws);
  dense::dense_layer_inputs(ex, input, as_const(s.hidden), s.joint, ws);
  dense::for_each_row(ex, tokens, count * d, [&](std::int64_t t) {
    for (std::int64_t p = 0; p < count; ++p)
      for (std::int64_t c = 0; c < d; ++c) dh(p * tokens + t, c) = from_arithmetic<DT>(direct(p * tokens + t, c) + s.joint(t, c * count + p));
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
