// Robust aggregation of n clients' rows, one thread. Limits: for order statistics a read of the rows; for rules on distances one gram sweep
// plus one weighted sweep of the same rows, measured here, so 0.5 means twice their time.
#include "fanfold/aggregate/robust/robust.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bulyan.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/flag_aggregate.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace {

namespace ff = fanfold;
using namespace ff::aggregate;

enum class limit { read, sweeps };

struct clients {
  std::int64_t n, d;
  bench::shared_vector<float> x;
  std::vector<float> out;
  std::vector<double> products;
  std::vector<float> weights;
  ff::workspace ws;

  clients(std::int64_t rows, std::int64_t size)
      : n(rows), d(size), x(bench::normal_floats(rows * size)), out(static_cast<std::size_t>(size)), products(static_cast<std::size_t>(rows * rows)),
        weights(static_cast<std::size_t>(rows), 0.1f) {}
  ff::matrix_view<float const> rows() const { return {x->data(), n, d}; }
};

// One case allocates its clients; the next frees them.
std::shared_ptr<clients> rows_of(std::int64_t n, std::int64_t d) {
  static std::shared_ptr<clients> last;
  if (!last || last->n != n || last->d != d) {
    last.reset();
    last = std::make_shared<clients>(n, d);
  }
  return last;
}

bench::reference two_sweeps(std::shared_ptr<clients> const& c) {
  return {[c] {
    ff::gram(ff::serial, ff::squared_distances{}, c->rows(), ff::matrix_view<double>(c->products.data(), c->n, c->n), c->ws);
    ff::element_range const whole[1] = {{0, c->d}};
    ff::map_fold(ff::serial, ff::weighted_sum<float>{c->weights}, c->rows(), ff::matrix_view<float>(c->out.data(), 1, c->d), whole, c->ws);
  }};
}

template <class R>
void add_rule(std::string const& name, limit kind, std::int64_t n, std::int64_t full, R const& rule) {
  std::int64_t const d = bench::size(full);
  bench::add(name + "/n:" + std::to_string(n) + "/d:" + std::to_string(full), {d, (n + 1) * d * 4}, [=] {
    auto const c = rows_of(n, d);
    return bench::contest{[=] { robust(ff::serial, rule, c->rows(), c->out, c->ws); }, {},
                          kind == limit::read ? bench::read_limit(n * d * 4) : two_sweeps(c)};
  });
}

void add_rules(std::int64_t n, std::int64_t d) {
  std::int64_t const f = (n - 3) / 4 < 4 ? (n - 3) / 4 : 4;
  add_rule("coordinate_median", limit::read, n, d, coordinate_median{});
  add_rule("trimmed_mean", limit::read, n, d, trimmed_mean{.f = f});
  add_rule("mean_around_median", limit::read, n, d, mean_around_median{.f = f});
  add_rule("sign_vote", limit::read, n, d, sign_vote{});
  add_rule("krum", limit::sweeps, n, d, krum{.f = f});
  add_rule("multi_krum", limit::sweeps, n, d, multi_krum{.f = f});
  add_rule("bulyan", limit::sweeps, n, d, bulyan{.f = f});
  add_rule("minimum_diameter_average", limit::sweeps, n, d, minimum_diameter_average{.f = f});
  if (n <= 20) add_rule("smallest_eigen_average", limit::sweeps, n, d, smallest_eigen_average{.f = f});
  add_rule("nearest_to_trusted", limit::sweeps, n, d, nearest_to_trusted{.f = f});
  add_rule("geometric_median", limit::sweeps, n, d, geometric_median{});
  add_rule("centered_clipping", limit::sweeps, n, d, centered_clipping{.tau = 100, .iterations = 3});
  add_rule("covariance_filter", limit::sweeps, n, d, covariance_filter{.f = f});
  add_rule("flag_aggregate", limit::sweeps, n, d, flag_aggregate{});
  add_rule("norm_clip+average", limit::sweeps, n, d, compose(norm_clip{1}, average{}));
  add_rule("adaptive_robust_clip+geometric_median", limit::sweeps, n, d, compose(adaptive_robust_clip{.f = f}, geometric_median{}));
  add_rule("nearest_neighbour_mixing+krum", limit::sweeps, n, d, compose(nearest_neighbour_mixing{.f = f}, krum{.f = f}));
  add_rule("nearest_neighbour_mixing+trimmed_mean", limit::sweeps, n, d, compose(nearest_neighbour_mixing{.f = f}, trimmed_mean{.f = f}));
}

}  // namespace

void bench::register_cases() {
  add_rules(20, 1000000);
  add_rules(10, 100000);
  add_rules(50, 100000);
}
