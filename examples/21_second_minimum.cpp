// Learns the second smallest element of a multiset from examples of 2 to 16 items and is asked about sets of up to 64: a learned
// commutative monoid, folded as a tree of depth log2 n, against a sum, a maximum and a recurrent unit that reads one item after the other.
//   --steps N --tests N --threads N --svg FILE

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>

#include "fanfold/aggregate/set/binary_gru.hpp"
#include "fanfold/aggregate/set/learned_fold.hpp"
#include "fanfold/aggregate/set/projection.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "support/chart.hpp"

namespace ff = fanfold;
namespace ag = fanfold::aggregate;

namespace {

constexpr std::int64_t values = 32, width = 32, hidden = 64, batch_sets = 64, longest_training = 16;
constexpr std::uint64_t seed = 7;
enum stream : std::uint32_t { starts = 0x4C430000, training = 0x4C540000, testing = 0x4C580000 };

using buffer = std::vector<float>;
ff::matrix_view<float> matrix(buffer& b, std::int64_t cols) { return {b.data(), static_cast<std::int64_t>(b.size()) / cols, cols}; }

/// Sets of items one after the other. Values of a set are uniform above a random floor, so that the answer is not small just because
/// there are many items.
struct sets {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> item, answer;

  void add(ff::random_sequence& draw, std::int64_t n) {
    auto const floor = static_cast<std::int32_t>(draw.below(static_cast<std::uint32_t>(values - 4)));
    std::int32_t least = values, second = values;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int32_t const x = floor + static_cast<std::int32_t>(draw.below(static_cast<std::uint32_t>(values - floor)));
      item.push_back(x);
      if (x < least)
        second = least, least = x;
      else if (x < second)
        second = x;
    }
    offsets.push_back(offsets.back() + n);
    answer.push_back(second);
  }
  std::int64_t count() const { return static_cast<std::int64_t>(answer.size()); }
};

enum class aggregator { monoid, recurrent, sum, maximum };
char const* name_of(aggregator a) {
  return a == aggregator::monoid      ? "learned monoid"
         : a == aggregator::recurrent ? "GRU in sequence"
         : a == aggregator::sum       ? "sum"
                                      : "maximum";
}

/// Embedding, aggregator, one hidden layer, logits; parameters in one vector, trained by Adam.
class model {
 public:
  explicit model(aggregator kind)
      : kind_(kind),
        parameter_(static_cast<std::size_t>(end_)),
        gradient_(parameter_.size()),
        mean_(parameter_.size()),
        square_(parameter_.size()) {
    ff::random_stream const draws{seed, starts, 0};
    for (std::int64_t i = 0; i < end_; ++i) {
      float const scale = i < gru_at ? 0.5f : 0.17f;
      parameter_[at(i)] = scale * draws.normal(static_cast<std::uint64_t>(i));
    }
  }
  aggregator kind() const { return kind_; }

  /// Index of the largest logit of each set.
  std::vector<std::int32_t> answers(sets const& s) {
    forward(s);
    std::vector<std::int32_t> best(s.answer.size(), 0);
    for (std::int64_t i = 0; i < s.count(); ++i)
      for (std::int32_t c = 1; c < values; ++c)
        if (matrix(logits_, values)(i, c) > matrix(logits_, values)(i, best[at(i)])) best[at(i)] = c;
    return best;
  }

  /// One step on the mean cross entropy, returned.
  float train(sets const& s, float rate) {
    forward(s);
    float const loss = cross_entropy(s);
    backward(s);
    ++step_;
    double const first = 1 - power(0.9, step_), second = 1 - power(0.999, step_);
    for (std::size_t i = 0; i < parameter_.size(); ++i) {
      mean_[i] = 0.9f * mean_[i] + 0.1f * gradient_[i];
      square_[i] = 0.999f * square_[i] + 0.001f * gradient_[i] * gradient_[i];
      parameter_[i] -= rate * (mean_[i] / static_cast<float>(first)) / (ff::math::sqrt(square_[i] / static_cast<float>(second)) + 1e-8f);
    }
    return loss;
  }

  /// Folds alone, for the clock.
  void aggregate(sets const& s) {
    std::size_t const n = s.answer.size() * width;
    folded_.resize(n);
    switch (kind_) {
      case aggregator::monoid:
        ag::learned_fold(ff::serial, gru(), matrix(items_, width), s.offsets, matrix(folded_, width), tape_, ws_);
        break;
      case aggregator::recurrent:
        ag::learned_fold(ff::serial, unit(), matrix(items_, width), ag::fold_shape::sequential(s.offsets), matrix(folded_, width), tape_,
                         ws_);
        break;
      case aggregator::sum:
        ff::segmented_fold(ff::plus<float>{}, matrix(items_, width), s.offsets, matrix(folded_, width), ws_);
        break;
      case aggregator::maximum:
        ff::segmented_fold(ff::maximum<float>{}, matrix(items_, width), s.offsets, matrix(folded_, width), ws_);
        break;
    }
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  static double power(double base, int n) { return ff::math::exp(n * ff::math::log(base)); }

  static constexpr std::int64_t gru_at = values * width, hidden_at = gru_at + ag::binary_gru<float>::parameters_of(width),
                                last_at = hidden_at + ag::item_projection<float>::parameters_of(width, hidden),
                                end_ = last_at + ag::item_projection<float>::parameters_of(hidden, values);
  ff::view<float const> part(std::int64_t from, std::int64_t to) const { return {parameter_.data() + from, to - from}; }
  ff::view<float> gradient(std::int64_t from, std::int64_t to) { return {gradient_.data() + from, to - from}; }
  ag::binary_gru<float> gru() const { return {.size = width, .parameter = part(gru_at, hidden_at)}; }
  ag::gru_step<float> unit() const { return {.size = width, .parameter = part(gru_at, hidden_at)}; }
  ag::item_projection<float> hidden_layer() const { return {.in = width, .out = hidden, .parameter = part(hidden_at, last_at)}; }
  ag::item_projection<float, false> last_layer() const { return {.in = hidden, .out = values, .parameter = part(last_at, end_)}; }

  void forward(sets const& s) {
    items_.resize(s.item.size() * width);
    for (std::size_t i = 0; i < s.item.size(); ++i)
      for (std::size_t c = 0; c < width; ++c) items_[i * width + c] = parameter_[static_cast<std::size_t>(s.item[i]) * width + c];
    aggregate(s);
    hidden_.resize(s.answer.size() * hidden), logits_.resize(s.answer.size() * values);
    ag::project(ff::serial, hidden_layer(), matrix(folded_, width), matrix(hidden_, hidden), ws_);
    ag::project(ff::serial, last_layer(), matrix(hidden_, hidden), matrix(logits_, values), ws_);
  }

  float cross_entropy(sets const& s) {
    dlogits_.resize(logits_.size());
    float sum = 0;
    float const share = 1.0f / static_cast<float>(s.count());
    for (std::int64_t i = 0; i < s.count(); ++i) {
      auto const row = matrix(logits_, values).row(i), d = matrix(dlogits_, values).row(i);
      float const total = ff::fold(ff::log_sum_exp<float>{}, row);
      for (std::int64_t c = 0; c < values; ++c) d[c] = share * ff::math::exp(row[c] - total);
      d[s.answer[at(i)]] -= share;
      sum += share * (total - row[s.answer[at(i)]]);
    }
    return sum;
  }

  void backward(sets const& s) {
    dhidden_.resize(hidden_.size()), dfolded_.resize(folded_.size()), ditems_.resize(items_.size());
    ag::project_vjp(ff::serial, last_layer(), matrix(hidden_, hidden), matrix(logits_, values), matrix(dlogits_, values),
                    matrix(dhidden_, hidden), gradient(last_at, end_), ws_);
    ag::project_vjp(ff::serial, hidden_layer(), matrix(folded_, width), matrix(hidden_, hidden), matrix(dhidden_, hidden),
                    matrix(dfolded_, width), gradient(hidden_at, last_at), ws_);
    if (kind_ == aggregator::monoid)
      ag::learned_fold_vjp(ff::serial, gru(), tape_, matrix(dfolded_, width), matrix(ditems_, width), gradient(gru_at, hidden_at), ws_);
    else if (kind_ == aggregator::recurrent)
      ag::learned_fold_vjp(ff::serial, unit(), tape_, matrix(dfolded_, width), matrix(ditems_, width), gradient(gru_at, hidden_at), ws_);
    else
      plain_backward(s);
    for (std::int64_t i = 0; i < gru_at; ++i) gradient_[at(i)] = 0;
    for (std::size_t i = 0; i < s.item.size(); ++i)
      for (std::size_t c = 0; c < width; ++c) gradient_[static_cast<std::size_t>(s.item[i]) * width + c] += ditems_[i * width + c];
  }

  // A sum hands its gradient to every item, a maximum to the first that attains it.
  void plain_backward(sets const& s) {
    for (std::int64_t set = 0; set < s.count(); ++set)
      for (std::int64_t c = 0; c < width; ++c) {
        bool given = false;
        for (std::int64_t i = s.offsets[at(set)]; i < s.offsets[at(set + 1)]; ++i) {
          std::size_t const x = at(i * width + c), y = at(set * width + c);
          bool const takes = kind_ == aggregator::sum || (!given && items_[x] == folded_[y]);
          given |= takes;
          ditems_[x] = takes ? dfolded_[y] : 0.0f;
        }
      }
  }

  aggregator kind_;
  buffer parameter_, gradient_, mean_, square_;
  int step_ = 0;
  buffer items_, folded_, hidden_, logits_, ditems_, dfolded_, dhidden_, dlogits_;
  ag::learned_tape<float> tape_;
  ff::workspace ws_;
};

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void train(model& m, std::int64_t steps) {
  for (std::int64_t k = 0; k < steps; ++k) {
    ff::random_sequence draw{{seed, training, static_cast<std::uint32_t>(k)}};
    sets batch;
    for (std::int64_t i = 0; i < batch_sets; ++i) batch.add(draw, 2 + static_cast<std::int64_t>(draw.below(longest_training - 1)));
    float const left = 1.0f - static_cast<float>(k) / static_cast<float>(steps);
    m.train(batch, 4e-3f * (left < 0.7f ? left / 0.7f : 1.0f));
  }
}

double accuracy(model& m, sets const& s) {
  auto const said = m.answers(s);
  double right = 0;
  for (std::size_t i = 0; i < said.size(); ++i) right += said[i] == s.answer[i];
  return right / static_cast<double>(said.size());
}

int depth(aggregator a, std::int64_t n) {
  if (a == aggregator::sum || a == aggregator::maximum) return 1;
  std::vector<std::int64_t> const one{0, n};
  return (a == aggregator::monoid ? ag::fold_shape::balanced(one) : ag::fold_shape::sequential(one)).levels();
}

/// Microseconds a set of a batch, or of the first set alone.
double clock_folds(model& m, sets const& s) {
  m.answers(s);
  double best = 1e300;
  for (int k = 0; k < 5; ++k) {
    double const start = seconds_now();
    m.aggregate(s);
    double const t = seconds_now() - start;
    best = t < best ? t : best;
  }
  return 1e6 * best / static_cast<double>(s.count());
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t steps = 10000, tests = 2000;
  unsigned threads = 2;
  std::string svg = "second_minimum.svg";
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    if (option == "--steps") steps = std::atoll(argv[i + 1]);
    if (option == "--tests") tests = std::atoll(argv[i + 1]);
    if (option == "--threads") threads = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (option == "--svg") svg = argv[i + 1];
  }
  model models[]{model(aggregator::monoid), model(aggregator::recurrent), model(aggregator::sum), model(aggregator::maximum)};
  std::size_t const count = std::size(models);

  double const start = seconds_now();
  ff::thread_pool pool(threads);
  ff::for_each_task(pool.ref(), static_cast<std::int64_t>(count),
                    [&](std::int64_t i) { train(models[static_cast<std::size_t>(i)], steps); });
  std::printf("trained on sets of 2 to %d items, %d steps of %d sets, in %.1f s\n\n", static_cast<int>(longest_training),
              static_cast<int>(steps), static_cast<int>(batch_sets), seconds_now() - start);

  std::vector<std::int64_t> const sizes{2, 4, 8, 12, 16, 24, 32, 48, 64};
  std::vector<sets> data(sizes.size());
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    ff::random_sequence items{{seed, testing, static_cast<std::uint32_t>(sizes[k])}};
    for (std::int64_t i = 0; i < tests; ++i) data[k].add(items, sizes[k]);
  }
  sets alone;
  ff::random_sequence draw{{seed, testing, 0}};
  alone.add(draw, 64);
  std::printf("accuracy at n =     %6s%6s%6s%6s%6s | depth at 64 | us a set of 64: in a batch, alone\n", "4", "8", "16", "32", "64");
  char const* const colours[] = {"#0969da", "#cf222e", "#8c959f", "#bf8700"};
  chart::line_chart picture{.title = "Second smallest of a multiset",
                            .subtitle = "trained on 2 to 16 items (dotted line: 90 %); 32 values; every aggregator the same width",
                            .x_label = "items in the set",
                            .y_label = "sets answered right",
                            .lines = {},
                            .y_low = 0,
                            .y_high = 1,
                            .percent = true,
                            .guides = {0.9}};
  for (std::size_t i = 0; i < count; ++i) {
    aggregator const kind = models[i].kind();
    std::vector<double> x, y;
    for (std::size_t k = 0; k < sizes.size(); ++k) x.push_back(static_cast<double>(sizes[k])), y.push_back(accuracy(models[i], data[k]));
    std::printf("%-20s%6.3f%6.3f%6.3f%6.3f%6.3f | %11d | %24.2f %6.1f\n", name_of(kind), y[1], y[2], y[4], y[6], y[8], depth(kind, 64),
                clock_folds(models[i], data.back()), clock_folds(models[i], alone));
    picture.lines.push_back({name_of(kind), colours[i], x, y, false});
  }
  chart::write_file(svg, chart::render(picture));
  std::printf("\nwrote %s\n", svg.c_str());
}

// args: --steps 30 --tests 60
// output matches: learned monoid +[01]\.[0-9]+
// output matches: 6 \|
// output matches: 63 \|
// output matches: wrote second_minimum.svg
