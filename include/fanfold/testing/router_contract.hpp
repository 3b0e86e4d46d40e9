#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assign.hpp"

/// \file
/// What every row router promises, as checks that return texts: no dependence on a test framework. An empty list is a pass.

namespace fanfold::inline FANFOLD_ABI::testing {

/// A named batch of logits that makes life hard for routers.
template <class L>
struct router_workload {
  std::string name;
  std::int64_t rows;
  std::int64_t experts;
  std::vector<L> logits;

  matrix_view<L const> view() const { return {logits.data(), rows, experts}; }
};

namespace detail {

struct word_sequence {
  std::uint64_t state;
  std::uint32_t operator()() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33);
  }
  /// Uniform in [-1, 1).
  float number() { return static_cast<float>((*this)()) / 1073741824.0f - 1.0f; }
};

}  // namespace detail

/// Smooth, skewed, tied, two-byte, extreme, signed-zero and non-finite logits of the given shape; the same for the same seed.
template <class L>
std::vector<router_workload<L>> router_workloads(std::int64_t rows, std::int64_t experts, std::uint64_t seed) {
  std::vector<router_workload<L>> all;
  detail::word_sequence draw{seed * 2 + 1};
  auto const inf = math::infinity<float>();
  auto const add = [&](char const* name, auto const& f) {
    router_workload<L> w{name, rows, experts, {}};
    for (std::int64_t t = 0; t < rows; ++t)
      for (std::int64_t e = 0; e < experts; ++e) w.logits.push_back(from_arithmetic<L>(static_cast<arithmetic_t<L>>(f(t, e))));
    all.push_back(std::move(w));
  };
  add("smooth", [&](std::int64_t, std::int64_t) { return 4 * draw.number(); });
  add("skewed", [&](std::int64_t, std::int64_t e) { return 20.0f / static_cast<float>(e + 1) + draw.number(); });
  add("tied", [&](std::int64_t, std::int64_t) { return static_cast<float>(draw() % 3); });
  add("equal", [&](std::int64_t t, std::int64_t) { return static_cast<float>(t); });
  add("rounded to bfloat16", [&](std::int64_t, std::int64_t) { return to_arithmetic(bfloat16(draw.number())); });
  add("signed zeros", [&](std::int64_t, std::int64_t) { return draw() % 2 == 0 ? 0.0f : -0.0f; });
  add("far apart", [&](std::int64_t, std::int64_t) { return 300 * draw.number(); });
  add("some not finite", [&](std::int64_t, std::int64_t) {
    auto const kind = draw() % 8;
    return kind == 0 ? math::quiet_nan<float>() : kind == 1 ? -inf : kind == 2 && draw() % 16 == 0 ? inf : draw.number();
  });
  add("mostly -infinity", [&](std::int64_t, std::int64_t) { return draw() % 8 == 0 ? draw.number() : -inf; });
  add("degenerate rows", [&](std::int64_t t, std::int64_t) { return t % 2 == 0 ? (draw() % 2 == 0 ? math::quiet_nan<float>() : -inf) : draw.number(); });
  return all;
}

/// A router's answer with its memory.
template <class W>
struct routed_rows {
  std::int64_t rows, slots;
  std::vector<std::int32_t> id;
  std::vector<W> weight;
  route::routing_stats stats;

  routed_rows(std::int64_t t, std::int64_t k, std::int64_t experts)
      : rows(t), slots(k), id(static_cast<std::size_t>(t * k), -7), weight(static_cast<std::size_t>(t * k)), stats(experts) {}
  route::assignment<W> out() { return {{id.data(), rows, slots}, {weight.data(), rows, slots}}; }
};

namespace detail {

template <class T>
bool same_bits(T const& a, T const& b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a || b != b) return a != a && b != b;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// Index of the first difference; -1: none.
template <class A, class B>
std::int64_t first_difference(A const& a, B const& b) {
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(a.size()); ++i)
    if (!same_bits(a.data()[i], b.data()[i])) return i;
  return -1;
}

template <class W>
void compare(std::string const& what, routed_rows<W>& want, routed_rows<W>& got, std::vector<std::string>& failures) {
  auto const report = [&](char const* part, std::int64_t at) {
    if (at >= 0) failures.push_back(what + ": " + part + " differ at element " + std::to_string(at));
  };
  report("ids", first_difference(want.id, got.id));
  report("weights", first_difference(want.weight, got.weight));
  report("integer statistics", first_difference(want.stats.view().integers, got.stats.view().integers));
  report("real statistics", first_difference(want.stats.view().reals, got.stats.view().reals));
}

/// The policies alone, row by row on one lane: what every other way of running a router is held against.
template <class Router, class L, class W>
void route_plainly(Router const& router, router_workload<L> const& load, routed_rows<W>& result) {
  using R = arithmetic_t<L>;
  std::int64_t const n = load.experts;
  std::vector<R> numbers(static_cast<std::size_t>(Router::scratch_rows * n + result.slots));
  std::vector<std::int32_t> id(static_cast<std::size_t>(result.slots));
  auto a = Router::arrays(numbers.data(), n);
  a.slots = result.slots;
  a.weight = numbers.data() + Router::scratch_rows * n;
  a.id = id.data();
  std::int64_t const size = route::routing_stats_view::real_size(n);
  std::vector<double> runs(static_cast<std::size_t>((load.rows / run_items + 1) * size));
  for (std::int64_t t = 0; t < load.rows; ++t) {
    a.row = t;
    route::detail::load_logits(host_lane{}, load.view().row(t).data(), a.logit, n);
    auto const summary = router.forward(host_lane{}, a, true);
    route::detail::count_row(a, summary, result.stats.view().integers.data(), runs.data() + t / run_items * size);
    route::detail::store_row(host_lane{}, a, result.out().id.row(t).data(), result.out().weight.row(t).data());
  }
  route::detail::add_adjacent_pairs(runs.data(), (load.rows + run_items - 1) / run_items, size);
  for (std::int64_t i = 0; i < size; ++i) result.stats.view().reals[i] = runs[static_cast<std::size_t>(i)];
}

template <class Router, class L, class W>
void check_rows(Router const& router, router_workload<L> const& load, routed_rows<W> const& r, std::string const& what,
                std::vector<std::string>& failures) {
  auto const fail = [&](std::int64_t t, char const* text) { failures.push_back(what + ", row " + std::to_string(t) + ": " + text); };
  std::int64_t choices = 0;
  for (std::int64_t t = 0; t < r.rows; ++t) {
    bool usable = false;
    for (std::int64_t e = 0; e < load.experts; ++e) usable = usable || to_arithmetic(load.view()(t, e)) > -math::infinity<arithmetic_t<L>>();
    std::vector<bool> seen(static_cast<std::size_t>(load.experts));
    for (std::int64_t j = 0; j < r.slots; ++j) {
      auto const id = r.id[static_cast<std::size_t>(t * r.slots + j)];
      auto const w = to_arithmetic(r.weight[static_cast<std::size_t>(t * r.slots + j)]);
      if (id < -1 || id >= load.experts) {
        fail(t, "an id is out of range");
        continue;
      }
      if (w != w) fail(t, "a weight is NaN");
      if ((id == -1 || !usable) && !(w == 0)) fail(t, "an empty slot or a degenerate row has a weight");
      if (id == -1) continue;
      ++choices;
      if (!usable && router.on_degenerate == route::degenerate::no_experts) fail(t, "a degenerate row takes an expert");
      if (seen[static_cast<std::size_t>(id)]) fail(t, "an id appears twice");
      seen[static_cast<std::size_t>(id)] = true;
    }
  }
  route::routing_stats const& s = r.stats;
  std::int64_t counted = 0;
  for (std::int64_t c : s.count()) counted += c;
  if (s.choices() != choices || counted != choices) failures.push_back(what + ": choices do not add up");
  if (s.tokens() != r.rows) failures.push_back(what + ": tokens do not add up");
}

}  // namespace detail

/// Runs `router` over `load` on each host executor that `for_each_executor(f)` hands to f(name, executor), and returns what is wrong:
/// ids out of range or twice in a row, weights of empty slots, NaN weights, counts that do not add up, results that differ from the
/// policies run row by row, between executors, with and without statistics, or under a mask that keeps every row.
template <class W = float, class Router, class L, class ForEach>
std::vector<std::string> check_router(Router const& router, router_workload<L> const& load, ForEach const& for_each_executor) {
  std::vector<std::string> failures;
  std::int64_t const slots = router.slots(load.experts);
  routed_rows<W> first(load.rows, slots, load.experts), plain(load.rows, slots, load.experts);
  route::assign(serial, router, load.view(), first.out(), first.stats.view());
  std::string const what = load.name + ", " + std::to_string(load.rows) + " x " + std::to_string(load.experts);
  detail::check_rows(router, load, first, what, failures);
  detail::route_plainly(router, load, plain);
  detail::compare(what + ", policies row by row", plain, first, failures);
  for_each_executor([&](char const* name, auto const& ex) {
    routed_rows<W> other(load.rows, slots, load.experts), bare(load.rows, slots, load.experts);
    route::assign(ex, router, load.view(), other.out(), other.stats.view());
    detail::compare(what + ", " + name, first, other, failures);
    std::vector<std::uint8_t> const keep(static_cast<std::size_t>(load.rows), 1);
    bare.stats = first.stats;
    route::assign(ex, router, load.view(), bare.out(), route::row_mask{keep});
    detail::compare(what + ", " + name + ", masked, no statistics", first, bare, failures);
  });
  return failures;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
