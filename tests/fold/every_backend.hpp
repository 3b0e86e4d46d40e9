#pragma once

// A seeded fuzz of the fold loops: random sizes, offsets with empty segments, widths and carriers give the same bits on every backend.

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace every_backend {

using support::same_bits;

/// Calls f(name, ex) for every host executor and for an emulated device.
template <class F>
void for_each_backend(support::lcg& g, F&& f) {
  support::for_each_executor(f);
  fanfold::workspace ws;
  unsigned const threads = 32u << g.below(4);
  fanfold::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 1 + g.below(4), .descending = g.below(2) == 0});
  f("emulated device", ex);
}

// Mostly moderate sizes, sometimes large, often around a boundary of the trees.
inline std::int64_t any_size(support::lcg& g) {
  std::int64_t const around[] = {0, 1, 32, 64, 2048, 4096, 65536};
  if (g.below(2) == 0) {
    std::int64_t const n = around[g.below(7)] + g.below(5) - 2;
    return n < 0 ? 0 : n;
  }
  return g.below(g.below(8) == 0 ? 150000 : 3000);
}

inline float any_value(support::lcg& g) {
  std::int64_t const kind = g.below(40);
  if (kind == 0) return -0.0f;
  if (kind == 1) return 1e-41f;
  if (kind == 2) return 1e30f * g.real();
  return g.real();
}

inline std::vector<float> any_values(support::lcg& g, std::int64_t n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = any_value(g);
  if (n > 0 && g.below(10) == 0) x[static_cast<std::size_t>(g.below(n))] = g.below(2) == 0 ? __builtin_nanf("") : __builtin_inff();
  return x;
}

template <class A>
void fuzz_fold(support::lcg& g, A const& a) {
  auto const x = any_values(g, any_size(g));
  CAPTURE(x.size());
  std::vector<float> expected(1), out(1);
  fanfold::fold(a, x, expected);
  for_each_backend(g, [&](char const* name, auto const& ex) {
    CAPTURE(name);
    fanfold::fold(ex, a, x, out);
    CHECK(same_bits(out, expected));
  });
}

template <class A>
void fuzz_segments(support::lcg& g, A const& a) {
  std::int64_t const width = 1 + g.below(g.below(3) == 0 ? 70 : 5), segments = g.below(40);
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t s = 0; s < segments; ++s) {
    std::int64_t const kind = g.below(12);
    offsets.push_back(offsets.back() + (kind < 3 ? 0 : kind == 3 ? any_size(g) % 5000 : g.below(70)));
  }
  std::int64_t const rows = offsets.back() + g.below(3);
  auto const data = any_values(g, rows * width);
  CAPTURE(rows);
  CAPTURE(width);
  fanfold::matrix_view<float const> const x(data.data(), rows, width);
  std::vector<float> expected(static_cast<std::size_t>(segments * width)), out(expected.size());
  auto const policy = fanfold::empty_policy::value{-7.0f};
  fanfold::segmented_fold(a, x, offsets, fanfold::matrix_view<float>(expected.data(), segments, width), policy);
  for_each_backend(g, [&](char const* name, auto const& ex) {
    CAPTURE(name);
    fanfold::segmented_fold(ex, a, x, offsets, fanfold::matrix_view<float>(out.data(), segments, width), policy);
    CHECK(same_bits(out, expected));
  });

  std::vector<std::int32_t> index(static_cast<std::size_t>(rows));
  for (auto& i : index) i = static_cast<std::int32_t>(g.below(segments + 1)) - 1;
  fanfold::scatter_fold(a, index, x, fanfold::matrix_view<float>(expected.data(), segments, width));
  for_each_backend(g, [&](char const* name, auto const& ex) {
    CAPTURE(name);
    fanfold::scatter_fold(ex, a, index, x, fanfold::matrix_view<float>(out.data(), segments, width));
    CHECK(same_bits(out, expected));
  });
}

template <class A>
void fuzz_scan(support::lcg& g, A const& a) {
  auto const x = any_values(g, any_size(g));
  auto const kind = g.below(2) == 0 ? fanfold::scan_kind::inclusive : fanfold::scan_kind::exclusive;
  CAPTURE(x.size());
  std::vector<float> expected(x.size()), out(x.size());
  fanfold::scan(a, x, expected, kind);
  for_each_backend(g, [&](char const* name, auto const& ex) {
    CAPTURE(name);
    fanfold::scan(ex, a, x, out, kind);
    CHECK(same_bits(out, expected));
  });
}

template <class A>
void fuzz(A const& a, std::uint64_t seed) {
  support::lcg g(seed);
  for (int round = 0; round < 25; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    fuzz_fold(g, a);
    fuzz_segments(g, a);
    fuzz_scan(g, a);
  }
}

}  // namespace every_backend
