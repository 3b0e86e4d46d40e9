// Clients that lie: twenty clients train one network on handwritten digits, four of them attack.
//
// In each round every honest client sends the momentum of its gradient on its own, label-skewed images; the attackers send what their attack
// makes of the honest rows. The server folds the twenty rows into one by a robust rule and takes a step. Every rule meets every attack;
// the picture shows which rules hold, the last column what an aggregation costs.

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "fanfold/aggregate/robust/attacks.hpp"
#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bucketing.hpp"
#include "fanfold/aggregate/robust/bulyan.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/flag_aggregate.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "support/chart.hpp"
#include "swarm/data.hpp"
#include "swarm/network.hpp"

namespace {

namespace ff = fanfold;
using namespace ff::aggregate;

constexpr std::int64_t clients = 20, faulty = 4, honest = clients - faulty;
constexpr std::int64_t batch = 16;

struct options {
  std::int64_t rounds = 50;
  float rate = 1.5f;
  std::uint64_t seed = 1;
  std::string output = ".";
};

using rows = ff::matrix_view<float const>;

/// A rule by name: folds the rows; `previous` is the last output.
struct rule_entry {
  std::string name;
  std::function<void(rows, ff::view<float const>, ff::view<float>, ff::workspace&)> fold;
  float rate = 1;
};

template <class R>
rule_entry entry(std::string const& name, R const& rule, float rate = 1) {
  return {name, [rule](rows x, ff::view<float const> previous, ff::view<float> out, ff::workspace& ws) { robust(ff::serial, rule, x, out, previous_output{previous}, ws); }, rate};
}

std::vector<rule_entry> rules() {
  constexpr std::int64_t f = faulty;
  nearest_neighbour_mixing const mixing{.f = f};
  return {entry("average", average{}),
          entry("sign vote", sign_vote{}, 0.004f),
          entry("coordinate median", coordinate_median{}),
          entry("trimmed mean", trimmed_mean{.f = f}),
          entry("mean around median", mean_around_median{.f = f}),
          entry("Krum", krum{.f = f}),
          entry("Multi-Krum", multi_krum{.f = f}),
          entry("Bulyan", bulyan{.f = f}),
          entry("minimum diameter (MDA)", minimum_diameter_average{.f = f}),
          entry("trusted client (MoNNA)", nearest_to_trusted{.f = f}),
          entry("geometric median", geometric_median{}),
          entry("centered clipping", centered_clipping{.tau = 0.3, .iterations = 3}),
          entry("covariance filter (CAF)", covariance_filter{.f = f}),
          entry("Flag Aggregator", flag_aggregate{.scale = flag_scale::median_norm}),
          entry("clipping + average", compose(norm_clip{0.3}, average{})),
          entry("ARC + geometric median", compose(adaptive_robust_clip{.f = f}, geometric_median{})),
          entry("buckets + SMEA", compose(bucketing{.size = 2, .seed = 7}, smallest_eigen_average{.f = f})),
          entry("NNM + Krum", compose(mixing, krum{.f = f})),
          entry("NNM + trimmed mean", compose(mixing, trimmed_mean{.f = f})),
          entry("NNM + geometric median", compose(mixing, geometric_median{}))};
}

/// An attack by name: writes the rows of the faulty clients, which hold what they would have sent.
struct attack_entry {
  std::string name;
  std::function<void(rows, ff::matrix_view<float>, std::uint32_t, ff::workspace&)> forge;  // ..., round, ...
  bool flips_labels = false;
  bool uses_own = false;
};

template <class A>
attack_entry against(std::string const& name, A const& attack, bool uses_own = false) {
  auto const run = [attack](rows x, ff::matrix_view<float> out, [[maybe_unused]] std::uint32_t round, ff::workspace& ws) {
    A now = attack;
    if constexpr (requires { now.round; }) now.round = round;
    forge(ff::serial, now, x, out, ws);
  };
  return {name, run, false, uses_own};
}

std::vector<attack_entry> attacks() {
  auto const nothing = [](rows, ff::matrix_view<float>, std::uint32_t, ff::workspace&) {};
  return {{"none", nothing, false, true},
          {"label flip", nothing, true, true},
          against("sign flip", sign_flip{}, true),
          against("IPM", inner_product_manipulation{}),
          against("ALIE", a_little_is_enough{}),
          against("mimic", mimic{}),
          against("zero", zero_attack()),
          against("Gauss", gaussian_attack{}),
          against("infinity", infinity_attack()),
          against("NaN", nan_attack())};
}

double accuracy(swarm::network& net, ff::view<float const> weights, swarm::image_set const& test) {
  auto const scores = net.forward(weights, test.images());
  std::int64_t right = 0;
  for (std::int64_t t = 0; t < test.size(); ++t) {
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < swarm::classes; ++c) best = scores(t, c) > scores(t, best) ? c : best;
    right += best == test.labels[static_cast<std::size_t>(t)];
  }
  return static_cast<double>(right) / static_cast<double>(test.size());
}

/// One training run under one rule and one attack.
class training {
 public:
  training(options const& o, swarm::digits const& data, rule_entry const& rule, attack_entry const& attack)
      : options_(o), data_(data), rule_(rule), attack_(attack), network_(data.test.size()), weights_(size()), step_(size()), momentum_(size() * clients) {
    swarm::initialise(weights_, o.seed, 0);
  }

  /// Test accuracy at the end; a server that holds numbers which are not finite is lost.
  double run() {
    for (std::int64_t round = 0; round < options_.rounds; ++round) {
      std::int64_t const active = attack_.uses_own ? clients : honest;
      for (std::int64_t client = 0; client < active; ++client) work(client, round);
      attack_.forge(all().sub_rows(0, honest), sent_.sub_rows(honest, faulty), static_cast<std::uint32_t>(round), ws_);
      rule_.fold(all(), step_, step_, ws_);
      float const rate = options_.rate * rule_.rate;
      bool finite = true;
      for (std::size_t i = 0; i < weights_.size(); ++i) {
        weights_[i] -= rate * step_[i];
        finite = finite && std::isfinite(weights_[i]);
      }
      if (!finite) return 0;
    }
    return accuracy(network_, weights_, data_.test);
  }
  rows all() const { return {sent_.data(), clients, size()}; }

 private:
  static std::int64_t size() { return swarm::parameter_count(); }

  void work(std::int64_t client, std::int64_t round) {
    swarm::image_set const& own = data_.node[static_cast<std::size_t>(client)];
    ff::random_stream const draws{options_.seed, swarm::batch_stream + 16 * static_cast<std::uint32_t>(client), static_cast<std::uint32_t>(round)};
    float image[batch * 64];
    std::uint8_t label[batch];
    for (std::int64_t b = 0; b < batch; ++b) {
      auto const k = static_cast<std::int64_t>(draws.below(static_cast<std::uint32_t>(own.size()), static_cast<std::uint64_t>(b)));
      for (std::int64_t c = 0; c < 64; ++c) image[b * 64 + c] = own.images()(k, c);
      label[b] = own.labels[static_cast<std::size_t>(k)];
      if (attack_.flips_labels && client >= honest) label[b] = static_cast<std::uint8_t>(flipped_label(label[b], swarm::classes));
    }
    network_.forward(weights_, swarm::const_matrix(image, batch, 64));
    network_.backward(weights_, swarm::const_matrix(image, batch, 64), label);
    auto const gradient = network_.gradient();
    float* const m = momentum_.data() + client * size();
    float* const to = sent_.row(client).data();
    for (std::int64_t i = 0; i < size(); ++i) to[i] = m[i] = 0.9f * m[i] + 0.1f * gradient[i];
  }

  options const& options_;
  swarm::digits const& data_;
  rule_entry const& rule_;
  attack_entry const& attack_;
  swarm::network network_;
  std::vector<float> weights_, step_, momentum_;
  std::vector<float> memory_ = std::vector<float>(static_cast<std::size_t>(size() * clients));
  ff::matrix_view<float> sent_{memory_.data(), clients, size()};
  ff::workspace ws_;
};

/// Milliseconds of one aggregation on one thread: the best of five.
double milliseconds(rule_entry const& rule) {
  std::int64_t const d = swarm::parameter_count();
  std::vector<float> x(static_cast<std::size_t>(clients * d)), out(static_cast<std::size_t>(d));
  forge(ff::serial, gaussian_attack{.seed = 3}, rows(x.data(), 1, d), ff::matrix_view<float>(x.data(), clients, d));
  ff::workspace ws;
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    auto const begin = std::chrono::steady_clock::now();
    rule.fold(rows(x.data(), clients, d), out, out, ws);
    best = std::fmin(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

options parse(int count, char** text) {
  options o;
  for (int i = 1; i < count; i += 2) {
    std::string const name = text[i];
    if (name == "--rounds" && i + 1 < count) o.rounds = std::atoll(text[i + 1]);
    else if (name == "--seed" && i + 1 < count) o.seed = static_cast<std::uint64_t>(std::atoll(text[i + 1]));
    else if (name == "--rate" && i + 1 < count) o.rate = static_cast<float>(std::atof(text[i + 1]));
    else if (name == "--output" && i + 1 < count) o.output = text[i + 1];
    else {
      std::fputs("byzantine: [--rounds N] [--seed N] [--rate X] [--output DIR]\n", stderr);
      std::exit(2);
    }
  }
  return o;
}

void write_results(options const& o, std::vector<rule_entry> const& all, std::vector<attack_entry> const& enemies, std::vector<double> const& result,
                   std::vector<double> const& cost) {
  chart::heat_map map{.title = "Twenty clients learn digits, four of them attack",
                      .subtitle = "test accuracy after " + std::to_string(o.rounds) + " rounds; label-skewed data, momentum at the clients",
                      .x_label = "attack",
                      .rows = {},
                      .columns = {},
                      .values = {},
                      .notes = {},
                      .note_label = "ms a fold"};
  std::string csv = "rule,attack,accuracy,milliseconds\n";
  for (attack_entry const& a : enemies) map.columns.push_back(a.name);
  for (std::size_t r = 0; r < all.size(); ++r) {
    map.rows.push_back(all[r].name);
    map.notes.push_back(chart::detail::number(cost[r], 2));
    map.values.emplace_back(result.begin() + static_cast<std::ptrdiff_t>(r * enemies.size()), result.begin() + static_cast<std::ptrdiff_t>((r + 1) * enemies.size()));
    for (std::size_t a = 0; a < enemies.size(); ++a)
      csv += all[r].name + "," + enemies[a].name + "," + chart::detail::number(map.values[r][a], 4) + "," + chart::detail::number(cost[r], 3) + "\n";
  }
  chart::write_file(o.output + "/byzantine.svg", chart::render(map));
  chart::write_file(o.output + "/byzantine.csv", csv);
}

void simulate(options const& o) {
  auto const begin = std::chrono::steady_clock::now();
  swarm::digits const data = swarm::load_digits(EXAMPLE_DATA_DIR, static_cast<std::int32_t>(clients), o.seed);
  auto const all = rules();
  auto const enemies = attacks();
  std::vector<double> result(all.size() * enemies.size()), cost;
  unsigned const threads = std::thread::hardware_concurrency();
  ff::thread_pool pool(threads > 0 ? static_cast<int>(threads) : 1);
  pool.ref().bulk(result.size(), [&](std::size_t i) { result[i] = training(o, data, all[i / enemies.size()], enemies[i % enemies.size()]).run(); });
  for (rule_entry const& r : all) cost.push_back(milliseconds(r));

  std::printf("%lld clients, %lld of them faulty, %lld parameters, %lld rounds: test accuracy in %%\n\n%-24s", static_cast<long long>(clients),
              static_cast<long long>(faulty), static_cast<long long>(swarm::parameter_count()), static_cast<long long>(o.rounds), "");
  for (attack_entry const& a : enemies) std::printf("%11s", a.name.c_str());
  std::printf("%12s\n", "ms a fold");
  for (std::size_t r = 0; r < all.size(); ++r) {
    std::printf("%-24s", all[r].name.c_str());
    for (std::size_t a = 0; a < enemies.size(); ++a) std::printf("%11.1f", 100 * result[r * enemies.size() + a]);
    std::printf("%12.2f\n", cost[r]);
  }
  write_results(o, all, enemies, result, cost);
  std::printf("\nwrote %s/byzantine.svg and %s/byzantine.csv after %.1f s\n", o.output.c_str(), o.output.c_str(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace

int main(int count, char** text) {
  options const o = parse(count, text);
  try {
    simulate(o);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "byzantine: %s\n", e.what());
    return 1;
  }
}

// args: --rounds 1
// output matches: 20 clients, 4 of them faulty
// output matches: NNM . geometric median +[0-9.]+
// output matches: wrote ./byzantine.svg
