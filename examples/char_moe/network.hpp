#pragma once

#include <cstdint>
#include <vector>

#include "char_moe/recipes.hpp"
#include "char_moe/text.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/dense_plan.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/route/assign.hpp"

namespace char_moe {

using matrix = ff::matrix_view<float>;
using const_matrix = ff::matrix_view<float const>;

inline constexpr std::int64_t embedded = 12, hidden = 96, layers = 2;
inline constexpr std::int64_t units = 768;  // hidden units of all experts of a layer
inline constexpr float decay = 0.05f;     // of the weights, apart from Adam

/// A contender, whatever its router.
struct contender {
  virtual ~contender() = default;
  /// One step of Adam on the mean cross entropy and the router's balance loss; returns the former in bits.
  virtual double train(batch const& b, float rate) = 0;
  /// Log probabilities of the next character, a row an example.
  virtual const_matrix predict(batch const& b) = 0;
  /// Routing statistics of a layer in the last pass.
  virtual ff::route::routing_stats const& stats(std::int64_t layer) const = 0;
  virtual std::int64_t parameters() const = 0;
};

/// h = embed(context) W + b; twice h = h + mixture(h); logits = h W' + b'.
template <class Executor, class Recipe>
class network final : public contender {
 public:
  network(Executor const& ex, corpus const& c, std::int64_t most, std::uint64_t seed)
      : ex_(ex), vocabulary_(c.vocabulary()), table_(balanced_table(c, static_cast<std::int32_t>(experts))) {
    std::int64_t at = 0;
    auto const add = [&](std::int64_t rows, std::int64_t cols, std::int64_t count = 1) {
      tensors_.push_back({at, count, rows, cols});
      at += count * rows * cols;
    };
    add(vocabulary_, embedded), add(context * embedded, hidden), add(1, hidden), add(hidden, vocabulary_), add(1, vocabulary_);
    for (std::int64_t l = 0; l < layers; ++l) {
      add(hidden, experts), add(hidden, width, experts), add(hidden, width, experts), add(width, hidden, experts);
      states_[l] = {ff::route::loss_free_balance(experts, 2e-3f), ff::route::routing_stats(experts), table_, {}};
    }
    for (auto* v : {&value_, &gradient_, &mean_, &square_}) v->resize(static_cast<std::size_t>(at));
    initialise(seed);
    auto const fit = [&](auto& v, std::int64_t columns) { v.resize(static_cast<std::size_t>(most * columns)); };
    fit(x_, context * embedded), fit(dx_, context * embedded), fit(logits_, vocabulary_), fit(dlogits_, vocabulary_), fit(dh_, hidden), fit(sum_, hidden);
    for (auto& h : h_) fit(h, hidden);
    for (std::int64_t l = 0; l < layers; ++l) fit(scores_[l], experts), fit(ids_[l], chosen), fit(weights_[l], chosen);
    fit(dscores_, experts), fit(dweights_, chosen);
  }

  std::int64_t parameters() const override { return static_cast<std::int64_t>(value_.size()); }
  ff::route::routing_stats const& stats(std::int64_t layer) const override { return states_[layer].stats; }

  const_matrix predict(batch const& b) override {
    forward(b, false);
    log_softmax();
    return as_const(on(logits_, vocabulary_));
  }

  double train(batch const& b, float rate) override {
    forward(b, true);
    log_softmax();
    backward(b);
    for (routing_state& s : states_) Recipe::after_step(s);
    adam(rate);
    return cross_entropy(b) / 0.69314718055994531;
  }

 private:
  using buffer = std::vector<float>;
  struct tensor {
    std::int64_t offset, count, rows, cols;
  };
  static constexpr std::int64_t experts = Recipe::experts, chosen = Recipe::chosen, width = units / experts;
  enum : std::size_t { embedding, first, first_bias, last, last_bias, per_layer, router_of = 0, gate_of, up_of, down_of, tensors_a_layer };

  static std::size_t in_layer(std::int64_t layer, std::size_t which) { return per_layer + static_cast<std::size_t>(layer) * tensors_a_layer + which; }

  void initialise(std::uint64_t seed) {
    ff::random_stream const draws{seed, 1, 0};
    for (std::size_t which = 0; which < tensors_.size(); ++which) {
      tensor const& t = tensors_[which];
      bool const is_down = which >= per_layer && (which - per_layer) % tensors_a_layer == down_of;
      // the experts' last matrices start small, so that a layer starts near the identity
      double const deviation = t.rows == 1 ? 0 : which == embedding ? 1 : (is_down ? 0.5 : 1) / ff::math::sqrt(static_cast<double>(t.rows));
      for (std::int64_t i = t.offset; i < t.offset + t.count * t.rows * t.cols; ++i)
        value_[static_cast<std::size_t>(i)] = static_cast<float>(deviation) * draws.normal(static_cast<std::uint64_t>(i));
    }
  }

  matrix on(buffer& b, std::int64_t cols) const { return {b.data(), rows_, cols}; }
  template <class P>
  ff::dispatch::weight_bank<P> bank(P* p, std::size_t which) const {
    tensor const& t = tensors_[which];
    return {p + t.offset, t.count, t.rows, t.cols};
  }
  auto weights(std::size_t which) const { return bank(value_.data(), which); }
  auto gradients(std::size_t which) { return bank(gradient_.data(), which); }
  ff::dispatch::ffn_weights<float const> networks(std::int64_t l) const {
    return {weights(in_layer(l, gate_of)), weights(in_layer(l, up_of)), weights(in_layer(l, down_of))};
  }
  ff::route::assignment<float> routes(std::int64_t l) {
    return {{ids_[l].data(), rows_, chosen}, {weights_[l].data(), rows_, chosen}};
  }

  /// y = x W (+ b): a network that every row passes.
  void dense(std::size_t which, const_matrix x, matrix y, float const* bias = nullptr) {
    ff::workspace::frame frame(ws_);
    auto const plan = ff::dispatch::dense_plan(ex_, frame, rows_);
    ff::dispatch::grouped_gemm(ex_, plan, ff::dispatch::plan_rows{x}, weights(which), ff::dispatch::row_sink{y, const_matrix(bias, bias != nullptr, y.cols())}, ws_);
  }
  void dense_vjp(std::size_t which, const_matrix x, matrix dy, matrix dx, float* dbias = nullptr) {
    ff::workspace::frame frame(ws_);
    auto const plan = ff::dispatch::dense_plan(ex_, frame, rows_);
    ff::dispatch::grouped_gemm_vjp(ex_, plan, ff::dispatch::plan_rows{x}, weights(which), dy, dx, gradients(which), matrix(dbias, dbias != nullptr, dy.cols()), ws_);
  }

  void forward(batch const& b, bool training) {
    rows_ = b.size();
    float const* const from = value_.data() + tensors_[embedding].offset;
    for (std::int64_t i = 0; i < rows_ * context; ++i)
      for (std::int64_t c = 0; c < embedded; ++c) x_[static_cast<std::size_t>(i * embedded + c)] = from[b.contexts[static_cast<std::size_t>(i)] * embedded + c];
    dense(first, on(x_, context * embedded), on(h_[0], hidden), value_.data() + tensors_[first_bias].offset);
    for (std::int64_t l = 0; l < layers; ++l) mixture(b, l, training);
    dense(last, on(h_[layers], hidden), on(logits_, vocabulary_), value_.data() + tensors_[last_bias].offset);
  }

  void mixture(batch const& b, std::int64_t l, bool training) {
    routing_state& s = states_[l];
    s.bigrams = b.bigrams;
    dense(in_layer(l, router_of), on(h_[l], hidden), on(scores_[l], experts));
    ff::route::assign(ex_, Recipe::router(s), on(scores_[l], experts), routes(l), s.stats.view(), ws_);
    plans_[l].resize(ff::dispatch::packed{}, rows_, chosen, experts);
    ff::dispatch::make_plan(ex_, Recipe::plan(rows_, training), routes(l), plans_[l].view(), ws_);
    ff::dispatch::expert_ffn(ex_, ff::dispatch::ffn_policy{}, plans_[l].view(), networks(l), on(h_[l], hidden), routes(l).weight, on(h_[l], hidden),
                             on(h_[l + 1], hidden), ws_);
  }

  // In dh_: the gradient of a layer's output, then of its input.
  void mixture_vjp(std::int64_t l) {
    routing_state const& s = states_[l];
    matrix const dh = on(dh_, hidden), sum = on(sum_, hidden), dscores = on(dscores_, experts);
    ff::dispatch::expert_ffn_vjp(ex_, ff::dispatch::ffn_policy{}, plans_[l].view(), networks(l), on(h_[l], hidden), routes(l).weight, dh, sum, on(dweights_, chosen),
                                 ff::dispatch::ffn_weights<float>{gradients(in_layer(l, gate_of)), gradients(in_layer(l, up_of)), gradients(in_layer(l, down_of))}, ws_);
    add(sum, dh);
    auto const share = Recipe::balance().gradient(s.stats);
    ff::route::assign_vjp(ex_, Recipe::router(s), on(scores_[l], experts), routes(l), on(dweights_, chosen), dscores,
                          ff::route::routing_stats_gradient{.score_sum = ff::view<double const>(share)}, ws_);
    dense_vjp(in_layer(l, router_of), on(h_[l], hidden), dscores, sum);
    add(sum, dh);
  }

  void backward(batch const& b) {
    float const share = 1.0f / static_cast<float>(rows_);
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows_ * vocabulary_); ++i) dlogits_[i] = share * ff::math::exp(logits_[i]);
    for (std::int64_t t = 0; t < rows_; ++t) dlogits_[static_cast<std::size_t>(t * vocabulary_ + b.targets[static_cast<std::size_t>(t)])] -= share;
    dense_vjp(last, on(h_[layers], hidden), on(dlogits_, vocabulary_), on(dh_, hidden), gradient_.data() + tensors_[last_bias].offset);
    for (std::int64_t l = layers; l-- > 0;) mixture_vjp(l);
    dense_vjp(first, on(x_, context * embedded), on(dh_, hidden), on(dx_, context * embedded), gradient_.data() + tensors_[first_bias].offset);
    ff::scatter_fold(ex_, ff::plus<float>{}, ff::view<std::int32_t const>(b.contexts), const_matrix(dx_.data(), rows_ * context, embedded),
                     matrix(gradient_.data() + tensors_[embedding].offset, vocabulary_, embedded), ws_);
  }

  void log_softmax() {
    ff::for_each_task(ex_, (rows_ + 63) / 64, [&](std::int64_t task) {
      for (std::int64_t t = task * 64; t < (task + 1) * 64 && t < rows_; ++t) {
        auto const row = on(logits_, vocabulary_).row(t);
        float const lse = ff::fold(ff::log_sum_exp<float>{}, as_const(row));
        for (float& v : row) v -= lse;
      }
    });
  }

  double cross_entropy(batch const& b) {
    double sum = 0;
    for (std::int64_t t = 0; t < rows_; ++t) sum -= static_cast<double>(on(logits_, vocabulary_)(t, b.targets[static_cast<std::size_t>(t)]));
    return sum / static_cast<double>(rows_);
  }

  static void add(matrix x, matrix y) {
    for (std::int64_t i = 0; i < x.rows() * x.cols(); ++i) y.data()[i] += x.data()[i];
  }

  void adam(float rate) {
    power1_ *= 0.9, power2_ *= 0.99;
    auto const step = static_cast<float>(static_cast<double>(rate) / (1 - power1_)), correction = static_cast<float>(1 / (1 - power2_));
    auto const n = static_cast<std::int64_t>(value_.size());
    ff::for_each_task(ex_, (n + 16383) / 16384, [&](std::int64_t task) {
      std::int64_t const end = (task + 1) * 16384 < n ? (task + 1) * 16384 : n;
      for (auto i = static_cast<std::size_t>(task * 16384); i < static_cast<std::size_t>(end); ++i) {
        mean_[i] = 0.9f * mean_[i] + 0.1f * gradient_[i];
        square_[i] = 0.99f * square_[i] + 0.01f * gradient_[i] * gradient_[i];
        value_[i] -= step * mean_[i] / (ff::math::sqrt(correction * square_[i]) + 1e-8f) + rate * decay * value_[i];
      }
    });
  }

  Executor ex_;
  std::int64_t vocabulary_, rows_ = 0;
  std::vector<std::int32_t> table_;
  std::vector<tensor> tensors_;
  routing_state states_[layers];
  buffer value_, gradient_, mean_, square_;
  buffer x_, h_[layers + 1], scores_[layers], weights_[layers], logits_;
  std::vector<std::int32_t> ids_[layers];
  buffer dx_, dh_, sum_, dscores_, dweights_, dlogits_;
  ff::dispatch::dispatch_plan plans_[layers];
  double power1_ = 1, power2_ = 1;
  ff::workspace ws_;
};

}  // namespace char_moe
