#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Linear sum assignment: the column of each row such that no column is used twice and the sum of cost(row, column) is least; needs
/// rows <= columns and finite costs. Shortest augmenting paths with potentials (Jonker and Volgenant, 1987), O(rows^2 columns), in double,
/// the same on every machine. \throws argument_error for more rows than columns and costs that are not finite.
inline std::vector<std::int32_t> linear_sum_assignment(matrix_view<double const> cost) {
  static constexpr char function[] = "linear_sum_assignment";
  std::int64_t const rows = cost.rows(), columns = cost.cols();
  check_argument(rows <= columns, function, "number of rows", rows, "at most the number of columns");
  for (std::int64_t r = 0; r < rows; ++r)
    for (double c : cost.row(r)) check_argument(c - c == 0, function, "a cost", c, "finite");
  constexpr double endless = (std::numeric_limits<double>::infinity)();
  auto const n = static_cast<std::size_t>(columns) + 1;
  // column 0 is where a path starts; rows count from 1, 0: none
  std::vector<double> row_price(static_cast<std::size_t>(rows) + 1), price(n), distance(n);
  std::vector<std::int64_t> row_of(n), before(n);
  std::vector<char> done(n);
  for (std::int64_t r = 1; r <= rows; ++r) {
    row_of[0] = r;
    std::size_t at = 0;
    for (std::size_t j = 0; j < n; ++j) {
      distance[j] = endless;
      done[j] = 0;
    }
    do {
      done[at] = 1;
      auto const i = row_of[at];
      double least = endless;
      std::size_t next = 0;
      for (std::size_t j = 1; j < n; ++j) {
        if (done[j] != 0) continue;
        double const reduced = cost(i - 1, static_cast<std::int64_t>(j) - 1) - row_price[static_cast<std::size_t>(i)] - price[j];
        if (reduced < distance[j]) {
          distance[j] = reduced;
          before[j] = static_cast<std::int64_t>(at);
        }
        if (next == 0 || distance[j] < least) {
          least = distance[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j < n; ++j) {
        if (done[j] != 0) {
          row_price[static_cast<std::size_t>(row_of[j])] += least;
          price[j] -= least;
        } else {
          distance[j] -= least;
        }
      }
      at = next;
    } while (row_of[at] != 0);
    while (at != 0) {
      auto const from = static_cast<std::size_t>(before[at]);
      row_of[at] = row_of[from];
      at = from;
    }
  }
  std::vector<std::int32_t> column(static_cast<std::size_t>(rows));
  for (std::size_t j = 1; j < n; ++j)
    if (row_of[j] != 0) column[static_cast<std::size_t>(row_of[j] - 1)] = static_cast<std::int32_t>(j - 1);
  return column;
}

}  // namespace fanfold::inline FANFOLD_ABI
