#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/dispatch/activation.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// F(S, V) = rho . act(W_1 z_S + W_2 z_V + b), z_S and z_V the sums of the features of a subset S and of all items V: the utility of a
/// subset that also sees the set it was taken from. `parameter` holds W_1 [h, d], W_2 [h, d], b [h], rho [h].
/// Enhancing Neural Subset Selection (INSET), 2024 (arXiv 2402.03139). Without z_V (W_2 = 0) it is Deep Sets.
template <class A, class Activation = dispatch::relu>
struct superset_function {
  using value_type = A;
  using activation = Activation;
  std::int64_t size = 0, hidden = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d, std::int64_t h) { return 2 * h * (d + 1); }
  std::int64_t parameters() const { return parameters_of(size, hidden); }
  detail::dense_weights<A> subset_layer() const { return {parameter.data(), nullptr, hidden, size}; }
  detail::dense_weights<A> superset_layer() const {
    return {parameter.data() + hidden * size, parameter.data() + 2 * hidden * size, hidden, size};
  }
  A const* rho() const { return parameter.data() + 2 * hidden * size + hidden; }
};

namespace detail {

/// Batches of sets: features [B, n, d] with the sets stacked, masks [B, M, n].
struct set_batch {
  std::int64_t sets = 0, items = 0, masks = 0;
};

template <class A, class Activation, class Phi, class Mask>
set_batch check_sets(char const* function, superset_function<A, Activation> const& f, Phi const& phi, Mask const& mask, std::int64_t sets) {
  check_argument(f.size >= 1 && f.hidden >= 1, function, "a size", f.size < 1 ? f.size : f.hidden, "1 or more");
  check_argument(f.parameter.size() == f.parameters(), function, "parameter.size()", f.parameter.size(), "2 h (d + 1)");
  check_argument(sets >= 0, function, "sets", sets, "0 or more");
  std::int64_t const n = mask.cols();
  check_argument(phi.cols() == f.size, function, "features.cols()", phi.cols(), "size");
  check_argument(phi.rows() == sets * n, function, "features.rows()", phi.rows(), "sets times the columns of the masks");
  check_argument(sets == 0 ? mask.rows() == 0 : mask.rows() % sets == 0, function, "masks.rows()", mask.rows(),
                 "a multiple of the number of sets");
  if (FANFOLD_CHECKED)
    for (std::int64_t r = 0; r < mask.rows(); ++r)
      for (std::int64_t i = 0; i < n; ++i)
        check_argument(mask(r, i) >= A(0) && mask(r, i) <= A(1), function, "an entry of the masks", mask(r, i), "in [0, 1]");
  return {sets, n, sets == 0 ? 0 : mask.rows() / sets};
}

/// Feature c of item i under mask row dst, times its membership.
template <class A>
struct masked_feature {
  A const *mask, *phi;
  std::int64_t mask_stride, phi_stride, items, masks;

  FANFOLD_HD constexpr A operator()(std::int64_t dst, std::int64_t, std::int64_t edge, std::int64_t c) const {
    std::int64_t const i = edge - dst * items;
    return mask[dst * mask_stride + i] * phi[(dst / masks * items + i) * phi_stride + c];
  }
};

inline view<std::int64_t const> even_offsets(workspace::frame& frame, std::int64_t segments, std::int64_t length) {
  auto const o = frame.take<std::int64_t>(segments + 1);
  for (std::int64_t s = 0; s <= segments; ++s) o[s] = s * length;
  return as_const(o);
}

template <class E, class A>
void subset_sums(E const& ex, set_batch b, matrix_view<A const> phi, matrix_view<A const> mask, matrix_view<A> z, workspace& ws) {
  workspace::frame frame(ws);
  masked_feature<A> const f{mask.data(), phi.data(), mask.stride(), phi.stride(), b.items, b.masks};
  fanfold::detail::run_segmented("superset_value", ex, plus<A>{}, even_offsets(frame, mask.rows(), b.items), view<std::int32_t const>(),
                                 mask.rows() * b.items, edge_function{f}, z, ws);
}

/// Pre-activations of all (set, mask) pairs, [B M, h], and, where wanted, the two kinds of sums.
template <class A>
struct superset_layers {
  matrix_view<A> subset, superset, pre;
};

template <class E, class A, class Activation>
superset_layers<A> superset_forward(E const& ex, superset_function<A, Activation> const& f, set_batch b, matrix_view<A const> phi,
                                    matrix_view<A const> mask, workspace::frame& frame, workspace& ws) {
  superset_layers<A> s{take_matrix<A>(frame, mask.rows(), f.size), take_matrix<A>(frame, b.sets, f.size),
                       take_matrix<A>(frame, mask.rows(), f.hidden)};
  subset_sums(ex, b, phi, mask, s.subset, ws);
  workspace::frame inner(ws);
  auto const context = take_matrix<A>(inner, b.sets, f.hidden);
  segmented_fold(ex, plus<A>{}, phi, even_offsets(inner, b.sets, b.items), s.superset, ws);
  dense_layer(ex, f.subset_layer(), as_const(s.subset), s.pre, ws);
  dense_layer(ex, f.superset_layer(), as_const(s.superset), context, ws);
  for_each_row(ex, mask.rows(), f.hidden, [&](std::int64_t r) {
    for (std::int64_t c = 0; c < f.hidden; ++c) s.pre(r, c) = s.pre(r, c) + context(r / b.masks, c);
  });
  return s;
}

/// rho . act(u + v), left to right; v may be null.
template <class Activation, class A>
FANFOLD_NOINLINE A superset_readout(A const* rho, A const* u, A const* v, std::int64_t hidden) {
  A sum = A(0);
  for (std::int64_t c = 0; c < hidden; ++c) sum = sum + rho[c] * Activation::value(v == nullptr ? u[c] : u[c] + v[c]);
  return sum;
}

}  // namespace detail

/// value[b M + m] = F(S, V) for every set b and mask m. `features` stacks the sets, [B n, d]; `masks` [B M, n] has M rows a set, entries
/// 0 or 1, or relaxed in between. Empty subsets and whole sets are legal.
/// \throws argument_error for shapes that do not match; in checked builds for a mask outside [0, 1].
template <host_executor E, class A, class Activation, matrix_viewable Phi, matrix_viewable Mask, viewable Out,
          fanfold::detail::call_option... Options>
void superset_value(E const& ex, superset_function<A, Activation> const& f, std::int64_t sets, Phi const& features, Mask const& masks,
                    Out&& value, Options&&... options) {
  auto const phi = as_const(as_matrix_view(features)), mask = as_const(as_matrix_view(masks));
  auto const out = as_view(value);
  auto const batch = detail::check_sets("superset_value", f, phi, mask, sets);
  check_argument(out.size() == mask.rows(), "superset_value", "value.size()", out.size(), "masks.rows()");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const s = detail::superset_forward(ex, f, batch, phi, mask, frame, ws.get());
  detail::for_each_row(ex, out.size(), f.hidden, [&](std::int64_t r) {
    out[r] = detail::superset_readout<Activation, A>(f.rho(), s.pre.data() + r * s.pre.stride(), nullptr, f.hidden);
  });
}

/// Gradients of `superset_value` for g = dL/dvalue: of the features, the parameters and, unless null, the (relaxed) masks; overwritten.
template <host_executor E, class A, class Activation, matrix_viewable Phi, matrix_viewable Mask, viewable G, matrix_viewable DPhi,
          viewable DP, matrix_viewable DMask, fanfold::detail::call_option... Options>
void superset_value_vjp(E const& ex, superset_function<A, Activation> const& f, std::int64_t sets, Phi const& features, Mask const& masks,
                        G const& gradient, DPhi&& dfeatures, DP&& dparameter, DMask&& dmasks, Options&&... options) {
  auto const phi = as_const(as_matrix_view(features)), mask = as_const(as_matrix_view(masks));
  auto const g = as_const(as_view(gradient));
  auto const dphi = as_matrix_view(dfeatures), dmask = as_matrix_view(dmasks);
  auto const dp = as_view(dparameter);
  auto const b = detail::check_sets("superset_value_vjp", f, phi, mask, sets);
  check_argument(g.size() == mask.rows(), "superset_value_vjp", "gradient.size()", g.size(), "masks.rows()");
  check_argument(dphi.rows() == phi.rows() && dphi.cols() == phi.cols(), "superset_value_vjp", "shape of dfeatures", "another",
                 "that of the features");
  check_argument(dp.size() == f.parameters(), "superset_value_vjp", "dparameter.size()", dp.size(), "the number of parameters");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  std::int64_t const h = f.hidden, d = f.size, rows = mask.rows();
  auto const s = detail::superset_forward(ex, f, b, phi, mask, frame, ws);
  auto const dpre = detail::take_matrix<A>(frame, rows, h), drho = detail::take_matrix<A>(frame, rows, h),
             dcontext = detail::take_matrix<A>(frame, b.sets, h), dsubset = detail::take_matrix<A>(frame, rows, d),
             dsuperset = detail::take_matrix<A>(frame, b.sets, d);
  detail::for_each_row(ex, rows, 2 * h, [&](std::int64_t r) {
    for (std::int64_t c = 0; c < h; ++c) {
      dpre(r, c) = g[r] * f.rho()[c] * Activation::slope(s.pre(r, c));
      drho(r, c) = g[r] * Activation::value(s.pre(r, c));
    }
  });
  segmented_fold(ex, plus<A>{}, dpre, detail::even_offsets(frame, b.sets, b.masks), dcontext, ws);
  detail::dense_layer_parameters<E, A>(ex, as_const(s.subset), as_const(dpre), dp.data(), nullptr, ws);
  detail::dense_layer_parameters(ex, as_const(s.superset), as_const(dcontext), dp.data() + h * d, dp.data() + 2 * h * d, ws);
  detail::single_bin bin(rows);
  dispatch::grouped_bias_gradient(ex, bin.plan(), as_const(drho), matrix_view<A>(dp.data() + 2 * h * d + h, 1, h), ws);
  detail::dense_layer_inputs(ex, f.subset_layer(), as_const(dpre), dsubset, ws);
  detail::dense_layer_inputs(ex, f.superset_layer(), as_const(dcontext), dsuperset, ws);
  detail::for_each_row(ex, phi.rows(), (b.masks + 1) * d, [&](std::int64_t row) {
    std::int64_t const set = row / b.items, i = row % b.items;
    for (std::int64_t c = 0; c < d; ++c) dphi(row, c) = dsuperset(set, c);
    for (std::int64_t r = set * b.masks; r < (set + 1) * b.masks; ++r)
      for (std::int64_t c = 0; c < d; ++c) dphi(row, c) = dphi(row, c) + mask(r, i) * dsubset(r, c);
  });
  if (dmask.data() == nullptr) return;
  detail::for_each_row(ex, rows, b.items * d, [&](std::int64_t r) {
    for (std::int64_t i = 0; i < b.items; ++i) {
      A sum = A(0);
      for (std::int64_t c = 0; c < d; ++c) sum = sum + dsubset(r, c) * phi(r / b.masks * b.items + i, c);
      dmask(r, i) = sum;
    }
  });
}

/// masks[b M + m, i] = 1 with probability q[b, i]: element (b M + m) n + i of the stream, whoever draws it.
template <class A>
void sample_masks(random_stream const& draws, matrix_view<A const> q, matrix_view<A> masks) {
  check_argument(q.cols() == masks.cols() && (q.rows() == 0 ? masks.rows() == 0 : masks.rows() % q.rows() == 0), "sample_masks",
                 "shape of the masks", "another", "M rows for each row of q");
  std::int64_t const each = q.rows() == 0 ? 1 : masks.rows() / q.rows();
  for (std::int64_t r = 0; r < masks.rows(); ++r)
    for (std::int64_t i = 0; i < masks.cols(); ++i)
      masks(r, i) =
          bernoulli(draws.word(static_cast<std::uint64_t>(r * masks.cols() + i)), static_cast<double>(q(r / each, i))) ? A(1) : A(0);
}

/// One mean-field step: q[b, i] = sigmoid(mean over masks m of F(S_m with i, V) - F(S_m without i, V)). The two layers see each sum once: S
/// with and without i differ by W_1 phi_i in the hidden layer, so a step costs one fold a mask and one product over the items. \throws
/// argument_error for shapes that do not match. q lies in (0, 1) up to rounding.
template <host_executor E, class A, class Activation, matrix_viewable Phi, matrix_viewable Mask, matrix_viewable Q,
          fanfold::detail::call_option... Options>
void mean_field_step(E const& ex, superset_function<A, Activation> const& f, std::int64_t sets, Phi const& features, Mask const& masks,
                     Q&& probability, Options&&... options) {
  auto const phi = as_const(as_matrix_view(features)), mask = as_const(as_matrix_view(masks));
  auto const q = as_matrix_view(probability);
  auto const b = detail::check_sets("mean_field_step", f, phi, mask, sets);
  check_argument(q.rows() == sets && q.cols() == b.items, "mean_field_step", "shape of the probabilities", "another", "sets x items");
  check_argument(b.masks >= 1 || sets == 0, "mean_field_step", "masks of a set", b.masks, "1 or more");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const s = detail::superset_forward(ex, f, b, phi, mask, frame, ws.get());
  auto const step = detail::take_matrix<A>(frame, phi.rows(), f.hidden);
  detail::dense_layer(ex, f.subset_layer(), phi, step, ws.get());
  workspace none;
  for_each_task(ex, phi.rows(), static_cast<std::size_t>(f.hidden) * sizeof(A), none, [&](std::int64_t row, void* memory) {
    A* const without = static_cast<A*>(memory);
    std::int64_t const set = row / b.items, i = row % b.items;
    A const* const v = step.data() + row * step.stride();
    A sum = A(0);
    for (std::int64_t r = set * b.masks; r < (set + 1) * b.masks; ++r) {
      A const* const u = s.pre.data() + r * s.pre.stride();
      for (std::int64_t c = 0; c < f.hidden; ++c) without[c] = u[c] - mask(r, i) * v[c];
      sum = sum + (detail::superset_readout<Activation, A>(f.rho(), without, v, f.hidden) -
                   detail::superset_readout<Activation, A>(f.rho(), without, nullptr, f.hidden));
    }
    q(set, i) = math::sigmoid(sum / static_cast<A>(b.masks));
  });
}

/// Gradients of `mean_field_step` for g = dL/dq, given its answer q: of the features and the parameters, overwritten. The masks are constants.
/// Goes through `superset_value_vjp` with 2 n masks for each of the given ones: O(B M n^2 d) work, 2 B M n^2 numbers of memory.
/// \throws argument_error for shapes that do not match.
template <host_executor E, class A, class Activation, matrix_viewable Phi, matrix_viewable Mask, matrix_viewable Q, matrix_viewable G,
          matrix_viewable DPhi, viewable DP, fanfold::detail::call_option... Options>
void mean_field_step_vjp(E const& ex, superset_function<A, Activation> const& f, std::int64_t sets, Phi const& features, Mask const& masks,
                         Q const& probability, G const& gradient, DPhi&& dfeatures, DP&& dparameter, Options&&... options) {
  auto const phi = as_const(as_matrix_view(features)), mask = as_const(as_matrix_view(masks));
  auto const q = as_const(as_matrix_view(probability)), g = as_const(as_matrix_view(gradient));
  auto const b = detail::check_sets("mean_field_step_vjp", f, phi, mask, sets);
  check_argument(q.rows() == sets && q.cols() == b.items, "mean_field_step_vjp", "shape of the probabilities", "another", "sets x items");
  check_argument(g.rows() == sets && g.cols() == b.items, "mean_field_step_vjp", "shape of the gradient", "another", "sets x items");
  check_argument(b.masks >= 1 || sets == 0, "mean_field_step_vjp", "masks of a set", b.masks, "1 or more");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  // rows 2 (r n + i) and the next: mask r with item i, and without
  auto const both = detail::take_matrix<A>(frame, 2 * mask.rows() * b.items, b.items);
  view<A> const share = frame.template take<A>(both.rows());
  detail::for_each_row(ex, mask.rows(), 2 * b.items * b.items, [&](std::int64_t r) {
    std::int64_t const set = r / b.masks;
    for (std::int64_t i = 0; i < b.items; ++i) {
      std::int64_t const with = 2 * (r * b.items + i);
      for (std::int64_t j = 0; j < b.items; ++j) both(with, j) = both(with + 1, j) = mask(r, j);
      both(with, i) = A(1);
      both(with + 1, i) = A(0);
      share[with] = g(set, i) * q(set, i) * (A(1) - q(set, i)) / static_cast<A>(b.masks);
      share[with + 1] = -share[with];
    }
  });
  superset_value_vjp(ex, f, sets, phi, as_const(both), as_const(share), dfeatures, dparameter, matrix_view<A>(), ws.get());
}

namespace detail {

/// Probabilities nearer to 0 than this count as this under a logarithm.
inline constexpr double least_probability = 1e-12;

template <class Q, class Y, class W>
void check_selection(char const* function, Q const& q, Y const& y, W const& w) {
  check_argument(y.rows() == q.rows() && y.cols() == q.cols(), function, "shape of the wanted subsets", "another", "that of the probabilities");
  check_argument(w.rows() == q.rows() && w.cols() == q.cols(), function, "shape of the counted items", "another", "that of the probabilities");
}

}  // namespace detail

/// The loss of probabilities q [B, n], as a mean-field step makes them: minus the sum over `counted` items of y log q + (1 - y) log(1 - q),
/// where y marks the wanted subset and `counted` the items that take part (its members and sampled others; any weights). Logarithms are cut
/// off at log 1e-12. \throws argument_error for shapes that do not match. \par Determinism  terms in double, by the canonical tree of `fold`.
template <host_executor E, matrix_viewable Q, matrix_viewable Y, matrix_viewable W, fanfold::detail::call_option... Options>
double selection_loss(E const& ex, Q const& probability, Y const& wanted, W const& counted, Options&&... options) {
  auto const q = as_const(as_matrix_view(probability)), y = as_const(as_matrix_view(wanted)), w = as_const(as_matrix_view(counted));
  detail::check_selection("selection_loss", q, y, w);
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  view<double> const term = frame.take<double>(q.rows() * q.cols());
  auto const log = [](double p) { return math::log(p < detail::least_probability ? detail::least_probability : p); };
  detail::for_each_row(ex, q.rows(), 16 * q.cols(), [&](std::int64_t r) {
    for (std::int64_t i = 0; i < q.cols(); ++i) {
      double const p = static_cast<double>(q(r, i)), wants = static_cast<double>(y(r, i));
      term[r * q.cols() + i] = -static_cast<double>(w(r, i)) * (wants * log(p) + (1 - wants) * log(1 - p));
    }
  });
  return fold(ex, plus<double>{}, term, ws.get());
}

/// Gradient of `selection_loss` times `g` with respect to the probabilities, overwritten; 0 from a logarithm that was cut off.
template <host_executor E, matrix_viewable Q, matrix_viewable Y, matrix_viewable W, matrix_viewable DQ>
void selection_loss_vjp(E const& ex, Q const& probability, Y const& wanted, W const& counted, double g, DQ&& dprobability) {
  auto const q = as_const(as_matrix_view(probability)), y = as_const(as_matrix_view(wanted)), w = as_const(as_matrix_view(counted));
  auto const dq = as_matrix_view(dprobability);
  using A = typename decltype(dq)::value_type;
  detail::check_selection("selection_loss_vjp", q, y, w);
  check_argument(dq.rows() == q.rows() && dq.cols() == q.cols(), "selection_loss_vjp", "shape of dprobability", "another", "that of the probabilities");
  auto const inverse = [](double p) { return p < detail::least_probability ? 0 : 1 / p; };
  detail::for_each_row(ex, q.rows(), 4 * q.cols(), [&](std::int64_t r) {
    for (std::int64_t i = 0; i < q.cols(); ++i) {
      double const p = static_cast<double>(q(r, i)), wants = static_cast<double>(y(r, i));
      dq(r, i) = static_cast<A>(-g * static_cast<double>(w(r, i)) * (wants * inverse(p) - (1 - wants) * inverse(1 - p)));
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
