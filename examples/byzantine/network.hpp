#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/set/projection.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"

namespace byzantine {

namespace ff = fanfold;

inline constexpr std::int64_t pixels = 64, hidden = 32, classes = 10;
inline constexpr std::int64_t last_at = hidden * (pixels + 1), parameter_count = last_at + classes * (hidden + 1);

/// One hidden layer. The clients of a round share the weights, so their batches go through the layers together, one below the other.
class network {
 public:
  using matrix = ff::matrix_view<float>;
  using const_matrix = ff::matrix_view<float const>;

  static void initialise(ff::view<float> p, std::uint64_t seed) {
    ff::random_stream const draws{seed, 4, 0};
    for (std::int64_t i = 0; i < parameter_count; ++i) {
      bool const bias = (i >= hidden * pixels && i < last_at) || i >= last_at + classes * hidden;
      float const deviation = i < last_at ? 0.14f : 0.22f;  // Glorot and Bengio's
      p[i] = bias ? 0.0f : deviation * draws.normal(static_cast<std::uint64_t>(i));
    }
  }

  /// Class scores of each image.
  const_matrix forward(ff::view<float const> p, const_matrix x) {
    resize(x.rows());
    ff::aggregate::project(ff::serial, first(p), x, on(hidden_, hidden), ws_);
    ff::aggregate::project(ff::serial, last(p), on(hidden_, hidden), on(score_, classes), ws_);
    return ff::as_const(on(score_, classes));
  }

  /// After `forward`: the gradient of the mean cross entropy of each batch of `size` images, a row of `gradient` for each.
  void backward(ff::view<float const> p, const_matrix x, ff::view<std::uint8_t const> labels, std::int64_t size, matrix gradient) {
    loss_gradient(labels, size);
    for (std::int64_t b = 0; b < gradient.rows(); ++b) {
      auto const part = [&](auto m) { return m.sub_rows(b * size, size); };
      auto const g = gradient.row(b);
      ff::aggregate::project_vjp(ff::serial, last(p), part(on(hidden_, hidden)), part(on(score_, classes)), part(on(d_score_, classes)),
                                 part(on(d_hidden_, hidden)), g.subview(last_at, parameter_count - last_at), ws_);
      ff::aggregate::project_vjp(ff::serial, first(p), part(x), part(on(hidden_, hidden)), part(on(d_hidden_, hidden)), matrix(),
                                 g.subview(0, last_at), ws_);
    }
  }

 private:
  using buffer = std::vector<float>;

  static ff::aggregate::item_projection<float> first(ff::view<float const> p) { return {pixels, hidden, p.subview(0, last_at)}; }
  static ff::aggregate::item_projection<float, false> last(ff::view<float const> p) {
    return {hidden, classes, p.subview(last_at, parameter_count - last_at)};
  }
  matrix on(buffer& b, std::int64_t cols) const { return {b.data(), rows_, cols}; }
  void resize(std::int64_t images) {
    rows_ = images;
    auto const n = static_cast<std::size_t>(images);
    for (buffer* b : {&hidden_, &d_hidden_}) b->resize(n * hidden);
    for (buffer* b : {&score_, &d_score_}) b->resize(n * classes);
  }

  // d/dx of (log sum exp(x) - x[label]) / size
  void loss_gradient(ff::view<std::uint8_t const> labels, std::int64_t size) {
    ff::log_sum_exp<float> const lse;
    float const share = 1.0f / static_cast<float>(size);
    for (std::int64_t t = 0; t < rows_; ++t) {
      auto const row = on(score_, classes).row(t), d = on(d_score_, classes).row(t);
      auto const pullback = lse.fold_vjp(ff::detail::fold_state(ff::serial, lse, ff::as_const(row), ws_), share);
      for (std::int64_t c = 0; c < classes; ++c) d[c] = pullback(row[c]);
      d[labels[t]] -= share;
    }
  }

  std::int64_t rows_ = 0;
  buffer hidden_, d_hidden_, score_, d_score_;
  ff::workspace ws_;
};

}  // namespace byzantine
