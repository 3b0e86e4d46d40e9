#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/lane_block.hpp"
#include "fanfold/testing/equality.hpp"
#include "fanfold/testing/nasty.hpp"

namespace fanfold::inline FANFOLD_ABI::testing {

/// A law that did not hold: which, on what kind of input, of which length, with which seed.
struct law_violation {
  std::string rule;
  std::string input;
  std::int64_t length = 0;
  std::uint64_t seed = 0;
};

/// What a check found; any test framework can print it.
struct law_report {
  std::vector<law_violation> violations;
  std::int64_t checks = 0;

  bool ok() const { return violations.empty() && checks > 0; }
  explicit operator bool() const { return ok(); }
  bool violates(std::string const& rule) const {
    for (law_violation const& v : violations)
      if (v.rule == rule) return true;
    return false;
  }
  std::string text() const {
    std::string s = std::to_string(checks) + " checks";
    for (law_violation const& v : violations)
      s += "\n" + v.rule + " fails on " + v.input + ", length " + std::to_string(v.length) + ", seed " + std::to_string(v.seed);
    return s;
  }
};

struct law_options {
  /// Of the fold equivalence.
  std::vector<std::int64_t> lengths{0, 1, 2, 31, 32, 33, 63, 64, 65, 257};
  /// Random triples a kind of input.
  int samples = 40;
  /// Random trees, permutations and partitions a length.
  int shapes = 2;
  std::uint64_t seed = 1;
  /// Ask for commutativity bit for bit even where `laws` lacks law::bitwise.
  bool commutative_bits = false;
};

namespace detail {

template <class M>
struct law_item {
  using type = typename M::state;
};
template <aggregator M>
struct law_item<M> {
  using type = typename M::input;
};

template <class X>
double magnitude(X const& x) {
  if constexpr (std::is_arithmetic_v<X>)
    return is_finite(x) ? std::abs(static_cast<double>(x)) : 0.0;
  else if constexpr (requires { magnitude(x.value); })
    return magnitude(x.value);
  else
    return 1.0;
}

template <monoid M, class Eq>
class law_checker {
 public:
  using state = typename M::state;
  using item = typename law_item<M>::type;

  law_checker(M const& m, Eq const& eq, law_options const& options) : m_(m), eq_(eq), o_(options) {}

  void samples(std::string const& input, std::vector<item> const& items, std::uint64_t seed) {
    input_ = input;
    seed_ = seed;
    length_ = static_cast<std::int64_t>(items.size());
    items_ = scale(items);
    word_stream words(seed);
    for (int i = 0; i < o_.samples; ++i) {
      state const a = random_state(items, words), b = random_state(items, words), c = random_state(items, words);
      laws_of(a, b, c);
    }
    if constexpr (aggregator<M>) {
      absorbs(items, words);
      lanes<8>(items);
      lanes<64>(items);
    }
  }

  void folds(std::string const& input, std::vector<item> const& items, std::uint64_t seed) {
    input_ = input;
    seed_ = seed;
    length_ = static_cast<std::int64_t>(items.size());
    items_ = scale(items);
    std::vector<state> states;
    states.reserve(items.size());
    for (item const& x : items) states.push_back(lift(x));
    if (states.empty()) {
      expect("identity of identities", m_.combine(m_.identity(), m_.identity()), m_.identity());
      return;
    }
    if constexpr (has_law(M::laws, law::associative)) equivalences(states, seed);
    if constexpr (has_block_fold<M>)
      expect_bits("fold_block", m_.fold_block(view<item const>(items)), left(states, 0, states.size()));
  }

  law_report report;

 private:
  state lift(item const& x) const {
    if constexpr (aggregator<M>)
      return m_.lift(x);
    else
      return x;
  }
  double scale(std::vector<item> const& items) const {
    double sum = 0.0;
    for (item const& x : items) {
      if constexpr (requires { eq_.size(x); })
        sum += eq_.size(x);
      else
        sum += magnitude(x);
    }
    return sum;
  }

  // of one, two or a few items; sometimes the identity
  state random_state(std::vector<item> const& items, word_stream& words) const {
    if (words.below(16) == 0) return m_.identity();
    std::int64_t const n = static_cast<std::int64_t>(items.size());
    state s = lift(items[static_cast<std::size_t>(words.below(n))]);
    for (std::int64_t k = words.below(3) * words.below(3); k > 0; --k)
      s = m_.combine(s, lift(items[static_cast<std::size_t>(words.below(n))]));
    return s;
  }

  void laws_of(state const& a, state const& b, state const& c) {
    expect("left identity", m_.combine(m_.identity(), a), a);
    expect("right identity", m_.combine(a, m_.identity()), a);
    if constexpr (has_law(M::laws, law::associative))
      expect("associativity", m_.combine(m_.combine(a, b), c), m_.combine(a, m_.combine(b, c)));
    if constexpr (has_law(M::laws, law::commutative)) {
      if (o_.commutative_bits)
        expect_bits("commutativity", m_.combine(a, b), m_.combine(b, a));
      else
        expect("commutativity", m_.combine(a, b), m_.combine(b, a));
    }
    if constexpr (has_law(M::laws, law::idempotent)) expect("idempotence", m_.combine(a, a), a);
    if constexpr (has_law(M::laws, law::invertible)) {
      static_assert(requires { m_.subtract(a, b); }, "law::invertible needs subtract(whole, part)");
      expect("inverse", m_.subtract(m_.combine(a, b), b), a);
    }
  }

  void absorbs(std::vector<item> const& items, word_stream& words) {
    if constexpr (requires(state& s) { m_.absorb(s, items[0]); }) {
      for (item const& x : items) {
        state s = random_state(items, words);
        state const expected = m_.combine(s, lift(x));
        m_.absorb(s, x);
        expect_bits("absorb", s, expected);
      }
    }
  }

  template <int L>
  void lanes(std::vector<item> const& items) {
    if constexpr (has_lane_block<M, L>) {
      typename M::template lane_block<L> block;
      std::size_t const rows = items.size() / L;
      if (rows == 0) return;
      block.start(m_, items.data());
      for (std::size_t r = 1; r < rows; ++r) block.absorb(m_, items.data() + r * L);
      for (std::size_t l = 0; l < L; ++l) {
        state s = lift(items[l]);
        for (std::size_t r = 1; r < rows; ++r) s = m_.combine(s, lift(items[r * L + l]));
        expect_bits("lane_block", block.lane(m_, static_cast<int>(l)), s);
      }
    }
  }

  // Not inlined: in a loop that folds such runs again, g++ 12 at -O3 drops items of integer arrays.
  FANFOLD_NOINLINE state left(std::vector<state> const& x, std::size_t begin, std::size_t end) const {
    state s = x[begin];
    for (std::size_t i = begin + 1; i < end; ++i) s = m_.combine(s, x[i]);
    return s;
  }
  state right(std::vector<state> const& x) const {
    state s = x.back();
    for (std::size_t i = x.size() - 1; i-- > 0;) s = m_.combine(x[i], s);
    return s;
  }
  state tree(std::vector<state> const& x, std::size_t begin, std::size_t end, word_stream& words) const {
    if (end - begin == 1) return x[begin];
    std::size_t const cut = begin + 1 + static_cast<std::size_t>(words.below(static_cast<std::int64_t>(end - begin) - 1));
    state const a = tree(x, begin, cut, words);
    return m_.combine(a, tree(x, cut, end, words));
  }
  state parts(std::vector<state> const& x, word_stream& words) const {
    state s = m_.identity();
    for (std::size_t begin = 0; begin < x.size();) {
      std::size_t const rest = x.size() - begin;
      std::size_t const n = 1 + static_cast<std::size_t>(words.below(static_cast<std::int64_t>(rest)));
      s = m_.combine(s, left(x, begin, begin + n));
      begin += n;
    }
    return s;
  }

  void equivalences(std::vector<state> states, std::uint64_t seed) {
    word_stream words(seed + 5u);
    state const expected = left(states, 0, states.size());
    expect("right fold", right(states), expected);
    for (int i = 0; i < o_.shapes; ++i) {
      expect("fold over a random tree", tree(states, 0, states.size(), words), expected);
      expect("fold over a random partition", parts(states, words), expected);
    }
    if constexpr (has_law(M::laws, law::commutative))
      for (int i = 0; i < o_.shapes; ++i) {
        for (std::size_t k = states.size(); k > 1; --k) {
          auto const j = static_cast<std::size_t>(words.below(static_cast<std::int64_t>(k)));
          state const last = states[k - 1];  // not std::swap: states may be bool, whose vector has no references
          states[k - 1] = states[j];
          states[j] = last;
        }
        expect("fold of a permutation", left(states, 0, states.size()), expected);
        expect("fold of a permuted partition", parts(states, words), expected);
      }
  }

  void note(bool ok, char const* rule) {
    ++report.checks;
    if (ok) return;
    int known = 0;
    for (law_violation const& v : report.violations) known += v.rule == rule;
    if (known < 3) report.violations.push_back({rule, input_, length_, seed_});
  }
  void expect_bits(char const* rule, state const& a, state const& b) { note(same(a, b, bitwise{}, items_), rule); }
  // states bit for bit where the carrier says so; else answers, because states of equal worth may differ
  void expect(char const* rule, state const& a, state const& b) {
    if constexpr (has_law(M::laws, law::bitwise) || std::is_same_v<Eq, bitwise>) {
      expect_bits(rule, a, b);
      if constexpr (aggregator<M>) note(same(m_.lower(a), m_.lower(b), bitwise{}, items_), rule);
    } else if constexpr (aggregator<M>) {
      note(same(m_.lower(a), m_.lower(b), eq_, items_), rule);
    } else {
      note(same(a, b, eq_, items_), rule);
    }
  }

  M const& m_;
  Eq const& eq_;
  law_options const& o_;
  std::string input_;
  std::uint64_t seed_ = 0;
  std::int64_t length_ = 0;
  double items_ = 0.0;
};

}  // namespace detail

/// Checks every law that `M` declares, on random states, then the equivalence of folds: left, right, over random trees and partitions and,
/// where commutative, of permutations; and that the fast forms (absorb, lane_block, fold_block) give the bits of combine.
///
/// `generator(kind, n, seed)` gives n items (states, for a monoid without lift) of one of `generator.kinds()` kinds; see nasty.hpp.
/// `eq` compares (equality.hpp): what is declared with law::bitwise is compared bit for bit whatever `eq` says.
template <monoid M, class Generator, class Eq = bitwise>
law_report check_monoid_laws(M const& m, Generator const& generator, Eq const& eq = {}, law_options const& options = {}) {
  detail::law_checker<M, Eq> checker(m, eq, options);
  for (int kind = 0; kind < generator.kinds(); ++kind) {
    std::string const name = generator.name(kind);
    checker.samples(name, generator(kind, 192, options.seed), options.seed);
    for (std::int64_t const n : options.lengths) {
      std::uint64_t const seed = options.seed + static_cast<std::uint64_t>(n);
      checker.folds(name, generator(kind, n, seed), seed);
    }
  }
  return checker.report;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
