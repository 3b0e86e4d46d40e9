// Clients that lie: twenty clients train one network on handwritten digits, four of them attack.
//
// In each round every honest client sends the momentum of its gradient on its own, label-skewed images; the attackers send what their attack
// makes of the honest rows. The server folds the twenty rows into one by a robust rule and takes a step. Every rule meets every attack;
// the picture shows which rules hold, the last column what an aggregation costs.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "byzantine/contest.hpp"
#include "byzantine/network.hpp"
#include "byzantine/options.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "support/chart.hpp"
#include "swarm/data.hpp"

namespace {

namespace ff = fanfold;
using namespace byzantine;

constexpr std::int64_t batch = 32, timed_size = 100000;

double accuracy(network& net, ff::view<float const> weights, swarm::image_set const& test) {
  auto const scores = net.forward(weights, test.images());
  std::int64_t right = 0;
  for (std::int64_t t = 0; t < test.size(); ++t) {
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c) best = scores(t, c) > scores(t, best) ? c : best;
    right += best == test.labels[static_cast<std::size_t>(t)];
  }
  return static_cast<double>(right) / static_cast<double>(test.size());
}

/// One training run under one rule and one attack.
class training {
 public:
  training(options const& o, swarm::digits const& data, rule_entry const& rule, attack_entry const& attack)
      : options_(o), data_(data), rule_(rule), attack_(attack) {
    network::initialise(weights_, o.seed);
  }

  /// Test accuracy at the end; a server that holds numbers which are not finite is lost.
  double run() {
    rows const all(sent_.data(), clients, parameter_count);
    for (std::int64_t round = 0; round < options_.rounds; ++round) {
      work(attack_.uses_own ? clients : honest, round);
      attack_.forge({all, {sent_.data() + honest * parameter_count, faulty, parameter_count}, round, rule_, step_, factor_, ws_});
      rule_.fold(all, step_, step_, ws_);
      // the last third of the rounds settles
      float const left = 3 * (1 - static_cast<float>(round) / static_cast<float>(options_.rounds));
      float const rate = options_.rate * rule_.rate * (left < 1 ? left : 1);
      bool finite = true;
      for (std::size_t i = 0; i < weights_.size(); ++i) {
        weights_[i] -= rate * step_[i];
        finite = finite && std::isfinite(weights_[i]);
      }
      if (!finite) return 0;
    }
    return accuracy(network_, weights_, data_.test);
  }

 private:
  /// What the clients send if they are honest: a tenth of the gradients of all rounds, older ones forgotten by a tenth a round.
  void work(std::int64_t active, std::int64_t round) {
    for (std::int64_t client = 0; client < active; ++client) draw(client, round);
    network::const_matrix const x(image_.data(), active * batch, pixels);
    network_.forward(weights_, x);
    network_.backward(weights_, x, label_, batch, {gradient_.data(), active, parameter_count});
    for (std::size_t i = 0; i < static_cast<std::size_t>(active * parameter_count); ++i) sent_[i] = momentum_[i] = 0.9f * momentum_[i] + 0.1f * gradient_[i];
  }

  void draw(std::int64_t client, std::int64_t round) {
    swarm::image_set const& own = data_.node[static_cast<std::size_t>(client)];
    ff::random_stream const draws{options_.seed, swarm::batch_stream + 16 * static_cast<std::uint32_t>(client), static_cast<std::uint32_t>(round)};
    for (std::int64_t b = 0; b < batch; ++b) {
      auto const k = static_cast<std::int64_t>(draws.below(static_cast<std::uint32_t>(own.size()), static_cast<std::uint64_t>(b)));
      for (std::int64_t c = 0; c < pixels; ++c) image_[static_cast<std::size_t>((client * batch + b) * pixels + c)] = own.images()(k, c);
      std::uint8_t& label = label_[static_cast<std::size_t>(client * batch + b)];
      label = own.labels[static_cast<std::size_t>(k)];
      if (attack_.flips_labels && client >= honest) label = static_cast<std::uint8_t>(flipped_label(label, classes));
    }
  }

  using buffer = std::vector<float>;
  options const& options_;
  swarm::digits const& data_;
  rule_entry const& rule_;
  attack_entry const& attack_;
  network network_;
  buffer weights_ = buffer(parameter_count), step_ = buffer(parameter_count);
  buffer gradient_ = buffer(clients * parameter_count), momentum_ = gradient_, sent_ = gradient_, image_ = buffer(clients * batch * pixels);
  std::vector<std::uint8_t> label_ = std::vector<std::uint8_t>(clients * batch);
  double factor_ = 0;
  ff::workspace ws_;
};

/// Milliseconds of processor time of one aggregation of long rows on one thread: the best of nine.
double milliseconds(rule_entry const& rule) {
  std::vector<float> x(static_cast<std::size_t>(clients * timed_size)), out(static_cast<std::size_t>(timed_size));
  forge(ff::serial, gaussian_attack{.seed = 3}, rows(x.data(), 1, timed_size), ff::matrix_view<float>(x.data(), clients, timed_size));
  ff::workspace ws;
  double best = 1e30;
  for (int i = 0; i < 9; ++i) {
    std::clock_t const begin = std::clock();
    rule.fold(rows(x.data(), clients, timed_size), out, out, ws);
    best = std::fmin(best, 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
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
  std::string csv = "rule,attack,accuracy,seconds_per_fold_of_20x100000\n";
  for (attack_entry const& a : enemies) map.columns.push_back(a.name);
  for (std::size_t r = 0; r < all.size(); ++r) {
    map.rows.push_back(all[r].name);
    map.notes.push_back(chart::detail::number(cost[r], 2));
    map.values.emplace_back(result.begin() + static_cast<std::ptrdiff_t>(r * enemies.size()), result.begin() + static_cast<std::ptrdiff_t>((r + 1) * enemies.size()));
    for (std::size_t a = 0; a < enemies.size(); ++a)
      csv += all[r].name + "," + enemies[a].name + "," + chart::detail::number(map.values[r][a], 4) + "," + chart::detail::number(cost[r] / 1000, 6) + "\n";
  }
  chart::write_file(o.output + "/byzantine.svg", chart::render(map));
  chart::write_file(o.output + "/byzantine.csv", csv);
}

void simulate(options const& o) {
  auto const begin = std::chrono::steady_clock::now();
  swarm::digits const data = swarm::load_digits(EXAMPLE_DATA_DIR, static_cast<std::int32_t>(clients), o.seed, o.skew);
  auto const all = rules();
  auto const enemies = attacks();
  std::vector<double> result(all.size() * enemies.size()), cost;
  for (rule_entry const& r : all) cost.push_back(milliseconds(r));

  std::int64_t const threads = o.threads > 0 ? o.threads : static_cast<std::int64_t>(std::thread::hardware_concurrency());
  ff::thread_pool pool(threads > 0 ? static_cast<int>(threads) : 1);
  std::atomic<std::size_t> done{0};
  bool const terminal = isatty(STDERR_FILENO) != 0;
  pool.ref().bulk(result.size(), [&](std::size_t i) {
    result[i] = training(o, data, all[i / enemies.size()], enemies[i % enemies.size()]).run();
    if (std::size_t const now = ++done; terminal) std::fprintf(stderr, now < result.size() ? "\r%zu of %zu runs" : "\r\033[K", now, result.size());
  });

  std::printf("%lld clients, %lld of them faulty, %lld parameters, %lld rounds: test accuracy in %%\n\n%-24s", static_cast<long long>(clients),
              static_cast<long long>(faulty), static_cast<long long>(parameter_count), static_cast<long long>(o.rounds), "");
  for (attack_entry const& a : enemies) std::printf("%11s", a.name.c_str());
  std::printf("%12s\n", "ms a fold");
  for (std::size_t r = 0; r < all.size(); ++r) {
    std::printf("%-24s", all[r].name.c_str());
    for (std::size_t a = 0; a < enemies.size(); ++a) std::printf("%11.1f", 100 * result[r * enemies.size() + a]);
    std::printf("%12.2f\n", cost[r]);
  }
  write_results(o, all, enemies, result, cost);
  std::printf("\nA fold: 20 rows of %lld, one thread.\nwrote %s/byzantine.svg and %s/byzantine.csv after %.1f s\n", static_cast<long long>(timed_size),
              o.output.c_str(), o.output.c_str(), std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
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

// args: --rounds 2
// output matches: 20 clients, 4 of them faulty
// output matches: NNM . geometric median +[0-9.]+
// output matches: wrote ./byzantine.svg
