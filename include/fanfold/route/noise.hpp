#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Where the noise of a call comes from: a key of (seed, step, layer), and the number of the call's first row in the whole batch. The
/// noise of an element depends on these, its row and its expert alone, so not on how a batch is cut into calls.
struct row_noise {
  std::uint64_t key = 0;
  std::int64_t row0 = 0;

  static constexpr row_noise of(std::uint64_t seed, std::uint64_t step, std::uint32_t layer, std::int64_t row0 = 0) {
    return {derive_key(seed, step, layer, 0), row0};
  }
  FANFOLD_HD random_stream stream() const { return {key, streams::router_noise, 0}; }
  /// One word a row: random orders of the rows.
  FANFOLD_HD random_stream order_stream() const { return {key, streams::router_sample, 1}; }
  FANFOLD_HD std::uint64_t element(std::int64_t row, std::int64_t e, std::int64_t experts) const {
    return static_cast<std::uint64_t>((row0 + row) * experts + e);
  }
};

/// l + sigma times a standard normal: V-MoE and Tutel with sigma = noise_std / E. For evaluation use no_adjust, or sigma 0.
struct gaussian_noise {
  float sigma = 1;
  row_noise noise{};

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t) const { check_argument(sigma >= 0 && sigma < 1e30f, "route::assign", "sigma", sigma, "finite and 0 or more"); }
  template <class R>
  FANFOLD_HD R logit(std::int64_t row, std::int64_t e, std::int64_t experts, R l) const {
    return l + static_cast<R>(sigma * noise.stream().normal(noise.element(row, e, experts)));
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// l - log(-log u): the k best are then a sample without replacement in proportion to softmax(l).
struct gumbel_noise {
  row_noise noise{};

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t) const {}
  template <class R>
  FANFOLD_HD R logit(std::int64_t row, std::int64_t e, std::int64_t experts, R l) const {
    R const u = static_cast<R>(noise.stream().u01(noise.element(row, e, experts)));
    return l - math::log(-math::log(u));
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// l + given(t, e): noise made elsewhere, such as normals times a learned scale (Shazeer et al., 2017). In the executor's memory, a row a
/// row of the call.
struct added_noise {
  matrix_view<float const> given{};

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t experts) const {
    check_argument(given.cols() == experts, "route::assign", "columns of added_noise", given.cols(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t row, std::int64_t e, std::int64_t, R l) const {
    FANFOLD_ASSERT(row < given.rows());
    return l + static_cast<R>(given.data()[row * given.stride() + e]);
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// l + sigma epsilon with a learned scale sigma = softplus(scale(t, e)) + floor and standard normals epsilon: noisy top-k gating (Shazeer et
/// al., "Outrageously Large Neural Networks", 2017). The gradient of `scale` is learned_noise_vjp of noisy_top_k.hpp. In the executor's
/// memory, a row a row of the call.
struct learned_noise {
  matrix_view<float const> scale{};
  row_noise noise{};
  float floor = 1e-2f;

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t experts) const {
    check_argument(scale.cols() == experts, "route::assign", "columns of learned_noise", scale.cols(), "the number of experts");
    check_argument(floor >= 0 && floor < 1e30f, "route::assign", "floor", floor, "finite and 0 or more");
  }
  template <class R>
  FANFOLD_HD R raw(std::int64_t row, std::int64_t e) const {
    FANFOLD_ASSERT(row < scale.rows());
    return static_cast<R>(scale.data()[row * scale.stride() + e]);
  }
  template <class R>
  FANFOLD_HD R sigma(std::int64_t row, std::int64_t e) const {
    return math::softplus(raw<R>(row, e)) + static_cast<R>(floor);
  }
  template <class R>
  FANFOLD_HD R epsilon(std::int64_t row, std::int64_t e, std::int64_t experts) const {
    return static_cast<R>(noise.stream().normal(noise.element(row, e, experts)));
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t row, std::int64_t e, std::int64_t experts, R l) const {
    return l + epsilon<R>(row, e, experts) * sigma<R>(row, e);
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// Experts whose entry is 0 get logit -infinity: no score, chosen only where the others do not fill the slots, then with weight 0.
struct expert_mask {
  view<std::uint8_t const> open{};

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t experts) const {
    check_argument(open.size() == experts, "route::assign", "size of expert_mask", open.size(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t e, std::int64_t, R l) const {
    return open.data()[e] != 0 ? l : -math::infinity<R>();
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// First A, then B: `adjusts{gaussian_noise{...}, selection_bias{...}}`.
template <class A, class B>
struct adjusts {
  A first{};
  B second{};

  static constexpr bool changes_logits = A::changes_logits || B::changes_logits;
  static constexpr bool changes_keys = A::changes_keys || B::changes_keys;

  void check(std::int64_t experts) const {
    first.check(experts);
    second.check(experts);
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t row, std::int64_t e, std::int64_t experts, R l) const {
    return second.logit(row, e, experts, first.logit(row, e, experts, l));
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t row, std::int64_t e, std::int64_t experts, R y) const {
    return second.key(row, e, experts, first.key(row, e, experts, y));
  }
};
template <class A, class B>
adjusts(A, B) -> adjusts<A, B>;

}  // namespace fanfold::inline FANFOLD_ABI::route
