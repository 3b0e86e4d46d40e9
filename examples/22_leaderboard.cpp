// A leaderboard from a table of scores with holes: thirteen classifiers on ten splits of each of five data sets (data/leaderboard.csv).
// Ranks them by mean score, Borda, Kemeny and Plackett-Luce while 0 to 95 % of the entries are missing, and measures how much of
// each full ranking is left (Kendall's tau), and of Borda's full ranking.
//   --draws N --svg FILE

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fanfold/aggregate/rank/borda.hpp"
#include "fanfold/aggregate/rank/kemeny.hpp"
#include "fanfold/aggregate/rank/plackett_luce.hpp"
#include "fanfold/core/random.hpp"
#include "support/chart.hpp"

namespace ff = fanfold;
namespace ag = fanfold::aggregate;

namespace {

using order = std::vector<std::int32_t>;
constexpr double missing = std::numeric_limits<double>::quiet_NaN();

/// Scores [columns, systems], a column for each split of each data set.
struct table {
  std::vector<std::string> system;
  std::vector<double> score;
  std::int64_t columns() const { return static_cast<std::int64_t>(score.size() / system.size()); }
  std::int64_t systems() const { return static_cast<std::int64_t>(system.size()); }
  ff::matrix_view<double const> view() const { return {score.data(), columns(), systems()}; }
};

table read_table(std::string const& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::map<std::string, std::size_t> systems, columns;
  std::map<std::pair<std::size_t, std::size_t>, double> entry;
  table t;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::stringstream fields(line);
    std::string data_set, split, system, score;
    std::getline(fields, data_set, ','), std::getline(fields, split, ','), std::getline(fields, system, ','),
        std::getline(fields, score, ',');
    if (systems.emplace(system, systems.size()).second) t.system.push_back(system);
    std::size_t const column = columns.emplace(data_set + "/" + split, columns.size()).first->second;
    entry[{column, systems[system]}] = std::stod(score);
  }
  t.score.assign(columns.size() * t.system.size(), missing);
  for (auto const& [at, score] : entry) t.score[at.first * t.system.size() + at.second] = score;
  return t;
}

/// The table with `share` of its entries taken away at random, and its systems in a random order: rules that break ties by place must not
/// gain or lose by the alphabet. `from` says which system of the full table each one is.
table thinned(table const& full, double share, std::uint32_t draw, order& from) {
  ff::random_stream const draws{2022, 0x4C420000, draw};
  ff::random_sequence shuffle{{2022, 0x4C420001, draw}};
  from.resize(full.system.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t const j = shuffle.below(static_cast<std::uint32_t>(i + 1));
    from[i] = from[j];
    from[j] = static_cast<std::int32_t>(i);
  }
  table t = full;
  for (std::int64_t c = 0; c < full.columns(); ++c)
    for (std::size_t i = 0; i < from.size(); ++i) {
      std::size_t const at = static_cast<std::size_t>(c) * from.size();
      t.score[at + i] = ff::bernoulli(draws.word(at + i), share) ? missing : full.score[at + static_cast<std::size_t>(from[i])];
    }
  return t;
}

order by_mean(table const& t) {
  std::vector<double> mean(t.system.size());
  for (std::int64_t s = 0; s < t.systems(); ++s) {
    double sum = 0, count = 0;
    for (std::int64_t c = 0; c < t.columns(); ++c)
      if (t.view()(c, s) == t.view()(c, s)) sum += t.view()(c, s), count += 1;
    mean[static_cast<std::size_t>(s)] = sum / count;  // NaN, so last, where nothing was measured
  }
  return ag::best_first(mean);
}

// [rank]
order by_borda(table const& t) { return ag::best_first(ag::borda_count(t.view(), {.missing = ag::missing_scores::neutral})); }

order by_kemeny(table const& t) {
  std::vector<double> w(t.system.size() * t.system.size());
  ff::matrix_view<double> const preferences(w.data(), t.systems(), t.systems());
  ag::pair_preferences(ff::serial, {.missing = ag::missing_scores::neutral}, t.view(), {}, preferences);
  return ag::kemeny_order(ff::as_const(preferences)).order;
}

order by_plackett_luce(table const& t) {
  ag::comparisons data(t.systems());
  for (std::int64_t c = 0; c < t.columns(); ++c) data.add_scores(t.view().row(c));
  return ag::best_first(ag::plackett_luce_fit(data).theta);  // never compared: NaN, so last
}
// [/rank]

/// Kendall's tau of two orders: 1 the same, 0 unrelated, -1 turned round.
double agreement(order const& a, order const& b) {
  std::vector<std::size_t> place(a.size());
  for (std::size_t i = 0; i < b.size(); ++i) place[static_cast<std::size_t>(b[i])] = i;
  double same = 0, pairs = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = i + 1; j < a.size(); ++j) {
      same += place[static_cast<std::size_t>(a[i])] < place[static_cast<std::size_t>(a[j])] ? 1 : -1;
      pairs += 1;
    }
  return pairs == 0 ? 1 : same / pairs;
}

}  // namespace

int main(int argc, char** argv) {
  int draws = 100;
  std::string svg = "leaderboard.svg";
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--draws") draws = std::atoi(argv[i + 1]);
    if (std::string(argv[i]) == "--svg") svg = argv[i + 1];
  }
  table const full = read_table(EXAMPLE_DATA_DIR "/leaderboard.csv");
  struct rule {
    char const* name;
    char const* colour;
    order (*rank)(table const&);
  };
  rule const rules[] = {{"mean score", "#8c959f", by_mean},
                        {"Borda", "#0969da", by_borda},
                        {"Kemeny", "#1a7f37", by_kemeny},
                        {"Plackett-Luce", "#cf222e", by_plackett_luce}};

  std::printf("%d systems, %d columns of scores\n\n%-5s", static_cast<int>(full.systems()), static_cast<int>(full.columns()), "place");
  std::vector<order> complete;
  for (rule const& r : rules) {
    complete.push_back(r.rank(full));
    std::printf("%-21s", r.name);
  }
  std::printf("\n");
  for (std::size_t i = 0; i < full.system.size(); ++i) {
    std::printf("%-5d", static_cast<int>(i + 1));
    for (order const& o : complete) std::printf("%-21s", full.system[static_cast<std::size_t>(o[i])].c_str());
    std::printf("\n");
  }

  std::vector<double> const shares{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95};
  chart::line_chart picture{.title = "What is left of a ranking when scores are missing",
                            .subtitle = "13 classifiers, 50 columns of test accuracy; mean of " + std::to_string(draws) + " random tables",
                            .x_label = "entries missing, %",
                            .y_label = "agreement with the full ranking (tau)",
                            .lines = {},
                            .y_low = 0,
                            .y_high = 1};
  std::printf("\nKendall's tau between the ranking of a table with holes and the full one by the same rule (by Borda)\n%-15s", "missing");
  for (double share : {0.0, 0.5, 0.9, 0.95}) std::printf("%13.0f %%", 100 * share);
  std::printf("\n");
  for (std::size_t r = 0; r < 4; ++r) {
    chart::series line{rules[r].name, rules[r].colour, {}, {}, false};
    std::printf("%-15s", rules[r].name);
    for (double share : shares) {
      double own = 0, borda = 0;
      for (int k = 0; k < draws; ++k) {
        order from, o = rules[r].rank(thinned(full, share, static_cast<std::uint32_t>(k), from));
        for (std::int32_t& id : o) id = from[static_cast<std::size_t>(id)];
        own += agreement(o, complete[r]) / draws;
        borda += agreement(o, complete[1]) / draws;
      }
      line.x.push_back(100 * share), line.y.push_back(own);
      if (share == 0 || share == 0.5 || share == 0.9 || share == 0.95) std::printf("  %5.3f (%5.3f)", own, borda);
    }
    std::printf("\n");
    picture.lines.push_back(line);
  }
  chart::write_file(svg, chart::render(picture));
  std::printf("\nwrote %s\n", svg.c_str());
}

// args: --draws 4
// output matches: 13 systems, 50 columns
// output matches: mean score +1.000
// output matches: Plackett-Luce +1.000
// output matches: wrote leaderboard.svg
