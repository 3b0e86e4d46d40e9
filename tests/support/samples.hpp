#pragma once

#include <cstdint>
#include <vector>

namespace support {

/// Small deterministic generator for test data only.
class lcg {
 public:
  explicit lcg(std::uint64_t seed) : state_(seed * 2862933555777941757u + 3037000493u) {}
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  /// In [-1, 1).
  float real() { return static_cast<float>(static_cast<std::int32_t>(next())) * 0x1p-31f; }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>((static_cast<std::uint64_t>(next()) * static_cast<std::uint64_t>(n)) >> 32); }

 private:
  std::uint64_t state_;
};

inline std::vector<float> reals(std::size_t n, std::uint64_t seed) {
  lcg g(seed);
  std::vector<float> x(n);
  for (float& v : x) v = g.real();
  return x;
}

}  // namespace support
