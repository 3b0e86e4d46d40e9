#pragma once

#include <cstddef>
#include <optional>
#include <vector>

// The canonical trees straight from their definitions, with lists instead of streams. Slow on purpose.
namespace reference {

template <class M, class State>
State adjacent_pairs(M const& m, std::vector<State> list) {
  while (list.size() > 1) {
    std::vector<State> next;
    for (std::size_t i = 0; i + 1 < list.size(); i += 2) next.push_back(m.combine(list[i], list[i + 1]));
    if (list.size() % 2 == 1) next.push_back(list.back());
    list = next;
  }
  return list[0];
}

template <class A, class T>
std::vector<typename A::state> lifted(A const& a, std::vector<T> const& x) {
  std::vector<typename A::state> s;
  for (T const& v : x) s.push_back(a.lift(v));
  return s;
}

template <class M, class State>
State interleaved(M const& m, std::vector<State> const& x) {
  std::vector<State> tiles;
  for (std::size_t begin = 0; begin < x.size(); begin += 2048) {
    std::vector<std::optional<State>> lane(64);
    for (std::size_t i = begin; i < x.size() && i < begin + 2048; ++i) {
      auto& l = lane[(i - begin) % 64];
      l = l ? m.combine(*l, x[i]) : x[i];
    }
    for (std::size_t w = 32; w > 0; w /= 2)
      for (std::size_t l = 0; l < w; ++l)
        if (lane[l + w]) lane[l] = m.combine(*lane[l], *lane[l + w]);
    tiles.push_back(*lane[0]);
  }
  return adjacent_pairs(m, tiles);
}

template <class M, class State>
State ordered(M const& m, std::vector<State> const& x) {
  std::vector<State> runs;
  for (std::size_t begin = 0; begin < x.size(); begin += 32) {
    State s = x[begin];
    for (std::size_t i = begin + 1; i < x.size() && i < begin + 32; ++i) s = m.combine(s, x[i]);
    runs.push_back(s);
  }
  return adjacent_pairs(m, runs);
}

template <class M, class State>
std::vector<State> inclusive_scan(M const& m, std::vector<State> const& x, std::optional<State> init = {}) {
  std::vector<State> totals;
  std::vector<State> y;
  std::vector<std::optional<State>> run_offset;
  for (std::size_t tile = 0; tile < x.size(); tile += 2048) {
    std::optional<State> offset;
    for (std::size_t run = tile; run < x.size() && run < tile + 2048; run += 32) {
      State local = x[run];
      for (std::size_t i = run; i < x.size() && i < run + 32; ++i) {
        if (i > run) local = m.combine(local, x[i]);
        y.push_back(offset ? m.combine(*offset, local) : local);
      }
      offset = offset ? m.combine(*offset, local) : local;
    }
    totals.push_back(*offset);
  }
  if (totals.size() > 1 || init) {
    std::vector<State> const prefix = totals.size() > 1 ? inclusive_scan(m, totals) : totals;
    for (std::size_t i = 0; i < y.size(); ++i) {
      std::size_t const tile = i / 2048;
      if (tile == 0) {
        if (init) y[i] = m.combine(*init, y[i]);
      } else {
        y[i] = m.combine(init ? m.combine(*init, prefix[tile - 1]) : prefix[tile - 1], y[i]);
      }
    }
  }
  return y;
}

template <class M, class State>
std::vector<State> exclusive_scan(M const& m, std::vector<State> const& x, std::optional<State> init = {}) {
  std::vector<State> y = inclusive_scan(m, x, init);
  y.insert(y.begin(), init ? *init : m.identity());
  y.pop_back();
  return y;
}

}  // namespace reference
