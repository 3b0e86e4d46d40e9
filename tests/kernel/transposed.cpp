#include "fanfold/kernel/transposed.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/transposed.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"

namespace {

namespace route = fanfold::route;

struct picked {
  std::int64_t experts, places;
  std::vector<std::int32_t> token;
  std::vector<float> weight;

  picked(std::int64_t e, std::int64_t c, std::int64_t tokens) : experts(e), places(c) {
    for (std::int64_t i = 0; i < e * c; ++i) {
      bool const empty = i % 13 == 4;
      token.push_back(empty ? -1 : static_cast<std::int32_t>((i / c * 5 + i % c * 3) % tokens));
      weight.push_back(empty ? 0.0f : static_cast<float>(i + 1) / 8);
    }
  }
  route::expert_assignment<float> view() { return {{token.data(), experts, places}, {weight.data(), experts, places}}; }
};

}  // namespace

TEST_CASE("transposed choices on a device: those of the host") {
  for (std::int64_t tokens : {1, 17, 40}) {
    picked p(6, tokens == 1 ? 1 : 7, tokens);
    auto const size = p.token.size(), rows = static_cast<std::size_t>(tokens);
    std::vector<std::int64_t> row(rows + 1);
    std::vector<std::int32_t> id(size, -7), slots(rows * 6);
    std::vector<float> weight(size, -7), slot_weights(slots.size());
    route::transpose(p.view(), tokens, route::ragged_assignment<float>{row, id, weight});
    route::transpose(p.view(), route::assignment<float>{{slots.data(), tokens, 6}, {slot_weights.data(), tokens, 6}});
    support::for_each_geometry([&](auto const& ex) {
      std::vector<std::int64_t> got_row(row.size());
      std::vector<std::int32_t> got_id(size, -7), got_slots(slots.size());
      std::vector<float> got_weight(size, -7), got_slot_weights(slots.size());
      route::transpose(ex, p.view(), tokens, route::ragged_assignment<float>{got_row, got_id, got_weight});
      route::transpose(ex, p.view(), route::assignment<float>{{got_slots.data(), tokens, 6}, {got_slot_weights.data(), tokens, 6}});
      CHECK(got_row == row);
      CHECK(got_id == id);
      CHECK(support::same_bits(got_weight, weight));
      CHECK(got_slots == slots);
      CHECK(support::same_bits(got_slot_weights, slot_weights));
      fanfold::finish(ex);
    });
  }
}

TEST_CASE("transposed choices on a device: too many experts of a token, and tokens out of range, are reported") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  picked p(4, 1, 1);
  std::vector<std::int32_t> id(2);
  std::vector<float> weight(2);
  route::transpose(ex, p.view(), route::assignment<float>{{id.data(), 1, 2}, {weight.data(), 1, 2}});
  CHECK(id == std::vector<std::int32_t>{0, 1});
  CHECK_THROWS_WITH_AS(fanfold::finish(ex), doctest::Contains("capacity"), fanfold::argument_error);
  p.token[0] = 3;
  std::vector<std::int32_t> wide(4);
  std::vector<float> wide_weight(4);
  route::transpose(ex, p.view(), route::assignment<float>{{wide.data(), 1, 4}, {wide_weight.data(), 1, 4}});
  CHECK(wide == std::vector<std::int32_t>{1, 2, 3, -1});
  CHECK_THROWS_WITH_AS(fanfold::finish(ex), doctest::Contains("out of range"), fanfold::argument_error);
}
