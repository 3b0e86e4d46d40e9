// Our side of moe.py: mixture-of-experts layers over the weights of a .safetensors file, told what to do line by line on standard input.
//   load FAMILY K GROUPS KEEP SCALE THREADS FILE    router [E, D], bias [E], gate and up [E, I, D], down [E, D, I], shared_* [1, ...], x, dy [T, D]
//   time CLOCK                                      seconds a call of the forward pass, weights packed once; CLOCK: wall or cpu
//   time_backward CLOCK                             seconds of the gradients
//   write FILE                                      y, dx, drouter, dgate, dup, ddown, dshared_*

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/dispatch/moe_layer_vjp.hpp"
#include "fanfold/io/safetensors.hpp"
#include "fanfold/route/routers.hpp"

namespace ff = fanfold;

namespace {

using floats = std::vector<float>;
using bank = ff::dispatch::weight_bank<float const>;

/// The gated networks of a file, stored as torch's linear layers are: [outer, inner].
struct networks {
  floats gate, up, down;
  std::int64_t experts = 0, inner = 0, wide = 0;

  void read(ff::io::safetensors_file& file, std::string const& prefix) {
    auto const* const t = file.find(prefix + "gate");
    if (t == nullptr) return;
    experts = static_cast<std::int64_t>(t->shape.at(0)), wide = static_cast<std::int64_t>(t->shape.at(1)), inner = static_cast<std::int64_t>(t->shape.at(2));
    gate = file.read<float>(prefix + "gate"), up = file.read<float>(prefix + "up"), down = file.read<float>(prefix + "down");
  }
  ff::dispatch::ffn_weights<float const> view() const {
    return {bank(gate.data(), experts, wide, inner).transposed(), bank(up.data(), experts, wide, inner).transposed(), bank(down.data(), experts, inner, wide).transposed()};
  }
  ff::dispatch::ffn_weights<float> gradients() {
    using out = ff::dispatch::weight_bank<float>;
    return {out(gate.data(), experts, wide, inner).transposed(), out(up.data(), experts, wide, inner).transposed(), out(down.data(), experts, inner, wide).transposed()};
  }
};

struct problem {
  networks routed, shared, d_routed, d_shared;
  floats router, bias, x, dy, y, dx, d_router;
  std::int64_t tokens = 0, features = 0, experts = 0;
  ff::dispatch::packed_ffn<float> packed, packed_shared;
  ff::workspace ws;

  explicit problem(std::string const& path) {
    ff::io::safetensors_file file(path);
    routed.read(file, ""), shared.read(file, "shared_");
    router = file.read<float>("router"), bias = file.read<float>("bias"), x = file.read<float>("x");
    if (file.find("dy") != nullptr) dy = file.read<float>("dy");
    experts = routed.experts, features = routed.inner, tokens = static_cast<std::int64_t>(x.size()) / features;
    y.resize(x.size()), dx.resize(x.size()), d_router.resize(router.size());
    d_routed = routed, d_shared = shared;
    packed = ff::dispatch::packed_ffn<float>(routed.view());
    if (shared.experts > 0) packed_shared = ff::dispatch::packed_ffn<float>(shared.view());
  }
  ff::matrix_view<float> matrix(floats& v) const { return {v.data(), tokens, features}; }
  bank router_bank() const { return bank(router.data(), 1, experts, features).transposed(); }
};

struct peer_case {
  std::shared_ptr<problem> data;
  std::function<void()> forward, backward;
};

template <class F>
std::function<void()> on_threads(int threads, F const& f) {
#ifdef _OPENMP
  if (threads > 1) return [f, threads] { f(ff::openmp_executor{threads}); };
#endif
  ff::check_argument(threads == 1, "peer", "threads", threads, "1 without OpenMP");
  return [f] { f(ff::serial); };
}

template <class Router>
peer_case make_case(std::shared_ptr<problem> const& p, Router const& router, int threads) {
  namespace fd = ff::dispatch;
  using experts = fd::swiglu_experts<fd::packed_ffn<float>>;
  using views = fd::swiglu_experts<fd::ffn_weights<float const>>;
  auto const forward = [=](auto const& ex) {
    auto const run = [&](auto const& shared) {
      fd::moe_layer const layer{router, experts(p->packed), fd::weighted_sum{}, fd::packed{}, shared};
      layer(ex, p->matrix(p->x), fd::logit_source<float const>{p->router_bank()}, p->matrix(p->y), p->ws);
    };
    if (p->shared.experts > 0)
      run(fd::shared_experts{experts(p->packed_shared)});
    else
      run(fd::no_shared{});
  };
  auto const backward = [=](auto const& ex) {
    fd::logit_gradients<float> const logits{fd::weight_bank<float>(p->d_router.data(), 1, p->experts, p->features).transposed()};
    fd::logit_source<float const> const source{p->router_bank()};
    if (p->shared.experts > 0) {
      fd::moe_layer const layer{router, views(p->routed.view()), fd::weighted_sum{}, fd::packed{}, fd::shared_experts{views(p->shared.view())}};
      fd::moe_layer_vjp(ex, layer, p->matrix(p->x), source, p->matrix(p->dy),
                        fd::moe_gradients{p->matrix(p->dx), logits, p->d_routed.gradients(), fd::shared_gradients{p->d_shared.gradients()}}, p->ws);
    } else {
      fd::moe_layer const layer{router, views(p->routed.view()), fd::weighted_sum{}};
      fd::moe_layer_vjp(ex, layer, p->matrix(p->x), source, p->matrix(p->dy), fd::moe_gradients{p->matrix(p->dx), logits, p->d_routed.gradients()}, p->ws);
    }
  };
  return {p, on_threads(threads, forward), on_threads(threads, backward)};
}

peer_case load(std::istream& in) {
  std::string family, path;
  std::int64_t k = 0, groups = 1, keep = 1;
  float scale = 1;
  int threads = 1;
  in >> family >> k >> groups >> keep >> scale >> threads >> path;
  auto const p = std::make_shared<problem>(path);
  if (family == "normalised") return make_case(p, ff::route::mixtral(k), threads);
  if (family == "raw") return make_case(p, ff::route::olmoe(k), threads);
  ff::check_argument(family == "deepseek_v3", "peer", "family", family, "normalised, raw or deepseek_v3");
  return make_case(p, ff::route::deepseek_v3(ff::view<float const>(p->bias), groups, keep, k, scale), threads);
}

void write(peer_case const& c, std::string const& path) {
  problem& p = *c.data;
  ff::io::safetensors_writer out;
  out.add("y", p.y);
  if (!p.dy.empty()) {
    out.add("dx", p.dx), out.add("drouter", p.d_router);
    out.add("dgate", p.d_routed.gate), out.add("dup", p.d_routed.up), out.add("ddown", p.d_routed.down);
    if (p.shared.experts > 0) out.add("dshared_gate", p.d_shared.gate), out.add("dshared_up", p.d_shared.up), out.add("dshared_down", p.d_shared.down);
  }
  out.write(path);
}

/// Seconds of the wall, or of this process on all its threads, which programs beside it disturb less.
double now_by(bool cpu) {
  if (cpu) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds(std::function<void()> const& call, int repeats, bool cpu) {
  double const begin = now_by(cpu);
  for (int i = 0; i < repeats; ++i) call();
  return (now_by(cpu) - begin) / repeats;
}

double sample(std::function<void()> const& call, bool cpu) {
  double const once = seconds(call, 1, cpu);
  int const repeats = once > 5e-3 ? 1 : static_cast<int>(5e-3 / (once + 1e-9)) + 1;
  double const again = seconds(call, repeats, cpu);
  return once < again ? once : again;
}

}  // namespace

int main() {
  peer_case now;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string order;
    in >> order;
    try {
      if (order == "load") {
        now = {};
        now = load(in);
        now.forward();
        if (!now.data->dy.empty()) now.backward();
        std::cout << "ready" << std::endl;
      } else if (order == "time" || order == "time_backward") {
        std::string clock;
        in >> clock;
        std::cout << sample(order == "time" ? now.forward : now.backward, clock == "cpu") << std::endl;
      } else if (order == "write") {
        std::string path;
        in >> path;
        write(now, path);
        std::cout << "written" << std::endl;
      } else {
        std::cout << "error: unknown order " << order << std::endl;
      }
    } catch (std::exception const& e) {
      std::cout << "error: " << e.what() << std::endl;
    }
  }
}
