#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/detail/row_dot.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/route/expert_kind.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// A router's table of N experts, some of which are no networks: kind[e], and for constant experts v_e = vector(e, :) (N x D) and the two
/// rows 2e, 2e + 1 of `gate` (2N x D), so that the expert gives a_1 x + a_2 v with (a_1, a_2) = softmax(gate rows times x). Without `gate`
/// it gives v. Networks are numbered in the order of the real experts. (MoE++, Jin et al., 2024; AdaMoE, Zeng et al., 2024.)
template <class P = float>
struct special_experts {
  view<route::expert_kind const> kind{};
  matrix_view<P const> vector{};
  matrix_view<P const> gate{};

  template <class X>
  void check(std::int64_t experts, matrix_view<X> x) const {
    check_argument(kind.size() == experts, "moe_layer", "size of special.kind", kind.size(), "the number of the router's experts");
    check_argument(vector.data() == nullptr || (vector.rows() == experts && vector.cols() == x.cols()), "moe_layer", "shape of special.vector", "another",
                   "experts x features");
    check_argument(gate.data() == nullptr || (gate.rows() == 2 * experts && gate.cols() == x.cols()), "moe_layer", "shape of special.gate", "another",
                   "2 experts x features");
  }
};

/// Every expert is a network.
struct all_real {};

namespace detail {

template <class A>
struct constant_mix {
  A token, vector;
};

/// (a_1, a_2) of expert e for the row x.
template <class A, row_group G, class X, class P>
FANFOLD_HD constant_mix<A> mix_of(G const& g, special_experts<P> const& s, std::int64_t e, X const* x, std::int64_t cols) {
  if (s.gate.data() == nullptr) return {A(0), A(1)};
  P const* const row = s.gate.data() + 2 * e * s.gate.stride();
  A const first = g.fold(plus<A>{}, cols, feature_product<X, P, A>{x, row});
  A const second = g.fold(plus<A>{}, cols, feature_product<X, P, A>{x, row + s.gate.stride()});
  return {math::sigmoid(first - second), math::sigmoid(second - first)};
}

/// number[e] = how many real experts come before e, -1 where e is none.
struct number_real {
  view<route::expert_kind const> kind{};
  view<std::int32_t> number{};

  FANFOLD_HD void operator()(std::int64_t e) const {
    std::int32_t before = 0;
    for (std::int64_t i = 0; i < e; ++i) before += kind.data()[i] == route::expert_kind::real ? 1 : 0;
    number.data()[e] = kind.data()[e] == route::expert_kind::real ? before : -1;
  }
};

/// Ids of the table to ids of networks. What is out of range stays so, for the plan to report.
struct to_networks {
  matrix_view<std::int32_t const> id{};
  view<std::int32_t const> number{};
  view<std::int32_t> out{};

  FANFOLD_HD void operator()(std::int64_t a) const {
    std::int64_t const t = a / id.cols();
    std::int32_t const e = id.data()[t * id.stride() + (a - t * id.cols())];
    out.data()[a] = e >= 0 && e < number.size() ? number.data()[e] : e;
  }
};

/// The part of experts that are no networks in the tokens' results, onto which the networks are folded.
template <class T, class P, class W, class A>
struct special_part {
  special_experts<P> special{};
  plan_view plan{};
  matrix_view<std::int32_t const> id{};
  matrix_view<W const> weight{};
  matrix_view<T const> x{};
  matrix_view<A> y{};
  bool started = false;  // y holds something to add to

  /// Token t, by a row group.
  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    A* const to = y.data() + t * y.stride();
    T const* const from = x.data() + t * x.stride();
    if (!started) {
      A const neutral = -A(0);  // of addition, exactly
      A const start = any_part(t) ? neutral : A(0);
      for (std::int64_t c = g.rank(); c < y.cols(); c += g.size()) to[c] = start;
    }
    for (std::int64_t s = 0; s < id.cols(); ++s) {
      std::int32_t const e = id.data()[t * id.stride() + s];
      if (e < 0 || e >= special.kind.size()) continue;
      route::expert_kind const kind = special.kind.data()[e];
      A const w = static_cast<A>(to_arithmetic(weight.data()[t * weight.stride() + s]));
      if (kind == route::expert_kind::copy) {
        for (std::int64_t c = g.rank(); c < y.cols(); c += g.size()) to[c] = to[c] + w * static_cast<A>(to_arithmetic(from[c]));
      } else if (kind == route::expert_kind::constant) {
        auto const mix = mix_of<A>(g, special, e, from, x.cols());
        P const* const v = special.vector.data() + e * special.vector.stride();
        for (std::int64_t c = g.rank(); c < y.cols(); c += g.size())
          to[c] = to[c] + w * (mix.token * static_cast<A>(to_arithmetic(from[c])) + mix.vector * static_cast<A>(to_arithmetic(v[c])));
      }
    }
  }

 private:
  FANFOLD_HD bool any_part(std::int64_t t) const {
    bool any = false;
    for (std::int64_t s = 0; s < id.cols(); ++s) {
      std::int32_t const e = id.data()[t * id.stride() + s];
      bool const inside = e >= 0 && e < special.kind.size();
      any = any || plan.row_of.data()[t * plan.slots + s] >= 0 ||
            (inside && (special.kind.data()[e] == route::expert_kind::copy || special.kind.data()[e] == route::expert_kind::constant));
    }
    return any;
  }
};

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
