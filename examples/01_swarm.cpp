// A decentralised swarm that learns to read handwritten digits.
//
// Sixteen nodes hold different shares of a real data set and their own, separately initialised networks with a sparse mixture of experts.
// Each round they train a little and average with their neighbours. Plain averaging of unaligned networks kills the variance of their
// weights and with it all learning; correcting the variance of each averaged tensor cures it. Federated averaging from one common start
// is the centralised yardstick. Everything numeric runs through the library's loops, so the results do not depend on the threads.

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/ensemble/output.hpp"
#include "support/chart.hpp"
#include "swarm/data.hpp"
#include "swarm/options.hpp"
#include "swarm/run.hpp"

namespace {

using namespace swarm;
using pool_run = run<ff::thread_pool_ref>;

struct contender {
  char const* name;
  char const* colour;
  averaging kind;
  std::unique_ptr<pool_run> swarm;
  std::vector<report> reports;
};

void show_progress(options const& o, std::int32_t round) {
  if (!isatty(STDERR_FILENO)) return;
  int const width = 40, done = width * round / o.rounds;
  std::fprintf(stderr, "\r[%.*s%*s] round %d of %d ", done, "########################################", width - done, "", round, o.rounds);
  if (round == o.rounds) std::fputs("\r\033[K", stderr);
}

void print_row(contender const& c) {
  report const& r = c.reports.back();
  std::printf("%5d  %-18s %6.1f %% %6.1f %% %11.3f %10.3f  ", r.round, c.name, 100 * r.mean_accuracy, 100 * r.worst_accuracy, r.consensus_distance,
              r.variance_ratio);
  std::int64_t sum = 0;
  for (std::int64_t n : r.load) sum += n;
  for (std::int64_t n : r.load) std::printf("%3.0f", 100.0 * static_cast<double>(n) / static_cast<double>(sum));
  std::printf("\n");
}

std::string rounds_to(contender const& c, double accuracy) {
  for (report const& r : c.reports)
    if (r.mean_accuracy >= accuracy) return std::to_string(r.round);
  return "never";
}

/// Accuracy of the mean of all nodes' class probabilities.
double ensemble_accuracy(pool_run& s, options const& o, digits const& data) {
  std::int64_t const images = data.test.size();
  std::vector<const_matrix> members;
  for (std::int64_t n = 0; n < o.nodes; ++n) members.push_back(s.scores(n));
  std::vector<float> together(static_cast<std::size_t>(images * classes));
  ff::ensemble::output(ff::serial, ff::ensemble::mean_probability{}, members, ff::view<double const>(), matrix(together.data(), images, classes));
  return s.accuracy_of(const_matrix(together.data(), images, classes));
}

// FNV-1a over the bytes of the weights
std::uint64_t digest(std::uint64_t hash, ff::view<float const> weights) {
  auto const* const bytes = reinterpret_cast<unsigned char const*>(weights.data());
  for (std::size_t i = 0; i < static_cast<std::size_t>(weights.size()) * sizeof(float); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

void write_table(options const& o, std::vector<contender> const& all) {
  std::string text = "round,run,mean_accuracy,worst_accuracy,consensus_distance,variance_over_xavier\n";
  char line[160];
  for (contender const& c : all)
    for (report const& r : c.reports) {
      std::snprintf(line, sizeof line, "%d,%s,%.6f,%.6f,%.6g,%.6g\n", r.round, c.name, r.mean_accuracy, r.worst_accuracy, r.consensus_distance, r.variance_ratio);
      text += line;
    }
  chart::write_file(o.output + "/swarm.csv", text);
}

void write_picture(options const& o, std::vector<contender> const& all) {
  chart::line_chart c{.title = "A swarm of " + std::to_string(o.nodes) + " nodes learns to read digits",
                      .subtitle = "separate starts, mixture-of-experts networks, label-skewed data; average node (dashed: worst node)",
                      .x_label = "rounds of local training and averaging",
                      .y_label = "test accuracy",
                      .lines = {},
                      .percent = true,
                      .guides = {0.8, 0.9}};
  for (contender const& run : all) {
    chart::series mean{run.name, run.colour, {}, {}}, worst{"", run.colour, {}, {}, true};
    for (report const& r : run.reports) {
      mean.x.push_back(r.round), mean.y.push_back(r.mean_accuracy);
      worst.x.push_back(r.round), worst.y.push_back(r.worst_accuracy);
    }
    c.lines.push_back(mean);
    if (run.kind != averaging::federated) c.lines.push_back(worst);
  }
  chart::write_file(o.output + "/swarm.svg", chart::render(c));
}

void simulate(options const& o) {
  auto const begin = std::chrono::steady_clock::now();
  digits const data = load_digits(o.data, o.nodes, o.seed);
  ff::thread_pool pool(o.threads > 0 ? o.threads : static_cast<int>(std::thread::hardware_concurrency() > 0 ? std::thread::hardware_concurrency() : 1));
  std::vector<contender> all;
  for (auto const& [name, colour, kind] : {std::tuple("plain gossip", "#d1242f", averaging::plain_gossip),
                                           std::tuple("variance-corrected", "#1a7f37", averaging::corrected_gossip),
                                           std::tuple("federated", "#0969da", averaging::federated)})
    all.push_back({name, colour, kind, std::make_unique<pool_run>(pool.ref(), o, data, kind), {}});

  std::printf("%d nodes, %lld training images, %lld test images, %lld parameters a node, %zu threads, spectral gap %.3f\n\n", o.nodes,
              static_cast<long long>(1797 - data.test.size()), static_cast<long long>(data.test.size()), static_cast<long long>(parameter_count()), pool.threads(),
              ff::gossip::spectral_gap(ff::gossip::metropolis_hastings(links_of(o))));
  std::printf("round  run                average   worst    consensus   variance  load of the experts\n");
  std::printf("                          node      node     distance    / Xavier  in %% of the choices\n");
  for (std::int32_t round = 1; round <= o.rounds; ++round) {
    show_progress(o, round - 1);
    for (contender& c : all) {
      c.swarm->step(round - 1);
      c.reports.push_back(c.swarm->measure(round));
    }
    if (round % o.report_every != 0 && round != o.rounds) continue;
    show_progress(o, o.rounds);
    for (contender const& c : all) print_row(c);
    std::printf("\n");
  }

  std::printf("run                 rounds to 80 %%   rounds to 90 %%   average node   ensemble of all nodes\n");
  std::uint64_t hash = 14695981039346656037u;
  for (contender& c : all) {
    std::printf("%-18s %15s %15s %12.1f %% %15.1f %%\n", c.name, rounds_to(c, 0.8).c_str(), rounds_to(c, 0.9).c_str(), 100 * c.reports.back().mean_accuracy,
                100 * ensemble_accuracy(*c.swarm, o, data));
    hash = digest(hash, c.swarm->weights());
  }
  write_table(o, all);
  write_picture(o, all);
  double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("\nwrote %s/swarm.svg and %s/swarm.csv after %.1f s\ndigest of all weights %016llx\n", o.output.c_str(), o.output.c_str(), seconds,
              static_cast<unsigned long long>(hash));
}

}  // namespace

int main(int count, char** text) {
  options const o = parse(count, text);
  try {
    simulate(o);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "\nswarm: %s\n", e.what());
    return 1;
  }
}

// args: --rounds 3 --nodes 8 --report 1
// output matches: plain gossip +[0-9.]+ %
// output matches: variance-corrected +[0-9.]+ %
// output matches: digest of all weights [0-9a-f]+
