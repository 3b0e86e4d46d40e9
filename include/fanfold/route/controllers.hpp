#pragma once

#include <concepts>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/routing_stats.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// State that follows statistics of the global batch, once an optimiser step in training, never in evaluation.
template <class C>
concept balance_controller = requires(C c, routing_stats const& s) {
  c.update(s);
  c.state();
};

/// How loss_free_balance moves: by the sign of mean(c) - c_e, by that difference, or by it over the mean.
enum class bias_step : unsigned char { sign, proportional, proportional_to_mean };

namespace detail {

/// b + u step, where an expert that should have `mean` choices has `lack / experts` fewer; `sum` is that of all counts.
FANFOLD_HD inline float moved_bias(float b, float u, bias_step step, std::int64_t lack, std::int64_t experts, std::int64_t sum) {
  double const move = step == bias_step::sign           ? static_cast<double>((lack > 0) - (lack < 0))
                      : step == bias_step::proportional ? static_cast<double>(lack) / static_cast<double>(experts)
                                                        : static_cast<double>(lack) / static_cast<double>(sum);
  return static_cast<float>(static_cast<double>(b) + static_cast<double>(u) * move);
}

/// b + u (wanted - mass / sum).
FANFOLD_HD inline float shared_bias(float b, float u, double wanted, double mass, double sum) {
  return static_cast<float>(static_cast<double>(b) + static_cast<double>(u) * (wanted - mass / sum));
}

}  // namespace detail

/// The bias of selection_bias (start 0) or the factors of selection_factor (start 1) from counts: b_e += u step(mean(c) - c_e) (Wang et al.,
/// "Auxiliary-Loss-Free Load Balancing", 2024; DeepSeek-V3: u = 1e-3). No counts, no step.
class loss_free_balance {
 public:
  explicit loss_free_balance(std::int64_t experts, float u = 1e-3f, bias_step step = bias_step::sign, float start = 0)
      : bias_(static_cast<std::size_t>(experts), start), u_(u), step_(step) {}

  void update(routing_stats const& s) { update(s.count()); }
  void update(view<std::int64_t const> count) {
    auto const n = static_cast<std::int64_t>(bias_.size());
    check_argument(count.size() == n, "route::loss_free_balance", "number of counts", count.size(), "the number of experts");
    std::int64_t sum = 0;
    for (std::int64_t c : count) sum += c;
    if (sum == 0 || frozen) return;
    for (std::int64_t e = 0; e < n; ++e) {
      float& b = bias_[static_cast<std::size_t>(e)];
      b = detail::moved_bias(b, u_, step_, sum - n * count[e], n, sum);  // E (mean - c)
    }
  }
  view<float const> state() const { return bias_; }
  view<float> state() { return bias_; }

  /// Updates do nothing while set.
  bool frozen = false;

 private:
  std::vector<float> bias_;
  float u_;
  bias_step step_;
};

/// b_e += u (pi_e - omega_e), omega_e the share of expert e of the weight mass, pi the wanted shares, of sum 1 (Kairos, 2025).
class target_share {
 public:
  explicit target_share(std::vector<double> wanted, float u = 1e-3f) : wanted_(std::move(wanted)), bias_(wanted_.size()), u_(u) {
    double sum = 0;
    for (double p : wanted_) sum += p;
    check_argument(sum > 1 - 1e-6 && sum < 1 + 1e-6, "route::target_share", "sum of the wanted shares", sum, "1");
  }
  void update(routing_stats const& s) { update(s.weight_sum()); }
  void update(view<double const> mass) {
    check_argument(mass.size() == static_cast<std::int64_t>(bias_.size()), "route::target_share", "number of sums", mass.size(), "the number of experts");
    double sum = 0;
    for (double m : mass) sum += m;
    if (sum == 0 || frozen) return;
    for (std::size_t e = 0; e < bias_.size(); ++e)
      bias_[e] = detail::shared_bias(bias_[e], u_, wanted_[e], mass[e], sum);
  }
  view<float const> state() const { return bias_; }
  bool frozen = false;

 private:
  std::vector<double> wanted_;
  std::vector<float> bias_;
  float u_;
};

/// Megatron's quantile balancing: selection by y - beta; alpha_t is the (k+1)-th largest y_te - beta_e of a row, and beta_e becomes the
/// number of rank T k / E + 1 among y_te - alpha_t. `observe` micro-batches, then `update` once: beta is the mean of theirs. k = E: nothing.
class quantile_balance {
 public:
  quantile_balance(std::int64_t experts, std::int64_t k) : bias_(static_cast<std::size_t>(experts)), sum_(bias_.size()), k_(k) {
    check_argument(k >= 1 && k <= experts, "route::quantile_balance", "k", k, "between 1 and the number of experts");
  }
  template <class Y>
  void observe(matrix_view<Y const> score) {
    auto const n = static_cast<std::int64_t>(bias_.size()), rows = score.rows();
    static constexpr char function[] = "route::quantile_balance";
    check_argument(score.cols() == n, function, "columns of the scores", score.cols(), "the number of experts");
    check_argument(rows * k_ % n == 0, function, "rows times k", rows * k_, "a multiple of the number of experts");
    if (k_ == n || rows == 0) return;
    std::vector<double> alpha(static_cast<std::size_t>(rows)), key(static_cast<std::size_t>(n)), column(alpha.size());
    for (std::int64_t t = 0; t < rows; ++t) {
      for (std::int64_t e = 0; e < n; ++e) key[at(e)] = static_cast<double>(to_arithmetic(score(t, e))) + static_cast<double>(bias_[at(e)]);
      alpha[at(t)] = ranked(key, k_);
    }
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int64_t t = 0; t < rows; ++t) column[at(t)] = static_cast<double>(to_arithmetic(score(t, e))) - alpha[at(t)];
      sum_[at(e)] += ranked(column, rows * k_ / n);
    }
    ++batches_;
  }
  void update() {
    for (std::size_t e = 0; e < bias_.size() && batches_ > 0; ++e) {
      bias_[e] = static_cast<float>(-sum_[e] / static_cast<double>(batches_));
      sum_[e] = 0;
    }
    batches_ = 0;
  }
  /// b = -beta, for selection_bias.
  view<float const> state() const { return bias_; }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  // The number with `rank` others before it in descending order.
  static double ranked(std::vector<double> x, std::int64_t rank) {
    std::vector<double> spare(x.size());
    detail::merge_sort(x.data(), spare.data(), static_cast<std::int64_t>(x.size()), [](double a, double b) { return a > b; });
    return x[at(rank)];
  }
  std::vector<float> bias_;
  std::vector<double> sum_;
  std::int64_t k_, batches_ = 0;
};

/// ReMoE's coefficient: lambda times or over `factor`, as the share of idle experts 1 - sum(c) / (T E) is below or not below 1 - k / E.
class l1_controller {
 public:
  l1_controller(std::int64_t k, double lambda = 1e-8, double factor = 1.2, double least = 1e-300)
      : k_(k), lambda_(lambda), factor_(factor), least_(least) {}
  void update(routing_stats const& s) {
    if (s.tokens() == 0) return;
    // idle < 1 - k / E, in integers: choices > k tokens
    lambda_ = s.choices() > k_ * s.tokens() ? lambda_ * factor_ : lambda_ / factor_;
    lambda_ = lambda_ < least_ ? least_ : lambda_;
  }
  double state() const { return lambda_; }

 private:
  std::int64_t k_;
  double lambda_, factor_, least_;
};

/// BlockFFN's coefficient of chunk sparsity: linear warm-up to lambda0, hold until `stable`; then every `step` iterations the ratio of the
/// mean losses of the last two windows (at least f_min where it is above 1) times lambda, at most f_max lambda0, becomes the new target,
/// reached linearly over `step` iterations.
class chunk_coefficient {
 public:
  chunk_coefficient(double lambda0, std::int64_t warm_up, std::int64_t stable, std::int64_t step, double f_max = 2, double f_min = 1)
      : lambda0_(lambda0), f_max_(f_max), f_min_(f_min), from_(lambda0), to_(lambda0), warm_up_(warm_up), stable_(stable), step_(step) {
    check_argument(step >= 1, "route::chunk_coefficient", "step", step, "1 or more");
  }
  /// After each iteration, with its loss (without the coefficient).
  void update(double loss) {
    ++iteration_;
    window_ += loss;
    if (iteration_ % step_ != 0) return;
    double const recent = window_ / static_cast<double>(step_);
    window_ = 0;
    if (iteration_ > stable_) {
      from_ = to_;
      double ratio = previous_ > 0 ? recent / previous_ : 1;
      ratio = ratio > 1 && ratio < f_min_ ? f_min_ : ratio;
      to_ = to_ * ratio < f_max_ * lambda0_ ? to_ * ratio : f_max_ * lambda0_;
      moved_ = iteration_;
    }
    previous_ = recent;
  }
  double state() const {
    if (iteration_ < warm_up_) return lambda0_ * static_cast<double>(iteration_) / static_cast<double>(warm_up_);
    auto const part = static_cast<double>(iteration_ - moved_) / static_cast<double>(step_);
    return from_ + (to_ - from_) * (part < 1 ? part : 1);
  }

 private:
  double lambda0_, f_max_, f_min_, from_, to_, window_ = 0, previous_ = 0;
  std::int64_t warm_up_, stable_, step_, iteration_ = 0, moved_ = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI::route
