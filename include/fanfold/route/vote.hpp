#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/group_select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Pangu Pro MoE's expert voting (2505.21411, for small devices): how often each expert is its group's best in the batch; open[e] := 1 for
/// the `keep` most voted experts of each group (ties: lower index), else 0, for voted_moge. Inference only: it looks at the whole batch.
template <class L>
void vote_experts(matrix_view<L const> logits, std::int64_t groups, std::int64_t keep, view<std::uint8_t> open) {
  static constexpr char function[] = "route::vote_experts";
  std::int64_t const n = logits.cols();
  detail::check_groups(groups, n);
  std::int64_t const size = n / groups;
  check_argument(keep >= 1 && keep <= size, function, "keep", keep, "between 1 and the experts of a group");
  check_argument(open.size() == n, function, "size of open", open.size(), "the number of experts");
  std::vector<std::int64_t> votes(static_cast<std::size_t>(n));
  for (std::int64_t t = 0; t < logits.rows(); ++t)
    for (std::int64_t g = 0; g < groups; ++g) {
      std::int64_t best = -1;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
        auto const x = to_arithmetic(logits(t, e));
        if (x == x && (best < 0 || x > to_arithmetic(logits(t, best)))) best = e;
      }
      if (best >= 0) ++votes[static_cast<std::size_t>(best)];
    }
  std::vector<std::int32_t> order(static_cast<std::size_t>(size)), spare(order.size());
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(g * size + static_cast<std::int64_t>(i));
    detail::merge_sort(order.data(), spare.data(), size, detail::descending_key<std::int64_t>{votes.data()});
    for (std::int64_t i = 0; i < size; ++i) open[order[static_cast<std::size_t>(i)]] = i < keep ? 1 : 0;
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::route
