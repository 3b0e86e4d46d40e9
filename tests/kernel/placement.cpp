#include "fanfold/kernel/placement.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/placement.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
using fanfold::view;

/// Choices of `slots` distinct experts a row, some slots empty, some weights equal.
struct choices {
  std::int64_t rows, slots, experts;
  std::vector<std::int32_t> id;
  std::vector<float> weight;

  choices(std::int64_t t, std::int64_t k, std::int64_t n) : rows(t), slots(k), experts(n) {
    for (std::int64_t i = 0; i < t * k; ++i) {
      bool const empty = i % 11 == 7;
      id.push_back(empty ? -1 : static_cast<std::int32_t>((i / k * i / k + i % k) % n));
      weight.push_back(empty ? 0.0f : static_cast<float>((i * 29) % 13 + 1) / 16);
    }
  }
  route::assignment<float> view() { return {{id.data(), rows, slots}, {weight.data(), rows, slots}}; }
};

struct placed {
  std::vector<std::int32_t> slot;
  std::vector<std::int64_t> count, kept;
  std::int64_t dropped = -7;
};

template <class E, class Order>
placed place_in(E const& ex, Order const& order, choices& c, std::vector<std::int64_t> const& capacity, std::int64_t group_size) {
  std::int64_t const groups = group_size == 0 ? (c.rows > 0) : (c.rows + group_size - 1) / group_size;
  placed p{std::vector<std::int32_t>(c.id.size(), 77), std::vector<std::int64_t>(static_cast<std::size_t>(groups * c.experts), 77), {}};
  p.kept = p.count;
  route::place(ex, order, c.view(), capacity,
               route::placement{{p.slot.data(), c.rows, c.slots}, {p.count.data(), groups, c.experts}, {p.kept.data(), groups, c.experts}}, group_size,
               view<std::int64_t>(&p.dropped, 1));
  return p;
}

template <class Order>
void check_place(Order const& order, choices const& given, std::vector<std::int64_t> const& capacity, std::int64_t group_size = 0) {
  choices want = given;
  auto const expected = place_in(fanfold::serial, order, want, capacity, group_size);
  support::for_each_geometry([&](auto const& ex) {
    choices c = given;
    auto const got = place_in(ex, order, c, capacity, group_size);
    CHECK(c.id == want.id);
    CHECK(support::same_bits(c.weight, want.weight));
    CHECK(got.slot == expected.slot);
    CHECK(got.count == expected.count);
    CHECK(got.kept == expected.kept);
    CHECK(got.dropped == expected.dropped);
    fanfold::finish(ex);
  });
}

}  // namespace

TEST_CASE("place on a device: every order of the field drops what the host drops") {
  std::vector<std::int64_t> const capacity{6, 0, -1, 9, 3};
  std::vector<float> priority;
  for (int t = 0; t < 41; ++t) priority.push_back(static_cast<float>(t * 7 % 9) - 4);
  for (std::int64_t group_size : {0, 16}) {
    choices const c(41, 3, 5);
    check_place(route::token_major_order{}, c, capacity, group_size);
    check_place(route::choice_major_order{}, c, capacity, group_size);
    check_place(route::batch_prioritised_order{}, c, capacity, group_size);
    check_place(route::batch_prioritised_order{priority}, c, capacity, group_size);
    check_place(route::by_score_order{}, c, capacity, group_size);
    check_place(route::random_order{route::row_noise::of(3, 1, 4)}, c, capacity, group_size);
  }
  check_place(route::by_score_order{}, choices(0, 2, 3), {1, 2, 3});
  check_place(route::choice_major_order{}, choices(1, 1, 1), {1});
}

TEST_CASE("place on a device: ids out of range are reported and taken out") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  choices c(4, 2, 3);
  c.id[1] = 3;
  c.id[4] = -5;
  auto const got = place_in(ex, route::token_major_order{}, c, {9, 9, 9}, 2);
  CHECK(c.id[1] == -1);
  CHECK(c.id[4] == -1);
  CHECK(got.slot[1] == -1);
  CHECK_THROWS_WITH_AS(fanfold::finish(ex), doctest::Contains("out of range"), fanfold::argument_error);
}

TEST_CASE("budgets of devices, on a device") {
  choices const given(60, 3, 6);
  std::vector<std::int32_t> const device{0, 0, 1, 2, 2, 1};
  std::vector<std::int64_t> const budget{10, 40, 0};
  std::vector<std::uint8_t> protect(60);
  for (std::size_t t = 0; t < 60; t += 9) protect[t] = 1;
  for (view<std::uint8_t const> const p : {view<std::uint8_t const>(), view<std::uint8_t const>(protect)}) {
    choices want = given;
    std::int64_t const expected = route::drop_over_budget(want.view(), device, budget, p);
    CHECK(expected > 0);
    route::renormalise_survivors(want.view());
    support::for_each_geometry([&](auto const& ex) {
      choices c = given;
      std::int64_t dropped = -7;
      route::drop_over_budget(ex, c.view(), device, budget, p, view<std::int64_t>(&dropped, 1));
      route::renormalise_survivors(ex, c.view());
      CHECK(dropped == expected);
      CHECK(c.id == want.id);
      CHECK(support::same_bits(c.weight, want.weight));
    });
  }
}
