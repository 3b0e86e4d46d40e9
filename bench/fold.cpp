// Folds of long streams: E1 on one and two threads, segments of a stream (E2), each against a read of the same bytes.
#include "fanfold/fold/fold.hpp"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"
#include "support/thrust_peer.hpp"

#ifdef BENCH_TBB
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_reduce.h>
#endif

namespace {

using bench::shared_vector;

bench::reference naive_sum(shared_vector<float> x) {
  return {[x] {
    float s = 0;
    for (float const v : *x) s += v;
    benchmark::DoNotOptimize(s);
  }};
}

bench::reference tbb_peer([[maybe_unused]] shared_vector<float> x, [[maybe_unused]] int threads) {
#ifdef BENCH_TBB
  auto const limit = std::make_shared<tbb::global_control>(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  return {[x, limit] {
    float const s = tbb::parallel_reduce(
        tbb::blocked_range<std::size_t>(0, x->size()), 0.0f,
        [&](auto const& range, float sum) {
          for (std::size_t i = range.begin(); i != range.end(); ++i) sum += (*x)[i];
          return sum;
        },
        [](float a, float b) { return a + b; });
    benchmark::DoNotOptimize(s);
  }};
#else
  return {};
#endif
}

bench::reference thrust_peer([[maybe_unused]] shared_vector<float> x, [[maybe_unused]] int threads) {
#ifdef BENCH_THRUST
  return {[x, threads] { benchmark::DoNotOptimize(bench::thrust_sum(x->data(), static_cast<std::int64_t>(x->size()), threads)); }};
#else
  return {};
#endif
}

template <class A, class Order = fanfold::order::fixed_t>
std::function<void()> folding(A a, shared_vector<float> x, int threads, Order order = {}) {
  if (threads == 1) return [=] { benchmark::DoNotOptimize(fanfold::fold(a, *x, order)); };
  auto const pool = std::make_shared<fanfold::thread_pool>(threads);
  auto const ws = std::make_shared<fanfold::workspace>();
  return [=] { benchmark::DoNotOptimize(fanfold::fold(pool->ref(), a, *x, order, *ws)); };
}

std::string size_name(int log2) { return "/2^" + std::to_string(log2); }

// The limit is a read of the same bytes on one thread; the peer, where there is one, another fold of the same items.
template <class A>
void add_fold(std::string const& name, A a, int log2, int threads, auto peer) {
  std::int64_t const n = bench::size(std::int64_t{1} << log2);
  bench::add(name + size_name(log2) + "/threads:" + std::to_string(threads), {n, 4 * n}, [=] {
    auto const x = bench::normal_floats(n);
    return bench::contest{folding(a, x, threads), peer(x, threads), bench::read_limit(4 * n)};
  });
}

auto const no_peer = [](shared_vector<float> const&, int) { return bench::reference{}; };
auto const own_sum = [](shared_vector<float> const& x, int threads) { return bench::reference{folding(fanfold::plus<float>{}, x, threads)}; };

// Segments of random length around a mean, over a stream of 2^22 items.
template <class A>
void add_segments(std::string const& name, A a, std::int64_t mean, std::int64_t width, int threads) {
  std::int64_t const n = bench::size(std::int64_t{1} << 22) / width;
  bench::add(name + "/mean:" + std::to_string(mean) + "/columns:" + std::to_string(width) + "/threads:" + std::to_string(threads), {n * width, 4 * n * width}, [=] {
    auto const x = bench::normal_floats(n * width);
    auto const offsets = std::make_shared<std::vector<std::int64_t>>(1, 0);
    std::mt19937 random(3);
    while (offsets->back() < n) {
      std::int64_t const length = mean == n ? n : static_cast<std::int64_t>(random() % static_cast<unsigned>(2 * mean + 1));
      offsets->push_back(offsets->back() + length < n ? offsets->back() + length : n);
    }
    auto const segments = static_cast<std::int64_t>(offsets->size()) - 1;
    auto const out = bench::zeros<float>(segments * width);
    auto const ws = std::make_shared<fanfold::workspace>();
    auto const pool = std::make_shared<fanfold::thread_pool>(threads);
    bench::contest c;
    c.call = [=] {
      fanfold::matrix_view<float const> const rows(x->data(), n, width);
      fanfold::matrix_view<float> const answers(out->data(), segments, width);
      threads == 1 ? fanfold::segmented_fold(a, rows, *offsets, answers, *ws) : fanfold::segmented_fold(pool->ref(), a, rows, *offsets, answers, *ws);
      benchmark::ClobberMemory();
    };
    c.peer = {[=] {  // the loop that one writes
      for (std::int64_t s = 0; s < segments; ++s)
        for (std::int64_t column = 0; column < width; ++column) {
          auto const at = [&](std::int64_t i) { return (*x)[static_cast<std::size_t>(i * width + column)]; };
          float sum = 0;
          for (std::int64_t i = (*offsets)[static_cast<std::size_t>(s)]; i < (*offsets)[static_cast<std::size_t>(s + 1)]; ++i) sum += at(i);
          (*out)[static_cast<std::size_t>(s * width + column)] = sum;
        }
      benchmark::ClobberMemory();
    }};
    c.limit = bench::read_limit(4 * n * width);
    return c;
  });
}

}  // namespace

void bench::register_cases() {
  for (int log2 : {12, 14, 16, 18, 20, 22, 25}) add_fold("sum/against_plain_loop", fanfold::plus<float>{}, log2, 1, [](auto const& x, int) { return naive_sum(x); });
  for (int log2 : {16, 20, 25}) {
    add_fold("sum/against_oneTBB", fanfold::plus<float>{}, log2, 2, tbb_peer);
    add_fold("sum/against_Thrust", fanfold::plus<float>{}, log2, 2, thrust_peer);
  }
  for (int threads : {1, 2})
    for (int log2 : {12, 14, 16, 18, 20, 22, 25}) {
      add_fold("reproducible_sum/against_own_sum", fanfold::binned_sum<float, 2>{}, log2, threads, own_sum);
      add_fold("log_sum_exp", fanfold::log_sum_exp<float>{}, log2, threads, no_peer);
      add_fold("moments", fanfold::moments<2, float>{}, log2, threads, no_peer);
      add_fold("maximum", fanfold::maximum<float>{}, log2, threads, no_peer);
    }
  std::int64_t const all = bench::size(std::int64_t{1} << 22);
  for (int threads : {1, 2}) {
    for (std::int64_t mean : {std::int64_t{4}, std::int64_t{30}, std::int64_t{100}, std::int64_t{1000}, std::int64_t{100000}, all})
      add_segments("segmented_sum/against_plain_loop", fanfold::plus<float>{}, mean, 1, threads);
    for (std::int64_t width : {4, 8, 16, 32, 64, 100}) add_segments("segmented_sum/against_plain_loop", fanfold::plus<float>{}, 30, width, threads);
  }
}
