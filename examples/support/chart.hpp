#pragma once

#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Line charts as SVG files, for the examples.
namespace chart {

struct series {
  std::string name;
  std::string colour;
  std::vector<double> x, y;
  bool dashed = false;
};

struct line_chart {
  std::string title, subtitle, x_label, y_label;
  std::vector<series> lines;
  double y_low = 0, y_high = 1;
  bool percent = false;
  std::vector<double> guides{};  // horizontal lines to read against
};

namespace detail {

inline std::string number(double v, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

inline std::string escaped(std::string const& s) {
  std::string r;
  for (char c : s) r += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return r;
}

/// A round step that cuts `span` into about `parts`.
inline double nice_step(double span, int parts) {
  double const raw = span / parts, power = std::pow(10.0, std::floor(std::log10(raw))), lead = raw / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10) * power;
}

}  // namespace detail

/// The chart as SVG text.
inline std::string render(line_chart const& c) {
  using detail::escaped;
  using detail::number;
  double const width = 860, height = 470, left = 70, right = 30, top = 74, bottom = 96;
  double x_low = 1e300, x_high = -1e300;
  for (series const& s : c.lines)
    for (double x : s.x) x_low = std::fmin(x_low, x), x_high = std::fmax(x_high, x);
  if (!(x_low < x_high)) x_low -= 0.5, x_high = x_low + 1;
  auto const px = [&](double x) { return left + (x - x_low) / (x_high - x_low) * (width - left - right); };
  auto const py = [&](double y) { return height - bottom - (y - c.y_low) / (c.y_high - c.y_low) * (height - top - bottom); };
  std::string s = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width, 0) + " " + number(height, 0) + "\" width=\"" + number(width, 0) +
                  "\" height=\"" + number(height, 0) + "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#24292f\">\n";
  s += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  s += "<text x=\"" + number(left) + "\" y=\"30\" font-size=\"18\" font-weight=\"bold\">" + escaped(c.title) + "</text>\n";
  s += "<text x=\"" + number(left) + "\" y=\"52\" fill=\"#57606a\">" + escaped(c.subtitle) + "</text>\n";
  double const y_step = detail::nice_step(c.y_high - c.y_low, 5), x_step = detail::nice_step(x_high - x_low, 8);
  for (double y = std::ceil(c.y_low / y_step) * y_step; y <= c.y_high + 1e-9 * y_step; y += y_step) {
    s += "<line x1=\"" + number(left) + "\" x2=\"" + number(width - right) + "\" y1=\"" + number(py(y)) + "\" y2=\"" + number(py(y)) + "\" stroke=\"#e4e7eb\"/>\n";
    s += "<text x=\"" + number(left - 8) + "\" y=\"" + number(py(y) + 4) + "\" text-anchor=\"end\">" +
         (c.percent ? number(100 * y, 0) + " %" : number(y, y_step < 0.1 ? 2 : y_step < 1 ? 1 : 0)) + "</text>\n";
  }
  for (double x = std::ceil(x_low / x_step) * x_step; x <= x_high + 1e-9 * x_step; x += x_step) {
    s += "<line x1=\"" + number(px(x)) + "\" x2=\"" + number(px(x)) + "\" y1=\"" + number(height - bottom) + "\" y2=\"" + number(height - bottom + 5) + "\" stroke=\"#57606a\"/>\n";
    s += "<text x=\"" + number(px(x)) + "\" y=\"" + number(height - bottom + 20) + "\" text-anchor=\"middle\">" + number(x, x_step < 1 ? 1 : 0) + "</text>\n";
  }
  for (double g : c.guides)
    s += "<line x1=\"" + number(left) + "\" x2=\"" + number(width - right) + "\" y1=\"" + number(py(g)) + "\" y2=\"" + number(py(g)) +
         "\" stroke=\"#8c959f\" stroke-dasharray=\"2 4\"/>\n";
  s += "<path d=\"M" + number(left) + " " + number(top) + " V" + number(height - bottom) + " H" + number(width - right) + "\" fill=\"none\" stroke=\"#57606a\"/>\n";
  s += "<text x=\"" + number((left + width - right) / 2) + "\" y=\"" + number(height - bottom + 42) + "\" text-anchor=\"middle\">" + escaped(c.x_label) + "</text>\n";
  s += "<text transform=\"translate(18 " + number((top + height - bottom) / 2) + ") rotate(-90)\" text-anchor=\"middle\">" + escaped(c.y_label) + "</text>\n";
  for (series const& line : c.lines) {
    s += "<polyline fill=\"none\" stroke=\"" + line.colour + "\" stroke-width=\"" + (line.dashed ? "1.2\" stroke-dasharray=\"5 4" : "2.4") +
         "\" stroke-linejoin=\"round\" points=\"";
    for (std::size_t i = 0; i < line.x.size(); ++i)
      s += number(px(line.x[i])) + "," + number(py(std::fmin(std::fmax(line.y[i], c.y_low), c.y_high))) + " ";
    s += "\"/>\n";
  }
  double at = left;
  for (series const& line : c.lines) {
    if (line.name.empty()) continue;  // a companion of the line before
    s += "<line x1=\"" + number(at) + "\" x2=\"" + number(at + 26) + "\" y1=\"" + number(height - 22) + "\" y2=\"" + number(height - 22) + "\" stroke=\"" + line.colour +
         "\" stroke-width=\"" + (line.dashed ? "1.2\" stroke-dasharray=\"5 4" : "2.4") + "\"/>\n";
    s += "<text x=\"" + number(at + 32) + "\" y=\"" + number(height - 18) + "\">" + escaped(line.name) + "</text>\n";
    at += 50 + 6.9 * static_cast<double>(line.name.size());
  }
  return s + "</svg>\n";
}

inline void write_file(std::string const& path, std::string const& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace chart
