#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row_entropy.hpp"
#include "fanfold/route/row_loop.hpp"

/// \file
/// Losses of rows and of sequences of rows that statistics do not hold. Host executors; `value` returns, `add_gradient` adds to dlogits.

namespace fanfold::inline FANFOLD_ABI::route {

/// beta times the mean normalised entropy of softmax(l) over the rows that the mask keeps (DynMoLE, 2025: Tsallis, q = 1.1).
struct tsallis_loss {
  double beta = 1e-2;
  row_entropy entropy{};

  template <host_executor E, class L>
  double value(E const& ex, matrix_view<L const> logits, row_mask const& mask = {}) const {
    entropy.check("route::tsallis_loss");
    std::int64_t const n = logits.cols();
    double sum[2];
    workspace ws;
    detail::sum_over_rows(ex, logits.rows(), 2, ws, sum, [&](std::int64_t t, double* to) {
      if (!mask.keeps(t)) return;
      std::vector<double> y(static_cast<std::size_t>(n));
      to[1] += 1;
      if (softmax(logits.row(t), y.data())) to[0] += entropy.of(host_lane{}, y.data(), n);
    });
    return sum[1] == 0 ? 0 : beta * sum[0] / sum[1];
  }

  template <host_executor E, class L, class D>
  void add_gradient(E const& ex, matrix_view<L const> logits, matrix_view<D> dlogits, row_mask const& mask = {}) const {
    entropy.check("route::tsallis_loss");
    std::int64_t const n = logits.cols();
    double rows = 0;
    for (std::int64_t t = 0; t < logits.rows(); ++t) rows += mask.keeps(t) ? 1 : 0;
    workspace ws;
    detail::for_each_row<double>(ex, logits.rows(), 2 * n, ws, [&](std::int64_t t, double* y) {
      if (!mask.keeps(t) || !softmax(logits.row(t), y)) return;
      double* const dy = y + n;
      entropy.gradient(host_lane{}, y, beta / rows, dy, n);
      detail::softmax_row_vjp(host_lane{}, y, dy, dy, n);
      for (std::int64_t e = 0; e < n; ++e)
        dlogits(t, e) = from_arithmetic<D>(static_cast<arithmetic_t<D>>(static_cast<double>(to_arithmetic(dlogits(t, e))) + dy[e]));
    });
  }

 private:
  template <class L>
  static bool softmax(view<L const> l, double* y) {
    detail::load_logits(host_lane{}, l.data(), y, l.size());
    double const max = detail::softmax_row(host_lane{}, y, y, l.size()).max;
    return math::isfinite(max);
  }
};

namespace detail {

/// Documents of a sequence: [offsets[d], offsets[d + 1]); none given: all rows are one.
struct documents {
  view<std::int64_t const> offsets{};

  template <class F>
  void for_each(std::int64_t rows, char const* function, F const& f) const {
    if (offsets.data() == nullptr) return f(std::int64_t{0}, rows);
    for (std::int64_t d = 0; d + 1 < offsets.size(); ++d) {
      check_argument(offsets[d] >= 0 && offsets[d] <= offsets[d + 1] && offsets[d + 1] <= rows, function, "a document offset", offsets[d],
                     "rising and within the rows");
      f(offsets[d], offsets[d + 1]);
    }
  }
};

}  // namespace detail

/// BlockFFN's activation locality (2507.08771): the mean over neighbouring rows of a document and experts of the cross entropy of
/// sigmoid(alpha l_t) against sigmoid(alpha l_t+1), which carries gradient too unless `stop_gradient_target`. `offsets`: document bounds.
struct locality_loss {
  double weight = 1;
  double alpha = 100;
  bool stop_gradient_target = false;
  view<std::int64_t const> offsets{};

  template <class L>
  double value(matrix_view<L const> logits) const {
    double sum = 0;
    std::int64_t const pairs = for_each_pair(logits, [&](std::int64_t, std::int64_t, double x, double v) { sum += math::softplus(x) - x * v; });
    return pairs == 0 ? 0 : weight * sum / static_cast<double>(pairs);
  }
  template <class L, class D>
  void add_gradient(matrix_view<L const> logits, matrix_view<D> dlogits) const {
    std::int64_t const pairs = for_each_pair(logits, [](std::int64_t, std::int64_t, double, double) {});
    for_each_pair(logits, [&](std::int64_t t, std::int64_t e, double x, double v) {
      double const scale = weight * alpha / static_cast<double>(pairs);
      add(dlogits(t, e), scale * (math::sigmoid(x) - v));
      if (!stop_gradient_target) add(dlogits(t + 1, e), -scale * x * v * (1 - v));
    });
  }

 private:
  template <class D>
  static void add(D& to, double x) {
    to = from_arithmetic<D>(static_cast<arithmetic_t<D>>(static_cast<double>(to_arithmetic(to)) + x));
  }
  template <class L, class F>
  std::int64_t for_each_pair(matrix_view<L const> logits, F const& f) const {
    std::int64_t pairs = 0;
    detail::documents{offsets}.for_each(logits.rows(), "route::locality_loss", [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t + 1 < last; ++t)
        for (std::int64_t e = 0; e < logits.cols(); ++e, ++pairs)
          f(t, e, alpha * static_cast<double>(to_arithmetic(logits(t, e))), math::sigmoid(alpha * static_cast<double>(to_arithmetic(logits(t + 1, e)))));
    });
    return pairs;
  }
};

/// BlockFFN's chunk sparsity (2507.08771): the mean over chunks of `length` rows and experts of 1 - prod_t (1 - p_te), p the ReLU scores over
/// their row sum. Chunks stay within a document; what is left over at its end does not count.
struct chunk_sparsity_loss {
  double weight = 1;
  std::int64_t length = 64;
  double eps = 1e-5;
  view<std::int64_t const> offsets{};

  template <class L>
  double value(matrix_view<L const> logits) const {
    double sum = 0;
    std::int64_t const chunks = for_each_chunk(logits, [&](std::int64_t first) {
      for (std::int64_t e = 0; e < logits.cols(); ++e) sum += 1 - math::exp(log_idle(logits, first, e));
    });
    return chunks == 0 ? 0 : weight * sum / static_cast<double>(chunks * logits.cols());
  }
  template <class L, class D>
  void add_gradient(matrix_view<L const> logits, matrix_view<D> dlogits) const {
    std::int64_t const n = logits.cols(), chunks = for_each_chunk(logits, [](std::int64_t) {});
    std::vector<double> idle(static_cast<std::size_t>(n));
    for_each_chunk(logits, [&](std::int64_t first) {
      for (std::int64_t e = 0; e < n; ++e) idle[static_cast<std::size_t>(e)] = math::exp(log_idle(logits, first, e));
      for (std::int64_t t = first; t < first + length; ++t) {
        double const s = row_sum(logits, t);
        if (s == 0) continue;
        double mean = 0;
        auto const slope = [&](std::int64_t e) {
          double const p = share(logits, t, e, s);
          return weight / static_cast<double>(chunks * n) * idle[static_cast<std::size_t>(e)] / (1 - p + eps);
        };
        for (std::int64_t e = 0; e < n; ++e) mean += slope(e) * share(logits, t, e, s);
        for (std::int64_t e = 0; e < n; ++e)
          if (static_cast<double>(to_arithmetic(logits(t, e))) > 0)
            dlogits(t, e) = from_arithmetic<D>(static_cast<arithmetic_t<D>>(static_cast<double>(to_arithmetic(dlogits(t, e))) + (slope(e) - mean) / s));
      }
    });
  }

 private:
  template <class L>
  static double positive(matrix_view<L const> l, std::int64_t t, std::int64_t e) {
    auto const x = static_cast<double>(to_arithmetic(l(t, e)));
    return x > 0 ? x : 0;
  }
  template <class L>
  static double row_sum(matrix_view<L const> l, std::int64_t t) {
    double s = 0;
    for (std::int64_t e = 0; e < l.cols(); ++e) s += positive(l, t, e);
    return s;
  }
  template <class L>
  static double share(matrix_view<L const> l, std::int64_t t, std::int64_t e, double sum) {
    return sum == 0 ? 0 : positive(l, t, e) / sum;
  }
  template <class L>
  double log_idle(matrix_view<L const> l, std::int64_t first, std::int64_t e) const {
    double s = 0;
    for (std::int64_t t = first; t < first + length; ++t) s += math::log(1 - share(l, t, e, row_sum(l, t)) + eps);
    return s;
  }
  template <class L, class F>
  std::int64_t for_each_chunk(matrix_view<L const> logits, F const& f) const {
    check_argument(length >= 1, "route::chunk_sparsity_loss", "length", length, "1 or more");
    std::int64_t chunks = 0;
    detail::documents{offsets}.for_each(logits.rows(), "route::chunk_sparsity_loss", [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t + length <= last; t += length, ++chunks) f(t);
    });
    return chunks;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
