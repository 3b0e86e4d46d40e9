// The side of robust.py that is ours: aggregates the rows of array files and waits for orders, one a line on its input:
//   load ROWS F     reads an n x d array of float
//   rule NAME       chooses a rule, with the variants that the peers compute
//   time            runs it; prints microseconds of processor time a call, the best of its runs
//   write FILE      writes the result as an array file
// Each order is answered by one line.
#include <cstdint>
#include <ctime>
#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bucketing.hpp"
#include "fanfold/aggregate/robust/bulyan.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"
#include "fanfold/io/npy.hpp"

namespace ff = fanfold;
using namespace ff::aggregate;

namespace {

struct state {
  ff::io::npy_array<float> rows;
  std::int64_t f = 0;
  std::vector<float> out;
  ff::workspace ws;
  std::function<void()> call;

  void load(std::string const& file, std::int64_t faulty) {
    rows = ff::io::read_npy<float>(file);
    f = faulty;
  }
  template <class R>
  void use(R const& rule) {
    out.assign(static_cast<std::size_t>(rows.shape.at(1)), 0.0f);
    call = [this, rule] { robust(ff::serial, rule, ff::matrix_view<float const>(rows.data.data(), rows.shape[0], rows.shape[1]), out, ws); };
  }
  void use_both() {
    std::int64_t const n = rows.shape.at(0), d = rows.shape.at(1);
    out.assign(static_cast<std::size_t>(2 * d), 0.0f);
    call = [=, this] {
      ff::coordinate_fold(ff::serial, ff::together(coordinate_median{}, trimmed_mean{.f = f}), ff::matrix_view<float const>(rows.data.data(), n, d),
                          ff::matrix_view<float>(out.data(), 2, d), ws);
    };
  }
  void choose(std::string const& name) {
    auto const parity = krum_neighbours::byzfl;
    if (name == "median_and_trimmed_mean") return use_both();
    if (name == "average") return use(average{});
    if (name == "clip_average") return use(compose(norm_clip{2}, average{}));
    if (name == "bucketing_median") return use(compose(bucketing{.size = 2}, coordinate_median{}));
    if (name == "nnm_krum") return use(compose(nearest_neighbour_mixing{.f = f}, krum{.f = f, .neighbours = parity}));
    if (name == "nnm_geometric_median") return use(compose(nearest_neighbour_mixing{.f = f}, geometric_median{weiszfeld::byzfl}));
    if (name == "median") return use(coordinate_median{});
    if (name == "trimmed_mean") return use(trimmed_mean{.f = f});
    if (name == "mean_around_median") return use(mean_around_median{.f = f});
    if (name == "krum") return use(krum{.f = f, .neighbours = parity});
    if (name == "multi_krum") return use(multi_krum{.f = f, .neighbours = parity});
    if (name == "krum_flower") return use(krum{.f = f});
    if (name == "bulyan_flower") return use(bulyan{.f = f});
    if (name == "geometric_median") return use(geometric_median{weiszfeld::byzfl});
    if (name == "geometric_median_converged") return use(geometric_median{});
    if (name == "centered_clipping") return use(centered_clipping{.tau = 100});
    if (name == "centered_clipping_3") return use(centered_clipping{.tau = 100, .iterations = 3});
    if (name == "mda") return use(minimum_diameter_average{.f = f});
    if (name == "monna") return use(nearest_to_trusted{.f = f});
    if (name == "caf") return use(covariance_filter{.f = f});
    if (name == "smea") return use(smallest_eigen_average{.f = f});
    if (name == "nnm_multi_krum") return use(compose(nearest_neighbour_mixing{.f = f}, multi_krum{.f = f, .neighbours = parity}));
    if (name == "nnm_trimmed_mean") return use(compose(nearest_neighbour_mixing{.f = f}, trimmed_mean{.f = f}));
    if (name == "arc_average") return use(compose(adaptive_robust_clip{.f = f}, average{}));
    ff::check_argument(false, "peer", "rule", name, "one of the named ones");
  }
  double seconds() const {
    double best = 1e30;
    for (int run = 0; run < 3; ++run) {
      std::clock_t const begin = std::clock();
      std::clock_t ticks = 0;
      int calls = 0;
      for (; ticks < CLOCKS_PER_SEC / 200; ticks = std::clock() - begin, ++calls) call();
      double const t = static_cast<double>(ticks) / CLOCKS_PER_SEC / calls;
      best = t < best ? t : best;
    }
    return best;
  }
};

std::string obey(state& s, std::string const& line) {
  std::istringstream in(line);
  std::string order, word;
  std::int64_t f = 0;
  in >> order >> word >> f;
  if (order == "load") s.load(word, f);
  if (order == "rule") s.choose(word);
  if (order == "time") return std::to_string(s.seconds() * 1e6);
  if (order == "write") {
    s.call();
    ff::io::write_npy(word, s.out, {static_cast<std::int64_t>(s.out.size())});
  }
  return "done";
}

}  // namespace

int main() {
  state s;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << obey(s, line) << std::endl;
    } catch (std::exception const& e) {
      std::cout << "error " << e.what() << std::endl;
    }
  }
}
