#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Makes the row of items that an edge sends: `row(dst, src, edge)` gives an object whose `[column]` is the item. `sources()` is the
/// number of rows that `src` may name; `edges()`, where present, how many edges there must be; `columns()`, where present, the width.
template <class M>
concept message = requires(M const& m, std::int64_t i) {
  m.row(i, i, i)[i];
  { m.sources() } -> std::convertible_to<std::int64_t>;
};

namespace detail {

template <class T>
struct plain_row {
  T const* data;
  FANFOLD_HD constexpr T const& operator[](std::int64_t c) const { return data[c]; }
};

template <class T, class W>
struct scaled_row {
  T const* data;
  arithmetic_t<T> weight;
  FANFOLD_HD constexpr arithmetic_t<T> operator[](std::int64_t c) const { return weight * to_arithmetic(data[c]); }
};

template <class F>
struct computed_row {
  F const& f;
  std::int64_t dst, src, edge;
  FANFOLD_HD constexpr auto operator[](std::int64_t c) const { return f(dst, src, edge, c); }
};

template <class X>
using element_of = std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<X const&>().data())>>;

}  // namespace detail

/// The source's row as it is.
template <class T>
struct source_rows {
  matrix_view<T const> x{};

  FANFOLD_HD constexpr detail::plain_row<T> row(std::int64_t, std::int64_t src, std::int64_t) const { return {x.data() + src * x.stride()}; }
  FANFOLD_HD constexpr std::int64_t sources() const { return x.rows(); }
  FANFOLD_HD constexpr std::int64_t columns() const { return x.cols(); }
};
template <matrix_viewable X>
source_rows(X) -> source_rows<detail::element_of<X>>;

/// The source's row times the edge's weight; the product is rounded before it is folded. With `plus` this is a sparse matrix product.
template <class T, class W = arithmetic_t<T>>
struct weighted_source_rows {
  matrix_view<T const> x{};
  view<W const> weight{};

  FANFOLD_HD constexpr detail::scaled_row<T, W> row(std::int64_t, std::int64_t src, std::int64_t edge) const {
    return {x.data() + src * x.stride(), static_cast<arithmetic_t<T>>(to_arithmetic(weight.data()[edge]))};
  }
  FANFOLD_HD constexpr std::int64_t sources() const { return x.rows(); }
  FANFOLD_HD constexpr std::int64_t edges() const { return weight.size(); }
  FANFOLD_HD constexpr std::int64_t columns() const { return x.cols(); }
};
template <matrix_viewable X, viewable V>
weighted_source_rows(X, V const&) -> weighted_source_rows<detail::element_of<X>, detail::element_of<V>>;

/// A row of the edge's own.
template <class T>
struct edge_rows {
  matrix_view<T const> x{};

  FANFOLD_HD constexpr detail::plain_row<T> row(std::int64_t, std::int64_t, std::int64_t edge) const { return {x.data() + edge * x.stride()}; }
  FANFOLD_HD constexpr std::int64_t sources() const { return INT64_MAX; }
  FANFOLD_HD constexpr std::int64_t edges() const { return x.rows(); }
  FANFOLD_HD constexpr std::int64_t columns() const { return x.cols(); }
};
template <matrix_viewable X>
edge_rows(X) -> edge_rows<detail::element_of<X>>;

/// Items computed on the fly: `f(dst, src, edge, column)`, a functor with a FANFOLD_HD operator where devices shall run it.
template <class F>
struct edge_function {
  F f{};
  std::int64_t source_count = INT64_MAX;

  FANFOLD_HD constexpr detail::computed_row<F> row(std::int64_t dst, std::int64_t src, std::int64_t edge) const { return {f, dst, src, edge}; }
  FANFOLD_HD constexpr std::int64_t sources() const { return source_count; }
};
template <class F>
edge_function(F) -> edge_function<F>;
template <class F>
edge_function(F, std::int64_t) -> edge_function<F>;

}  // namespace fanfold::inline FANFOLD_ABI
