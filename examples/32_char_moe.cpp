// Five routers learn to predict the next character of a real text.
//
// The same network of two sparse mixture layers five times, with as many parameters and multiply-adds a character: what differs is who
// decides which experts a character's context passes. Forward and backward passes are Fanfold's: routers, plans, expert networks, folds and
// their gradients. Nothing depends on the number of threads.

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "char_moe/network.hpp"
#include "char_moe/options.hpp"
#include "char_moe/recipes.hpp"
#include "char_moe/text.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "support/chart.hpp"
#include "support/heat_fields.hpp"

namespace {

using namespace char_moe;

struct point {
  std::int32_t step;
  double train, validation;  // bits a character
};

struct run {
  char const* name;
  char const* colour;
  std::unique_ptr<contender> net;
  std::vector<point> curve{};
  std::vector<std::vector<double>> load[layers]{};  // [report][expert], 1 is the fair share
  double final_bits = 0, seconds = 0;
};

template <class Recipe, class Executor>
run make_run(Executor const& ex, char const* colour, corpus const& c, options const& o, std::int64_t most) {
  return {Recipe::name, colour, std::make_unique<network<Executor, Recipe>>(ex, c, most, o.seed)};
}

double bits(const_matrix log_probability, batch const& b) {
  double sum = 0;
  for (std::int64_t t = 0; t < b.size(); ++t) sum -= static_cast<double>(log_probability(t, b.targets[static_cast<std::size_t>(t)]));
  return sum / static_cast<double>(b.size()) / std::log(2.0);
}

/// Bits a character over the given positions, every `stride`-th of them.
double bits_of(contender& net, corpus const& c, std::vector<std::int32_t> const& positions, std::size_t stride) {
  batch b;
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < positions.size();) {
    for (b.clear(); i < positions.size() && b.size() < 1024; i += stride) b.add(c, positions[i]);
    sum += bits(net.predict(b), b) * static_cast<double>(b.size());
    count += b.size();
  }
  return sum / static_cast<double>(count);
}

void show_progress(run const& r, std::int32_t step, std::int32_t steps) {
  if (!isatty(STDERR_FILENO)) return;
  int const width = 40, done = width * step / steps;
  std::fprintf(stderr, "\r[%.*s%*s] %-20s step %d of %d ", done, "########################################", width - done, "", r.name, step, steps);
  if (step == steps) std::fputs("\r\033[K", stderr);
}

void note_load(run& r) {
  for (std::int64_t l = 0; l < layers; ++l) {
    auto const& stats = r.net->stats(l);
    std::vector<double> share;
    for (std::int64_t n : stats.count()) share.push_back(static_cast<double>(n * stats.experts()) / static_cast<double>(stats.choices()));
    r.load[l].push_back(share);
  }
}

/// A short warm-up, then half a cosine down to a twentieth.
float rate_at(options const& o, std::int32_t step) {
  double const warm = std::fmin(1.0, (step + 1) / (0.03 * o.steps + 1)), along = static_cast<double>(step) / o.steps;
  return o.rate * static_cast<float>(warm * (0.05 + 0.95 * 0.5 * (1 + std::cos(3.14159265358979 * along))));
}

void train(run& r, corpus const& c, options const& o) {
  auto const begin = std::chrono::steady_clock::now();
  ff::random_stream const draws{o.seed, 2, 0};  // every contender sees the same batches
  batch b;
  double sum = 0;
  std::int32_t since = 0;
  for (std::int32_t step = 0; step < o.steps; ++step) {
    b.clear();
    for (std::int32_t i = 0; i < o.batch; ++i)
      b.add(c, c.train[draws.below(static_cast<std::uint32_t>(c.train.size()), static_cast<std::uint64_t>(step) * static_cast<std::uint64_t>(o.batch) + static_cast<std::uint64_t>(i))]);
    sum += r.net->train(b, rate_at(o, step));
    ++since;
    std::int64_t const before = static_cast<std::int64_t>(step) * o.reports / o.steps, now = static_cast<std::int64_t>(step + 1) * o.reports / o.steps;
    if (now == before) continue;
    note_load(r);
    std::size_t const stride = c.validation.size() / 2048 + 1;
    r.curve.push_back({step + 1, sum / since, bits_of(*r.net, c, c.validation, stride)});
    sum = 0, since = 0;
    show_progress(r, step + 1, o.steps);
  }
  r.final_bits = bits_of(*r.net, c, c.validation, 1);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Largest load of an expert over the fair share, averaged over the last quarter of the reports.
double imbalance(run const& r, std::int64_t layer) {
  auto const& all = r.load[layer];
  double sum = 0;
  std::size_t const from = all.size() - (all.size() + 3) / 4;
  for (std::size_t i = from; i < all.size(); ++i) {
    double most = 0;
    for (double v : all[i]) most = std::fmax(most, v);
    sum += most;
  }
  return sum / static_cast<double>(all.size() - from);
}

std::string write_text(contender& net, corpus const& c, options const& o) {
  std::string const prompt = "The hacker said that the";
  std::vector<std::int32_t> ids;
  for (char ch : prompt) ids.push_back(c.id_of(ch) < 0 ? 0 : c.id_of(ch));
  ff::random_stream const draws{o.seed, 3, 0};
  for (std::int32_t i = 0; i < o.sample; ++i) {
    batch b;
    b.add(ids.data() + ids.size() - context, 0, c.vocabulary());
    auto const row = net.predict(b).row(0);
    std::vector<double> weight;
    double sum = 0;
    for (float v : row) weight.push_back(std::exp(static_cast<double>(v) / 0.6)), sum += weight.back();  // sharper than the model's own
    double at = static_cast<double>(draws.u01(static_cast<std::uint64_t>(i))) * sum;
    std::size_t next = 0;
    while (next + 1 < weight.size() && at >= weight[next]) at -= weight[next++];
    ids.push_back(static_cast<std::int32_t>(next));
  }
  std::string text;
  for (std::int32_t id : ids) text += c.characters[static_cast<std::size_t>(id)];
  return text;
}

void write_pictures(options const& o, std::vector<run> const& runs) {
  double low = 1e30, high = 0;
  chart::line_chart loss{.title = "Five routers predict the next character",
                         .subtitle = "held-out text (dashed: training text), two mixture layers, equal parameters and multiply-adds",
                         .x_label = "steps of " + std::to_string(o.batch) + " characters",
                         .y_label = "bits a character",
                         .lines = {}};
  chart::heat_chart load{.title = "How the load of the experts moves",
                         .subtitle = "an expert a line, training steps to the right; share of a batch's choices over the fair share",
                         .x_label = "training steps",
                         .y_label = "experts",
                         .fields = {},
                         .fields_a_row = runs.size(),
                         .x_high = static_cast<double>(o.steps)};
  std::string table = "step,router,train_bits,validation_bits\n";
  for (run const& r : runs) {
    chart::series validation{r.name, r.colour, {}, {}}, train{"", r.colour, {}, {}, true};
    for (point const& p : r.curve) {
      validation.x.push_back(p.step), validation.y.push_back(p.validation);
      train.x.push_back(p.step), train.y.push_back(p.train);
      low = std::fmin(low, std::fmin(p.train, p.validation)), high = std::fmax(high, p.validation);
      char line[160];
      std::snprintf(line, sizeof line, "%d,%s,%.5f,%.5f\n", p.step, r.name, p.train, p.validation);
      table += line;
    }
    loss.lines.push_back(validation);
    loss.lines.push_back(train);
  }
  loss.y_low = std::floor(low * 5) / 5, loss.y_high = std::fmin(std::ceil(high * 5) / 5, loss.y_low + 2);
  for (std::int64_t l = 0; l < layers; ++l)
    for (run const& r : runs) {
      chart::heat_field field{std::string(r.name) + ", layer " + std::to_string(l + 1), {}};
      field.value.resize(r.load[l].front().size());
      for (auto const& shares : r.load[l])
        for (std::size_t e = 0; e < shares.size(); ++e) field.value[e].push_back(shares[e]);
      load.fields.push_back(field);
    }
  chart::write_file(o.output + "/char_moe_loss.svg", chart::render(loss));
  chart::write_file(o.output + "/char_moe_load.svg", chart::render(load));
  chart::write_file(o.output + "/char_moe.csv", table);
}

void compare(options const& o) {
  corpus const c = load_corpus(o.text);
  ff::thread_pool pool(o.threads > 0 ? o.threads : static_cast<int>(std::thread::hardware_concurrency() > 0 ? std::thread::hardware_concurrency() : 1));
  auto const ex = pool.ref();
  std::int64_t const most = o.batch > 1024 ? o.batch : 1024;
  std::vector<run> runs;
  runs.push_back(make_run<softmax_top2>(ex, "#0969da", c, o, most));
  runs.push_back(make_run<switch_top1>(ex, "#bf8700", c, o, most));
  runs.push_back(make_run<sigmoid_bias>(ex, "#1a7f37", c, o, most));
  runs.push_back(make_run<grouped_top1>(ex, "#8250df", c, o, most));
  runs.push_back(make_run<hashed>(ex, "#d1242f", c, o, most));
  std::printf("%zu characters of %lld kinds, %zu to train on, %zu held out; %zu threads\n\n", c.ids.size(), static_cast<long long>(c.vocabulary()), c.train.size(),
              c.validation.size(), pool.threads());
  std::printf("                       bits a character      largest load over    parameters   seconds\n");
  std::printf("router                 training  held out    fair share, by layer\n");
  run const* best = nullptr;
  for (run& r : runs) {
    train(r, c, o);
    if (best == nullptr || r.final_bits < best->final_bits) best = &r;
    std::printf("%-20s %10.3f %9.3f %11.2f %8.2f %14lld %9.1f\n", r.name, r.curve.back().train, r.final_bits, imbalance(r, 0), imbalance(r, 1),
                static_cast<long long>(r.net->parameters()), r.seconds);
    std::fflush(stdout);
  }
  write_pictures(o, runs);
  if (o.sample > 0) std::printf("\nThe best one, %s, writes:\n%s\n", best->name, write_text(*best->net, c, o).c_str());
  std::printf("\nwrote %s/char_moe_loss.svg, char_moe_load.svg and char_moe.csv\n", o.output.c_str());
}

}  // namespace

int main(int count, char** text) {
  options const o = parse(count, text);
  try {
    compare(o);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "\nchar_moe: %s\n", e.what());
    return 1;
  }
}

// args: --steps 12 --batch 64 --reports 3 --sample 20
// output matches: softmax top-2 +[0-9.]+ +[0-9.]+
// output matches: hashed pairs +[0-9.]+ +[0-9.]+
// output matches: wrote \./char_moe_loss\.svg
