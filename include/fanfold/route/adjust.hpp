#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// What happens to a row before selection. Where `changes_logits`, `logit(row, e, E, l)` replaces the logit that scores and selection see
/// (statistics keep the clean one); where `changes_keys`, `key(row, e, E, y)` replaces the score as selection key, weights keep the score.
/// `check(E)` throws where the policy does not fit E experts. A -infinity logit stays one.
template <class A>
concept key_adjust = requires(A const a, std::int64_t i, float x) {
  { A::changes_logits } -> std::convertible_to<bool>;
  { A::changes_keys } -> std::convertible_to<bool>;
  a.check(i);
  { a.logit(i, i, i, x) } -> std::same_as<float>;
  { a.key(i, i, i, x) } -> std::same_as<float>;
};

/// Nothing.
struct no_adjust {
  static constexpr bool changes_logits = false;
  static constexpr bool changes_keys = false;

  void check(std::int64_t) const {}
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t, std::int64_t, R l) const {
    return l;
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

/// Selection compares y + b, weights use y: loss-free balancing (Wang et al., "Auxiliary-Loss-Free Load Balancing", 2024; DeepSeek-V3).
/// `bias` holds one float an expert in the executor's memory.
struct selection_bias {
  view<float const> bias{};

  static constexpr bool changes_logits = false;
  static constexpr bool changes_keys = true;

  void check(std::int64_t experts) const {
    check_argument(bias.size() == experts, "route::assign", "size of selection_bias", bias.size(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t, std::int64_t, R l) const {
    return l;
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t e, std::int64_t, R y) const {
    return y + static_cast<R>(bias.data()[e]);
  }
};

/// Selection compares y factor(e), weights use y: the multiplicative form of selection_bias; factors start at 1.
struct selection_factor {
  view<float const> factor{};

  static constexpr bool changes_logits = false;
  static constexpr bool changes_keys = true;

  void check(std::int64_t experts) const {
    check_argument(factor.size() == experts, "route::assign", "size of selection_factor", factor.size(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t, std::int64_t, R l) const {
    return l;
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t e, std::int64_t, R y) const {
    return y * static_cast<R>(factor.data()[e]);
  }
};

/// Only experts whose entry is not 0 are chosen while there are enough of them; scores and weights stay as they are.
struct selection_mask {
  view<std::uint8_t const> open{};

  static constexpr bool changes_logits = false;
  static constexpr bool changes_keys = true;

  void check(std::int64_t experts) const {
    check_argument(open.size() == experts, "route::assign", "size of selection_mask", open.size(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t, std::int64_t, R l) const {
    return l;
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t e, std::int64_t, R y) const {
    return open.data()[e] != 0 ? y : -math::infinity<R>();
  }
};

/// l + b(e), which scores and weights see (Kairos, 2025); statistics keep the clean logits. Its controller is target_share.
struct logit_bias {
  view<float const> bias{};

  static constexpr bool changes_logits = true;
  static constexpr bool changes_keys = false;

  void check(std::int64_t experts) const {
    check_argument(bias.size() == experts, "route::assign", "size of logit_bias", bias.size(), "the number of experts");
  }
  template <class R>
  FANFOLD_HD R logit(std::int64_t, std::int64_t e, std::int64_t, R l) const {
    return l + static_cast<R>(bias.data()[e]);
  }
  template <class R>
  FANFOLD_HD R key(std::int64_t, std::int64_t, std::int64_t, R y) const {
    return y;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
