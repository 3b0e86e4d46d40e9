#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"

namespace char_moe {

namespace ff = fanfold;

inline constexpr std::int64_t context = 16;      // characters that a prediction sees
inline constexpr std::int64_t block_size = 1000;  // the text is cut into blocks; every tenth is for validation only

/// A text as character ids, and the positions to be predicted whose whole context lies in their own block.
struct corpus {
  std::string characters;  // by id
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> train, validation;

  std::int64_t vocabulary() const { return static_cast<std::int64_t>(characters.size()); }
  std::int32_t id_of(char c) const { return static_cast<std::int32_t>(characters.find(c)); }
};

inline corpus load_corpus(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  std::string const text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ff::check_argument(static_cast<std::int64_t>(text.size()) >= 10 * block_size, "char_moe", "text", path, "a readable file of at least 10000 bytes");
  corpus c;
  bool seen[256] = {};
  for (char ch : text) seen[static_cast<unsigned char>(ch)] = true;
  for (int i = 0; i < 256; ++i)
    if (seen[i]) c.characters += static_cast<char>(i);
  for (char ch : text) c.ids.push_back(c.id_of(ch));
  for (std::int64_t p = 0; p < static_cast<std::int64_t>(text.size()); ++p) {
    if (p % block_size < context) continue;
    (p / block_size % 10 == 9 ? c.validation : c.train).push_back(static_cast<std::int32_t>(p));
  }
  return c;
}

/// Contexts, row by row, and the characters that follow them.
struct batch {
  std::vector<std::int32_t> contexts, targets, bigrams;

  std::int64_t size() const { return static_cast<std::int64_t>(targets.size()); }
  void clear() { contexts.clear(), targets.clear(), bigrams.clear(); }
  /// `follows` is the character to be predicted; `first` the first of its context.
  void add(std::int32_t const* first, std::int32_t follows, std::int64_t vocabulary) {
    contexts.insert(contexts.end(), first, first + context);
    targets.push_back(follows);
    bigrams.push_back(static_cast<std::int32_t>(first[context - 2] * vocabulary + first[context - 1]));
  }
  void add(corpus const& c, std::int32_t position) {
    std::int32_t const* const first = c.ids.data() + position - context;
    add(first, first[context], c.vocabulary());
  }
};

/// Expert of each pair of characters: frequent pairs first, always to the expert with the least text (Roller et al., 2021, balanced hash).
inline std::vector<std::int32_t> balanced_table(corpus const& c, std::int32_t experts) {
  auto const pairs = static_cast<std::size_t>(c.vocabulary() * c.vocabulary());
  std::vector<std::int64_t> count(pairs), load(static_cast<std::size_t>(experts));
  for (std::int32_t p : c.train) ++count[static_cast<std::size_t>(c.ids[static_cast<std::size_t>(p - 2)] * c.vocabulary() + c.ids[static_cast<std::size_t>(p - 1)])];
  std::vector<std::size_t> order(pairs);
  for (std::size_t i = 0; i < pairs; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return count[a] > count[b]; });
  std::vector<std::int32_t> table(pairs);
  for (std::size_t i : order) {
    auto const least = std::min_element(load.begin(), load.end());
    table[i] = static_cast<std::int32_t>(least - load.begin());
    *least += count[i] + 1;
  }
  return table;
}

}  // namespace char_moe
