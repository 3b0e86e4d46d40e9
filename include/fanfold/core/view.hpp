#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class X>
concept has_data_and_size = requires(X& x) {
  { x.data() } -> std::convertible_to<void const*>;
  { x.size() } -> std::convertible_to<std::size_t>;
};

}  // namespace detail

template <class T>
class view;

namespace detail {

template <class X>
inline constexpr bool is_view = false;
template <class T>
inline constexpr bool is_view<view<T>> = true;

}  // namespace detail

/// Contiguous elements somewhere in host or device memory, not owned. Sizes and indices are signed 64-bit.
template <class T>
class view {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr view() = default;
  FANFOLD_HD constexpr view(T* data, std::int64_t size) : data_(data), size_(size) {}

  template <std::size_t N>
  FANFOLD_HD constexpr view(T (&array)[N]) : data_(array), size_(static_cast<std::int64_t>(N)) {}

  template <class U>
    requires(!std::same_as<U, T> && std::convertible_to<U (*)[], T (*)[]>)
  FANFOLD_HD constexpr view(view<U> other) : data_(other.data()), size_(other.size()) {}

  /// From any contiguous range with data() and size(): std::vector, std::array, std::span.
  template <class X>
    requires(!detail::is_view<std::remove_cvref_t<X>> && detail::has_data_and_size<std::remove_reference_t<X>> &&
             std::convertible_to<std::remove_pointer_t<decltype(std::declval<X&>().data())> (*)[], T (*)[]>)
  constexpr view(X&& x) : data_(x.data()), size_(static_cast<std::int64_t>(x.size())) {}

  FANFOLD_HD constexpr T* data() const { return data_; }
  FANFOLD_HD constexpr std::int64_t size() const { return size_; }
  FANFOLD_HD constexpr bool empty() const { return size_ == 0; }
  FANFOLD_HD constexpr T* begin() const { return data_; }
  FANFOLD_HD constexpr T* end() const { return data_ + size_; }

  template <std::integral Index>
  FANFOLD_HD constexpr T& operator[](Index i) const {
    FANFOLD_ASSERT(static_cast<std::int64_t>(i) >= 0 && static_cast<std::int64_t>(i) < size_);
    return data_[static_cast<std::int64_t>(i)];
  }

  /// The `count` elements from `first` on.
  FANFOLD_HD constexpr view subview(std::int64_t first, std::int64_t count) const {
    FANFOLD_ASSERT(first >= 0 && count >= 0 && first + count <= size_);
    return {data_ + first, count};
  }

 private:
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

template <class X>
  requires detail::has_data_and_size<std::remove_reference_t<X>>
view(X&&) -> view<std::remove_pointer_t<decltype(std::declval<X&>().data())>>;

/// Rows of equal length at a constant distance; the elements of a row are contiguous.
template <class T>
class matrix_view {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr matrix_view() = default;
  FANFOLD_HD constexpr matrix_view(T* data, std::int64_t rows, std::int64_t cols)
      : data_(data), rows_(rows), cols_(cols), stride_(cols) {}
  FANFOLD_HD constexpr matrix_view(T* data, std::int64_t rows, std::int64_t cols, std::int64_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}

  template <class U>
    requires(!std::same_as<U, T> && std::convertible_to<U (*)[], T (*)[]>)
  FANFOLD_HD constexpr matrix_view(matrix_view<U> other)
      : data_(other.data()), rows_(other.rows()), cols_(other.cols()), stride_(other.stride()) {}

  FANFOLD_HD constexpr T* data() const { return data_; }
  FANFOLD_HD constexpr std::int64_t rows() const { return rows_; }
  FANFOLD_HD constexpr std::int64_t cols() const { return cols_; }
  /// Elements from one row to the next.
  FANFOLD_HD constexpr std::int64_t stride() const { return stride_; }
  FANFOLD_HD constexpr bool empty() const { return rows_ == 0 || cols_ == 0; }

  FANFOLD_HD constexpr view<T> row(std::int64_t r) const {
    FANFOLD_ASSERT(r >= 0 && r < rows_);
    return {data_ + r * stride_, cols_};
  }
  FANFOLD_HD constexpr T& operator()(std::int64_t r, std::int64_t c) const {
    FANFOLD_ASSERT(r >= 0 && r < rows_ && c >= 0 && c < cols_);
    return data_[r * stride_ + c];
  }
  /// Rows [first, first + count).
  FANFOLD_HD constexpr matrix_view sub_rows(std::int64_t first, std::int64_t count) const {
    FANFOLD_ASSERT(first >= 0 && count >= 0 && first + count <= rows_);
    return {data_ + first * stride_, count, cols_, stride_};
  }

 private:
  T* data_ = nullptr;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t stride_ = 0;
};

/// n equally long rows at unrelated addresses (models, clients): base and stride, or a table of row pointers in host memory.
template <class T>
class rows_view {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr rows_view() = default;
  constexpr rows_view(matrix_view<T> m) : base_(m.data()), step_(m.stride()), rows_(m.rows()), cols_(m.cols()) {}
  template <class U>
    requires(!std::same_as<U, T> && std::convertible_to<U (*)[], T (*)[]>)
  constexpr rows_view(matrix_view<U> m) : rows_view(matrix_view<T>(m)) {}
  template <class U>
    requires(!std::same_as<U, T> && std::convertible_to<U (*)[], T (*)[]>)
  constexpr rows_view(rows_view<U> const& r) : base_(r.base()), table_(r.table()), step_(r.step()), rows_(r.rows()), cols_(r.cols()) {}

  /// `table[i]` points to row i; the table must outlive the view.
  constexpr rows_view(T* const* table, std::int64_t rows, std::int64_t cols)
      : table_(table), step_(sizeof(T*)), rows_(rows), cols_(cols) {}
  /// `{a, b, c}`: the list lives to the end of the full expression, which is what a call needs. Rows must be equally long.
  constexpr rows_view(std::initializer_list<view<T>> list) : rows_view(list.begin(), static_cast<std::int64_t>(list.size())) {}
  constexpr rows_view(view<T> const* list, std::int64_t rows)
      : table_(list), step_(sizeof(view<T>)), rows_(rows), cols_(rows == 0 ? 0 : list[0].size()) {
    for (std::int64_t i = 0; i < rows; ++i)
      check_argument(list[i].size() == cols_, "rows_view", "length of a row", list[i].size(), "the length of the first row");
  }

  constexpr std::int64_t rows() const { return rows_; }
  constexpr std::int64_t cols() const { return cols_; }
  constexpr bool empty() const { return rows_ == 0 || cols_ == 0; }

  T* row_data(std::int64_t r) const {
    FANFOLD_ASSERT(r >= 0 && r < rows_);
    if (table_ == nullptr) return base_ + r * step_;
    return *reinterpret_cast<T* const*>(static_cast<std::byte const*>(table_) + r * step_);  // a view begins with its pointer
  }
  view<T> row(std::int64_t r) const { return {row_data(r), cols_}; }
  view<T> operator[](std::int64_t r) const { return row(r); }

  /// Null where the rows come from a table.
  constexpr T* base() const { return base_; }
  constexpr void const* table() const { return table_; }
  /// Elements between rows (base form) or bytes between table entries (table form).
  constexpr std::int64_t step() const { return step_; }

 private:
  T* base_ = nullptr;
  void const* table_ = nullptr;
  std::int64_t step_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};
static_assert(std::is_standard_layout_v<view<float>>);

/// Compressed sparse rows: row r holds entries [offsets[r], offsets[r+1]) of `ids` and, where present, of `values`.
template <class T = float>
struct csr_view {
  view<std::int64_t const> offsets{};
  view<std::int32_t const> ids{};
  view<T const> values{};

  FANFOLD_HD constexpr std::int64_t rows() const { return offsets.size() == 0 ? 0 : offsets.size() - 1; }
  FANFOLD_HD constexpr std::int64_t entries() const { return ids.size(); }
  FANFOLD_HD constexpr bool weighted() const { return values.data() != nullptr; }
};

namespace detail {

template <class X>
concept matrix_like = requires(X const& x) {
  { x.data() } -> std::convertible_to<void const*>;
  { x.rows() } -> std::convertible_to<std::int64_t>;
  { x.cols() } -> std::convertible_to<std::int64_t>;
  { x.stride() } -> std::convertible_to<std::int64_t>;
};

template <class X>
inline constexpr bool is_rows_view = false;
template <class T>
inline constexpr bool is_rows_view<rows_view<T>> = true;

}  // namespace detail

/// Anything that converts to a view: C arrays, std::vector, std::span, view.
template <class X>
concept viewable = std::is_array_v<std::remove_reference_t<X>> || detail::has_data_and_size<std::remove_reference_t<X>>;
/// Anything with data(), rows(), cols() and stride().
template <class X>
concept matrix_viewable = detail::matrix_like<std::remove_cvref_t<X>>;
/// A rows_view, or a matrix whose rows it can refer to.
template <class X>
concept rows_viewable = detail::is_rows_view<std::remove_cvref_t<X>> || matrix_viewable<X>;

template <class T, std::size_t N>
constexpr view<T> as_view(T (&x)[N]) {
  return {x, static_cast<std::int64_t>(N)};
}
template <class X>
  requires detail::has_data_and_size<std::remove_reference_t<X>>
constexpr auto as_view(X&& x) {
  return view<std::remove_pointer_t<decltype(x.data())>>(x.data(), static_cast<std::int64_t>(x.size()));
}
template <matrix_viewable X>
constexpr auto as_matrix_view(X&& x) {
  return matrix_view<std::remove_pointer_t<decltype(x.data())>>(x.data(), x.rows(), x.cols(), x.stride());
}
template <rows_viewable X>
constexpr auto as_rows_view(X&& x) {
  if constexpr (detail::is_rows_view<std::remove_cvref_t<X>>)
    return x;
  else
    return rows_view(as_matrix_view(x));
}

/// The same elements, read only.
template <class T>
FANFOLD_HD constexpr view<T const> as_const(view<T> v) {
  return {v.data(), v.size()};
}
template <class T>
FANFOLD_HD constexpr matrix_view<T const> as_const(matrix_view<T> m) {
  return {m.data(), m.rows(), m.cols(), m.stride()};
}
template <class T>
constexpr rows_view<T const> as_const(rows_view<T> const& r) {
  return r;
}

/// Whether two element ranges share a byte.
template <class T, class U>
constexpr bool overlaps(view<T> a, view<U> b) {
  auto const* const a0 = reinterpret_cast<std::byte const*>(a.data());
  auto const* const b0 = reinterpret_cast<std::byte const*>(b.data());
  return a.size() > 0 && b.size() > 0 && a0 < b0 + b.size() * static_cast<std::int64_t>(sizeof(U)) &&
         b0 < a0 + a.size() * static_cast<std::int64_t>(sizeof(T));
}

}  // namespace fanfold::inline FANFOLD_ABI
