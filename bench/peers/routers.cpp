// The side of routers.py that is ours: a program that routes the logits of an array file and waits for orders, one a line on its input:
//   load ROUTER LOGITS K THREADS STATISTICS [BIAS]   builds a case; ROUTER: mixtral, olmoe, deepseek_v3, switch; STATISTICS: 0, 1
//   plan IDS EXPERTS THREADS                          builds a case: places of ids in their experts' buffers
//   time                                              runs the case for some milliseconds; prints seconds a call, the best of its runs
//   write FIRST SECOND                                writes ids and weights (plan: ranks and counts) as array files; prints the loss
// Each order is answered by one line. Peers take turns with it, so that ratios are of one run.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/io/npy.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/routers.hpp"

namespace ff = fanfold;

namespace {

struct peer_case {
  std::function<void()> call;
  std::function<std::string(std::string const&, std::string const&)> write;
};

template <class F>
std::function<void()> on_threads(int threads, F const& f) {
#ifdef _OPENMP
  if (threads > 1) return [f, threads] { f(ff::openmp_executor{threads}); };
#endif
  ff::check_argument(threads == 1, "peer", "threads", threads, "1 without OpenMP");
  return [f] { f(ff::serial); };
}

struct routed {
  ff::io::npy_array<float> logits;
  std::vector<float> bias, weight;
  std::vector<std::int32_t> id;
  ff::route::routing_stats stats;
  ff::workspace ws;
  double loss = 0;

  std::int64_t rows() const { return logits.shape.at(0); }
  std::int64_t experts() const { return logits.shape.at(1); }
};

template <class Router>
peer_case route_by(Router const& router, std::shared_ptr<routed> const& r, std::int64_t k, int threads, bool statistics) {
  auto const n = static_cast<std::size_t>(r->rows() * k);
  r->id.resize(n);
  r->weight.resize(n);
  r->stats = ff::route::routing_stats(r->experts());
  ff::matrix_view<float const> const x(r->logits.data.data(), r->rows(), r->experts());
  ff::route::assignment<> const out{{r->id.data(), r->rows(), k}, {r->weight.data(), r->rows(), k}};
  auto const loss = ff::route::mixtral_balance(1);
  auto const call = [=](auto const& ex) {
    if (!statistics) return ff::route::assign(ex, router, x, out, r->ws);
    ff::route::assign(ex, router, x, out, r->stats.view(), r->ws);
    r->loss = loss.value(r->stats);
  };
  auto const write = [=](std::string const& ids, std::string const& weights) {
    ff::io::write_npy(ids, r->id, {r->rows(), k});
    ff::io::write_npy(weights, r->weight, {r->rows(), k});
    return std::to_string(r->loss);
  };
  return {on_threads(threads, call), write};
}

peer_case load_route(std::istream& in) {
  std::string router, logits, bias;
  std::int64_t k = 0;
  int threads = 1, statistics = 0;
  in >> router >> logits >> k >> threads >> statistics >> bias;
  auto const r = std::make_shared<routed>();
  r->logits = ff::io::read_npy<float>(logits);
  auto const make = [&](auto const& policy) { return route_by(policy, r, k, threads, statistics != 0); };
  if (router == "mixtral") return make(ff::route::mixtral(k));
  if (router == "olmoe") return make(ff::route::olmoe(k));
  if (router == "switch") return make(ff::route::switch_top1());
  ff::check_argument(router == "deepseek_v3", "peer", "router", router, "one of the named ones");
  r->bias = ff::io::read_npy<float>(bias).data;
  return make(ff::route::deepseek_v3(ff::view<float const>(r->bias), 8, 4, k));
}

peer_case load_plan(std::istream& in) {
  std::string ids;
  std::int64_t experts = 0;
  int threads = 1;
  in >> ids >> experts >> threads;
  struct placed {
    ff::io::npy_array<std::int32_t> id;
    ff::dispatch::dispatch_plan plan;
    ff::workspace ws;
  };
  auto const p = std::make_shared<placed>();
  p->id = ff::io::read_npy<std::int32_t>(ids);
  std::int64_t const rows = p->id.shape.at(0), slots = p->id.shape.at(1);
  p->plan.resize(ff::dispatch::packed{}, rows, slots, experts);
  auto const call = [=](auto const& ex) {
    ff::route::assignment<float const, std::int32_t const> const routes{{p->id.data.data(), rows, slots}, {}};
    ff::dispatch::make_plan(ex, ff::dispatch::packed{}, routes, p->plan.view(), p->ws);
  };
  auto const write = [=](std::string const& ranks, std::string const& counts) {
    auto const plan = p->plan.view();
    std::vector<std::int32_t> rank(static_cast<std::size_t>(rows * slots));
    for (std::size_t a = 0; a < rank.size(); ++a)
      rank[a] = static_cast<std::int32_t>(plan.row_of[static_cast<std::int64_t>(a)] - plan.offsets[p->id.data[a]]);
    ff::io::write_npy(ranks, rank, {rows, slots});
    ff::io::write_npy(counts, plan.counts);
    return std::string("0");
  };
  return {on_threads(threads, call), write};
}

double seconds(std::function<void()> const& call, int repeats) {
  auto const begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
}

double sample(std::function<void()> const& call) {
  double const once = seconds(call, 1);
  int const repeats = once > 1e-3 ? 1 : static_cast<int>(1e-3 / (once + 1e-9)) + 1;
  double best = once;
  for (int run = 0; run < 4; ++run) {
    double const t = seconds(call, repeats);
    best = t < best ? t : best;
  }
  return best;
}

}  // namespace

int main() {
  peer_case now;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string order;
    in >> order;
    try {
      if (order == "load" || order == "plan") {
        now = order == "load" ? load_route(in) : load_plan(in);
        now.call();
        std::cout << "ready" << std::endl;
      } else if (order == "time") {
        std::cout << sample(now.call) << std::endl;
      } else if (order == "write") {
        std::string first, second;
        in >> first >> second;
        std::cout << now.write(first, second) << std::endl;
      } else {
        std::cout << "error: unknown order " << order << std::endl;
      }
    } catch (std::exception const& e) {
      std::cout << "error: " << e.what() << std::endl;
    }
  }
}
