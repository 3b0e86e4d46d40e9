#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/lane_transpose.hpp"
#include "fanfold/dispatch/detail/micro_kernel.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// Transposes the whole squares of lanes among `n` columns of `terms` elements, columns `stride` apart, into rows of `width`; gives the terms done.
FANFOLD_NOINLINE inline std::int64_t copy_squares(float const* from, std::int64_t stride, std::int64_t n, std::int64_t terms, float* out, std::int64_t width) {
  using fanfold::detail::lane_floats;
  constexpr int lanes = fanfold::detail::float_lanes;
  for (std::int64_t c = 0; c + lanes <= n; c += lanes)
    for (std::int64_t k = 0; k + lanes <= terms; k += lanes) {
      lane_floats v[lanes];
      for (int i = 0; i < lanes; ++i) std::memcpy(v + i, from + (c + i) * stride + k, sizeof *v);
      fanfold::detail::transpose(v);
      for (int i = 0; i < lanes; ++i) std::memcpy(out + (k + i) * width + c, v + i, sizeof *v);
    }
  return terms / lanes * lanes;
}

}  // namespace detail

/// E matrices of `inner` x `outer` elements, not owned; rows are multiplied as y = x W_e. Any strides, so a transpose is free.
template <class T>
struct weight_bank {
  using value_type = std::remove_const_t<T>;

  T* data = nullptr;
  std::int64_t experts = 0, inner = 0, outer = 0;
  std::int64_t expert_stride = 0, inner_stride = 0, outer_stride = 0;

  weight_bank() = default;
  /// [E][inner][outer], dense.
  weight_bank(T* d, std::int64_t e, std::int64_t k, std::int64_t n)
      : data(d), experts(e), inner(k), outer(n), expert_stride(k * n), inner_stride(n), outer_stride(1) {}
  template <class U>
    requires(std::is_same_v<U const, T> && !std::is_same_v<U, T>)
  weight_bank(weight_bank<U> const& b)
      : data(b.data), experts(b.experts), inner(b.inner), outer(b.outer), expert_stride(b.expert_stride), inner_stride(b.inner_stride), outer_stride(b.outer_stride) {}

  /// The matrices transposed: outer x inner.
  weight_bank transposed() const {
    weight_bank b = *this;
    b.inner = outer, b.outer = inner, b.inner_stride = outer_stride, b.outer_stride = inner_stride;
    return b;
  }
  /// Columns [first, first + n) of every matrix.
  weight_bank columns(std::int64_t first, std::int64_t n) const {
    weight_bank b = *this;
    b.data = data + first * outer_stride, b.outer = n;
    return b;
  }
  FANFOLD_HD T& operator()(std::int64_t e, std::int64_t k, std::int64_t n) const { return data[e * expert_stride + k * inner_stride + n * outer_stride]; }

  static constexpr int interleaved = 1;
  template <class A>
  static constexpr bool needs_scratch = true;

  /// Terms [first, first + terms) of a panel of columns as a k-major block, zero past the last column.
  template <class A>
  A const* block(std::int64_t e, std::int64_t panel, std::int64_t first, std::int64_t terms, A* out) const {
    copy_block<detail::gemm_shape<A>>(e, panel, first, terms, out, [](T const& x) { return static_cast<A>(to_arithmetic(x)); });
    return out;
  }
  detail::memory_range ahead(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const { return {}; }

  template <class Shape, class U, class F>
  FANFOLD_NOINLINE void copy_block(std::int64_t e, std::int64_t panel, std::int64_t first, std::int64_t terms, U* FANFOLD_RESTRICT out, F convert) const {
    std::int64_t const column = panel * Shape::panel, width = Shape::vectors_of(outer, panel) * Shape::lanes, n = outer - column < width ? outer - column : width;
    T const* const from = data + e * expert_stride + first * inner_stride + column * outer_stride;
    if (outer_stride == 1 && n == Shape::panel) {
      for (std::int64_t k = 0; k < terms; ++k)
        for (std::int64_t c = 0; c < Shape::panel; ++c) out[k * Shape::panel + c] = convert(from[k * inner_stride + c]);
      return;
    }
    std::int64_t squares = 0;  // terms of whole squares
    if constexpr (std::is_same_v<std::remove_const_t<T>, float> && std::is_same_v<U, float>)
      if (inner_stride == 1) squares = detail::copy_squares(from, outer_stride, n, terms, out, width);
    std::int64_t const square_columns = squares == 0 ? 0 : n / fanfold::detail::float_lanes * fanfold::detail::float_lanes;
    for (std::int64_t c = 0; c < n; ++c)
      for (std::int64_t k = c < square_columns ? squares : 0; k < terms; ++k) out[k * width + c] = convert(from[k * inner_stride + c * outer_stride]);
    for (std::int64_t k = 0; k < terms; ++k)
      for (std::int64_t c = n; c < width; ++c) out[k * width + c] = U{};
  }
};

/// Two banks side by side: column panels of `first` (the gate) and `second` (the up projection) alternate.
template <class Bank>
struct bank_pair {
  using value_type = typename Bank::value_type;
  Bank first{}, second{};

  static constexpr int interleaved = 2;
  template <class A>
  static constexpr bool needs_scratch = Bank::template needs_scratch<A>;
  template <class A>
  A const* block(std::int64_t e, std::int64_t panel, std::int64_t k, std::int64_t terms, A* out) const {
    return (panel % 2 == 0 ? first : second).template block<A>(e, panel / 2, k, terms, out);
  }
  detail::memory_range ahead(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const { return {}; }
};

/// Weights in the order in which `grouped_gemm` reads them, [E][panels][inner][panel width], made once and used for any number of calls. The last
/// panel is as wide as its vectors. Owns its memory, in the storage type T; the panel width belongs to the compile target. `Interleaved` = 2: a
/// pair of banks, panels alternating.
template <class T, int Interleaved = 1>
class packed_bank {
 public:
  using value_type = T;
  using arithmetic = arithmetic_t<T>;
  static constexpr int interleaved = Interleaved;
  static constexpr std::int64_t width = detail::gemm_shape<arithmetic>::panel;

  packed_bank() = default;
  template <class U, host_executor E = serial_executor>
    requires(Interleaved == 1)
  explicit packed_bank(weight_bank<U> const& w, E const& ex = {}) : packed_bank(w.experts, w.inner, w.outer) {
    pack(ex, w, 0);
  }
  template <class U, host_executor E = serial_executor>
    requires(Interleaved == 2)
  packed_bank(weight_bank<U> const& gate, weight_bank<U> const& up, E const& ex = {}) : packed_bank(gate.experts, gate.inner, gate.outer) {
    check_argument(up.experts == experts_ && up.inner == inner_ && up.outer == outer_, "packed_bank", "shape of the second bank", "another",
                   "that of the first");
    pack(ex, gate, 0);
    pack(ex, up, 1);
  }

  std::int64_t experts() const { return experts_; }
  std::int64_t inner() const { return inner_; }
  std::int64_t outer() const { return outer_; }
  std::size_t bytes() const { return static_cast<std::size_t>(experts_ * Interleaved * padded() * inner_) * sizeof(T); }

  template <class A>
  static constexpr bool needs_scratch = !std::is_same_v<A, T>;
  /// Whether the kernel can widen blocks as it reads them, which pays for few rows.
  static constexpr bool widens = std::is_same_v<T, bfloat16>;
  T const* stored_block(std::int64_t e, std::int64_t panel, std::int64_t first) const { return at(e, panel, first); }
  template <class A>
  A const* block(std::int64_t e, std::int64_t panel, std::int64_t first, std::int64_t terms, A* out) const {
    static_assert(std::is_same_v<A, arithmetic>);
    T const* const from = at(e, panel, first);
    if constexpr (std::is_same_v<A, T>)
      return from;
    else
      return widen(from, out, terms * width_of(panel)), out;
  }
  /// Memory of the length of a block at a distance that the second-level cache holds; what follows a block is the next one that is read.
  detail::memory_range ahead(std::int64_t e, std::int64_t panel, std::int64_t first, std::int64_t terms) const {
    std::int64_t const begin = (at(e, panel, first) - data_.get()) * static_cast<std::int64_t>(sizeof(T)) + shape::ahead;
    std::int64_t const left = static_cast<std::int64_t>(bytes()) - begin, all = terms * width_of(panel) * static_cast<std::int64_t>(sizeof(T));
    if (left <= 0) return {};
    return {static_cast<char const*>(static_cast<void const*>(data_.get())) + begin, left < all ? left : all};
  }

 private:
  struct release {
    void operator()(T* p) const { ::operator delete(static_cast<void*>(p), std::align_val_t{64}); }
  };

  packed_bank(std::int64_t e, std::int64_t k, std::int64_t n) : experts_(e), inner_(k), outer_(n) {
    check_argument(e >= 0 && k >= 0 && n >= 0, "packed_bank", "a size", e < 0 ? e : k < 0 ? k : n, "0 or more");
    data_.reset(static_cast<T*>(::operator new(bytes(), std::align_val_t{64})));
  }

  using shape = detail::gemm_shape<arithmetic>;
  std::int64_t padded() const { return (outer_ + shape::lanes - 1) / shape::lanes * shape::lanes; }
  std::int64_t width_of(std::int64_t panel) const { return shape::vectors_of(outer_, panel / Interleaved) * shape::lanes; }
  T* at(std::int64_t e, std::int64_t panel, std::int64_t k) const {
    std::int64_t const before = panel / Interleaved * width * Interleaved + panel % Interleaved * width_of(panel);
    return data_.get() + (e * padded() * Interleaved + before) * inner_ + k * width_of(panel);
  }

  template <class E, class U>
  void pack(E const& ex, weight_bank<U> const& w, std::int64_t which) {
    static_assert(std::is_same_v<std::remove_const_t<U>, T>, "a packed_bank keeps the storage type of its weights");
    std::int64_t const each = (outer_ + width - 1) / width;
    check_argument(w.data != nullptr || bytes() == 0, "packed_bank", "weights", "null", "not null");
    for_each_task(ex, experts_ * each, [&](std::int64_t task) {
      std::int64_t const e = task / each, panel = task % each;
      w.template copy_block<shape>(e, panel, 0, inner_, at(e, panel * Interleaved + which, 0), [](T const& x) { return x; });
    });
  }

  template <class A>
  static FANFOLD_NOINLINE void widen(T const* FANFOLD_RESTRICT from, A* FANFOLD_RESTRICT to, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = to_arithmetic(from[i]);
  }

  std::unique_ptr<T, release> data_;
  std::int64_t experts_ = 0, inner_ = 0, outer_ = 0;
};

template <class U>
packed_bank(weight_bank<U> const&) -> packed_bank<std::remove_const_t<U>, 1>;
template <class U, class E>
packed_bank(weight_bank<U> const&, E const&) -> packed_bank<std::remove_const_t<U>, 1>;
template <class U>
packed_bank(weight_bank<U> const&, weight_bank<U> const&) -> packed_bank<std::remove_const_t<U>, 2>;
template <class U, host_executor E>
packed_bank(weight_bank<U> const&, weight_bank<U> const&, E const&) -> packed_bank<std::remove_const_t<U>, 2>;

namespace detail {

template <class Bank>
struct bank_sizes {
  std::int64_t experts, inner, outer;
};
template <class T>
bank_sizes<weight_bank<T>> sizes_of(weight_bank<T> const& b) {
  return {b.experts, b.inner, b.outer};
}
template <class T, int Index>
bank_sizes<packed_bank<T, Index>> sizes_of(packed_bank<T, Index> const& b) {
  return {b.experts(), b.inner(), b.outer()};
}
/// Any other bank, for instance one of a library's products.
template <class B>
  requires requires(B const& b) { b.experts(), b.inner(), b.outer(); }
bank_sizes<B> sizes_of(B const& b) {
  return {b.experts(), b.inner(), b.outer()};
}
template <class B>
bank_sizes<bank_pair<B>> sizes_of(bank_pair<B> const& b) {
  return {sizes_of(b.first).experts, sizes_of(b.first).inner, sizes_of(b.first).outer};
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
