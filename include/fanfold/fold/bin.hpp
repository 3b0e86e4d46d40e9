#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `bin` writes. Sizes: E + 1, E, E, one a key, at least the number of rows.
struct bin_view {
  view<std::int64_t> offsets{};  ///< first row of each bin; offsets[E] is the number of rows
  view<std::int32_t> counts{};   ///< keys of each bin
  view<std::int32_t> kept{};     ///< keys placed, at most counts
  view<std::int32_t> row_of{};   ///< key -> row, or -1
  view<std::int32_t> src_of{};   ///< row -> key, or -1 for padding
};

/// How many rows a bin with `kept` keys occupies, and how many keys bin e may keep at most.
template <class L>
concept row_layout = requires(L const& l, std::int64_t n) {
  { l.rows(n) } -> std::convertible_to<std::int64_t>;
  { l.limit(n) } -> std::convertible_to<std::int64_t>;
};

/// Largest number of rows and keys: maps are 32-bit.
inline constexpr std::int64_t most_rows = 2147483647;

/// No padding, no limit.
struct dense_rows {
  FANFOLD_HD constexpr std::int64_t rows(std::int64_t kept) const { return kept; }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t) const { return most_rows; }
};

/// Keys visited one after the other.
struct key_sequence {
  struct run_type {
    std::int32_t const* keys;
    FANFOLD_HD std::int32_t key(std::int64_t i) const { return keys[i]; }
    FANFOLD_HD std::int64_t item(std::int64_t i) const { return i; }
  };
  view<std::int32_t const> keys{};

  FANFOLD_HD std::int64_t runs() const { return 1; }
  FANFOLD_HD std::int64_t run_length() const { return keys.size(); }
  FANFOLD_HD run_type run(std::int64_t) const { return {keys.data()}; }
};

/// The order in which keys take their ranks: `runs()` runs of `run_length()` keys; position i of run r is key `run(r).key(i)` of item
/// `run(r).item(i)`.
template <class V>
concept key_order = requires(V const& v, std::int64_t i) {
  { v.runs() } -> std::convertible_to<std::int64_t>;
  { v.run_length() } -> std::convertible_to<std::int64_t>;
  { v.run(i).key(i) } -> std::convertible_to<std::int32_t>;
  { v.run(i).item(i) } -> std::convertible_to<std::int64_t>;
};

template <row_layout L, key_order V>
struct bin_loop {
  L layout{};
  V order{};
};

namespace detail {

/// The visiting order in chunks that depend on its length and the number of bins alone: each chunk counts every bin, so that chunks should
/// hold more keys than there are bins.
struct bin_chunks {
  std::int64_t items;
  std::int64_t count;

  constexpr bin_chunks(std::int64_t n, std::int64_t bins) : items(n) {
    std::int64_t const least = bins < 16384 ? 16384 : bins;
    count = n / least < 1 ? 1 : n / least > 64 ? 64 : n / least;
  }
  constexpr std::int64_t begin(std::int64_t c) const { return items / count * c + (c < items % count ? c : items % count); }
};

/// Calls f(run, begin, end) for the pieces of positions [begin, end).
template <key_order V, class F>
void for_each_piece(V const& order, std::int64_t begin, std::int64_t end, F&& f) {
  std::int64_t const length = order.run_length();
  while (begin < end) {
    std::int64_t const r = begin / length, first = begin - r * length;
    std::int64_t const n = end - begin < length - first ? end - begin : length - first;
    f(order.run(r), first, first + n);
    begin += n;
  }
}

template <class Run>
FANFOLD_NOINLINE bool keys_in_range(Run run, std::int64_t begin, std::int64_t end, std::uint32_t bins) {
  std::uint32_t largest = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    std::uint32_t const shifted = static_cast<std::uint32_t>(run.key(i)) + 1u;
    largest = shifted > largest ? shifted : largest;
  }
  return largest <= bins;
}

/// counters[0] takes the skipped keys, counters[1 + e] those of bin e.
template <class Run>
FANFOLD_NOINLINE void count_keys(Run run, std::int64_t begin, std::int64_t end, std::uint32_t* counters) {
  for (std::int64_t i = begin; i < end; ++i) ++counters[run.key(i) + 1];
}

/// Gives each key its row. `next[1 + e]` is the next row of bin e, `stop[1 + e]` the first one that is not to be used.
template <bool Drops, bool Invert, class Run>
FANFOLD_NOINLINE void place_keys(Run run, std::int64_t begin, std::int64_t end, std::uint32_t* FANFOLD_RESTRICT next,
                                 std::uint32_t const* stop, std::int32_t* FANFOLD_RESTRICT row_of,
                                 std::int32_t* FANFOLD_RESTRICT src_of) {
  auto const place = [&](std::int64_t i, std::int32_t key, std::uint32_t row) __attribute__((always_inline)) {
    std::int64_t const a = run.item(i);
    bool const in = key >= 0 && (!Drops || row < stop[key + 1]);
    row_of[a] = in ? static_cast<std::int32_t>(row) : -1;
    if (Invert && in) src_of[row] = static_cast<std::int32_t>(a);
  };
  std::int64_t i = begin;
  for (; i + 4 <= end; i += 4) {
    std::int32_t const k0 = run.key(i), k1 = run.key(i + 1), k2 = run.key(i + 2), k3 = run.key(i + 3);
    // all ranks before the stores: the counters' chain then overlaps with them
    std::uint32_t const r0 = next[k0 + 1]++, r1 = next[k1 + 1]++, r2 = next[k2 + 1]++, r3 = next[k3 + 1]++;
    place(i, k0, r0), place(i + 1, k1, r1), place(i + 2, k2, r2), place(i + 3, k3, r3);
  }
  for (; i < end; ++i) {
    std::int32_t const key = run.key(i);
    place(i, key, next[key + 1]++);
  }
}

template <class Run>
FANFOLD_NOINLINE void invert_rows(Run run, std::int64_t begin, std::int64_t end, std::int32_t const* row_of,
                                  std::int32_t* FANFOLD_RESTRICT src_of) {
  for (std::int64_t i = begin; i < end; ++i) {
    std::int64_t const a = run.item(i);
    if (row_of[a] >= 0) src_of[row_of[a]] = static_cast<std::int32_t>(a);
  }
}

template <key_order V>
[[noreturn]] FANFOLD_NOINLINE void throw_bad_key(V const& order, std::int64_t bins) {
  std::int64_t item = -1;
  std::int32_t bad = 0;
  for_each_piece(order, 0, order.runs() * order.run_length(), [&](auto run, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      if ((run.key(i) < -1 || run.key(i) >= bins) && (item < 0 || run.item(i) < item)) item = run.item(i), bad = run.key(i);
  });
  throw_argument_error("bin", ("key of item " + std::to_string(item)).c_str(), std::to_string(bad),
                       ("-1 (skipped) or below the number of bins, " + std::to_string(bins)).c_str());
}

[[noreturn]] FANFOLD_NOINLINE inline void throw_too_few_rows(std::int64_t size, std::int64_t rows) {
  throw_argument_error("bin", "size of src_of", std::to_string(size), ("at least the number of rows, " + std::to_string(rows)).c_str());
}

constexpr std::int64_t bin_counter_stride(std::int64_t bins) { return (bins + 1 + 15) / 16 * 16; }

}  // namespace detail

/// Bytes of workspace that `bin` takes for this many keys and bins.
constexpr std::size_t bin_workspace_bytes(std::int64_t keys, std::int64_t bins) {
  auto const row = static_cast<std::size_t>(detail::bin_counter_stride(bins)) * sizeof(std::uint32_t);
  return (static_cast<std::size_t>(detail::bin_chunks(keys, bins).count) + 1) * row + 2 * workspace::alignment;
}

template <host_executor E, row_layout L, key_order V>
void run_loop(E const& ex, bin_loop<L, V> const& loop, bin_view const& out, workspace& ws) {
  V const& order = loop.order;
  std::int64_t const bins = out.counts.size();
  detail::bin_chunks const chunks(order.runs() * order.run_length(), bins);
  workspace::frame frame(ws);
  std::int64_t const stride = detail::bin_counter_stride(bins);
  std::uint32_t* const counters = frame.take<std::uint32_t>(chunks.count * stride).data();

  bool bad = false;
  for_each_task(ex, chunks.count, [&](std::int64_t c) {
    std::uint32_t* const mine = counters + c * stride;
    for (std::int64_t e = 0; e <= bins; ++e) mine[e] = 0;
    detail::for_each_piece(order, chunks.begin(c), chunks.begin(c + 1), [&](auto run, std::int64_t begin, std::int64_t end) {
      if (detail::keys_in_range(run, begin, end, static_cast<std::uint32_t>(bins)))
        detail::count_keys(run, begin, end, mine);
      else
        __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    });
  });
  if (bad) detail::throw_bad_key(order, bins);

  auto const keys_of = [&](std::int64_t e) {
    std::int64_t sum = 0;
    for (std::int64_t c = 0; c < chunks.count; ++c) sum += counters[c * stride + e + 1];
    return sum;
  };
  auto const kept_of = [&](std::int64_t e, std::int64_t n) {
    std::int64_t const limit = loop.layout.limit(e);
    return n < limit ? n : limit;
  };
  std::int64_t rows = 0;
  for (std::int64_t e = 0; e < bins; ++e) rows += loop.layout.rows(kept_of(e, keys_of(e)));
  check_argument(rows <= most_rows, "bin", "number of rows", rows, "at most 2^31 - 1");
  if (rows > out.src_of.size()) detail::throw_too_few_rows(out.src_of.size(), rows);

  std::uint32_t* const stop = frame.take<std::uint32_t>(stride).data();
  bool drops = false;
  std::int64_t first = 0;
  for (std::int64_t e = 0; e < bins; ++e) {
    std::int64_t const n = keys_of(e), kept = kept_of(e, n), last = first + loop.layout.rows(kept);
    out.offsets[e] = first;
    out.counts[e] = static_cast<std::int32_t>(n);
    out.kept[e] = static_cast<std::int32_t>(kept);
    drops |= kept < n;
    stop[e + 1] = static_cast<std::uint32_t>(first + kept);
    for (std::int64_t r = first + kept; r < last; ++r) out.src_of[r] = -1;
    auto next = static_cast<std::uint32_t>(first);
    for (std::int64_t c = 0; c < chunks.count; ++c) {
      std::uint32_t& mine = counters[c * stride + e + 1];
      std::uint32_t const n_mine = mine;
      mine = next;
      next += n_mine;
    }
    first = last;
  }
  out.offsets[bins] = first;

  // Many keys: the rows' scattered stores miss the caches, and go faster apart from the counters.
  bool const apart = chunks.items > (std::int64_t{1} << 17);
  for_each_task(ex, chunks.count, [&](std::int64_t c) {
    detail::for_each_piece(order, chunks.begin(c), chunks.begin(c + 1), [&](auto run, std::int64_t begin, std::int64_t end) {
      std::uint32_t* const next = counters + c * stride;
      std::int32_t *const row_of = out.row_of.data(), *const src_of = out.src_of.data();
      if (!apart) {
        drops ? detail::place_keys<true, true>(run, begin, end, next, stop, row_of, src_of)
              : detail::place_keys<false, true>(run, begin, end, next, stop, row_of, src_of);
        return;
      }
      drops ? detail::place_keys<true, false>(run, begin, end, next, stop, row_of, src_of)
            : detail::place_keys<false, false>(run, begin, end, next, stop, row_of, src_of);
      detail::invert_rows(run, begin, end, row_of, src_of);
    });
  });
}

/// Sorts keys into bins, stably: histogram, exclusive scan, placement (counting sort). Key e >= 0 goes to bin e, -1 is skipped. Bin e
/// occupies rows [offsets[e], offsets[e + 1]); its first kept[e] rows hold its keys in visiting order, the rest are padding. With
/// `rank(a)` = earlier keys of the same bin: row_of[a] = offsets[e] + rank(a) while rank(a) < layout.limit(e), else -1; src_of is the
/// inverse. Entries of src_of past the last row are left alone.
/// The number of bins is `out.counts.size()`. O(keys + bins).
/// \throws argument_error for a key below -1 or not below the number of bins, before any output is written.
/// \par Determinism  a function of the keys alone.
template <executor E, row_layout L, key_order V, fanfold::detail::call_option... Options>
void bin(E const& ex, L const& layout, V const& order, bin_view const& out, Options&&... options) {
  std::int64_t const keys = order.runs() * order.run_length(), bins = out.counts.size();
  check_argument(keys <= most_rows, "bin", "number of keys", keys, "at most 2^31 - 1");
  check_argument(bins < most_rows, "bin", "number of bins", bins, "below 2^31 - 1");
  check_argument(out.offsets.size() == bins + 1, "bin", "size of offsets", out.offsets.size(), "the number of bins + 1");
  check_argument(out.kept.size() == bins, "bin", "size of kept", out.kept.size(), "the number of bins");
  check_argument(out.row_of.size() == keys, "bin", "size of row_of", out.row_of.size(), "the number of keys");
  detail::call_workspace ws(ex, options...);
  run_loop(ex, bin_loop<L, V>{layout, order}, out, ws.get());
}

/// The same for a plain sequence of keys.
template <executor E, row_layout L, viewable Keys, fanfold::detail::call_option... Options>
  requires(!key_order<Keys>)
void bin(E const& ex, L const& layout, Keys const& keys, bin_view const& out, Options&&... options) {
  bin(ex, layout, key_sequence{as_view(keys)}, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
