#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/aggregate/rank/detail/order.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// What a tied pair of a sample says: one win each way, or nothing (so for scores of 0 and 1 only the pairs that differ count).
enum class tied_pairs { both_ways, skip };

/// Orderings of some of m models: full rankings, best first, and counts of single comparisons, wins(a, b) of a against b.
struct comparisons {
  std::int64_t models = 0;
  std::vector<std::int64_t> offsets{0};  ///< of the rankings
  std::vector<std::int32_t> ids{};       ///< models of the rankings, best first
  std::vector<double> wins{};            ///< [m, m], row: winner

  comparisons() = default;
  explicit comparisons(std::int64_t m) : models(m) {
    check_argument(m >= 0 && m <= 46340, "comparisons", "number of models", m, "in 0..46340");
    wins.assign(static_cast<std::size_t>(m * m), 0.0);
  }
  std::int64_t rankings() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  double& win(std::int64_t a, std::int64_t b) { return wins[static_cast<std::size_t>(a * models + b)]; }
  double win(std::int64_t a, std::int64_t b) const { return wins[static_cast<std::size_t>(a * models + b)]; }

  /// \throws argument_error for an id outside [0, m) or one that comes twice.
  void add_ranking(view<std::int32_t const> best_first) {
    for (std::int64_t i = 0; i < best_first.size(); ++i) {
      check_argument(best_first[i] >= 0 && best_first[i] < models, "add_ranking", "id", best_first[i], "a model");
      for (std::int64_t j = 0; j < i; ++j) check_argument(best_first[i] != best_first[j], "add_ranking", "id", best_first[i], "named once");
    }
    ids.insert(ids.end(), best_first.begin(), best_first.end());
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }

  /// The comparisons of another shard of the samples.
  comparisons& operator+=(comparisons const& other) {
    check_argument(other.models == models, "comparisons", "number of models of the other part", other.models, "the same");
    if (&other == this) return *this += comparisons(other);
    auto const before = static_cast<std::int64_t>(ids.size());
    ids.insert(ids.end(), other.ids.begin(), other.ids.end());
    for (std::size_t r = 1; r < other.offsets.size(); ++r) offsets.push_back(before + other.offsets[r]);
    for (std::size_t i = 0; i < wins.size(); ++i) wins[i] += other.wins[i];
    return *this;
  }

  /// Scores of one sample, NaN where a model was not measured: a full ranking, or, with ties, all pairs.
  void add_scores(view<double const> score, tied_pairs ties = tied_pairs::both_ways) {
    check_argument(score.size() == models, "add_scores", "score.size()", score.size(), "the number of models");
    std::vector<std::int32_t> present;
    for (std::int64_t s = 0; s < models; ++s)
      if (score[s] == score[s]) present.push_back(static_cast<std::int32_t>(s));
    detail::stable_sort_ids(present, [&](std::int32_t a, std::int32_t b) { return score[b] < score[a]; });
    bool tied = false;
    for (std::size_t i = 1; i < present.size(); ++i) tied |= score[present[i]] == score[present[i - 1]];
    if (!tied) return add_ranking(present);
    for (std::size_t i = 0; i < present.size(); ++i)
      for (std::size_t j = i + 1; j < present.size(); ++j) {
        std::int32_t const a = present[i], b = present[j];
        bool const equal = score[a] == score[b];
        if (!equal || ties == tied_pairs::both_ways) win(a, b) += 1;
        if (equal && ties == tied_pairs::both_ways) win(b, a) += 1;
      }
  }
};

/// Comparisons from measurements (sample, model, score) in any order; NaN scores are not measured.
/// \throws argument_error for ids out of range and for a sample that measures a model twice.
inline comparisons compare_measurements(view<std::int32_t const> sample, view<std::int32_t const> model, view<double const> score,
                                        std::int64_t samples, std::int64_t models, tied_pairs ties = tied_pairs::both_ways) {
  check_argument(model.size() == sample.size() && score.size() == sample.size(), "compare_measurements", "sizes of the columns",
                 "different", "equal");
  comparisons result(models);
  for (std::int64_t i = 0; i < sample.size(); ++i) {
    check_argument(sample[i] >= 0 && sample[i] < samples, "compare_measurements", "sample", sample[i], "below the number of samples");
    check_argument(model[i] >= 0 && model[i] < models, "compare_measurements", "model", model[i], "below the number of models");
  }
  auto const by_sample = detail::ascending_ids(sample.size(), [&](std::int32_t i) { return sample[i]; });
  std::vector<double> row(static_cast<std::size_t>(models));
  std::vector<char> seen(row.size());
  for (std::size_t i = 0; i < by_sample.size();) {
    for (std::size_t s = 0; s < row.size(); ++s) row[s] = __builtin_nan(""), seen[s] = 0;
    std::int32_t const current = sample[by_sample[i]];
    for (; i < by_sample.size() && sample[by_sample[i]] == current; ++i) {
      auto const s = static_cast<std::size_t>(model[by_sample[i]]);
      check_argument(seen[s] == 0, "compare_measurements", "model of a sample", model[by_sample[i]], "measured once a sample");
      seen[s] = 1;
      row[s] = score[by_sample[i]];
    }
    result.add_scores(row, ties);
  }
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
