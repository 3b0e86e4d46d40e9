#pragma once

#include <cstdint>
#include <type_traits>

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

/// A word that ascends where score(i) descends.
template <class Score>
struct descending_word {
  Score score;
  FANFOLD_HD auto operator()(std::int64_t i) const {
    auto const rank = largest{}.rank(score(i));
    return static_cast<std::remove_cv_t<decltype(rank)>>(~rank);
  }
};

/// key[i] = word(i), item[i] = i.
template <class F>
struct item_words_body {
  F word;

  template <block B, class Word>
  FANFOLD_HD void operator()(B& b, view<Word> key, view<std::int32_t> item) const {
    for (std::int64_t i = grid_thread(b); i < key.size(); i += grid_threads(b)) {
      key.data()[i] = word(i);
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

/// item := the numbers 0 ... item.size() - 1 by ascending word(i), then ascending i.
template <class Word, device_executor E, class F>
void order_by_words(E const& ex, F const& word, view<std::int32_t> item, workspace& ws) {
  std::int64_t const n = item.size();
  if (n == 0) return;
  workspace::frame frame(ws);
  auto const key = frame.take<Word>(n), sorted = frame.take<Word>(n);
  auto const start = frame.take<std::int32_t>(n);
  launch_threads(ex, item_words_body<F>{word}, n, key, start);
  sort_pairs(ex, as_const(key), sorted, as_const(start), item, static_cast<int>(8 * sizeof(Word)), ws);
}

/// item := the numbers 0 ... item.size() - 1 by ascending segment(i), then descending score(i) (NaN last), then ascending i. Scores are R,
/// segments are below `segments`. Two stable sorts.
template <class R, device_executor E, class Score, class Segment>
void order_items(E const& ex, Score const& score, Segment const& segment, std::int64_t segments, view<std::int32_t> item, workspace& ws) {
  std::int64_t const n = item.size();
  descending_word<Score> const word{score};
  if (n == 0 || segments <= 1) return order_by_words<rank_of<R>>(ex, word, item, ws);
  workspace::frame frame(ws);
  auto const by_score = frame.take<std::int32_t>(n);
  order_by_words<rank_of<R>>(ex, word, by_score, ws);
  auto const of = frame.take<std::uint32_t>(n), of_sorted = frame.take<std::uint32_t>(n);
  launch_threads(ex, segment_words_body<Segment>{segment}, n, as_const(by_score), of);
  sort_pairs(ex, as_const(of), of_sorted, as_const(by_score), item, bits_below(segments), ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
