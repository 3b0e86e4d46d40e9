#include "fanfold/kernel/mix.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/gossip/topology.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
namespace gossip = fanfold::gossip;
using records = std::vector<gossip::correction_record>;

template <class T>
std::vector<T> models_of(std::int64_t nodes, std::int64_t d, std::uint64_t seed = 9) {
  std::vector<T> x;
  for (float v : support::reals(static_cast<std::size_t>(nodes * d), seed)) x.push_back(T(v));
  return x;
}

template <class T>
auto matrix(std::vector<T>& x, std::int64_t rows) {
  return ff::matrix_view<T>(x.data(), rows, static_cast<std::int64_t>(x.size()) / rows);
}
template <class T>
auto matrix(std::vector<T> const& x, std::int64_t rows) {
  return ff::matrix_view<T const>(x.data(), rows, static_cast<std::int64_t>(x.size()) / rows);
}

std::vector<gossip::segment> layers(std::int64_t d) {
  return {{0, d / 3, 30, 20, gossip::seg_mix | gossip::seg_correct}, {d / 3, 5, 0, 0, gossip::seg_mix}, {d / 3 + 7, 1, 1, 1, gossip::seg_mix | gossip::seg_correct},
          {d / 3 + 8, 3, 0, 0, gossip::seg_running_stat}, {d / 3 + 20, d - d / 3 - 20, 8, 8, gossip::seg_mix | gossip::seg_correct}};
}

void check_records(records const& a, records const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK((support::same_bits(a[i].mean, b[i].mean) && support::same_bits(a[i].variance, b[i].variance) && support::same_bits(a[i].target, b[i].target)));
    CHECK((support::same_bits(a[i].scale, b[i].scale) && a[i].flags == b[i].flags));
  }
}

// Stacked, for one node from its inbox, and with records: the bits of the host.
template <class P, class T>
void check_round(P const& policy, gossip::mixing_matrix<> const& m, std::vector<T> const& x) {
  auto const d = static_cast<std::int64_t>(x.size()) / m.n;
  auto const segments = layers(d);
  auto const stacked = [&](auto const& ex, std::vector<T>& next, records& record) {
    record.assign(static_cast<std::size_t>(m.n) * segments.size(), {1, 1, 1, 2, 7});
    next.assign(x.size(), T(7.0f));
    gossip::mix(ex, policy, m, matrix(x, m.n), segments, matrix(next, m.n), ff::view<gossip::correction_record>(record));
  };
  // node 1 of the path hears nodes 0 and 2
  T const* const heard[] = {x.data(), x.data() + 2 * d};
  std::vector<double> const weight{m.w[static_cast<std::size_t>(m.row_ptr[1])], m.w[static_cast<std::size_t>(m.row_ptr[1]) + 1]};
  gossip::inbox<T> const in{ff::view<T const>(x.data() + d, d), m.self[1], 1, ff::rows_view<T const>(heard, 2, d), weight};
  auto const local = [&](auto const& ex, std::vector<T>& out, records& record) {
    record.assign(segments.size(), {1, 1, 1, 2, 7});
    out.assign(static_cast<std::size_t>(d), T(7.0f));
    gossip::mix(ex, policy, in, segments, out, ff::view<gossip::correction_record>(record));
  };
  std::vector<T> next, out, device_next, device_out;
  records record, local_record, device_record;
  stacked(ff::serial, next, record);
  local(ff::serial, out, local_record);
  support::for_each_geometry([&](auto const& ex) {
    stacked(ex, device_next, device_record);
    ff::finish(ex);
    CHECK(support::same_bits(device_next, next));
    check_records(device_record, record);
    local(ex, device_out, device_record);
    ff::finish(ex);
    CHECK(support::same_bits(device_out, out));
    check_records(device_record, local_record);
  });
}

}  // namespace

TEST_CASE("mix on a device: the host's bits for every correction") {
  auto const m = gossip::metropolis_hastings(gossip::path(4));
  auto const x = models_of<float>(4, 4500);
  check_round(gossip::no_correction{}, m, x);
  check_round(gossip::variance_corrected{}, m, x);
  check_round(gossip::variance_corrected{gossip::received{}}, m, models_of<float>(4, 300));
  check_round(gossip::variance_corrected{gossip::own_variance{}, 1e-6, 1.5, 0.5}, m, models_of<float>(4, 300));
  check_round(gossip::variance_corrected{gossip::blend{}}, m, models_of<float>(4, 300));
  check_round(gossip::variance_corrected{gossip::xavier{}}, m, models_of<float>(4, 300));
  std::vector<double> const fixed(5, 0.25);
  check_round(gossip::variance_corrected{gossip::fixed_variance{fixed}}, m, models_of<float>(4, 300));
}

TEST_CASE_TEMPLATE("mix on a device: storage types", T, double, ff::float16, ff::bfloat16) {
  check_round(gossip::variance_corrected{}, gossip::metropolis_hastings(gossip::path(3)), models_of<T>(3, 3001));
}

TEST_CASE("mix on a device: more neighbours than a run of the ordered tree") {
  auto const g = gossip::complete(70);
  auto const m = gossip::metropolis_hastings(g);
  auto const x = models_of<float>(70, 60);
  std::vector<gossip::segment> const segments{{0, 40, 1, 1, gossip::seg_mix | gossip::seg_correct}};
  std::vector<float> next(x.size()), device_next(x.size());
  gossip::mix(ff::serial, gossip::variance_corrected{}, m, matrix(x, 70), segments, matrix(next, 70));
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {.block_threads = 64});
  gossip::mix(ex, gossip::variance_corrected{}, m, matrix(x, 70), segments, matrix(device_next, 70));
  ff::finish(ex);
  CHECK(support::same_bits(device_next, next));
}

TEST_CASE("mix on a device: rows that cancel out, elements that are not finite") {
  auto const m = gossip::metropolis_hastings(gossip::path(3));
  std::vector<float> x = models_of<float>(3, 300);
  for (std::size_t i = 0; i < 100; ++i) x[i] = x[300 + i] = x[600 + i] = 0.5f;
  x[305] = std::numeric_limits<float>::infinity();
  x[899] = -std::numeric_limits<float>::quiet_NaN();
  check_round(gossip::variance_corrected{}, m, x);
}

TEST_CASE("mix on a device: several steps") {
  auto const m = gossip::metropolis_hastings(gossip::ring(5));
  auto const x = models_of<float>(5, 200);
  auto const segments = layers(200);
  for (int steps : {0, 1, 2, 3}) {
    std::vector<float> next(x.size()), device_next(x.size());
    gossip::mix_steps(ff::serial, gossip::variance_corrected{}, m, steps, 0, matrix(x, 5), segments, matrix(next, 5));
    support::for_each_geometry([&](auto const& ex) {
      gossip::mix_steps(ex, gossip::variance_corrected{}, m, steps, 0, matrix(x, 5), segments, matrix(device_next, 5));
      ff::finish(ex);
      CHECK(support::same_bits(device_next, next));
    });
  }
}

TEST_CASE("mix on a device: errors come before any launch") {
  auto const m = gossip::metropolis_hastings(gossip::path(3));
  auto const x = models_of<float>(3, 10);
  std::vector<float> y(30, 7.0f);
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  std::vector<gossip::segment> const bad{{5, 6, 0, 0, 3}};
  CHECK_THROWS_AS(gossip::mix(ex, gossip::variance_corrected{}, m, matrix(x, 3), bad, matrix(y, 3)), ff::argument_error);
  CHECK_THROWS_AS(gossip::mix(ex, gossip::variance_corrected{gossip::contributors{}, -1.0}, m, matrix(x, 3), layers(10), matrix(y, 3)), ff::argument_error);
  for (float v : y) CHECK(v == 7.0f);
}
