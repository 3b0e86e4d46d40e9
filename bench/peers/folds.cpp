// The side of folds.py that is ours: a program that folds array files and waits for orders, one a line on its input:
//   arrays FOLDER                   reads x, ids, offsets, weight, index from FOLDER/*.npy
//   case NAME ITEMS COLUMNS THREADS builds a case over the first ITEMS items (rows, edges)
//   time                            runs it for some milliseconds; prints seconds a call, the best of its runs
//   write FILE                      writes the result as an array file
// Each order is answered by one line. Peers take turns with it, so that ratios are of one run.
#include <sys/mman.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/io/npy.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"

namespace ff = fanfold;

namespace {

// Large pages, as NumPy asks for: both sides read memory of the same kind.
template <class T>
struct large_pages {
  using value_type = T;
  large_pages() = default;
  template <class U>
  large_pages(large_pages<U> const&) {}
  T* allocate(std::size_t n) {
    std::size_t const page = std::size_t{1} << 21, bytes = (n * sizeof(T) + page - 1) / page * page;
    void* const p = ::operator new(bytes, std::align_val_t{page});
    madvise(p, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t{std::size_t{1} << 21}); }
  bool operator==(large_pages const&) const = default;
};
template <class T>
using array = std::vector<T, large_pages<T>>;

template <class T>
array<T> read(std::string const& path) {
  auto const from = ff::io::read_npy<T>(path).data;
  return {from.begin(), from.end()};
}

struct arrays {
  array<float> x, weight;
  array<std::int32_t> ids, index;
  array<std::int64_t> offsets;
};

arrays data;
array<float> out;
ff::workspace ws;

struct shape {
  std::int64_t items, columns;
  ff::view<float const> stream() const { return {data.x.data(), items}; }
  ff::matrix_view<float const> rows(std::int64_t n) const { return {data.x.data(), n, columns}; }
  ff::matrix_view<float> answers(std::int64_t n) const { return {out.data(), n, columns}; }
};

template <class A>
std::function<void()> whole_fold(auto const& ex, A a, shape s) {
  return [=] { out[0] = static_cast<float>(ff::fold(ex, a, s.stream(), ws)); };
}
template <class A, class... Order>
std::function<void()> scatter(auto const& ex, A a, shape s, Order... order) {
  auto const segments = static_cast<std::int64_t>(data.offsets.size()) - 1;
  out.resize(static_cast<std::size_t>(segments * s.columns));
  return [=] { ff::scatter_fold(ex, a, ff::view<std::int32_t const>(data.index.data(), s.items), s.rows(s.items), s.answers(segments), order..., ws); };
}

std::function<void()> make(auto const& ex, std::string const& name, shape s) {
  out.assign(16, 0.0f);
  if (name == "sum") return whole_fold(ex, ff::plus<float>{}, s);
  if (name == "reproducible_sum") return whole_fold(ex, ff::binned_sum<float, 2>{}, s);
  if (name == "maximum") return whole_fold(ex, ff::maximum<float>{}, s);
  if (name == "log_sum_exp") return whole_fold(ex, ff::log_sum_exp<float>{}, s);
  if (name == "moments")
    return [=] {
      auto const m = ff::fold(ex, ff::moments<2, float>{}, s.stream(), ws);
      out[0] = static_cast<float>(m.mean), out[1] = static_cast<float>(m.variance());
    };
  if (name == "scan") {
    out.resize(static_cast<std::size_t>(s.items));
    return [=] { ff::scan(ex, ff::plus<float>{}, s.stream(), out, ff::scan_kind::inclusive, ws); };
  }
  auto const segments = static_cast<std::int64_t>(data.offsets.size()) - 1;
  out.resize(static_cast<std::size_t>(segments * s.columns));
  ff::csr_view<float> const graph{data.offsets, data.ids, {}};
  auto const neighbours = [=](auto a) -> std::function<void()> {
    return [=] { ff::neighbour_fold(ex, a, graph, ff::source_rows{s.rows(segments)}, s.answers(segments), ws); };
  };
  if (name == "neighbour_sum") return neighbours(ff::plus<float>{});
  if (name == "neighbour_maximum") return neighbours(ff::maximum<float>{});
  if (name == "neighbour_weighted_sum")
    return [=] { ff::neighbour_fold(ex, ff::plus<float>{}, graph, ff::weighted_source_rows{s.rows(segments), data.weight}, s.answers(segments), ws); };
  if (name == "segmented_sum") return [=] { ff::segmented_fold(ex, ff::plus<float>{}, s.rows(s.items), data.offsets, s.answers(segments), ws); };
  if (name == "segmented_maximum") return [=] { ff::segmented_fold(ex, ff::maximum<float>{}, s.rows(s.items), data.offsets, s.answers(segments), ws); };
  if (name == "scatter_sum") return scatter(ex, ff::plus<float>{}, s);
  if (name == "scatter_reproducible_sum") return scatter(ex, ff::binned_sum<float, 2>{}, s, ff::order::reproducible);
  if (name == "scatter_maximum") return scatter(ex, ff::maximum<float>{}, s, ff::order::reproducible);
  ff::check_argument(false, "peer", "case", name, "one of the named ones");
  return {};
}

// On one thread its CPU time, which a busy machine disturbs least; on several what the clock on the wall says.
bool one_thread = true;

double now_seconds() {
  timespec t{};
  clock_gettime(one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds(std::function<void()> const& call, int repeats) {
  double const begin = now_seconds();
  for (int i = 0; i < repeats; ++i) call();
  return (now_seconds() - begin) / repeats;
}

double sample(std::function<void()> const& call) {
  double best = seconds(call, 1);
  int const repeats = best > 1e-3 ? 1 : static_cast<int>(1e-3 / (best + 1e-9)) + 1;
  for (int run = 0; run < 3; ++run) {
    double const t = seconds(call, repeats);
    best = t < best ? t : best;
  }
  return best;
}

}  // namespace

int main() {
  std::function<void()> now;
  ff::thread_pool pool(2);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string order, name;
    in >> order >> name;
    try {
      if (order == "arrays") {
        data = {read<float>(name + "/x.npy"), read<float>(name + "/weight.npy"),
                read<std::int32_t>(name + "/ids.npy"), read<std::int32_t>(name + "/index.npy"),
                read<std::int64_t>(name + "/offsets.npy")};
        std::cout << "ready" << std::endl;
      } else if (order == "case") {
        shape s{};
        int threads = 1;
        in >> s.items >> s.columns >> threads;
        one_thread = threads == 1;
        now = threads > 1 ? make(pool.ref(), name, s) : make(ff::serial, name, s);
        now();
        std::cout << "ready" << std::endl;
      } else if (order == "time") {
        std::cout << sample(now) << std::endl;
      } else if (order == "write") {
        now();
        ff::io::write_npy(name, out, {static_cast<std::int64_t>(out.size())});
        std::cout << "written" << std::endl;
      } else {
        std::cout << "error: unknown order " << order << std::endl;
      }
    } catch (std::exception const& e) {
      std::cout << "error: " << e.what() << std::endl;
    }
  }
}
