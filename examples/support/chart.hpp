#pragma once

#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Line charts and heat maps as SVG files, for the examples.
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

/// A table of shares as coloured cells: `values[row][column]` in [0, 1], NaN for an empty cell.
struct heat_map {
  std::string title, subtitle, x_label;
  std::vector<std::string> rows, columns;
  std::vector<std::vector<double>> values;
  std::vector<std::string> notes{};  // a text right of each row, may be empty
  std::string note_label{};
};

namespace detail {

struct rgb {
  double r, g, b;
  bool dark() const { return 0.299 * r + 0.587 * g + 0.114 * b < 140; }
  std::string text() const {
    char t[16];
    std::snprintf(t, sizeof t, "#%02x%02x%02x", static_cast<unsigned>(r), static_cast<unsigned>(g), static_cast<unsigned>(b));
    return t;
  }
};

/// Dark red over sand to dark green: lightness falls towards both ends, so that it reads without colours, too.
inline rgb shade(double v) {
  static constexpr rgb stops[] = {{127, 20, 40}, {201, 74, 57}, {240, 172, 101}, {250, 236, 180}, {166, 208, 144}, {74, 156, 106}, {12, 92, 66}};
  double const at = std::fmin(std::fmax(v, 0.0), 1.0) * 6;
  auto const low = static_cast<std::size_t>(at < 5 ? at : 5);
  double const t = at - static_cast<double>(low);
  rgb const a = stops[low], b = stops[low + 1];
  return {a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}

}  // namespace detail

/// The heat map as SVG text.
inline std::string render(heat_map const& m) {
  using detail::escaped;
  using detail::number;
  double longest = 0;
  for (std::string const& name : m.rows) longest = std::fmax(longest, static_cast<double>(name.size()));
  double const cell_width = 66, cell_height = 27, left = 30 + 7.2 * longest, top = 118, notes = m.notes.empty() ? 24 : 110;
  double const right = left + cell_width * static_cast<double>(m.columns.size()), bottom = top + cell_height * static_cast<double>(m.rows.size());
  double const width = right + notes, height = bottom + 34;
  std::string s = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width, 0) + " " + number(height, 0) + "\" width=\"" + number(width, 0) +
                  "\" height=\"" + number(height, 0) + "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#24292f\">\n";
  s += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  s += "<text x=\"20\" y=\"30\" font-size=\"18\" font-weight=\"bold\">" + escaped(m.title) + "</text>\n";
  s += "<text x=\"20\" y=\"52\" fill=\"#57606a\">" + escaped(m.subtitle) + "</text>\n";
  s += "<text x=\"" + number((left + right) / 2) + "\" y=\"80\" text-anchor=\"middle\">" + escaped(m.x_label) + "</text>\n";
  auto const text = [&](double x, double y, char const* anchor, std::string const& colour, std::string const& t) {
    s += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\" fill=\"" + colour + "\">" + escaped(t) + "</text>\n";
  };
  for (std::size_t c = 0; c < m.columns.size(); ++c) text(left + cell_width * (static_cast<double>(c) + 0.5), top - 10, "middle", "#24292f", m.columns[c]);
  if (!m.notes.empty()) text(right + 14, top - 10, "start", "#57606a", m.note_label);
  for (std::size_t r = 0; r < m.rows.size(); ++r) {
    double const y = top + cell_height * static_cast<double>(r);
    text(left - 10, y + 18, "end", "#24292f", m.rows[r]);
    for (std::size_t c = 0; c < m.columns.size(); ++c) {
      double const v = m.values[r][c], x = left + cell_width * static_cast<double>(c);
      bool const empty = !(v == v);
      detail::rgb const colour = empty ? detail::rgb{238, 238, 238} : detail::shade(v);
      s += "<rect x=\"" + number(x + 1) + "\" y=\"" + number(y + 1) + "\" width=\"" + number(cell_width - 2) + "\" height=\"" + number(cell_height - 2) +
           "\" rx=\"2\" fill=\"" + colour.text() + "\"/>\n";
      text(x + cell_width / 2, y + 18, "middle", colour.dark() ? "#ffffff" : "#24292f", empty ? "-" : number(100 * v, 0) + " %");
    }
    if (!m.notes.empty()) text(right + 14, y + 18, "start", "#57606a", m.notes[r]);
  }
  return s + "</svg>\n";
}

inline void write_file(std::string const& path, std::string const& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace chart
