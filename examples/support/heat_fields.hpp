#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "support/chart.hpp"

// Several heat maps in one SVG file, for the examples.
namespace chart {

/// One field of a heat map: `value[row][column]`, 1 is neutral.
struct heat_field {
  std::string title;
  std::vector<std::vector<double>> value;
};

/// Fields side by side, `fields_a_row` a row, columns over x. Blue below 1, white at 1, red from 1 to 2 and above.
struct heat_chart {
  std::string title, subtitle, x_label, y_label;
  std::vector<heat_field> fields;
  std::size_t fields_a_row = 5;
  double x_high = 1;
};

namespace detail {

inline std::string heat_colour(double v) {
  double const away = std::fmin(std::fabs(v - 1), 1);
  auto const mix = [&](int strong) { return static_cast<int>(std::lround(255 + (strong - 255) * away)); };
  char text[8];
  if (v < 1)
    std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(9), mix(72), mix(160));
  else
    std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(190), mix(30), mix(38));
  return text;
}

}  // namespace detail

/// The heat map as SVG text.
inline std::string render(heat_chart const& c) {
  using detail::escaped;
  using detail::number;
  double const width = 980, left = 56, right = 24, top = 96, gap = 18, field_height = 170, legend = 50;
  auto const columns = static_cast<double>(c.fields_a_row);
  std::size_t const rows = (c.fields.size() + c.fields_a_row - 1) / c.fields_a_row;
  double const field_width = (width - left - right - gap * (columns - 1)) / columns, pitch = field_height + 44;
  double const height = top + pitch * static_cast<double>(rows) + legend;
  auto const text = [](double x, double y, std::string const& what, char const* style) {
    return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + style + ">" + escaped(what) + "</text>\n";
  };
  auto const box = [](double x, double y, double w, double h, std::string const& style) {
    return "<rect x=\"" + number(x, 2) + "\" y=\"" + number(y, 2) + "\" width=\"" + number(w, 2) + "\" height=\"" + number(h, 2) + "\" " + style + "/>\n";
  };
  std::string s = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width, 0) + " " + number(height, 0) + "\" width=\"" + number(width, 0) +
                  "\" height=\"" + number(height, 0) + "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n";
  s += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  s += text(left, 30, c.title, "font-size=\"18\" font-weight=\"bold\"") + text(left, 52, c.subtitle, "fill=\"#57606a\" font-size=\"13\"");
  for (std::size_t f = 0; f < c.fields.size(); ++f) {
    heat_field const& field = c.fields[f];
    double const x = left + static_cast<double>(f % c.fields_a_row) * (field_width + gap), y = top + static_cast<double>(f / c.fields_a_row) * pitch;
    s += text(x, y - 8, field.title, "font-weight=\"bold\"");
    double const h = field_height / static_cast<double>(field.value.size());
    for (std::size_t r = 0; r < field.value.size(); ++r) {
      double const w = field_width / static_cast<double>(field.value[r].size());
      for (std::size_t k = 0; k < field.value[r].size(); ++k)  // a little too large, so that no seams show
        s += box(x + static_cast<double>(k) * w, y + static_cast<double>(r) * h, w + 0.3, h + 0.3, "fill=\"" + detail::heat_colour(field.value[r][k]) + "\"");
    }
    s += box(x, y, field_width, field_height, "fill=\"none\" stroke=\"#8c959f\"");
    s += text(x, y + field_height + 15, "0", "fill=\"#57606a\"") + text(x + field_width, y + field_height + 15, number(c.x_high, 0), "text-anchor=\"end\" fill=\"#57606a\"");
    if (f % c.fields_a_row == 0)
      s += "<text transform=\"translate(" + number(left - 14) + " " + number(y + field_height / 2) + ") rotate(-90)\" text-anchor=\"middle\">" + escaped(c.y_label) + "</text>\n";
  }
  double const bottom = height - 34;
  s += text(left, bottom + 14, c.x_label, "");
  for (int i = 0; i <= 40; ++i) s += box(width - right - 330 + i * 5.0, bottom, 5.3, 12, "fill=\"" + detail::heat_colour(i / 20.0) + "\"");
  s += text(width - right - 340, bottom + 11, "0", "text-anchor=\"end\"") + text(width - right - 118, bottom + 11, "twice the fair share", "");
  return s + "</svg>\n";
}

}  // namespace chart
