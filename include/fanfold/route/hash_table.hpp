#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/detail/descending.hpp"

/// \file
/// Tables of hash layers (Roller et al., "Hash Layers For Large Sparse Models", 2021) for hash_layer: the expert of each vocabulary id.

namespace fanfold::inline FANFOLD_ABI::route {

/// A random expert for every id: word of element id modulo E. Several tables (`which`) for experts that take a slice of the input each.
inline std::vector<std::int32_t> random_hash_table(std::int64_t vocabulary, std::int64_t experts, std::uint64_t seed, std::uint32_t which = 0) {
  check_argument(vocabulary >= 0, "route::random_hash_table", "vocabulary", vocabulary, "0 or more");
  check_argument(experts >= 1, "route::random_hash_table", "experts", experts, "1 or more");
  std::vector<std::int32_t> table(static_cast<std::size_t>(vocabulary));
  random_stream const words{seed, streams::router_sample, which};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::int32_t>(std::uint64_t{words.word(i)} % static_cast<std::uint64_t>(experts));
  return table;
}

/// Ids by descending frequency, each to the expert with the least frequency so far (ties: lower id, lower expert). The r-th id of
/// frequency 0 goes to expert r mod E.
inline std::vector<std::int32_t> balanced_hash_table(view<std::int64_t const> frequency, std::int64_t experts) {
  static constexpr char function[] = "route::balanced_hash_table";
  check_argument(experts >= 1, function, "experts", experts, "1 or more");
  std::vector<std::int32_t> order(static_cast<std::size_t>(frequency.size())), spare(order.size()), table(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    check_argument(frequency[i] >= 0, function, "a frequency", frequency[i], "0 or more");
    order[i] = static_cast<std::int32_t>(i);
  }
  detail::merge_sort(order.data(), spare.data(), frequency.size(), detail::descending_key<std::int64_t>{frequency.data()});
  std::vector<std::int64_t> load(static_cast<std::size_t>(experts));
  std::int64_t unseen = 0;
  for (std::int32_t id : order) {
    std::size_t best = 0;
    if (frequency[id] == 0)
      best = static_cast<std::size_t>(unseen++ % experts);
    else
      for (std::size_t e = 1; e < load.size(); ++e) best = load[e] < load[best] ? e : best;
    load[best] += frequency[id];
    table[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(best);
  }
  return table;
}

/// \throws argument_error for the first token outside the table (assign itself gives such rows no expert).
inline void check_tokens(view<std::int32_t const> token, std::int64_t vocabulary) {
  for (std::int32_t t : token) check_argument(t >= 0 && t < vocabulary, "route::check_tokens", "a token", t, "inside the table");
}

}  // namespace fanfold::inline FANFOLD_ABI::route
