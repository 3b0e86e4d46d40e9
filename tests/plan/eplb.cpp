#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fanfold/plan/eplb.hpp"

using namespace fanfold;
using namespace fanfold::plan;

namespace {

using doubles = std::vector<double>;
using ints = std::vector<std::int32_t>;

/// Two copies of an expert on one device, or an expert that stands nowhere.
bool is_proper(expert_placement const& p, std::int64_t devices) {
  std::size_t const each = p.expert.size() / static_cast<std::size_t>(devices);
  return plan::detail::is_proper(p.expert.data(), p.expert.size(), each, p.replicas.size());
}

doubles log_normal(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  doubles w(n);
  for (auto& x : w) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(engine()) / 4294967296.0;
    x = std::exp(sum);
  }
  return w;
}

}  // namespace

TEST_CASE("eplb_plan, reference: worked example of two layers") {
  doubles const w0{90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86}, w1{20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27};
  eplb const policy{.devices = 8, .nodes = 2, .groups = 4, .reference = true};
  auto const a = eplb_plan(policy, w0, 16), b = eplb_plan(policy, w1, 16);
  CHECK(a.expert == ints{5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1});
  CHECK(b.expert == ints{7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1});
  CHECK(a.ratio() == doctest::Approx(1.208).epsilon(5e-4));
  CHECK(b.ratio() == doctest::Approx(1.242).epsilon(5e-4));
  auto const slots = a.slots_of_experts();  // two columns
  CHECK(slots.size() == 24);
  CHECK(slots[0] == 12);
  CHECK(slots[1] == -1);
  CHECK(((slots[10] == 0 && slots[11] == 2) || (slots[10] == 2 && slots[11] == 0)));
}

TEST_CASE("eplb_plan: worked example of a skewed load, where the reference wastes a slot") {
  doubles const w{600, 560, 120, 120, 20, 10, 10, 10};
  auto const reference = eplb_plan({.devices = 8, .reference = true}, w, 16);
  CHECK(reference.replicas[0] == 5);
  CHECK(reference.replicas[1] == 5);
  CHECK(reference.most == doctest::Approx(232).epsilon(1e-6));
  CHECK(reference.ratio() == doctest::Approx(1.28).epsilon(1e-3));
  auto const improved = eplb_plan({.devices = 8}, w, 16);
  CHECK(improved.most == doctest::Approx(590.0 / 3).epsilon(1e-9));
  CHECK(improved.replicas == ints{4, 3, 1, 3, 1, 2, 1, 1});
  CHECK(improved.mean == 181.25);
  CHECK(improved.ratio() == doctest::Approx(1.085).epsilon(1e-3));
  CHECK(is_proper(improved, 8));
  CHECK(eplb_plan({.devices = 8, .steps = 3}, w, 16).most == improved.most);
  double squares = 0;
  for (std::size_t d = 0; d < 8; ++d) {
    double sum = 0;
    for (std::size_t s = 2 * d; s < 2 * d + 2; ++s) sum += w[static_cast<std::size_t>(improved.expert[s])] / improved.replicas[static_cast<std::size_t>(improved.expert[s])];
    squares += sum * sum;
  }
  CHECK(squares == doctest::Approx(264450).epsilon(1e-6));
}

TEST_CASE("eplb_plan: properties on log-normal loads") {
  for (unsigned seed = 0; seed < 6; ++seed) {
    std::int64_t const devices = 4, slots = 4 * (5 + seed % 3);
    doubles const w = log_normal(16, seed);
    auto const reference = eplb_plan({.devices = devices, .reference = true}, w, slots), plan = eplb_plan({.devices = devices, .steps = 6}, w, slots);
    CHECK(is_proper(plan, devices));
    if (is_proper(reference, devices)) CHECK(plan.most <= reference.most * (1 + 1e-12));
    CHECK(plan.most >= plan.bound * (1 - 1e-12));
    CHECK(plan.ratio() < 1.1);
    doubles scaled = w;
    for (auto& x : scaled) x *= 4;
    CHECK(eplb_plan({.devices = devices, .steps = 6}, scaled, slots).expert == plan.expert);
    // inside nodes: every group stays on one
    auto const nodes = eplb_plan({.devices = devices, .nodes = 2, .groups = 4, .steps = 3}, w, slots);
    CHECK(is_proper(nodes, devices));
    for (std::size_t g = 0; g < 4; ++g) {
      std::int64_t node = -1;
      for (std::size_t s = 0; s < nodes.expert.size(); ++s) {
        if (static_cast<std::size_t>(nodes.expert[s]) / 4 != g) continue;
        std::int64_t const mine = static_cast<std::int64_t>(s) / (slots / 2);
        CHECK((node < 0 || node == mine));
        node = mine;
      }
    }
  }
}

TEST_CASE("eplb_plan: a previous placement keeps its slots, and a budget of moves holds") {
  doubles const before = log_normal(12, 5), after = log_normal(12, 6);
  auto const first = eplb_plan({.devices = 4}, before, 20);
  auto const same = eplb_plan({.devices = 4}, before, 20, first.expert);
  CHECK(same.moves == 0);
  CHECK(same.expert == first.expert);
  auto const free = eplb_plan({.devices = 4}, after, 20), aligned = eplb_plan({.devices = 4}, after, 20, first.expert);
  CHECK(aligned.most == free.most);
  std::int64_t unaligned = 0;
  for (std::size_t s = 0; s < 20; ++s) unaligned += free.expert[s] != first.expert[s];
  CHECK(aligned.moves <= unaligned);
  CHECK(is_proper(aligned, 4));
  double last = std::numeric_limits<double>::infinity();
  for (std::int64_t budget : {0, 2, 6, 20}) {
    auto const limited = eplb_plan({.devices = 4, .most_moves = budget}, after, 20, first.expert);
    CHECK(limited.moves <= budget);
    CHECK(limited.most <= last);
    CHECK(is_proper(limited, 4));
    if (budget == 0) CHECK(limited.expert == first.expert);
    last = limited.most;
  }
  CHECK(last == doctest::Approx(free.most).epsilon(0.05));
}

TEST_CASE("eplb_plan: edge cases and errors") {
  doubles const zero(6, 0.0), w{1, 2, 3, 4};
  CHECK(is_proper(eplb_plan({.devices = 3}, zero, 9), 3));
  CHECK(eplb_plan({.devices = 3}, zero, 9).ratio() == 1);
  auto const placement_only = eplb_plan({.devices = 2}, w, 4);
  CHECK(placement_only.replicas == ints{1, 1, 1, 1});
  CHECK(placement_only.most == 5);
  auto const one = eplb_plan({.devices = 4}, doubles{8}, 4);
  CHECK(one.expert == ints{0, 0, 0, 0});
  CHECK(one.most == 2);
  CHECK(eplb_plan({.devices = 2}, doubles{5, 1}, 4).replicas == ints{2, 2});  // every expert everywhere
  // one expert with all the load may have a copy a device, no more
  CHECK(eplb_plan({.devices = 2}, doubles{100, 1, 1}, 6).replicas == ints{2, 2, 2});
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 3}, w, 4), doctest::Contains("slots"), argument_error);
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 2}, w, 2), doctest::Contains("at least"), argument_error);
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 2}, w, 10), doctest::Contains("at most"), argument_error);
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 2}, doubles{1, -1}, 2), doctest::Contains("load"), argument_error);
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 2}, doubles{1, std::nan("")}, 2), doctest::Contains("load"), argument_error);
  CHECK_THROWS_WITH_AS(eplb_plan({.devices = 2, .most_moves = 1}, w, 4), doctest::Contains("previous"), argument_error);
}
