#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// How many rows an expert's buffer holds, in the conventions of the field. `of(T, E, k)`: for T rows of the call or group (padding rows
/// count, so that the size is static), E experts, k slots. The factor is read as round(10^4 factor) / 10^4 and all arithmetic is exact in
/// integers: ceil(100 / 2 * 1.1) is 55, where doubles give 56. Pass the result to a dispatch plan's drop policy.
struct capacity_rule {
  enum class form : unsigned char { per_row, per_row_rounded, per_choice, tutel };

  form kind = form::per_choice;
  double factor = 1;
  std::int64_t least = 0;
  /// The result is rounded up to a multiple of this.
  std::int64_t multiple = 1;
  bool allow_zero = false;

  /// max(least, floor(T / E factor)): Switch Transformer.
  static constexpr capacity_rule switch_transformer(double factor, std::int64_t least = 0) { return {form::per_row, factor, least}; }
  /// max(4, T / E factor rounded half to even).
  static constexpr capacity_rule flaxformer(double factor) { return {form::per_row_rounded, factor, 4}; }
  /// ceil(T k / E factor): GShard, Megatron.
  static constexpr capacity_rule gshard(double factor) { return {form::per_choice, factor}; }
  /// max(4, ceil(T k / E factor)).
  static constexpr capacity_rule deepspeed(double factor, std::int64_t least = 4) { return {form::per_choice, factor, least}; }
  /// ceil(T / E factor) up to a multiple of 4; the factor already holds k. Call `of` with k = 1.
  static constexpr capacity_rule vmoe(double factor) { return {form::per_choice, factor, 0, 4}; }
  /// k floor(factor ceil(T / E)); factor 0: the largest load; below 0: the smaller of that and the rule with -factor.
  static constexpr capacity_rule tutel(double factor, std::int64_t alignment = 1) { return {form::tutel, factor, 0, alignment}; }

  /// `largest_load` is the count of the most chosen expert (over all ranks), which only Tutel's form reads.
  /// \throws argument_error for negative sizes, a factor that is not finite or does not fit, and a capacity of 0 unless allowed.
  std::int64_t of(std::int64_t rows, std::int64_t experts, std::int64_t slots, std::int64_t largest_load = 0) const {
    static constexpr char function[] = "route::capacity_rule";
    check_argument(rows >= 0, function, "rows", rows, "0 or more");
    check_argument(experts >= 1, function, "experts", experts, "1 or more");
    check_argument(slots >= 1, function, "slots", slots, "1 or more");
    check_argument(multiple >= 1, function, "multiple", multiple, "1 or more");
    bool const fits = factor > -1e6 && factor < 1e6 && (kind == form::tutel || factor >= 0);
    check_argument(fits, function, "factor", factor, "finite, below 10^6, and negative only in Tutel's form");
    std::int64_t c = raw(rows, experts, slots, largest_load);
    c = c < least ? least : c;
    c = (c + multiple - 1) / multiple * multiple;
    check_argument(c > 0 || allow_zero || rows == 0, function, "capacity", c, "1 or more unless allow_zero is set");
    return c;
  }

 private:
  static constexpr std::int64_t unit = 10000;

  static std::int64_t scaled(double f) { return static_cast<std::int64_t>(f * 10000.0 + 0.5); }
  static std::int64_t up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }
  static std::int64_t half_even(std::int64_t a, std::int64_t b) {
    std::int64_t const q = a / b, twice = 2 * (a % b);
    return q + (twice > b || (twice == b && q % 2 != 0) ? 1 : 0);
  }

  std::int64_t raw(std::int64_t rows, std::int64_t experts, std::int64_t slots, std::int64_t largest_load) const {
    std::int64_t const f = scaled(factor < 0 ? -factor : factor);
    switch (kind) {
      case form::per_row: return rows * f / (experts * unit);
      case form::per_row_rounded: return half_even(rows * f, experts * unit);
      case form::per_choice: return up(rows * slots * f, experts * unit);
      default: break;
    }
    if (f == 0) return largest_load;
    std::int64_t const bound = slots * (f * up(rows, experts) / unit);
    return factor > 0 || bound < largest_load ? bound : largest_load;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
