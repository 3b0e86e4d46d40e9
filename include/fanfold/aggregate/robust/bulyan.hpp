#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// How Bulyan picks its n - 2f rows: one Krum winner after the other from those that remain (the paper), or the best Krum scores at once
/// (Flower's newer code: another rule, despite its change note).
enum class bulyan_selection { iterated, one_shot };

/// Picks n - 2f rows by Krum, then for each coordinate takes the mean of the n - 4f picked values around their median. Needs n >= 4f + 3.
/// El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, 2018 (arXiv 1802.07927).
struct bulyan {
  std::int64_t f = 0;
  bulyan_selection selection = bulyan_selection::iterated;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const {
    detail::check_faulty("bulyan", n, f, f == 0 ? 1 : 4 * f + 3, f == 0 ? "1" : "4 f + 3");
  }
  std::int64_t selected(std::int64_t n) const { return n - 2 * f; }
  detail::around_median coordinates() const { return {2 * f}; }

  /// In the order of selection.
  void select(row_geometry const& g, view<std::int32_t> ids, workspace& ws) const {
    detail::check_finite_rows("bulyan", g, g.rows - f);
    workspace::frame frame(ws);
    if (f == 0) {
      for (std::int64_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
    } else if (selection == bulyan_selection::one_shot) {
      view<double> const score = frame.take<double>(g.rows);
      detail::krum_scores(g, g.rows - f - 2, score, ws);
      view<std::int32_t> const best = detail::smallest(score, ids.size(), frame, ws);
      for (std::int64_t i = 0; i < ids.size(); ++i) ids[i] = best[i];
    } else {
      one_after_the_other(g, ids, frame, ws);
    }
  }
  static std::int64_t most_faulty(std::int64_t n) { return n < 3 ? 0 : (n - 3) / 4; }

 private:
  void one_after_the_other(row_geometry const& g, view<std::int32_t> ids, workspace::frame& frame, workspace& ws) const {
    std::int64_t const n = g.rows;
    view<std::int32_t> const order = frame.take<std::int32_t>(n * n);  // each row's neighbours, nearest first
    view<unsigned char> const gone = frame.take<unsigned char>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      detail::stable_order(detail::row_distances(g, i), order.subview(i * n, n), ws);
      gone[i] = 0;
    }
    for (std::int64_t round = 0; round < ids.size(); ++round) {
      std::int64_t const left = n - round, wanted = left - f - 2 > 1 ? left - f - 2 : 1, k = wanted < left - 1 ? wanted : left - 1;
      std::int64_t best = -1;
      double least = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        if (gone[i] || !g.finite[i]) continue;
        double score = 0;
        std::int64_t missing = k;
        for (std::int64_t j = 0; j < n && missing > 0; ++j) {
          std::int32_t const other = order[i * n + j];
          if (other == i || gone[other]) continue;
          score += g.distance(i, other);
          --missing;
        }
        if (best < 0 || score < least) {
          best = i;
          least = score;
        }
      }
      gone[best] = 1;
      ids[round] = static_cast<std::int32_t>(best);
    }
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
