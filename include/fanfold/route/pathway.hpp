#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/select.hpp"

/// \file
/// Expert pathways of samples: which experts carry a sample through the layers ("Where to find Grokking in LLM Pretraining?", 2506.21551).

namespace fanfold::inline FANFOLD_ABI::route {

/// For each layer the experts, best first, whose mean routing weights reach theta together (the shortest such prefix; all where they never
/// do). `mean_weight`: layers x E, a sample's weights averaged over its tokens.
template <class G>
std::vector<std::vector<std::int32_t>> expert_pathway(matrix_view<G const> mean_weight, double theta = 0.7) {
  std::vector<std::vector<std::int32_t>> path;
  std::int64_t const n = mean_weight.cols();
  std::vector<double> key(static_cast<std::size_t>(n));
  std::vector<std::int32_t> id(key.size());
  for (std::int64_t l = 0; l < mean_weight.rows(); ++l) {
    for (std::int64_t e = 0; e < n; ++e) key[static_cast<std::size_t>(e)] = static_cast<double>(to_arithmetic(mean_weight(l, e)));
    detail::select_top(host_lane{}, key.data(), 0, n, id.data(), n);
    std::size_t count = 0;
    for (double sum = 0; count < id.size() && (count == 0 || sum < theta); ++count) sum += key[static_cast<std::size_t>(id[count])];
    path.emplace_back(id.begin(), id.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return path;
}

/// Edits (insert, delete, replace: 1 each) from one sequence to the other; O(n m) time, O(min) memory.
template <class Sequence>
std::int64_t edit_distance(Sequence const& a, Sequence const& b) {
  if (a.size() < b.size()) return edit_distance(b, a);
  std::vector<std::int64_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<std::int64_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::int64_t diagonal = row[0];
    row[0] = static_cast<std::int64_t>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::int64_t const replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      std::int64_t const shift = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
      row[j] = replace < shift ? replace : shift;
    }
  }
  return row[b.size()];
}

/// What a pathway is as a sequence: expert ids with a separator between layers, or the characters of "3,1,5-2-9,1" as in the paper.
enum class pathway_alphabet : unsigned char { ids, characters };

/// Levenshtein distance of two pathways, each a list of ids a layer.
inline std::int64_t pathway_distance(std::vector<std::vector<std::int32_t>> const& a, std::vector<std::vector<std::int32_t>> const& b,
                                     pathway_alphabet alphabet = pathway_alphabet::ids) {
  auto const numbers = [](auto const& path) {
    std::vector<std::int32_t> s;
    for (std::size_t l = 0; l < path.size(); ++l) {
      if (l > 0) s.push_back(-1);
      s.insert(s.end(), path[l].begin(), path[l].end());
    }
    return s;
  };
  auto const text = [](auto const& path) {
    std::string s;
    for (std::size_t l = 0; l < path.size(); ++l) {
      if (l > 0) s += '-';
      for (std::size_t i = 0; i < path[l].size(); ++i) s += (i > 0 ? "," : "") + std::to_string(path[l][i]);
    }
    return s;
  };
  return alphabet == pathway_alphabet::ids ? edit_distance(numbers(a), numbers(b)) : edit_distance(text(a), text(b));
}

/// The mean over all pairs of samples; 0 for fewer than two.
inline double mean_pathway_distance(std::vector<std::vector<std::vector<std::int32_t>>> const& paths, pathway_alphabet alphabet = pathway_alphabet::ids) {
  double sum = 0;
  for (std::size_t i = 0; i < paths.size(); ++i)
    for (std::size_t j = i + 1; j < paths.size(); ++j) sum += static_cast<double>(pathway_distance(paths[i], paths[j], alphabet));
  auto const n = static_cast<double>(paths.size());
  return paths.size() < 2 ? 0 : sum / (n * (n - 1) / 2);
}

/// How far a sample's pathway is from smooth: C = 1 - mean_l c_l / (max c + 1e-8), c_l the cosine of the routing embeddings
/// sum_k g_lk v_lk of layers l and l + 1, v_lk the router's weight row of expert k. Lower is smoother; one layer: 0.
struct pathway_complexity {
  double value = 0;
  bool valid = true;  ///< false (and value NaN) where no cosine is positive
  std::vector<double> cosine;
};
/// `router_rows[l]`: E x d.
template <class G, class V>
pathway_complexity measure_complexity(matrix_view<G const> mean_weight, std::vector<matrix_view<V const>> const& router_rows) {
  static constexpr char function[] = "route::measure_complexity";
  auto const layers = static_cast<std::size_t>(mean_weight.rows());
  check_argument(router_rows.size() == layers, function, "number of routers", router_rows.size(), "the number of layers");
  pathway_complexity c;
  std::vector<double> before;
  for (std::size_t l = 0; l < layers; ++l) {
    auto const& v = router_rows[l];
    check_argument(v.rows() == mean_weight.cols() && v.cols() == router_rows[0].cols(), function, "shape of a router", v.rows(), "E x d");
    std::vector<double> e(static_cast<std::size_t>(v.cols()));
    for (std::int64_t k = 0; k < v.rows(); ++k)
      for (std::int64_t i = 0; i < v.cols(); ++i)
        e[static_cast<std::size_t>(i)] += static_cast<double>(to_arithmetic(mean_weight(static_cast<std::int64_t>(l), k))) * static_cast<double>(to_arithmetic(v(k, i)));
    if (l > 0) {
      double dot = 0, a = 0, b = 0;
      for (std::size_t i = 0; i < e.size(); ++i) {
        dot += e[i] * before[i];
        a += e[i] * e[i];
        b += before[i] * before[i];
      }
      c.cosine.push_back(a == 0 || b == 0 ? 0 : dot / (math::sqrt(a) * math::sqrt(b)));
    }
    before = e;
  }
  if (c.cosine.empty()) return c;
  double most = c.cosine[0], sum = 0;
  for (double x : c.cosine) most = x > most ? x : most;
  for (double x : c.cosine) sum += x / (most + 1e-8);
  c.valid = most > 0;
  c.value = c.valid ? 1 - sum / static_cast<double>(c.cosine.size()) : math::quiet_nan<double>();
  return c;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
