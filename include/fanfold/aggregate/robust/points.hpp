#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/robust/compose.hpp"
#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/staged.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/fold/gram.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/mixed_coordinate_fold.hpp"

// The passes over the rows that robust rules are made of: all of them are calls of coordinate_fold, gram and map_fold.
namespace fanfold::inline FANFOLD_ABI::aggregate::detail {

/// Memory that host code works in: the call's workspace on the host, a heap of its own beside a device.
template <executor E>
class host_memory {
 public:
  explicit host_memory(workspace& ws) : used_(host_executor<E> ? &ws : &own_) {}
  workspace& get() { return *used_; }

 private:
  workspace own_;
  workspace* used_;
};

/// Rows, then the origin (d zeros), then the previous output, as a table of addresses in host memory.
template <class T>
struct point_table {
  T const** address = nullptr;
  std::int64_t n = 0, points = 0, d = 0;
  std::int64_t origin = -1, previous = -1;

  rows_view<T const> rows() const { return {address, n, d}; }
  rows_view<T const> all() const { return {address, points, d}; }
};

template <executor E, class T>
point_table<T> make_points(E const& ex, rows_view<T const> const& rows, view<T const> previous, needs what, workspace::frame& device,
                           workspace::frame& host) {
  point_table<T> p{.address = nullptr, .n = rows.rows(), .points = rows.rows(), .d = rows.cols()};
  p.address = host.template take<T const*>(rows.rows() + 2).data();
  for (std::int64_t i = 0; i < p.n; ++i) p.address[i] = rows.row_data(i);
  if (includes(what, needs::norms)) {
    view<T> const zero = device.template take<T>(p.d);
    if constexpr (device_executor<E>)
      fill(ex, zero, T{});
    else
      for (T& x : zero) x = T{};
    p.address[p.origin = p.points++] = zero.data();
  }
  if (previous.data() != nullptr) p.address[p.previous = p.points++] = previous.data();
  return p;
}

/// gram with an answer that host code can read.
template <executor E, class P, class T>
void host_gram(E const& ex, P const& form, rows_view<T const> const& x, rows_view<T const> const& y, bool square, matrix_view<double> out, workspace& ws) {
  workspace::frame frame(ws);
  matrix_view<double> target = out;
  if constexpr (device_executor<E>) target = take_matrix(frame, out.rows(), out.cols());
  if (square)
    gram(ex, form, x, target, ws);
  else
    gram(ex, form, x, y, target, ws);
  if constexpr (device_executor<E>) fetch(ex, view<double const>(target.data(), out.rows() * out.cols()), view<double>(out.data(), out.rows() * out.cols()));
}

/// Sums over coordinates that the geometry starts from; entries of shards add up.
struct geometry_sums {
  matrix_view<double> distance{};
  matrix_view<double> product{};
};

inline geometry_sums take_sums(needs what, std::int64_t points, workspace::frame& frame) {
  geometry_sums s;
  if (includes(what, needs::distances | needs::one_distance) || (includes(what, needs::norms) && !includes(what, needs::products)))
    s.distance = take_matrix(frame, points, points);
  if (includes(what, needs::products)) s.product = take_matrix(frame, points, points);
  return s;
}

/// Squared distances to one point, into the row and column of that point; all else is 0.
template <executor E, class T>
void one_column(E const& ex, point_table<T> const& p, std::int64_t to, matrix_view<double> d, workspace::frame& frame, workspace& ws) {
  view<double> const column = frame.take<double>(p.points);
  host_gram(ex, squared_distances{}, p.all(), rows_view<T const>(p.address + to, 1, p.d), false, matrix_view<double>(column.data(), p.points, 1), ws);
  set(d, 0);
  for (std::int64_t i = 0; i < p.points; ++i)
    if (i != to) d(i, to) = d(to, i) = column[i];
}

/// The one point to which distances are needed, -1: all pairs.
template <class R, class T>
std::int64_t single_column(R const& rule, needs what, point_table<T> const& p) {
  if (includes(what, needs::distances)) return -1;
  if constexpr (requires { rule.distances_to(); })
    return rule.distances_to();
  else
    return !is_composed<R> && p.previous >= 0 ? p.previous : p.origin;
}

template <executor E, class R, class T>
void measure(E const& ex, R const& rule, needs what, point_table<T> const& p, geometry_sums const& s, workspace::frame& host, workspace& ws) {
  if (!s.distance.empty()) {
    if (std::int64_t const to = single_column(rule, what, p); to >= 0)
      one_column(ex, p, to, s.distance, host, ws);
    else
      host_gram(ex, squared_distances{}, p.all(), p.all(), true, s.distance, ws);
  }
  if (s.product.empty()) return;
  if (p.previous >= 0)
    host_gram(ex, centred_products{p.previous}, p.all(), p.all(), true, s.product, ws);
  else
    host_gram(ex, dot_products{}, p.all(), p.all(), true, s.product, ws);
}

/// Marks the rows that are not finite. Only rows that no partner vouches for need a look of their own: `is_finite(i)`.
template <class F>
void find_finite(row_geometry& g, needs what, std::int64_t column, F const& is_finite) {
  std::int64_t const n = g.rows, p = g.points();
  auto const bad = [](double x) { return !(x - x == 0); };
  for (std::int64_t i = 0; i < p; ++i) g.finite[i] = 1;
  if (!g.product.empty())
    for (std::int64_t i = 0; i < n; ++i) g.finite[i] = !bad(g.product(i, i));
  if (!g.distance.empty() && column >= 0) {
    bool vouched = column >= n;
    for (std::int64_t i = 0; i < n; ++i) vouched |= i != column && !bad(g.distance(i, column));
    if (vouched) {
      for (std::int64_t i = 0; i < n; ++i) g.finite[i] &= !bad(g.distance(i, column));
    } else {
      for (std::int64_t i = 0; i < n; ++i) g.finite[i] &= is_finite(i);
    }
    return;
  }
  if (includes(what, needs::distances) && !g.distance.empty()) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = n; j < p; ++j) g.finite[i] &= !bad(g.distance(i, j));
    for (;;) {  // leave out the row with the most partners at no finite distance, until none is left
      std::int64_t worst = -1, most = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t count = 0;
        for (std::int64_t j = 0; j < n && g.finite[i]; ++j) count += g.finite[j] && bad(g.distance(i, j));
        if (count > 0 && count >= most) {
          most = count;
          worst = i;
        }
      }
      if (worst < 0) break;
      g.finite[worst] = 0;
    }
    if (p > n || !g.product.empty() || g.finite_rows() != 1) return;
  } else if (!g.product.empty() || n != 1) {
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) g.finite[i] = is_finite(i);
}

inline void settle(row_geometry& g) {
  for (std::int64_t i = 0; i < g.points(); ++i)
    for (std::int64_t j = 0; j < g.points(); ++j) {
      if (g.finite[i] && g.finite[j]) continue;
      if (!g.distance.empty()) g.distance(i, j) = i == j ? 0 : infinite;
      if (!g.product.empty()) g.product(i, j) = 0;
    }
}

/// out := sum of weight_i x_i over the points with a weight that is not 0 (so that a row of NaN does not matter).
template <executor E, class T, class Out>
void weighted_points(E const& ex, point_table<T> const& p, view<double const> weight, view<Out> out, workspace::frame& host, workspace& ws) {
  using A = arithmetic_t<T>;
  workspace::frame frame(ws);
  T const** const address = host.take<T const*>(p.points).data();
  staged<A> w(ex, frame, p.points);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < p.points; ++i)
    if (auto const a = static_cast<A>(weight[i]); a != 0 && i != p.origin) {
      address[count] = p.address[i];
      w.host()[count++] = a;
    }
  element_range const whole[1] = {{0, p.d}};
  map_fold(ex, weighted_sum<A>{w.publish(ex)}, rows_view<T const>(address, count, p.d), rows_view<Out>(matrix_view<Out>(out.data(), 1, p.d)), whole, ws);
}

/// Rows of mixtures of points, for any coordinates [begin, begin + count).
template <executor E, class T>
class mixed_rows {
  using A = arithmetic_t<T>;

 public:
  mixed_rows(E const& ex, point_table<T> const& p, matrix_view<double const> m, view<std::int32_t const> ids, workspace::frame& host, workspace::frame& device)
      : points_(p), rows_(ids.empty() ? m.rows() : ids.size()), address_(host.template take<T const*>(p.points).data()),
        offsets_(ex, device, rows_ + 1), ids_(ex, device, rows_ * p.points), weights_(ex, device, rows_ * p.points) {
    std::int64_t e = 0;
    for (std::int64_t i = 0; i < rows_; ++i) {
      offsets_.host()[i] = e;
      std::int64_t const row = ids.empty() ? i : ids[i];
      for (std::int64_t k = 0; k < p.points; ++k)
        if (auto const a = static_cast<A>(m(row, k)); a != 0 && k != p.origin) {
          ids_.host()[e] = static_cast<std::int32_t>(k);
          weights_.host()[e++] = a;
        }
    }
    offsets_.host()[rows_] = e;
    offset_ = offsets_.publish(ex);
    id_ = ids_.publish(ex).subview(0, e);
    weight_ = weights_.publish(ex).subview(0, e);
  }
  std::int64_t rows() const { return rows_; }
  row_mixture<T> recipe() const { return {points_.address, points_.points, points_.d, offset_, id_, weight_}; }

  template <class U>
  void write(E const& ex, std::int64_t begin, std::int64_t count, rows_view<U> const& to, workspace& ws) const {
    for (std::int64_t k = 0; k < points_.points; ++k) address_[k] = points_.address[k] + begin;
    element_range const whole[1] = {{0, count}};
    map_fold(ex, weighted_sum<A>{weight_}, row_lists<T const>{rows_view<T const>(address_, points_.points, count), offset_, id_}, to, whole, ws);
  }

 private:
  point_table<T> const& points_;
  std::int64_t rows_;
  T const** address_;
  staged<std::int64_t> offsets_;
  staged<std::int32_t> ids_;
  staged<A> weights_;
  view<std::int64_t const> offset_{};
  view<std::int32_t const> id_{};
  view<A const> weight_{};
};

inline constexpr std::int64_t mixed_block = 32768;  // coordinates of mixed rows that exist at a time on a device

/// A coordinate rule over mixtures of points.
template <executor E, class R, class T, class Out>
void fold_mixed(E const& ex, R const& rule, point_table<T> const& p, matrix_view<double const> m, view<std::int32_t const> ids, view<Out> out,
                nonfinite policy, workspace::frame& host, workspace& ws) {
  using A = arithmetic_t<T>;
  workspace::frame frame(ws);
  mixed_rows<E, T> const mixed(ex, p, m, ids, host, frame);
  if constexpr (host_executor<E>) return mixed_coordinate_fold(ex, rule, mixed.recipe(), out, policy, ws);
  std::int64_t const width = p.d < mixed_block ? p.d : mixed_block;
  matrix_view<A> const block(frame.take<A>(mixed.rows() * width).data(), mixed.rows(), width);
  for (std::int64_t begin = 0; begin < p.d; begin += width) {
    std::int64_t const count = p.d - begin < width ? p.d - begin : width;
    matrix_view<A> const now(block.data(), block.rows(), count, width);
    mixed.write(ex, begin, count, rows_view<A>(now), ws);
    coordinate_fold(ex, rule, rows_view<A const>(now), out.subview(begin, count), policy, ws);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate::detail
