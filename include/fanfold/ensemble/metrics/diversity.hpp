#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// How often two members were right together, only the first, only the second, neither (Kuncheva and Whitaker, Measures of Diversity in Classifier
/// Ensembles and Their Relationship with the Ensemble Accuracy, 2003). All answers are NaN where their denominator is 0.
struct pair_counts {
  std::int64_t both = 0, first = 0, second = 0, neither = 0;

  double disagreement() const { return share(static_cast<double>(first + second)); }
  double double_fault() const { return share(static_cast<double>(neither)); }
  /// Yule's Q.
  double q_statistic() const { return cross() / (product(both, neither) + product(second, first)); }
  double correlation() const {
    return cross() / std::sqrt(product(both + first, second + neither) * product(both + second, first + neither));
  }
  std::int64_t samples() const { return both + first + second + neither; }

 private:
  static double product(std::int64_t a, std::int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }
  double cross() const { return product(both, neither) - product(second, first); }
  double share(double x) const { return x / static_cast<double>(samples()); }
};

/// Counts of which members were right on which samples, from which all pairwise and non-pairwise diversity measures follow. Integers only: `merge` is exact, so batches,
/// threads and machines may be joined in any order.
class diversity_counts {
 public:
  explicit diversity_counts(std::int64_t members = 1) : members_(members) {
    check_argument(members >= 1 && members <= 65536, "ensemble::diversity_counts", "members", members, "in [1, 65536]");
    both_.resize(static_cast<std::size_t>(members * members));
    right_.resize(static_cast<std::size_t>(members) + 1);
  }

  std::int64_t members() const { return members_; }
  std::int64_t samples() const { return samples_; }

  /// Adds samples: `correct` [members x samples], an entry is whether the member was right.
  template <matrix_viewable X>
  void update(X const& correct) {
    auto const c = as_const(as_matrix_view(correct));
    check_argument(c.rows() == members_, "ensemble::diversity_counts", "number of rows", c.rows(), "the number of members");
    std::int64_t const words = (c.cols() + 63) / 64;
    std::vector<std::uint64_t> bits(static_cast<std::size_t>(members_ * words));
    for (std::int64_t n = 0; n < c.cols(); ++n) {
      std::size_t hits = 0;
      for (std::int64_t m = 0; m < members_; ++m) {
        bool const hit = static_cast<bool>(c(m, n));
        hits += hit;
        bits[static_cast<std::size_t>(m * words + n / 64)] |= static_cast<std::uint64_t>(hit) << (n % 64);
      }
      ++right_[hits];
    }
    for (std::int64_t i = 0; i < members_; ++i)
      for (std::int64_t j = i; j < members_; ++j) {
        std::int64_t sum = 0;
        for (std::int64_t w = 0; w < words; ++w) sum += math::popcount(bits[static_cast<std::size_t>(i * words + w)] & bits[static_cast<std::size_t>(j * words + w)]);
        both_[at(i, j)] += sum;
      }
    samples_ += c.cols();
  }
  void merge(diversity_counts const& other) {
    check_argument(other.members_ == members_, "ensemble::diversity_counts", "number of members to merge", other.members_, "the same");
    for (std::size_t i = 0; i < both_.size(); ++i) both_[i] += other.both_[i];
    for (std::size_t i = 0; i < right_.size(); ++i) right_[i] += other.right_[i];
    samples_ += other.samples_;
  }

  pair_counts pair(std::int64_t i, std::int64_t j) const {
    check_argument(i >= 0 && j >= 0 && i < members_ && j < members_, "ensemble::diversity_counts", "a member of the pair", i, "below the number of members");
    std::int64_t const both = both_[i <= j ? at(i, j) : at(j, i)], a = both_[at(i, i)], b = both_[at(j, j)];
    return {both, a - both, b - both, samples_ - a - b + both};
  }
  double accuracy(std::int64_t i) const { return ratio(static_cast<double>(both_[at(i, i)]), static_cast<double>(samples_)); }
  double mean_accuracy() const {
    return hits([](double l, double) { return l; }) / (static_cast<double>(members_) * static_cast<double>(samples_));
  }
  /// Mean over pairs; NaN for one member.
  double mean_disagreement() const {
    double sum = 0;
    for (std::int64_t i = 0; i < members_; ++i)
      for (std::int64_t j = i + 1; j < members_; ++j) sum += pair(i, j).disagreement();
    return ratio(sum, static_cast<double>(members_) * static_cast<double>(members_ - 1) / 2);
  }
  /// Kohavi-Wolpert variance, (1/(N L^2)) sum l (L - l) with l members right.
  double kohavi_wolpert() const { return spread() / (n() * l() * l()); }
  /// 1 - sum l (L - l) / (N L (L - 1) a (1 - a)), a the mean accuracy.
  double interrater_kappa() const {
    double const a = mean_accuracy();
    return 1 - ratio(spread(), n() * l() * (l() - 1) * a * (1 - a));
  }
  /// (1/N) sum min(l, L - l) / (L - ceil(L / 2)).
  double entropy() const {
    return ratio(hits([](double r, double all) { return r < all - r ? r : all - r; }), n() * static_cast<double>(members_ - (members_ + 1) / 2));
  }
  /// Population variance of the share of members that are right on a sample.
  double difficulty() const {
    double const mean = mean_accuracy();
    return hits([mean](double r, double all) { return (r / all - mean) * (r / all - mean); }) / n();
  }
  /// 1 - p(2)/p(1): how rarely two random members fail together where one does.
  double generalised_diversity() const {
    double const one = hits([](double r, double all) { return (all - r) / all; });
    double const two = hits([](double r, double all) { return (all - r) * (all - r - 1) / (all * (all - 1)); });
    return 1 - ratio(two, one);
  }
  /// (1/(1 - q_0)) sum over i >= 1 failures of (L - i)/(L - 1) q_i; 0 where nobody ever fails.
  double coincident_failure() const {
    double sum = 0, some = 0;
    for (std::size_t r = 0; r + 1 < right_.size(); ++r) {
      sum += static_cast<double>(right_[r]) * static_cast<double>(r) / (l() - 1);
      some += static_cast<double>(right_[r]);
    }
    if (samples_ > 0 && members_ > 1 && some == 0) return 0;
    return ratio(sum, some);
  }

 private:
  std::size_t at(std::int64_t i, std::int64_t j) const { return static_cast<std::size_t>(i * members_ + j); }
  double n() const { return static_cast<double>(samples_); }
  double l() const { return static_cast<double>(members_); }
  static double ratio(double a, double b) { return b == 0 ? math::quiet_nan<double>() : a / b; }
  // Sum over samples of f(members right, members).
  template <class F>
  double hits(F f) const {
    double sum = 0;
    for (std::size_t r = 0; r < right_.size(); ++r)
      if (right_[r] > 0) sum += static_cast<double>(right_[r]) * f(static_cast<double>(r), l());
    return sum;
  }
  double spread() const {
    return hits([](double r, double all) { return r * (all - r); });
  }

  std::int64_t members_;
  std::int64_t samples_ = 0;
  std::vector<std::int64_t> both_;   // upper triangle: samples that both got right
  std::vector<std::int64_t> right_;  // samples that exactly this many members got right
};

/// How two members' predicted labels relate, whatever the truth.
struct label_agreement {
  double disagreement = 0;  // share of samples with different labels
  double kappa = 0;         // Cohen's, chance-corrected agreement
};
template <viewable X, viewable Y>
label_agreement compare_labels(X const& first, Y const& second, std::int64_t classes) {
  auto const a = as_const(as_view(first));
  auto const b = as_const(as_view(second));
  char const* const f = "ensemble::compare_labels";
  check_argument(a.size() == b.size(), f, "number of labels", b.size(), "the same for both");
  check_argument(classes >= 1, f, "classes", classes, "1 or more");
  std::vector<double> count_a(static_cast<std::size_t>(classes)), count_b(count_a);
  double same = 0;
  auto const n = static_cast<double>(a.size());
  for (std::int64_t i = 0; i < a.size(); ++i) {
    check_argument(a[i] >= 0 && a[i] < classes, f, "a label", a[i], "in [0, classes)");
    check_argument(b[i] >= 0 && b[i] < classes, f, "a label", b[i], "in [0, classes)");
    same += a[i] == b[i];
    ++count_a[static_cast<std::size_t>(a[i])];
    ++count_b[static_cast<std::size_t>(b[i])];
  }
  if (a.empty()) return {math::quiet_nan<double>(), math::quiet_nan<double>()};
  double chance = 0;
  for (std::size_t c = 0; c < count_a.size(); ++c) chance += count_a[c] / n * (count_b[c] / n);
  double const agreed = same / n;
  return {1 - agreed, chance == 1 ? math::quiet_nan<double>() : (agreed - chance) / (1 - chance)};
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
