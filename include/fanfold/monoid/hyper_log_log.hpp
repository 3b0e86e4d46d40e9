#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Registers of a HyperLogLog and their seed.
struct hyper_log_log_state {
  std::uint64_t seed = 0;
  std::vector<std::uint8_t> registers;
  bool operator==(hyper_log_log_state const&) const = default;
};

/// Number of distinct 64-bit ids, with a relative standard error of 1.04 / sqrt(2^precision) (Flajolet et al. 2007) (host only).
/// Operands of different precision or seed: argument_error.
struct hyper_log_log {
  using input = std::uint64_t;
  using state = hyper_log_log_state;
  using output = double;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  int precision = 14;
  std::uint64_t seed = 0;

  state identity() const {
    check_argument(precision >= 4 && precision <= 18, "hyper_log_log", "precision", precision, "from 4 to 18");
    return {own_seed(seed, tags::rank_hash), std::vector<std::uint8_t>(std::size_t{1} << precision)};
  }
  state lift(input const& id) const {
    state s = identity();
    absorb(s, id);
    return s;
  }
  void absorb(state& s, input const& id) const {
    std::uint64_t const h = rank_hash(s.seed, id);
    std::uint64_t const rest = h << precision;
    int const rho = rest == 0 ? 64 - precision + 1 : math::leading_zeros(rest) + 1;
    std::uint8_t& r = s.registers[static_cast<std::size_t>(h >> (64 - precision))];
    if (r < rho) r = static_cast<std::uint8_t>(rho);
  }
  state combine(state const& a, state const& b) const {
    check_argument(a.seed == b.seed && a.registers.size() == b.registers.size(), "hyper_log_log", "an operand", "of other parameters",
                   "of the same precision and seed");
    state s = a;
    for (std::size_t i = 0; i < s.registers.size(); ++i)
      if (s.registers[i] < b.registers[i]) s.registers[i] = b.registers[i];
    return s;
  }
  output lower(state const& s) const {
    double const m = static_cast<double>(s.registers.size());
    double sum = 0.0;
    std::int64_t zeros = 0;
    for (std::uint8_t const r : s.registers) {
      sum += math::from_bits(static_cast<std::uint64_t>(1023 - r) << 52);
      zeros += r == 0;
    }
    return estimate(m, sum, zeros);
  }
  /// From the sum of 2^-register and the number of zero registers: the raw estimate, or linear counting where that is small.
  static double estimate(double m, double sum, std::int64_t zeros) {
    double const bias = m == 16.0 ? 0.673 : m == 32.0 ? 0.697 : m == 64.0 ? 0.709 : 0.7213 / (1.0 + 1.079 / m);
    double const raw = bias * m * m / sum;
    return raw <= 2.5 * m && zeros > 0 ? m * math::log(m / static_cast<double>(zeros)) : raw;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
