#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Strictly increasing finite edges e_0 .. e_B; bin i is [e_i, e_(i+1)), the last one closed.
class bin_edges {
 public:
  /// \throws argument_error unless there are two edges or more, finite and strictly increasing.
  explicit bin_edges(std::vector<double> edges) : edges_(std::move(edges)) {
    check_argument(edges_.size() >= 2, "histogram", "count of edges", edges_.size(), "2 or more");
    for (std::size_t i = 0; i < edges_.size(); ++i)
      check_argument(is_finite(edges_[i]) && (i == 0 || edges_[i - 1] < edges_[i]), "histogram", "edge", edges_[i],
                     "finite and above the edge before it");
  }
  /// `bins` bins of equal width.
  static bin_edges uniform(double low, double high, std::int64_t bins) {
    check_argument(bins >= 1, "histogram", "bins", bins, "1 or more");
    std::vector<double> edges;
    for (std::int64_t i = 0; i < bins; ++i)
      edges.push_back(low + (high - low) * static_cast<double>(i) / static_cast<double>(bins));
    edges.push_back(high);
    bin_edges e(std::move(edges));
    e.per_width_ = static_cast<double>(bins) / (high - low);
    return e;
  }

  std::int64_t bins() const { return static_cast<std::int64_t>(edges_.size()) - 1; }
  std::vector<double> const& edges() const { return edges_; }

  /// The bin of x, -1 below the first edge, bins() above the last; x is no NaN.
  std::int64_t operator()(double x) const {
    std::int64_t const last = bins();
    if (x < edges_.front()) return -1;
    if (x > edges_.back()) return last;
    if (x == edges_.back()) return last - 1;
    if (per_width_ == 0.0) return search(x);
    // the product may be off by one at an edge
    auto i = static_cast<std::int64_t>((x - edges_.front()) * per_width_);
    i = i < 0 ? 0 : i >= last ? last - 1 : i;
    while (x < edge(i)) --i;
    while (x >= edge(i + 1)) ++i;
    return i;
  }

  bool operator==(bin_edges const&) const = default;

 private:
  double edge(std::int64_t i) const { return edges_[static_cast<std::size_t>(i)]; }
  std::int64_t search(double x) const {
    std::int64_t low = 0, high = bins();
    while (high - low > 1) {
      std::int64_t const mid = (low + high) / 2;
      (x < edge(mid) ? high : low) = mid;
    }
    return low;
  }

  std::vector<double> edges_;
  double per_width_ = 0.0;
};

/// What fell into the bins and beside them.
template <class Count>
struct histogram_state {
  std::vector<Count> bins;
  Count below{};
  Count above{};
  Count nan{};

  template <class Same>
  constexpr bool matches(histogram_state const& other, Same const& same) const {
    return same(bins, other.bins) && same(below, other.below) && same(above, other.above) && same(nan, other.nan);
  }
};

namespace detail {

/// One aggregator a bin.
template <class A>
class histogram_of {
 public:
  using state = histogram_state<typename A::state>;
  using output = histogram_state<typename A::output>;

  explicit histogram_of(bin_edges edges) : edges_(std::move(edges)) {}

  bin_edges const& edges() const { return edges_; }
  state identity() const {
    auto const none = A{}.identity();
    return {std::vector<typename A::state>(static_cast<std::size_t>(edges_.bins()), none), none, none, none};
  }
  state combine(state const& a, state const& b) const {
    check_argument(a.bins.size() == b.bins.size(), "histogram", "bins of an operand", b.bins.size(), "those of the other");
    state s = a;
    for (std::size_t i = 0; i < s.bins.size(); ++i) s.bins[i] = A{}.combine(a.bins[i], b.bins[i]);
    s.below = A{}.combine(a.below, b.below);
    s.above = A{}.combine(a.above, b.above);
    s.nan = A{}.combine(a.nan, b.nan);
    return s;
  }
  output lower(state const& s) const {
    output y{{}, A{}.lower(s.below), A{}.lower(s.above), A{}.lower(s.nan)};
    for (auto const& bin : s.bins) y.bins.push_back(A{}.lower(bin));
    return y;
  }

 protected:
  typename A::state& slot(state& s, double x) const {
    if (is_nan(x)) return s.nan;
    std::int64_t const i = edges_(x);
    return i < 0 ? s.below : i == edges_.bins() ? s.above : s.bins[static_cast<std::size_t>(i)];
  }

 private:
  bin_edges edges_;
};

struct counter {
  using state = std::uint64_t;
  using output = std::uint64_t;
  static constexpr law laws = law::none;
  static constexpr state identity() { return 0; }
  static constexpr state combine(state a, state b) { return a + b; }
  static constexpr output lower(state s) { return s; }
};

}  // namespace detail

/// Counts of items a bin, and of those below, above and NaN (host only). Merging histograms of different size is an argument_error.
struct histogram : detail::histogram_of<detail::counter> {
  using base = detail::histogram_of<detail::counter>;
  using input = double;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;
  using base::base;

  state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  void absorb(state& s, input const& x) const { ++slot(s, x); }
  state fold_block(view<input const> x) const {
    state s = identity();
    for (double const v : x) ++slot(s, v);
    return s;
  }
  state subtract(state const& whole, state const& part) const {
    state s = whole;
    for (std::size_t i = 0; i < s.bins.size(); ++i) s.bins[i] -= part.bins[i];
    s.below -= part.below;
    s.above -= part.above;
    s.nan -= part.nan;
    return s;
  }
};

/// Sums of weights a bin, by binned_sum: the same bits for every order of the items (host only).
struct weighted_histogram : detail::histogram_of<binned_sum<double>> {
  using base = detail::histogram_of<binned_sum<double>>;
  using input = weighted<double>;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;
  static constexpr std::uint64_t max_items = item_limit<binned_sum<double>>;
  using base::base;

  state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  void absorb(state& s, input const& x) const { binned_sum<double>{}.absorb(slot(s, x.value), x.weight); }
};

}  // namespace fanfold::inline FANFOLD_ABI
