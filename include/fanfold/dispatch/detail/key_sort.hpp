#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/workspace.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `run_loop` runs to sort positions 0 ... n - 1 by rising `key(i)`, an unsigned number, ties by lower position. `key.sound(i)` is false
/// where position i has no key (NaN).
template <class Key>
struct key_sort_loop {
  Key key{};
  char const* what = "";
};

namespace detail {

/// A key whose unsigned order is the descending order of numbers; -0 and +0 are equal.
FANFOLD_HD inline std::uint32_t descending_key(float x) {
  std::uint32_t const u = math::bits_of(x + 0.0f);
  return (u & 0x80000000u) != 0 ? u : ~(u | 0x80000000u);
}
FANFOLD_HD inline std::uint64_t descending_key(double x) {
  std::uint64_t const u = math::bits_of(x + 0.0);
  constexpr std::uint64_t sign = std::uint64_t{1} << 63;
  return (u & sign) != 0 ? u : ~(u | sign);
}

}  // namespace detail

/// Host form: radix sort, skipping digits that are equal throughout. \throws argument_error for a NaN.
template <host_executor E, class Key>
void run_loop(E const&, key_sort_loop<Key> const& loop, view<std::int32_t> order, workspace& ws) {
  using key = decltype(loop.key(0));
  std::int64_t const n = order.size();
  for (std::int64_t i = 0; i < n; ++i) check_argument(loop.key.sound(i), "make_plan", loop.what, "NaN", "a number");
  workspace::frame frame(ws);
  key* from = frame.take<key>(n).data();
  key* to = frame.take<key>(n).data();
  std::int32_t* from_id = order.data();
  std::int32_t* to_id = frame.take<std::int32_t>(n).data();
  for (std::int64_t i = 0; i < n; ++i) from[i] = loop.key(i), from_id[i] = static_cast<std::int32_t>(i);
  for (unsigned shift = 0; shift < 8 * sizeof(key); shift += 8) {
    std::int64_t first[257] = {};
    for (std::int64_t i = 0; i < n; ++i) ++first[((from[i] >> shift) & 255u) + 1];
    if (n == 0 || first[((from[0] >> shift) & 255u) + 1] == n) continue;
    for (int d = 0; d < 256; ++d) first[d + 1] += first[d];
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t const at = first[(from[i] >> shift) & 255u]++;
      to[at] = from[i];
      to_id[at] = from_id[i];
    }
    key* const k = from;
    from = to, to = k;
    std::int32_t* const p = from_id;
    from_id = to_id, to_id = p;
  }
  if (from_id != order.data())
    for (std::int64_t i = 0; i < n; ++i) order[i] = from_id[i];
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
