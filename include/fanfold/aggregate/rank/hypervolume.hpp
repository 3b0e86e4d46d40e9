#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/rank/detail/order.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

/// Points above the reference, moved so that it is the origin; stored one after the other.
struct point_set {
  std::int64_t objectives = 0;
  std::vector<double> value{};

  std::int64_t size() const { return objectives == 0 ? 0 : static_cast<std::int64_t>(value.size()) / objectives; }
  double operator()(std::int64_t i, std::int64_t c) const { return value[static_cast<std::size_t>(i * objectives + c)]; }
  std::vector<std::int32_t> descending(std::int64_t c) const {
    return ascending_ids(size(), [&](std::int32_t i) { return -(*this)(i, c); });
  }
};

inline double hypervolume_1d(point_set const& p) {
  double most = 0;
  for (double v : p.value) most = v > most ? v : most;
  return most;
}

inline double hypervolume_2d(point_set const& p) {
  double volume = 0, height = 0;
  for (std::int32_t i : p.descending(0)) {
    if (p(i, 1) <= height) continue;
    volume += p(i, 0) * (p(i, 1) - height);
    height = p(i, 1);
  }
  return volume;
}

/// The union of rectangles [0, x] x [0, y]: its corners by descending x, so ascending y, and its area.
class staircase {
 public:
  double area() const { return area_; }
  void add(double x, double y) {
    std::size_t first = 0, end = corner_.size();  // the first corner with x at most ours
    while (first < end) {
      std::size_t const middle = (first + end) / 2;
      if (corner_[middle].x > x)
        first = middle + 1;
      else
        end = middle;
    }
    double const right = first < corner_.size() && corner_[first].x == x ? corner_[first].y : 0;
    double const below = first > 0 ? corner_[first - 1].y : 0;
    if (y <= below || y <= right) return;
    // corners from `first` on that are not higher disappear under the new one
    double height = below;
    std::size_t last = first;
    for (; last < corner_.size() && corner_[last].y <= y; ++last) {
      area_ -= corner_[last].x * (corner_[last].y - height);
      height = corner_[last].y;
    }
    if (last < corner_.size()) area_ -= corner_[last].x * (y - height);
    area_ += x * (y - below);
    if (last == first) {
      corner_.insert(corner_.begin() + static_cast<std::ptrdiff_t>(first), {x, y});
      return;
    }
    corner_[first] = {x, y};
    corner_.erase(corner_.begin() + static_cast<std::ptrdiff_t>(first + 1), corner_.begin() + static_cast<std::ptrdiff_t>(last));
  }

 private:
  struct corner {
    double x, y;
  };
  std::vector<corner> corner_;
  double area_ = 0;
};

inline double hypervolume_3d(point_set const& p) {
  auto const order = p.descending(2);
  staircase seen;
  double volume = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    seen.add(p(order[k], 0), p(order[k], 1));
    volume += seen.area() * (p(order[k], 2) - (k + 1 < order.size() ? p(order[k + 1], 2) : 0));
  }
  return volume;
}

inline double hypervolume_of(point_set const& p);

/// Sum over points, in descending order of the last objective, of what each adds to those before it: its box less the part that they cover,
/// which is the hypervolume of the same points cut down to the box, one objective less. While et al., WFG, 2012.
inline double hypervolume_recursive(point_set const& p) {
  auto order = p.descending(p.objectives - 1);
  double volume = 0;
  for (std::size_t k = order.size(); k-- > 0;) {
    std::int32_t const i = order[k];
    // points of greater last objective cover the whole depth of this box
    point_set cut{p.objectives - 1, {}};
    double base = 1;
    for (std::int64_t c = 0; c + 1 < p.objectives; ++c) base *= p(i, c);
    for (std::size_t j = 0; j < k; ++j)
      for (std::int64_t c = 0; c + 1 < p.objectives; ++c) cut.value.push_back(p(order[j], c) < p(i, c) ? p(order[j], c) : p(i, c));
    volume += (base - hypervolume_of(cut)) * p(i, p.objectives - 1);
  }
  return volume;
}

inline double hypervolume_of(point_set const& p) {
  if (p.size() == 0) return 0;
  switch (p.objectives) {
    case 1:
      return hypervolume_1d(p);
    case 2:
      return hypervolume_2d(p);
    case 3:
      return hypervolume_3d(p);
    default:
      return hypervolume_recursive(p);
  }
}

}  // namespace detail

/// The measure of the union of the boxes [reference, point] for rows of `points` [n, m]; more is better. Points that are not above the
/// reference in every objective (or have NaN) do not count. No points: 0.
/// m = 2: sort and sweep; m = 3: a sweep over a staircase, O(n log n) and moves of memory; more: recursive exclusive parts, exponential in
/// m. \throws argument_error for a reference of another length or not finite, infinite points, no objectives.
template <matrix_viewable X, viewable Reference>
double hypervolume(X const& points, Reference const& reference) {
  auto const p = as_const(as_matrix_view(points));
  auto const r = as_const(as_view(reference));
  check_argument(r.size() >= 1, "hypervolume", "number of objectives", r.size(), "1 or more");
  check_argument(p.cols() == r.size(), "hypervolume", "points.cols()", p.cols(), "the length of the reference");
  for (std::int64_t c = 0; c < r.size(); ++c) check_argument(r[c] - r[c] == 0, "hypervolume", "reference", r[c], "finite");
  detail::point_set set{r.size(), {}};
  for (std::int64_t i = 0; i < p.rows(); ++i) {
    bool above = true;
    for (std::int64_t c = 0; c < r.size(); ++c) {
      above = above && p(i, c) > r[c];
      check_argument(!(p(i, c) - p(i, c) != 0) || p(i, c) != p(i, c), "hypervolume", "a point", p(i, c), "not infinite");
    }
    for (std::int64_t c = 0; c < r.size() && above; ++c) set.value.push_back(static_cast<double>(p(i, c)) - static_cast<double>(r[c]));
  }
  return detail::hypervolume_of(set);
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
