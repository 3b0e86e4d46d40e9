#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/fold/lane_vector.hpp"

/// \file
/// Signed integers that order floating-point numbers: negative infinity is the smallest, -0 comes before +0, positive infinity is followed by
/// every NaN. Integer minimum and maximum vectorise where those of floats, which must mind NaN, do not.
namespace fanfold::inline FANFOLD_ABI::detail {

template <class T>
struct order_key;

template <>
struct order_key<float> {
  using type = std::int32_t;
  using bits = std::uint32_t;
  static constexpr int sign = 31;
  static constexpr bits magnitude = 0x7fffffffu;
  static constexpr bits shift = 0xff800001u;  // moves the negative NaNs past the end, where they follow the positive ones
  static constexpr type infinity = 0x7f000001;
  static constexpr type nan = infinity + 1;
  static constexpr type pad = 0x7fffffff;
};

template <>
struct order_key<double> {
  using type = std::int64_t;
  using bits = std::uint64_t;
  static constexpr int sign = 63;
  static constexpr bits magnitude = 0x7fffffffffffffffu;
  static constexpr bits shift = 0xfff0000000000001u;
  static constexpr type infinity = 0x7fe0000000000001;
  static constexpr type nan = infinity + 1;
  static constexpr type pad = 0x7fffffffffffffff;
};

template <class T>
using order_key_t = typename order_key<T>::type;

/// The key of x; NaNs, whose keys are the largest, become `most`: the key of infinity or that of NaN.
template <class T>
FANFOLD_HD constexpr order_key_t<T> encode_key(T x, order_key_t<T> most) {
  using K = order_key<T>;
  using key = typename K::type;
  using bits = typename K::bits;
  bits const b = math::bits_of(x);
  auto const all_if_negative = static_cast<bits>(static_cast<key>(b) >> K::sign);
  auto const k = static_cast<key>((b ^ (all_if_negative & K::magnitude)) + K::shift);
  return k < most ? k : most;
}

template <class T>
FANFOLD_HD constexpr T decode_key(order_key_t<T> k) {
  using K = order_key<T>;
  using bits = typename K::bits;
  bits const b = static_cast<bits>(k) - K::shift;
  auto const all_if_negative = static_cast<bits>(static_cast<order_key_t<T>>(b) >> K::sign);
  return math::from_bits(b ^ (all_if_negative & K::magnitude));
}

/// The same, lane by lane.
template <class T, int N>
FANFOLD_HD lane_array<order_key_t<T>, N> encode_keys(lane_array<T, N> const& x, order_key_t<T> most) {
  lane_array<order_key_t<T>, N> r;
  for (int l = 0; l < N; ++l) r.v[l] = encode_key(x.v[l], most);
  return r;
}
template <class T, int N>
FANFOLD_HD lane_array<T, N> decode_keys(lane_array<order_key_t<T>, N> const& k) {
  lane_array<T, N> r;
  for (int l = 0; l < N; ++l) r.v[l] = decode_key<T>(k.v[l]);
  return r;
}

#if !defined(__CUDACC__)
template <class T, int N>
FANFOLD_INLINE lane_vector<order_key_t<T>, N> encode_keys(lane_vector<T, N> const& x, order_key_t<T> most) {
  using K = order_key<T>;
  using keys = lane_vector<order_key_t<T>, N>;
  using integers = typename keys::storage;
  using bits = typename lane_vector<typename K::bits, N>::storage;
  auto const b = (integers)(x.v);
  auto const k = (integers)(((bits)b ^ ((bits)(b >> K::sign) & K::magnitude)) + K::shift);
  auto const limit = keys(most).v;
  return keys::from(k < limit ? k : limit);
}
template <class T, int N>
FANFOLD_INLINE lane_vector<T, N> decode_keys(lane_vector<order_key_t<T>, N> const& k) {
  using K = order_key<T>;
  using integers = typename lane_vector<order_key_t<T>, N>::storage;
  using bits = typename lane_vector<typename K::bits, N>::storage;
  bits const b = (bits)k.v - K::shift;
  return lane_vector<T, N>::from((typename lane_vector<T, N>::storage)(b ^ ((bits)((integers)b >> K::sign) & K::magnitude)));
}
#endif

}  // namespace fanfold::inline FANFOLD_ABI::detail
