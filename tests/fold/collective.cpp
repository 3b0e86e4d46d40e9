#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/fold/collective.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

using namespace fanfold;

namespace {

using floats = std::vector<float>;

}  // namespace

TEST_CASE("all_reduce and reduce_scatter: the left fold in ascending rank, everywhere the same bits") {
  constexpr int ranks = 5;
  local_mesh<ranks> const mesh;
  std::int64_t const n = 5 * 30;
  std::mt19937 engine(1);
  std::vector<floats> data(ranks, floats(n)), out(ranks, floats(n)), part(ranks, floats(n / ranks));
  for (auto& v : data)
    for (auto& x : v) x = static_cast<float>(engine() % 1000) / 7.0f - 60.0f;
  floats sum = data[0], largest = data[0];
  for (std::size_t r = 1; r < ranks; ++r)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += data[r][i], largest[i] = largest[i] < data[r][i] ? data[r][i] : largest[i];
  std::vector<view<float const>> const send(data.begin(), data.end());
  std::vector<view<float>> const all(out.begin(), out.end()), parts(part.begin(), part.end());
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    all_reduce(ex, mesh, plus<float>{}, send, all);
    for (auto const& o : out) CHECK(support::same_bits(o, sum));
    all_reduce(ex, mesh, maximum<float>{}, send, all);
    for (auto const& o : out) CHECK(support::same_bits(o, largest));
    reduce_scatter(ex, mesh, plus<float>{}, send, parts);
    for (std::size_t r = 0; r < ranks; ++r) CHECK(support::same_bits(part[r], floats(sum.begin() + static_cast<std::ptrdiff_t>(30 * r), sum.begin() + static_cast<std::ptrdiff_t>(30 * r + 30))));
  });
}
