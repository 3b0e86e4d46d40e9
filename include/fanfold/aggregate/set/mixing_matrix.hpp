#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// A sequence mixer as a matrix M_h [L_out, L_in] a head: `entry(b, h, t, s)` of batch item b, whether it differs between batch items
/// (`batched`), and its sizes. `fill` writes one matrix: what products and tests use.
template <class M>
concept mixing_matrix = requires(M const& m, std::int64_t i, matrix_view<typename M::value_type> to) {
  typename M::value_type;
  { M::batched } -> std::convertible_to<bool>;
  { m.heads() } -> std::same_as<std::int64_t>;
  { m.outputs() } -> std::same_as<std::int64_t>;
  { m.inputs() } -> std::same_as<std::int64_t>;
  m.fill(i, i, to);
};

/// Free weights [H L_out, L_in], shared by the batch: a dense layer over time. JustDense, 2025.
template <class A>
struct dense_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  matrix_view<A const> weight{};
  std::int64_t head_count = 1;

  std::int64_t heads() const { return head_count; }
  std::int64_t outputs() const { return weight.rows() / head_count; }
  std::int64_t inputs() const { return weight.cols(); }
  void fill(std::int64_t, std::int64_t h, matrix_view<A> to) const {
    for (std::int64_t t = 0; t < to.rows(); ++t)
      for (std::int64_t s = 0; s < to.cols(); ++s) to(t, s) = weight(h * outputs() + t, s);
  }
};

/// Every step stays where it is.
template <class A>
struct identity_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  std::int64_t length = 0;

  std::int64_t heads() const { return 1; }
  std::int64_t outputs() const { return length; }
  std::int64_t inputs() const { return length; }
  void fill(std::int64_t, std::int64_t, matrix_view<A> to) const {
    for (std::int64_t t = 0; t < to.rows(); ++t)
      for (std::int64_t s = 0; s < to.cols(); ++s) to(t, s) = t == s ? A(1) : A(0);
  }
};

/// Rows are the softmax of scores [B H L, L], scores above the diagonal left out where `causal`. Every row sums to 1.
template <class A>
struct attention_mixer {
  using value_type = A;
  static constexpr bool batched = true;
  matrix_view<A const> score{};
  std::int64_t head_count = 1;
  bool causal = false;

  std::int64_t heads() const { return head_count; }
  std::int64_t outputs() const { return score.cols(); }
  std::int64_t inputs() const { return score.cols(); }
  void fill(std::int64_t b, std::int64_t h, matrix_view<A> to) const {
    std::int64_t const length = score.cols();
    for (std::int64_t t = 0; t < length; ++t) {
      view<A const> const row = score.row((b * head_count + h) * length + t).subview(0, causal ? t + 1 : length);
      A const total = fold(log_sum_exp<A>{}, row);
      for (std::int64_t s = 0; s < length; ++s) to(t, s) = s < row.size() ? math::exp(row[s] - total) : A(0);
    }
  }
};

/// A convolution: M_ts = kernel(h, t - s) from 0 to length - 1, 0 above the diagonal.
template <class A>
struct toeplitz_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  matrix_view<A const> kernel{};  ///< [H, L]

  std::int64_t heads() const { return kernel.rows(); }
  std::int64_t outputs() const { return kernel.cols(); }
  std::int64_t inputs() const { return kernel.cols(); }
  void fill(std::int64_t, std::int64_t h, matrix_view<A> to) const {
    for (std::int64_t t = 0; t < to.rows(); ++t)
      for (std::int64_t s = 0; s < to.cols(); ++s) to(t, s) = s <= t ? kernel(h, t - s) : A(0);
  }
};

/// The matrix of the scan u_t = a_t u_(t-1) + b_t x_t, y_t = c_t u_t: M_ts = c_t (a_(s+1) ... a_t) b_s on and below the diagonal.
template <class A>
struct semiseparable_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  matrix_view<A const> decay{}, in{}, out{};  ///< a, b, c, each [H, L]

  std::int64_t heads() const { return decay.rows(); }
  std::int64_t outputs() const { return decay.cols(); }
  std::int64_t inputs() const { return decay.cols(); }
  void fill(std::int64_t, std::int64_t h, matrix_view<A> to) const {
    for (std::int64_t s = 0; s < to.cols(); ++s) {
      A path = in(h, s);
      for (std::int64_t t = 0; t < to.rows(); ++t) {
        if (t > s) path = decay(h, t) * path;
        to(t, s) = t < s ? A(0) : out(h, t) * path;
      }
    }
  }
};

/// M_ts = 1 / (p_t - q_s) for points p [H, L_out] and q [H, L_in] that never meet.
template <class A>
struct cauchy_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  matrix_view<A const> p{}, q{};

  std::int64_t heads() const { return p.rows(); }
  std::int64_t outputs() const { return p.cols(); }
  std::int64_t inputs() const { return q.cols(); }
  void fill(std::int64_t, std::int64_t h, matrix_view<A> to) const {
    for (std::int64_t t = 0; t < to.rows(); ++t)
      for (std::int64_t s = 0; s < to.cols(); ++s) to(t, s) = A(1) / (p(h, t) - q(h, s));
  }
};

/// M_ts = p_t^s for points p [H, L_out]: L_in powers.
template <class A>
struct vandermonde_mixer {
  using value_type = A;
  static constexpr bool batched = false;
  matrix_view<A const> p{};
  std::int64_t length = 0;

  std::int64_t heads() const { return p.rows(); }
  std::int64_t outputs() const { return p.cols(); }
  std::int64_t inputs() const { return length; }
  void fill(std::int64_t, std::int64_t h, matrix_view<A> to) const {
    for (std::int64_t t = 0; t < to.rows(); ++t) {
      A power = 1;
      for (std::int64_t s = 0; s < to.cols(); ++s, power = power * p(h, t)) to(t, s) = power;
    }
  }
};

/// Writes M of batch item b and head h into `to` [L_out, L_in].
template <mixing_matrix M, matrix_viewable To>
void materialise(M const& mixer, std::int64_t b, std::int64_t h, To&& to) {
  auto const m = as_matrix_view(to);
  check_argument(h >= 0 && h < mixer.heads(), "materialise", "h", h, "a head");
  check_argument(m.rows() == mixer.outputs() && m.cols() == mixer.inputs(), "materialise", "shape of the matrix", "another",
                 "outputs x inputs");
  mixer.fill(b, h, m);
}

namespace detail {

/// The rows of one matrix (or of one a batch item), the same for every bin of a plan.
template <class A>
struct repeated_rows {
  using value_type = A;
  A const* data;
  std::int64_t count, cols, batch_stride;

  dispatch::detail::scaled_source<A> row(dispatch::plan_view const&, std::int64_t r) const {
    return {data + r / count * batch_stride + r % count * cols, A(1), false};
  }
  std::int64_t width() const { return cols; }
  template <class E>
  void check(char const*, E const&, dispatch::plan_view const&) const {}
};

/// y_b = M_b x_b for every batch item: one grouped product whose experts are the sequences. Sequences are [length, columns] with the given
/// distances between batch items and between steps.
template <class E, class A>
void multiply_sequences(E const& ex, repeated_rows<A> const& m, std::int64_t batch, A const* x, std::int64_t x_batch, std::int64_t x_step,
                        std::int64_t columns, A* y, std::int64_t y_batch, std::int64_t y_step, workspace& ws) {
  workspace::frame frame(ws);
  auto const offsets = frame.take<std::int64_t>(batch + 1);
  auto const counts = frame.take<std::int32_t>(batch);
  for (std::int64_t b = 0; b <= batch; ++b) offsets[b] = b * m.count;
  for (std::int64_t b = 0; b < batch; ++b) counts[b] = static_cast<std::int32_t>(m.count);
  dispatch::weight_bank<A const> bank(x, batch, m.cols, columns);
  bank.expert_stride = x_batch, bank.inner_stride = x_step;
  dispatch::plan_view const plan{offsets, counts, counts, {}, {}, 0, 0, false};
  if (y_batch == m.count * y_step)
    return dispatch::grouped_gemm(ex, plan, m, bank, dispatch::row_sink<A>{{y, batch * m.count, columns, y_step}, {}}, ws);
  auto const rows = take_matrix<A>(frame, batch * m.count, columns);
  dispatch::grouped_gemm(ex, plan, m, bank, dispatch::row_sink<A>{rows, {}}, ws);
  for_each_row(ex, rows.rows(), columns, [&](std::int64_t r) {
    for (std::int64_t c = 0; c < columns; ++c) y[r / m.count * y_batch + r % m.count * y_step + c] = rows(r, c);
  });
}

template <class M>
std::int64_t check_mixer(char const* function, M const& mixer, std::int64_t batch, std::int64_t x_rows, std::int64_t x_cols,
                         std::int64_t y_rows, std::int64_t y_cols) {
  check_argument(mixer.inputs() >= 1, function, "inputs", mixer.inputs(), "1 or more");
  check_argument(batch >= 0 && x_rows == batch * mixer.inputs(), function, "x.rows()", x_rows, "batch times the inputs of the mixer");
  check_argument(y_rows == batch * mixer.outputs(), function, "y.rows()", y_rows, "batch times the outputs of the mixer");
  check_argument(y_cols == x_cols, function, "y.cols()", y_cols, "x.cols()");
  check_argument(mixer.heads() >= 1 && x_cols % mixer.heads() == 0, function, "x.cols()", x_cols, "a multiple of the number of heads");
  return x_cols / mixer.heads();
}

/// All matrices of one head, transposed where asked: [batch or 1][rows][cols].
template <class A, class E, class M>
repeated_rows<A> head_matrices(E const& ex, M const& mixer, std::int64_t batch, std::int64_t h, bool transposed, workspace::frame& frame) {
  std::int64_t const out = mixer.outputs(), in = mixer.inputs(), count = M::batched ? batch : 1;
  A* const memory = frame.take<A>(count * out * in).data();
  A* const plain = transposed ? frame.take<A>(count * out * in).data() : memory;
  for_each_task(ex, count, [&](std::int64_t b) {
    mixer.fill(b, h, matrix_view<A>(plain + b * out * in, out, in));
    for (std::int64_t t = 0; t < out && transposed; ++t)
      for (std::int64_t s = 0; s < in; ++s) memory[(b * in + s) * out + t] = plain[(b * out + t) * in + s];
  });
  return {memory, transposed ? in : out, transposed ? out : in, M::batched ? out * in : 0};
}

}  // namespace detail

/// y[b, t, c] = sum over s of M_h(b)[t, s] x[b, s, c] + bias[t], head h owning C / H neighbouring channels. `x` stacks the batch,
/// [B L_in, C]; `y` is [B L_out, C]; `bias` [L_out] may be empty.
/// \throws argument_error for shapes that do not match, a mixer without inputs.
/// \par Determinism  products as those of grouped_gemm.
template <host_executor E, mixing_matrix M, matrix_viewable X, viewable Bias, matrix_viewable Y, fanfold::detail::call_option... Options>
void mix_sequences(E const& ex, M const& mixer, std::int64_t batch, X const& x, Bias const& bias, Y&& y, Options&&... options) {
  using A = typename M::value_type;
  matrix_view<A const> const in = as_const(as_matrix_view(x));
  matrix_view<A> const out = as_matrix_view(y);
  auto const beta = as_const(as_view(bias));
  std::int64_t const width = detail::check_mixer("mix_sequences", mixer, batch, in.rows(), in.cols(), out.rows(), out.cols());
  check_argument(beta.empty() || beta.size() == mixer.outputs(), "mix_sequences", "bias.size()", beta.size(),
                 "the outputs of the mixer, or 0");
  fanfold::detail::call_workspace ws(ex, options...);
  for (std::int64_t h = 0; h < mixer.heads() && batch > 0; ++h) {
    workspace::frame frame(ws.get());
    auto const m = detail::head_matrices<A>(ex, mixer, batch, h, false, frame);
    detail::multiply_sequences(ex, m, batch, in.data() + h * width, mixer.inputs() * in.stride(), in.stride(), width,
                               out.data() + h * width, mixer.outputs() * out.stride(), out.stride(), ws.get());
  }
  for (std::int64_t r = 0; r < out.rows() && !beta.empty(); ++r)
    for (std::int64_t c = 0; c < out.cols(); ++c) out(r, c) = out(r, c) + beta[r % mixer.outputs()];
}

/// Gradients of `mix_sequences` for g = dL/dy: of x, of the matrices (`dmatrix` [H L_out, L_in] summed over the batch by the row tree, or
/// [B H L_out, L_in] where they differ between batch items) and of the bias, [L_out] or empty; overwritten.
template <host_executor E, mixing_matrix M, matrix_viewable X, matrix_viewable G, matrix_viewable DX, matrix_viewable DM, viewable DB,
          fanfold::detail::call_option... Options>
void mix_sequences_vjp(E const& ex, M const& mixer, std::int64_t batch, X const& x, G const& gradient, DX&& dx, DM&& dmatrix, DB&& dbias,
                       Options&&... options) {
  using A = typename M::value_type;
  matrix_view<A const> const in = as_const(as_matrix_view(x)), g = as_const(as_matrix_view(gradient));
  matrix_view<A> const din = as_matrix_view(dx), dm = as_matrix_view(dmatrix);
  auto const db = as_view(dbias);
  std::int64_t const rows = mixer.outputs(), cols = mixer.inputs(), heads = mixer.heads();
  std::int64_t const width = detail::check_mixer("mix_sequences_vjp", mixer, batch, in.rows(), in.cols(), g.rows(), g.cols());
  check_argument(din.rows() == in.rows() && din.cols() == in.cols(), "mix_sequences_vjp", "shape of dx", "another", "that of x");
  check_argument(dm.rows() == (M::batched ? batch : 1) * heads * rows && dm.cols() == cols, "mix_sequences_vjp", "shape of dmatrix",
                 "another", "that of the matrices");
  check_argument(db.empty() || db.size() == rows, "mix_sequences_vjp", "dbias.size()", db.size(), "the outputs of the mixer, or 0");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  for (std::int64_t t = 0; t < db.size(); ++t) {
    db[t] = 0;
    for (std::int64_t b = 0; b < batch; ++b) db[t] = db[t] + fold(plus<A>{}, g.row(b * rows + t), ws);
  }
  for (std::int64_t h = 0; h < heads; ++h) {
    workspace::frame frame(ws);
    auto const transposed = detail::head_matrices<A>(ex, mixer, batch, h, true, frame);
    if (batch > 0)
      detail::multiply_sequences(ex, transposed, batch, g.data() + h * width, rows * g.stride(), g.stride(), width, din.data() + h * width,
                                 cols * din.stride(), din.stride(), ws);
    // dM_b = g_b x_b^T: bins are batch items, the bank is x transposed
    auto const each = detail::take_matrix<A>(frame, batch * rows, cols), left = detail::take_matrix<A>(frame, batch * rows, width);
    detail::for_each_row(ex, left.rows(), width, [&](std::int64_t r) {
      for (std::int64_t c = 0; c < width; ++c) left(r, c) = g(r, h * width + c);
    });
    auto const offsets = frame.template take<std::int64_t>(batch + 1);
    auto const counts = frame.template take<std::int32_t>(batch);
    for (std::int64_t b = 0; b <= batch; ++b) offsets[b] = b * rows;
    for (std::int64_t b = 0; b < batch; ++b) counts[b] = static_cast<std::int32_t>(rows);
    dispatch::weight_bank<A const> bank(in.data() + h * width, batch, cols, width);
    bank.expert_stride = cols * in.stride(), bank.inner_stride = in.stride();
    dispatch::grouped_gemm(ex, dispatch::plan_view{offsets, counts, counts, {}, {}, 0, 0, false}, dispatch::plan_rows<A>{as_const(left)},
                           bank.transposed(), dispatch::row_sink<A>{each, {}}, ws);
    if constexpr (M::batched) {
      for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t t = 0; t < rows; ++t)
          for (std::int64_t s = 0; s < cols; ++s) dm((b * heads + h) * rows + t, s) = each(b * rows + t, s);
    } else {
      auto const all = frame.template take<std::int64_t>(2);
      all[0] = 0, all[1] = batch;
      auto const sum = detail::take_matrix<A>(frame, 1, rows * cols);
      segmented_fold(ex, plus<A>{}, matrix_view<A>(each.data(), batch, rows * cols), all, sum, ws);
      for (std::int64_t t = 0; t < rows; ++t)
        for (std::int64_t s = 0; s < cols; ++s) dm(h * rows + t, s) = sum(0, t * cols + s);
    }
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
