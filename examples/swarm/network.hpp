#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "fanfold/core/distributions.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/token_choice.hpp"
#include "swarm/data.hpp"

namespace swarm {

namespace ff = fanfold;
using matrix = ff::matrix_view<float>;
using const_matrix = ff::matrix_view<float const>;

inline constexpr std::int64_t inputs = 64, hidden = 64, experts = 8, chosen = 2, inner = 32, classes = 10;

/// One tensor of the flat parameter vector.
struct tensor {
  char const* name;
  std::int64_t offset, rows, cols;
  std::int64_t size() const { return rows * cols; }
  bool is_bias() const { return rows == 1; }
  /// Variance that keeps signals alike from layer to layer (Glorot and Bengio 2010).
  double xavier() const { return 2.0 / static_cast<double>(rows + cols); }
};

/// The parameters in order: three hidden layers, the second a sparse mixture of two-layer experts, each expert matrix a tensor of its own.
inline std::vector<tensor> const& tensors() {
  static std::vector<tensor> const list = [] {
    std::vector<tensor> t;
    std::int64_t offset = 0;
    auto const add = [&](char const* name, std::int64_t rows, std::int64_t cols) {
      t.push_back({name, offset, rows, cols});
      offset += rows * cols;
    };
    add("first", inputs, hidden), add("first bias", 1, hidden), add("router", hidden, experts);
    for (std::int64_t e = 0; e < experts; ++e) add("expert up", hidden, inner);
    for (std::int64_t e = 0; e < experts; ++e) add("expert down", inner, hidden);
    add("third", hidden, hidden), add("third bias", 1, hidden), add("last", hidden, classes), add("last bias", 1, classes);
    return t;
  }();
  return list;
}
inline constexpr std::size_t router_at = 2, up_at = 3, down_at = up_at + experts, third_at = down_at + experts;
inline std::int64_t parameter_count() { return tensors().back().offset + tensors().back().size(); }

/// Normal weights of Xavier's variance, zero biases; every node its own numbers.
inline void initialise(ff::view<float> parameters, std::uint64_t seed, std::uint32_t node) {
  ff::random_stream const draws{seed, start_stream, node};
  for (tensor const& t : tensors()) {
    float const deviation = static_cast<float>(ff::math::sqrt(t.xavier()));
    for (std::int64_t i = t.offset; i < t.offset + t.size(); ++i)
      parameters[i] = t.is_bias() ? 0.0f : deviation * draws.normal(static_cast<std::uint64_t>(i));
  }
}

/// Forward and backward passes of one network with all their memory, for batches of up to `most` images.
class network {
 public:
  explicit network(std::int64_t most)
      : first_(most * hidden), third_(most * hidden), mixed_(most * hidden), scores_(most * experts), dense_ids_(most), dense_weights_(most, 1.0f),
        ids_(most * chosen), weights_(most * chosen), logits_(most * classes), up_(most * chosen * inner), down_(most * chosen * hidden),
        d_hidden_(most * hidden), d_mixed_(most * hidden), d_first_(most * hidden), d_scores_(most * experts), d_weights_(most * chosen),
        d_logits_(most * classes), d_up_(most * chosen * inner), d_down_(most * chosen * hidden), d_gathered_(most * chosen * hidden),
        gradient_(parameter_count()), stats_(experts) {}

  /// Class scores (logits) of each image.
  const_matrix forward(ff::view<float const> p, const_matrix x) {
    batch_ = x.rows();
    plan_dense();
    dense(p, 0, x, on(first_, hidden), true);
    dense_no_bias(p, router_at, on(first_, hidden), on(scores_, experts));
    ff::route::assign(ff::serial, router(), on(scores_, experts), routes(), stats_.view(), ws_);
    moe_.resize(ff::dispatch::packed{}, batch_, chosen, experts);
    ff::dispatch::make_plan(ff::serial, ff::dispatch::plan_policy{}, routes(), moe_.view(), ws_);
    matrix const up = rows(up_, inner), down = rows(down_, hidden);
    ff::dispatch::grouped_gemm(ff::serial, moe_.view(), ff::dispatch::gathered{as_const(on(first_, hidden))}, bank(p, up_at), ff::dispatch::row_sink{up}, ws_);
    rectify(up);
    ff::dispatch::grouped_gemm(ff::serial, moe_.view(), ff::dispatch::plan_rows{as_const(up)}, bank(p, down_at), ff::dispatch::row_sink{down}, ws_);
    ff::dispatch::fold_combine(ff::serial, ff::dispatch::weighted_sum{}, moe_.view(), down, on(weights_, chosen), on(mixed_, hidden), ws_);
    dense(p, third_at, on(mixed_, hidden), on(third_, hidden), true);
    dense(p, third_at + 2, on(third_, hidden), on(logits_, classes), false);
    return as_const(on(logits_, classes));
  }

  /// One step of stochastic gradient descent on the cross entropy plus the router's balance loss.
  void train(ff::view<float> p, const_matrix x, ff::view<std::uint8_t const> labels, float rate) {
    forward(as_const(p), x);
    backward(as_const(p), x, labels);
    for (std::int64_t i = 0; i < p.size(); ++i) p[i] -= rate * gradient_[static_cast<std::size_t>(i)];
  }

  /// Gradient of the last `train` or `backward`, in the order of the parameters.
  ff::view<float const> gradient() const { return gradient_; }
  /// Routing statistics of the last forward pass.
  ff::route::routing_stats const& stats() const { return stats_; }

  /// Mean cross entropy of the last forward pass plus the balance loss: what `backward` differentiates.
  double loss(ff::view<std::uint8_t const> labels) {
    double sum = 0;
    for (std::int64_t t = 0; t < batch_; ++t) {
      auto const row = on(logits_, classes).row(t);
      sum += static_cast<double>(ff::fold(ff::log_sum_exp<float>{}, row) - row[labels[t]]);
    }
    return sum / static_cast<double>(batch_) + balance().value(stats_);
  }

  void backward(ff::view<float const> p, const_matrix x, ff::view<std::uint8_t const> labels) {
    cross_entropy_gradient(labels);
    dense_vjp(p, third_at + 2, on(third_, hidden), on(d_logits_, classes), on(d_hidden_, hidden));
    rectify_vjp(on(third_, hidden), on(d_hidden_, hidden));
    dense_vjp(p, third_at, on(mixed_, hidden), on(d_hidden_, hidden), on(d_mixed_, hidden));
    experts_vjp(p);
    std::vector<double> const d_shares = balance().gradient(stats_);
    ff::route::assign_vjp(ff::serial, router(), on(scores_, experts), routes(), on(d_weights_, chosen), on(d_scores_, experts),
                          ff::route::routing_stats_gradient{.score_sum = ff::view<double const>(d_shares)}, ws_);
    dense_no_bias_vjp(p, router_at, on(first_, hidden), on(d_scores_, experts), on(d_hidden_, hidden));
    for (std::int64_t i = 0; i < batch_ * hidden; ++i) d_first_[static_cast<std::size_t>(i)] += d_hidden_[static_cast<std::size_t>(i)];
    rectify_vjp(on(first_, hidden), on(d_first_, hidden));
    dense_vjp(p, 0, x, on(d_first_, hidden), matrix());
  }

 private:
  using buffer = std::vector<float>;
  using router_type = ff::route::token_choice<ff::route::softmax_score, ff::route::top_k, ff::route::sum_norm>;

  static router_type router() { return {.select = {.k = chosen}}; }
  static ff::route::balance_loss balance() { return {.alpha = 0.1}; }
  matrix on(buffer& b, std::int64_t cols) const { return {b.data(), batch_, cols}; }
  matrix rows(buffer& b, std::int64_t cols) { return {b.data(), moe_.view().row_bound(), cols}; }
  ff::route::assignment<float> routes() { return {{ids_.data(), batch_, chosen}, {weights_.data(), batch_, chosen}}; }

  template <class P>
  static ff::dispatch::weight_bank<P> bank_of(P* p, std::size_t at, std::int64_t count) {
    tensor const& t = tensors()[at];
    return {p + t.offset, count, t.rows, t.cols};
  }
  static ff::dispatch::weight_bank<float const> bank(ff::view<float const> p, std::size_t at) { return bank_of(p.data(), at, at >= up_at && at < third_at ? experts : 1); }
  ff::dispatch::weight_bank<float> d_bank(std::size_t at) { return bank_of(gradient_.data(), at, at >= up_at && at < third_at ? experts : 1); }

  // A dense layer is a mixture of one expert that takes every row.
  void plan_dense() {
    dense_.resize(ff::dispatch::packed{}, batch_, 1, 1);
    ff::dispatch::make_plan(ff::serial, ff::dispatch::plan_policy{},
                            ff::route::assignment<float>{{dense_ids_.data(), batch_, 1}, {dense_weights_.data(), batch_, 1}}, dense_.view(), ws_);
  }
  void dense(ff::view<float const> p, std::size_t at, const_matrix x, matrix y, bool rectified) {
    tensor const& bias = tensors()[at + 1];
    ff::dispatch::grouped_gemm(ff::serial, dense_.view(), ff::dispatch::plan_rows{x}, bank(p, at),
                               ff::dispatch::row_sink{y, const_matrix(p.data() + bias.offset, 1, bias.cols)}, ws_);
    if (rectified) rectify(y);
  }
  void dense_no_bias(ff::view<float const> p, std::size_t at, const_matrix x, matrix y) {
    ff::dispatch::grouped_gemm(ff::serial, dense_.view(), ff::dispatch::plan_rows{x}, bank(p, at), ff::dispatch::row_sink{y}, ws_);
  }
  void dense_vjp(ff::view<float const> p, std::size_t at, const_matrix x, matrix dy, matrix dx) {
    tensor const& bias = tensors()[at + 1];
    ff::dispatch::grouped_gemm_vjp(ff::serial, dense_.view(), ff::dispatch::plan_rows{x}, bank(p, at), dy, dx, d_bank(at),
                                   matrix(gradient_.data() + bias.offset, 1, bias.cols), ws_);
  }
  void dense_no_bias_vjp(ff::view<float const> p, std::size_t at, const_matrix x, matrix dy, matrix dx) {
    ff::dispatch::grouped_gemm_vjp(ff::serial, dense_.view(), ff::dispatch::plan_rows{x}, bank(p, at), dy, dx, d_bank(at), matrix(), ws_);
  }

  void experts_vjp(ff::view<float const> p) {
    auto const plan = moe_.view();
    matrix const up = rows(up_, inner), down = rows(down_, hidden), d_up = rows(d_up_, inner), d_down = rows(d_down_, hidden), d_in = rows(d_gathered_, hidden);
    ff::dispatch::fold_combine_vjp(ff::serial, ff::dispatch::weighted_sum{}, plan, down, on(weights_, chosen), on(d_mixed_, hidden), d_down,
                                   on(d_weights_, chosen), ws_);
    ff::dispatch::grouped_gemm_vjp(ff::serial, plan, ff::dispatch::plan_rows{as_const(up)}, bank(p, down_at), d_down, d_up, d_bank(down_at), matrix(), ws_);
    rectify_vjp(up, d_up);
    ff::dispatch::grouped_gemm_vjp(ff::serial, plan, ff::dispatch::gathered{as_const(on(first_, hidden))}, bank(p, up_at), d_up, d_in, d_bank(up_at), matrix(), ws_);
    ff::dispatch::gather_vjp(ff::serial, ff::dispatch::unscaled{}, plan, d_in, on(d_first_, hidden), ws_);
  }

  // d/dx of (log sum exp(x) - x[label]) / batch
  void cross_entropy_gradient(ff::view<std::uint8_t const> labels) {
    ff::log_sum_exp<float> const lse;
    float const share = 1.0f / static_cast<float>(batch_);
    for (std::int64_t t = 0; t < batch_; ++t) {
      auto const row = on(logits_, classes).row(t), d = on(d_logits_, classes).row(t);
      auto const pullback = lse.fold_vjp(ff::detail::fold_state(ff::serial, lse, as_const(row), ws_), share);
      for (std::int64_t c = 0; c < classes; ++c) d[c] = pullback(row[c]);
      d[labels[t]] -= share;
    }
  }

  static void rectify(matrix x) {
    float* const v = x.data();
    for (std::int64_t i = 0; i < x.rows() * x.cols(); ++i) v[i] = v[i] > 0 ? v[i] : 0;
  }
  static void rectify_vjp(const_matrix y, matrix dy) {
    float const* const v = y.data();
    float* const d = dy.data();
    for (std::int64_t i = 0; i < y.rows() * y.cols(); ++i) d[i] = v[i] > 0 ? d[i] : 0;
  }

  std::int64_t batch_ = 0;
  buffer first_, third_, mixed_, scores_;
  std::vector<std::int32_t> dense_ids_;
  buffer dense_weights_;
  std::vector<std::int32_t> ids_;
  buffer weights_, logits_, up_, down_;
  buffer d_hidden_, d_mixed_, d_first_, d_scores_, d_weights_, d_logits_, d_up_, d_down_, d_gathered_;
  buffer gradient_;
  ff::route::routing_stats stats_;
  ff::dispatch::dispatch_plan dense_, moe_;
  ff::workspace ws_;
};

}  // namespace swarm
