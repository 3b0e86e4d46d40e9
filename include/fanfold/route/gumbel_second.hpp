#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/noise.hpp"
#include "fanfold/route/select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// The best expert, and a second one drawn in proportion to the softmax of the others: argmax over e != best of key + Gumbel noise
/// (DeepSpeed-MoE's form of GShard). `sampling = false`, as at inference: the two best. One expert: the second slot is empty.
struct gumbel_second {
  row_noise noise{};
  bool sampling = true;

  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return 2; }
  void check(std::int64_t) const {}
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t row, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    detail::candidate<R> const first = g.fold(detail::first_candidate<R>{}, experts, drawn<R>{key, experts, -1, row, noise, false});
    detail::candidate<R> const second = g.fold(detail::first_candidate<R>{}, experts, drawn<R>{key, experts, first.id, row, noise, sampling});
    if (g.rank() == 0) {
      id[0] = first.id;
      id[1] = experts > 1 ? second.id : -1;
    }
    g.sync();
    return 2;
  }

 private:
  template <class R>
  struct drawn {
    R const* key;
    std::int64_t experts;
    std::int32_t without;
    std::int64_t row;
    row_noise noise;
    bool noisy;
    FANFOLD_HD detail::candidate<R> operator()(std::int64_t e) const {
      if (e == without) return detail::candidate<R>::none();
      R const k = noisy && key[e] > -math::infinity<R>() ? gumbel_noise{noise}.logit(row, e, experts, key[e]) : key[e];
      return {k, static_cast<std::int32_t>(e)};
    }
  };
};

}  // namespace fanfold::inline FANFOLD_ABI::route
