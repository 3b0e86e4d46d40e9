// Learned folds and rankings, one thread. A level of a learned fold is measured against an OpenBLAS product of its shape (the peer) and
// against the machine's sgemm (the limit); a tree of a batch against the recurrent unit that reads the same sets item by item; votes
// against a read of them by one stream. Robust rules: robust.cpp.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifdef BENCH_OPENBLAS
#include <cblas.h>
#endif

#include "fanfold/aggregate/rank/borda.hpp"
#include "fanfold/aggregate/rank/hypervolume.hpp"
#include "fanfold/aggregate/rank/kemeny.hpp"
#include "fanfold/aggregate/rank/pareto.hpp"
#include "fanfold/aggregate/rank/plackett_luce.hpp"
#include "fanfold/aggregate/rank/rank_vote.hpp"
#include "fanfold/aggregate/rank/sign_agreement.hpp"
#include "fanfold/aggregate/set/binary_gru.hpp"
#include "fanfold/aggregate/set/learned_fold.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace {

namespace ff = fanfold;
namespace ag = fanfold::aggregate;

/// Sets of equally many items, and the parameters of a gated unit.
struct learned_case {
  std::int64_t d, sets, items;
  bench::shared_vector<float> x, parameter;
  std::vector<float> out, gradient, dx, dparameter;
  std::vector<std::int64_t> offsets{0};
  ag::learned_tape<float> tape;
  ff::workspace ws;

  learned_case(std::int64_t width, std::int64_t count, std::int64_t size)
      : d(width), sets(count), items(size), x(bench::normal_floats(count * size * width)),
        parameter(bench::normal_floats(ag::binary_gru<float>::parameters_of(width))) {
    for (float& p : *parameter) p *= 0.1f;
    for (std::int64_t s = 0; s < sets; ++s) offsets.push_back((s + 1) * items);
    out.resize(static_cast<std::size_t>(sets * d));
    gradient.assign(out.size(), 1.0f);
    dx.resize(x->size());
    dparameter.resize(parameter->size());
  }
  ff::matrix_view<float const> rows() const { return {x->data(), sets * items, d}; }
  ff::matrix_view<float> answers() { return {out.data(), sets, d}; }
  ag::binary_gru<float> tree() const { return {.size = d, .parameter = *parameter}; }
  ag::gru_step<float> step() const { return {.size = d, .parameter = *parameter}; }
};

/// The two products of a level: rows [pairs * 2, d] by [d, 6 d].
bench::reference product(std::shared_ptr<learned_case> const& c) {
#ifdef BENCH_OPENBLAS
  auto const y = std::make_shared<std::vector<float>>(static_cast<std::size_t>(c->sets * c->items * 6 * c->d));
  openblas_set_num_threads(1);
  return {[=] {
    auto const rows = static_cast<int>(c->sets * c->items), d = static_cast<int>(c->d);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, 6 * d, d, 1, c->x->data(), d, c->parameter->data(), d, 0, y->data(), 6 * d);
  }};
#else
  static_cast<void>(c);
  return {};
#endif
}

void add_level(std::int64_t d, std::int64_t pairs) {
  std::string const name = "learned_level/d:" + std::to_string(d) + "/pairs:" + std::to_string(pairs);
  bench::add(name, {pairs, 3 * pairs * d * 4}, [=] {
    auto const c = std::make_shared<learned_case>(d, bench::size(pairs), 2);
    double const flops = 2.0 * static_cast<double>(2 * c->sets) * static_cast<double>(6 * d) * static_cast<double>(d);
    return bench::contest{[=] { c->tree().apply(ff::serial, c->rows(), c->answers(), c->ws); }, product(c), bench::gemm_limit(flops)};
  });
}

void add_fold(std::int64_t d, std::int64_t sets, std::int64_t items) {
  std::string const shape = "/d:" + std::to_string(d) + "/sets:" + std::to_string(sets) + "/items:" + std::to_string(items);
  auto const make = [=] { return std::make_shared<learned_case>(d, sets, bench::smoke() ? 4 : items); };
  bench::add("learned_fold/against_sequence" + shape, {sets * items, sets * items * d * 4}, [=] {
    auto const c = make(), other = make();
    return bench::contest{[=] { ag::learned_fold(ff::serial, c->tree(), c->rows(), c->offsets, c->answers(), c->tape, c->ws); },
                          {[=] {
                            ag::learned_fold(ff::serial, other->step(), other->rows(), ag::fold_shape::sequential(ff::view<std::int64_t const>(other->offsets)),
                                             other->answers(), other->tape, other->ws);
                          }}};
  });
  bench::add("learned_fold_vjp/against_fold" + shape, {sets * items, sets * items * d * 4}, [=] {
    auto const c = make(), other = make();
    ag::learned_fold(ff::serial, c->tree(), c->rows(), c->offsets, c->answers(), c->tape, c->ws);
    ff::matrix_view<float> const g(c->gradient.data(), sets, d), dx(c->dx.data(), c->sets * c->items, d);
    return bench::contest{[=] { ag::learned_fold_vjp(ff::serial, c->tree(), c->tape, g, dx, c->dparameter, c->ws); },
                          {[=] { ag::learned_fold(ff::serial, other->tree(), other->rows(), other->offsets, other->answers(), other->tape, other->ws); }}};
  });
}

/// Scores of `m` systems on `t` columns.
std::shared_ptr<std::vector<double>> scores(std::int64_t t, std::int64_t m) {
  auto const x = bench::normal_floats(t * m);
  return std::make_shared<std::vector<double>>(x->begin(), x->end());
}

void add_rankings(std::int64_t columns, std::int64_t m) {
  std::string const shape = "/columns:" + std::to_string(columns) + "/systems:" + std::to_string(m);
  std::int64_t const t = bench::size(columns);
  auto const x = [=] { return scores(t, m); };
  bench::add("borda_count" + shape, {t * m, t * m * 8}, [=] {
    auto const s = x();
    auto const sum = std::make_shared<std::vector<double>>(m);
    auto const ws = std::make_shared<ff::workspace>();
    return bench::contest{[=] { ag::borda_count(ff::serial, {}, ff::matrix_view<double const>(s->data(), t, m), {}, {}, *sum, *ws); }, {}, bench::read_limit(t * m * 8)};
  });
  bench::add("pair_preferences" + shape, {t * m, t * m * 8}, [=] {
    auto const s = x();
    auto const w = std::make_shared<std::vector<double>>(m * m);
    auto const ws = std::make_shared<ff::workspace>();
    return bench::contest{[=] {
      ag::pair_preferences(ff::serial, {}, ff::matrix_view<double const>(s->data(), t, m), {}, ff::matrix_view<double>(w->data(), m, m), *ws);
    }, {}, bench::read_limit(t * m * 8)};
  });
  bench::add("plackett_luce_fit" + shape, {t * m, t * m * 8}, [=] {
    auto const s = x();
    auto const data = std::make_shared<ag::comparisons>(m);
    for (std::int64_t c = 0; c < t; ++c) data->add_scores(ff::view<double const>(s->data() + c * m, m));
    return bench::contest{[=] { static_cast<void>(ag::plackett_luce_fit(*data)); }};
  });
}

void add_kemeny(std::int64_t m) {
  bench::add("kemeny_order/systems:" + std::to_string(m), {m, m * m * 8}, [=] {
    std::int64_t const t = 50;
    auto const s = scores(t, m);
    auto const w = std::make_shared<std::vector<double>>(m * m);
    ag::pair_preferences(ff::serial, {}, ff::matrix_view<double const>(s->data(), t, m), {}, ff::matrix_view<double>(w->data(), m, m));
    return bench::contest{[=] { static_cast<void>(ag::kemeny_order(ff::matrix_view<double const>(w->data(), m, m))); }};
  });
}

void add_votes(std::int64_t clients, std::int64_t full) {
  std::int64_t const n = bench::size(full);
  std::string const shape = "/votes:" + std::to_string(clients) + "/size:" + std::to_string(full);
  bench::add("rank_sums" + shape, {clients * n, clients * n * 4}, [=] {
    auto const votes = std::make_shared<std::vector<std::int32_t>>(clients * n);
    for (std::int64_t u = 0; u < clients; ++u)  // a step that shares no factor with 2^k and 10^k permutes
      for (std::int64_t i = 0; i < n; ++i) (*votes)[static_cast<std::size_t>(u * n + i)] = static_cast<std::int32_t>((i * 7919 + u) % n);
    auto const sum = std::make_shared<std::vector<std::uint64_t>>(n);
    auto const ws = std::make_shared<ff::workspace>();
    return bench::contest{[=] { ag::rank_sums(ff::serial, {}, ff::matrix_view<std::int32_t const>(votes->data(), clients, n), *sum, *ws); }, {},
                          bench::read_limit(clients * n * 4)};
  });
  bench::add("count_signs" + shape, {clients * n, clients * n * 4}, [=] {
    auto const g = bench::normal_floats(clients * n);
    auto const tally = std::make_shared<std::vector<ag::sign_tally>>(n);
    auto const ws = std::make_shared<ff::workspace>();
    return bench::contest{[=] { ag::count_signs(ff::serial, ff::matrix_view<float const>(g->data(), clients, n), *tally, *ws); }, {},
                          bench::read_limit(clients * n * 4)};
  });
}

void add_fronts(std::int64_t points, std::int64_t objectives) {
  std::int64_t const n = bench::smoke() ? 20 : points;
  bench::add("hypervolume/points:" + std::to_string(points) + "/objectives:" + std::to_string(objectives), {n, n * objectives * 8}, [=] {
    auto const x = scores(n, objectives);
    for (std::int64_t i = 0; i < n; ++i) {  // onto a sphere, where none dominates another
      double square = 1e-9;
      for (std::int64_t k = 0; k < objectives; ++k) square += (*x)[static_cast<std::size_t>(i * objectives + k)] * (*x)[static_cast<std::size_t>(i * objectives + k)];
      for (std::int64_t k = 0; k < objectives; ++k) {
        double& v = (*x)[static_cast<std::size_t>(i * objectives + k)];
        v = (v < 0 ? -v : v) / std::sqrt(square);
      }
    }
    auto const zero = std::make_shared<std::vector<double>>(objectives);
    return bench::contest{[=] { static_cast<void>(ag::hypervolume(ff::matrix_view<double const>(x->data(), n, objectives), *zero)); }};
  });
}

}  // namespace

void bench::register_cases() {
  for (std::int64_t const d : {32, 64, 128, 256}) add_level(d, 2048);
  add_level(128, 64);
  add_fold(64, 64, 64);
  add_fold(128, 128, 16);
  add_rankings(10000, 16);
  add_rankings(1000, 64);
  for (std::int64_t const m : {10, 16, 40}) add_kemeny(m);
  add_votes(25, 1000000);
  add_fronts(2000, 2);
  add_fronts(500, 3);
  add_fronts(60, 4);
}
