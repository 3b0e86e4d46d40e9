#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/aggregate/robust/attacks.hpp"
#include "support/device_rules.hpp"

std::vector<support::attacked_table> support::attacked_tables() {
  using namespace fanfold::aggregate;
  std::int64_t const n = 11, f = 2, d = 150;
  std::vector<attacked_table> tables;
  auto const add = [&](std::string const& name, auto const& attack) {
    table<double> exact = random_rows(n, d, 12);
    forge(attack, exact.view().sub_rows(0, n - f), exact.view().sub_rows(n - f, f));
    tables.push_back({name, table<float>(n, d)});
    for (std::size_t i = 0; i < exact.data.size(); ++i) tables.back().rows.data[i] = static_cast<float>(exact.data[i]);
  };
  add("zero", zero_attack());
  add("sign_flip", sign_flip{});
  add("ipm", inner_product_manipulation{});
  add("alie", a_little_is_enough{});
  add("mimic", mimic{});
  add("gauss", gaussian_attack{.deviation = 100, .seed = 5});
  add("drop", drop_attack{});
  add("constant", constant_attack{1e6});
  add("infinity", infinity_attack());
  add("nan", nan_attack());
  return tables;
}
