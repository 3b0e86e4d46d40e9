#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/io/safetensors.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "moe_layer/options.hpp"

namespace moe_example {

namespace ff = fanfold;
namespace fd = fanfold::dispatch;
using floats = std::vector<float>;

inline std::size_t items(std::int64_t n) { return static_cast<std::size_t>(n); }

/// Everything that a file holds, stored as torch's linear layers are: [outer, inner].
struct tensors {
  floats x, router, bias, gate, up, down, shared_gate, shared_up, shared_down;
};

inline tensors random_tensors(shape const& s, std::int64_t tokens, std::uint64_t seed) {
  tensors t;
  std::uint32_t stream = 0;
  auto const fill = [&](floats& v, std::int64_t n, double deviation) {
    ff::random_stream const draws{seed, 1, stream++};
    v.resize(items(n));
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(deviation) * draws.normal(i);
  };
  double const in = 1 / ff::math::sqrt(static_cast<double>(s.features)), out = 1 / ff::math::sqrt(static_cast<double>(s.wide));
  std::int64_t const matrix = s.features * s.wide;
  fill(t.x, tokens * s.features, 1), fill(t.router, s.experts * s.features, in), fill(t.bias, s.experts, 0.02);
  fill(t.gate, s.experts * matrix, in), fill(t.up, s.experts * matrix, in), fill(t.down, s.experts * matrix, out);
  fill(t.shared_gate, s.shared * matrix, in), fill(t.shared_up, s.shared * matrix, in), fill(t.shared_down, s.shared * matrix, out);
  return t;
}

/// Reads a file and takes the sizes from its tensors.
inline tensors read_tensors(std::string const& path, shape& s) {
  ff::io::safetensors_file file(path);
  auto const* const gate = file.find("gate");
  ff::check_argument(gate != nullptr && gate->shape.size() == 3, "moe_layer", "tensor gate", path, "there, of three axes: experts, hidden units, features");
  s.experts = static_cast<std::int64_t>(gate->shape[0]), s.wide = static_cast<std::int64_t>(gate->shape[1]), s.features = static_cast<std::int64_t>(gate->shape[2]);
  tensors t{file.read<float>("x"), file.read<float>("router"), {}, file.read<float>("gate"), file.read<float>("up"), file.read<float>("down"), {}, {}, {}};
  if (s.shared > 0) {
    t.bias = file.read<float>("bias");
    t.shared_gate = file.read<float>("shared_gate"), t.shared_up = file.read<float>("shared_up"), t.shared_down = file.read<float>("shared_down");
  }
  std::int64_t const matrix = s.features * s.wide;
  auto const require = [&](floats const& v, char const* name, std::int64_t n) {
    ff::check_argument(static_cast<std::int64_t>(v.size()) == n, "moe_layer", name, v.size(), "as many elements as the sizes of gate say");
  };
  require(t.router, "router", s.experts * s.features), require(t.up, "up", s.experts * matrix), require(t.down, "down", s.experts * matrix);
  require(t.x, "x", static_cast<std::int64_t>(t.x.size()) / s.features * s.features);
  if (s.shared > 0) require(t.bias, "bias", s.experts), require(t.shared_up, "shared_up", static_cast<std::int64_t>(t.shared_gate.size()));
  return t;
}

/// A layer with packed weights and the memory of its calls.
class layer {
 public:
  layer(shape const& s, tensors const& t)
      : shape_(s), tokens_(static_cast<std::int64_t>(t.x.size()) / s.features), x_(t.x), router_(t.router), bias_(t.bias), y_(t.x.size()),
        logits_(items(tokens_ * s.experts)), ids_(items(tokens_ * s.chosen)), weights_(items(tokens_ * s.chosen)), stats_(s.experts),
        packed_(networks(t.gate, t.up, t.down, s.experts, s.wide)) {
    if (s.shared > 0) shared_ = fd::packed_ffn<float>(networks(t.shared_gate, t.shared_up, t.shared_down, 1, static_cast<std::int64_t>(t.shared_gate.size()) / s.features));
  }

  std::int64_t tokens() const { return tokens_; }
  ff::route::routing_stats const& stats() const { return stats_; }
  shape const& sizes() const { return shape_; }

  template <class Executor>
  void run(Executor const& ex) {
    with_router([&](auto const& router) {
      if (shape_.shared > 0)
        fd::moe_layer{router, fd::swiglu_experts{packed_}, fd::weighted_sum{}, fd::packed{}, fd::shared_experts{fd::swiglu_experts{shared_}}}(
            ex, matrix(x_), source(), matrix(y_), stats_.view(), ws_);
      else
        fd::moe_layer{router, fd::swiglu_experts{packed_}}(ex, matrix(x_), source(), matrix(y_), stats_.view(), ws_);
    });
  }

  /// Weights, tokens and results of the last run, and the choices, which are computed again.
  template <class Executor>
  void write(Executor const& ex, std::string const& path, tensors const& t) {
    auto const dense = [&](std::int64_t n) { return static_cast<std::uint64_t>(n); };
    ff::workspace::frame frame(ws_);
    ff::matrix_view<float> const logits(logits_.data(), tokens_, shape_.experts);
    fd::grouped_gemm(ex, fd::dense_plan(ex, frame, tokens_), fd::plan_rows{matrix(x_)}, source().weight, fd::row_sink{logits}, ws_);
    with_router([&](auto const& router) {
      ff::route::assign(ex, router, logits, ff::route::assignment<float>{{ids_.data(), tokens_, shape_.chosen}, {weights_.data(), tokens_, shape_.chosen}}, ws_);
    });
    std::uint64_t const e = dense(shape_.experts), d = dense(shape_.features), i = dense(shape_.wide), k = dense(shape_.chosen), n = dense(tokens_);
    ff::io::safetensors_writer out;
    out.add("x", t.x, {n, d}), out.add("router", t.router, {e, d}), out.add("gate", t.gate, {e, i, d}), out.add("up", t.up, {e, i, d}), out.add("down", t.down, {e, d, i});
    if (shape_.shared > 0) {
      std::uint64_t const wide = t.shared_gate.size() / d;
      out.add("bias", t.bias, {e}), out.add("shared_gate", t.shared_gate, {1, wide, d}), out.add("shared_up", t.shared_up, {1, wide, d});
      out.add("shared_down", t.shared_down, {1, d, wide});
    }
    out.add("logits", logits_, {n, e}), out.add("ids", ids_, {n, k}), out.add("weights", weights_, {n, k}), out.add("y", y_, {n, d});
    out.add_metadata("layer", shape_.name);
    out.write(path, 64);
  }

 private:
  fd::ffn_weights<float const> networks(floats const& gate, floats const& up, floats const& down, std::int64_t experts, std::int64_t wide) const {
    using bank = fd::weight_bank<float const>;
    return {bank(gate.data(), experts, wide, shape_.features).transposed(), bank(up.data(), experts, wide, shape_.features).transposed(),
            bank(down.data(), experts, shape_.features, wide).transposed()};
  }
  fd::logit_source<float const> source() const { return {fd::weight_bank<float const>(router_.data(), 1, shape_.experts, shape_.features).transposed()}; }
  ff::matrix_view<float> matrix(floats& v) const { return {v.data(), tokens_, shape_.features}; }

  template <class F>
  void with_router(F const& f) const {
    if (shape_.shared > 0)
      f(ff::route::deepseek_v3(ff::view<float const>(bias_), shape_.groups, shape_.kept_groups, shape_.chosen));
    else if (std::string(shape_.name) == "olmoe")
      f(ff::route::olmoe(shape_.chosen));
    else
      f(ff::route::mixtral(shape_.chosen));
  }

  shape shape_;
  std::int64_t tokens_;
  floats x_, router_, bias_, y_, logits_;
  std::vector<std::int32_t> ids_;
  floats weights_;
  ff::route::routing_stats stats_;
  fd::packed_ffn<float> packed_, shared_;
  ff::workspace ws_;
};

}  // namespace moe_example
