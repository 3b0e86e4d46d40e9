#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "support/chart.hpp"

// Loads of experts as small bar charts, one a router.
namespace chart {

struct load_panel {
  std::string title, note;
  std::vector<double> load;  // 1: an even share
};

struct load_chart {
  std::string title, subtitle;
  std::vector<load_panel> panels;
  double capacity = 1.25;  // what lies above is drawn as dropped
  int columns = 4;
  double highest = 2.8;  // of the scale; taller bars are cut, with their height written above them
};

/// The chart as SVG text.
inline std::string render(load_chart const& c) {
  using detail::escaped;
  using detail::number;
  double const panel_width = 226, panel_height = 176, left = 28, top = 84, bars_top = 50, bars_height = 96;
  auto const count = static_cast<int>(c.panels.size());
  int const rows = (count + c.columns - 1) / c.columns;
  double const width = left * 2 + panel_width * c.columns, height = top + panel_height * rows + 34;
  std::string s = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width, 0) + " " + number(height, 0) + "\" width=\"" + number(width, 0) +
                  "\" height=\"" + number(height, 0) + "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n";
  auto const box = [&](double x, double y, double w, double h, char const* colour) {
    s += "<rect x=\"" + number(x, 2) + "\" y=\"" + number(y, 2) + "\" width=\"" + number(w, 2) + "\" height=\"" + number(h, 2) + "\" fill=\"" + colour + "\"/>\n";
  };
  auto const text = [&](double x, double y, std::string const& what, char const* style) {
    s += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + style + ">" + escaped(what) + "</text>\n";
  };
  auto const line = [&](double x, double y, double w, char const* style) {
    s += "<line x1=\"" + number(x) + "\" x2=\"" + number(x + w) + "\" y1=\"" + number(y) + "\" y2=\"" + number(y) + "\" " + style + "/>\n";
  };
  box(0, 0, width, height, "#ffffff");
  text(left, 32, c.title, "font-size=\"18\" font-weight=\"bold\"");
  text(left, 54, c.subtitle, "fill=\"#57606a\" font-size=\"13\"");
  char const* const kept = "#3b7ea1";
  char const* const dropped = "#d1495b";
  for (int i = 0; i < count; ++i) {
    load_panel const& p = c.panels[static_cast<std::size_t>(i)];
    double const x = left + panel_width * (i % c.columns), y = top + panel_height * (i / c.columns);
    double const base = y + bars_top + bars_height, unit = bars_height / c.highest;
    double const step = (panel_width - 26) / static_cast<double>(p.load.size());
    text(x, y + 16, p.title, "font-weight=\"bold\" font-size=\"13\"");
    text(x, y + 32, p.note, "fill=\"#57606a\" font-size=\"11\"");
    for (std::size_t e = 0; e < p.load.size(); ++e) {
      double const load = std::fmin(p.load[e], c.highest), within = std::fmin(load, c.capacity), at = x + step * static_cast<double>(e);
      box(at + 1, base - unit * within, step - 2, unit * within, kept);
      if (load > within) box(at + 1, base - unit * load, step - 2, unit * (load - within), dropped);
      if (p.load[e] > c.highest) text(at + step / 2, base - bars_height - 3, number(p.load[e]), "text-anchor=\"middle\" font-size=\"9\"");
    }
    line(x, base, panel_width - 26, "stroke=\"#57606a\"");
    line(x, base - unit, panel_width - 26, "stroke=\"#24292f\" stroke-width=\"0.8\" stroke-dasharray=\"2 3\"");
  }
  double const bottom = height - 16;
  box(left, bottom - 10, 12, 12, kept);
  text(left + 18, bottom, "rows that find room", "");
  box(left + 170, bottom - 10, 12, 12, dropped);
  text(left + 188, bottom, "rows beyond a capacity of " + number(c.capacity, 2) + " even shares", "");
  line(left + 470, bottom - 4, 26, "stroke=\"#24292f\" stroke-width=\"0.8\" stroke-dasharray=\"2 3\"");
  text(left + 504, bottom, "even share", "");
  return s + "</svg>\n";
}

}  // namespace chart
