#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/testing/equality.hpp"
#include "fanfold/testing/laws.hpp"
#include "fanfold/testing/nasty.hpp"

namespace fanfold::inline FANFOLD_ABI::testing {

/// The canonical tree of `fold`, written down once more as plainly as it can be: what every executor must reproduce bit for bit.
template <aggregator A, class X>
typename A::output canonical_fold(A const& a, std::vector<X> const& x) {
  using state = typename A::state;
  if (x.empty()) return empty_answer(a);
  auto const pairs = [&](std::vector<state> level) {
    while (level.size() > 1) {
      std::vector<state> next;
      for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(i + 1 < level.size() ? a.combine(level[i], level[i + 1]) : level[i]);
      level = std::move(next);
    }
    return level[0];
  };
  auto const left = [&](std::size_t begin, std::size_t end, std::size_t step) {
    state s = a.lift(x[begin]);
    for (std::size_t i = begin + step; i < end; i += step) s = a.combine(s, a.lift(x[i]));
    return s;
  };
  std::vector<state> leaves;
  std::size_t const n = x.size();
  if constexpr (!commutative_monoid<A>) {
    for (std::size_t begin = 0; begin < n; begin += 32) leaves.push_back(left(begin, begin + 32 < n ? begin + 32 : n, 1));
  } else {
    for (std::size_t begin = 0; begin < n; begin += 2048) {
      std::size_t const end = begin + 2048 < n ? begin + 2048 : n;
      std::vector<state> lane;
      for (std::size_t l = 0; l < 64 && begin + l < end; ++l) lane.push_back(left(begin + l, end, 64));
      for (std::size_t w = 32; w > 0; w /= 2)
        for (std::size_t l = 0; l < w && l + w < lane.size(); ++l) lane[l] = a.combine(lane[l], lane[l + w]);
      leaves.push_back(lane[0]);
    }
  }
  return a.lower(pairs(std::move(leaves)));
}

/// Checks that `fold` gives the bits of the canonical tree on every one of the host executors, over all kinds and lengths that the
/// generator and the options name, and, where the carrier is bitwise, that order::reproducible gives them for a permutation too.
template <aggregator A, class Generator, host_executor... Executors>
law_report check_fold_executors(A const& a, Generator const& generator, law_options const& options, Executors const&... executors) {
  law_report report;
  auto const check = [&](bool ok, std::string rule, std::string const& input, std::int64_t n, std::uint64_t seed) {
    ++report.checks;
    if (!ok) report.violations.push_back({std::move(rule), input, n, seed});
  };
  for (int kind = 0; kind < generator.kinds(); ++kind)
    for (std::int64_t const n : options.lengths) {
      std::uint64_t const seed = options.seed + static_cast<std::uint64_t>(n);
      auto x = generator(kind, n, seed);
      std::string const name = generator.name(kind);
      auto const expected = canonical_fold(a, x);
      int which = 0;
      (check(detail::same(fold(executors, a, x), expected, bitwise{}, 0.0), "fold on executor " + std::to_string(which++), name, n, seed), ...);
      if constexpr (has_law(A::laws, law::associative | law::commutative | law::bitwise)) {
        word_stream words(seed);
        for (std::size_t k = x.size(); k > 1; --k) std::swap(x[k - 1], x[static_cast<std::size_t>(words.below(static_cast<std::int64_t>(k)))]);
        check(detail::same(fold(serial, a, x, order::reproducible), expected, bitwise{}, 0.0), "order::reproducible of a permutation", name, n, seed);
      }
    }
  return report;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
