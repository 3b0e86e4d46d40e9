#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"

/// \file
/// Batches of logits that make life hard for routers, for the checks of router_contract.hpp and for your own.

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

/// Smooth, skewed, tied, two-byte, extreme, signed-zero, subnormal, huge and non-finite logits of the given shape; the same for the same
/// seed.
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
  add("subnormal", [&](std::int64_t, std::int64_t) { return draw.number() * 1e-40f; });
  add("huge", [&](std::int64_t, std::int64_t) { return draw.number() < 0 ? draw.number() : 1e38f * draw.number(); });
  add("some not finite", [&](std::int64_t, std::int64_t) {
    auto const kind = draw() % 8;
    return kind == 0 ? math::quiet_nan<float>() : kind == 1 ? -inf : kind == 2 && draw() % 16 == 0 ? inf : draw.number();
  });
  add("mostly -infinity", [&](std::int64_t, std::int64_t) { return draw() % 8 == 0 ? draw.number() : -inf; });
  add("degenerate rows", [&](std::int64_t t, std::int64_t) { return t % 2 == 0 ? (draw() % 2 == 0 ? math::quiet_nan<float>() : -inf) : draw.number(); });
  return all;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
