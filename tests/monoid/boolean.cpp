#include "fanfold/monoid/boolean.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/monoid/vote.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

struct coin {
  bool operator()(int, std::int64_t, word_stream& words) const { return words.below(2) == 0; }
};

template <class M, class G>
void passes(G const& generator) {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65};
  law_report const r = check_monoid_laws(M{}, generator, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return m.lower(s);
}

}  // namespace

TEST_CASE("boolean and bit carriers obey their laws bit for bit") {
  auto const coins = items_from{nasty_values<int>{}, coin{}};
  passes<any_true>(coins);
  passes<all_true>(coins);
  passes<count_true>(coins);
  passes<bit_or<std::uint32_t>>(nasty_values<std::uint32_t>{});
  passes<bit_and<std::uint32_t>>(nasty_values<std::uint32_t>{});
  passes<bit_xor<std::uint8_t>>(nasty_values<std::uint8_t>{});
}

TEST_CASE("boolean carriers: values and nothing") {
  CHECK_FALSE(fold_list(any_true{}, {}));
  CHECK(fold_list(all_true{}, {}));
  CHECK(fold_list(count_true{}, {true, false, true}) == 2);
  CHECK(fold_list(bit_xor<std::uint8_t>{}, {5, 6}) == 3);
  CHECK(fold_list(bit_and<std::uint8_t>{}, {}) == 255);
}

TEST_CASE("majority: ties go to the smaller class, unknown classes are not counted") {
  majority<4> const m;
  auto const winner = fold_list(m, {3, 1, 3, 1, 0, -1, 9});
  CHECK(winner.index == 1);
  CHECK(winner.value == 2);
  CHECK_FALSE(fold_list(m, {}).has_value());
  passes<majority<4>>(items_from{nasty_values<int>{}, [](int, std::int64_t, word_stream& words) { return static_cast<std::int32_t>(words.below(5)); }});
}

TEST_CASE("weighted_vote: the verdict does not depend on the order") {
  weighted_vote<3> const m;
  auto const winner = fold_list(m, {{0, 1e8f}, {1, 1.5f}, {0, -1e8f}, {2, 1.0f}});
  CHECK(winner.index == 1);
  CHECK(winner.value == 1.5f);
  CHECK(fold_list(m, {{2, -1.0f}, {1, -1.0f}}).index == 1);
  CHECK_FALSE(fold_list(m, {}).has_value());
  passes<weighted_vote<3>>(items_from{nasty_values<float>{}, [](float x, std::int64_t, word_stream& words) { return ballot<float>{static_cast<std::int32_t>(words.below(3)), x}; }});
}
