#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"

/// \file
/// Items in descending order of their scores on a device, ties by lower index: what the routers that look at a whole batch begin with.

namespace fanfold::inline FANFOLD_ABI::detail {

/// key[i] = a word that ascends where score(i) descends; item[i] = i.
template <class F>
struct descending_words_body {
  F score;

  template <block B, class Word>
  FANFOLD_HD void operator()(B& b, view<Word> key, view<std::int32_t> item) const {
    for (std::int64_t i = grid_thread(b); i < key.size(); i += grid_threads(b)) {
      key.data()[i] = static_cast<Word>(~largest{}.rank(score(i)));
      item.data()[i] = static_cast<std::int32_t>(i);
    }
  }
};

/// key[i] = segment(item[i]).
template <class F>
struct segment_words_body {
  F segment;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::int32_t const> item, view<std::uint32_t> key) const {
    for (std::int64_t i = grid_thread(b); i < key.size(); i += grid_threads(b)) key.data()[i] = static_cast<std::uint32_t>(segment(item.data()[i]));
  }
};

/// The bits of the numbers below `count`.
constexpr int bits_below(std::int64_t count) {
  int bits = 0;
  while (bits < 32 && (count - 1) >> bits != 0) ++bits;
  return bits;
}

/// item := the numbers 0 ... item.size() - 1 by ascending segment(i), then descending score(i) (NaN last), then ascending i. Scores are R,
/// segments are below `segments`. Two stable sorts.
template <class R, device_executor E, class Score, class Segment>
void order_items(E const& ex, Score const& score, Segment const& segment, std::int64_t segments, view<std::int32_t> item, workspace& ws) {
  using word = rank_of<R>;
  std::int64_t const n = item.size();
  if (n == 0) return;
  workspace::frame frame(ws);
  auto const key = frame.take<word>(n), sorted = frame.take<word>(n);
  auto const start = frame.take<std::int32_t>(n);
  auto const by_score = segments > 1 ? frame.take<std::int32_t>(n) : item;
  launch_threads(ex, descending_words_body<Score>{score}, n, key, start);
  sort_pairs(ex, as_const(key), sorted, as_const(start), by_score, static_cast<int>(8 * sizeof(word)), ws);
  if (segments <= 1) return;
  auto const of = frame.take<std::uint32_t>(n), of_sorted = frame.take<std::uint32_t>(n);
  launch_threads(ex, segment_words_body<Segment>{segment}, n, as_const(by_score), of);
  sort_pairs(ex, as_const(of), of_sorted, as_const(by_score), item, bits_below(segments), ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
