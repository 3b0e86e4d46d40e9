#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/io/npy.hpp"

namespace zoo {

inline constexpr std::int64_t patches_an_image = 4, features = 16;

/// Tokens: the four quarters of each handwritten digit, 4 x 4 pixels each, values in [0, 1].
struct tokens {
  std::vector<float> pixels;

  std::int64_t size() const { return static_cast<std::int64_t>(pixels.size()) / features; }
  float const* operator[](std::int64_t t) const { return pixels.data() + t * features; }
};

inline tokens cut_patches(std::string const& file, std::int64_t images) {
  auto const all = fanfold::io::read_npy<std::uint8_t>(file);
  fanfold::check_argument(all.shape.size() == 2 && all.shape[0] >= images && all.shape[1] == 64, "zoo", "shape of the images", all.shape.size(),
                          "enough rows of 64 pixels");
  tokens x;
  for (std::int64_t i = 0; i < images; ++i)
    for (std::int64_t patch = 0; patch < patches_an_image; ++patch)
      for (std::int64_t p = 0; p < features; ++p) {
        std::int64_t const row = patch / 2 * 4 + p / 4, column = patch % 2 * 4 + p % 4;
        x.pixels.push_back(static_cast<float>(all.data[static_cast<std::size_t>(i * 64 + row * 8 + column)]) / 16.0f);
      }
  return x;
}

inline float squared_distance(float const* a, float const* b) {
  float sum = 0;
  for (std::int64_t f = 0; f < features; ++f) sum += (a[f] - b[f]) * (a[f] - b[f]);
  return sum;
}

/// Prototypes, one an expert: tokens drawn at random, then some rounds of k-means.
inline std::vector<float> learn_prototypes(tokens const& x, std::int64_t experts, int rounds, std::uint64_t seed) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(x.size()));
  for (std::size_t t = 0; t < order.size(); ++t) order[t] = static_cast<std::int32_t>(t);
  fanfold::shuffle(fanfold::random_stream{seed, 1, 0}, order);
  std::vector<float> prototype;
  for (std::int64_t e = 0; e < experts; ++e) prototype.insert(prototype.end(), x[order[static_cast<std::size_t>(e)]], x[order[static_cast<std::size_t>(e)]] + features);
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> sum(prototype.size());
    std::vector<std::int64_t> members(static_cast<std::size_t>(experts));
    for (std::int64_t t = 0; t < x.size(); ++t) {
      std::int64_t best = 0;
      for (std::int64_t e = 1; e < experts; ++e)
        if (squared_distance(x[t], &prototype[static_cast<std::size_t>(e * features)]) < squared_distance(x[t], &prototype[static_cast<std::size_t>(best * features)])) best = e;
      ++members[static_cast<std::size_t>(best)];
      for (std::int64_t f = 0; f < features; ++f) sum[static_cast<std::size_t>(best * features + f)] += static_cast<double>(x[t][f]);
    }
    for (std::size_t i = 0; i < sum.size(); ++i)
      if (auto const n = members[i / features]; n > 0) prototype[i] = static_cast<float>(sum[i] / static_cast<double>(n));
  }
  return prototype;
}

/// Logits: negative squared distances to the prototypes over `temperature`, with mean 0 in each row.
inline std::vector<float> prototype_logits(tokens const& x, std::vector<float> const& prototype, float temperature) {
  auto const experts = static_cast<std::int64_t>(prototype.size()) / features;
  std::vector<float> logits;
  for (std::int64_t t = 0; t < x.size(); ++t) {
    float mean = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      logits.push_back(-squared_distance(x[t], &prototype[static_cast<std::size_t>(e * features)]) / temperature);
      mean += logits.back() / static_cast<float>(experts);
    }
    for (std::int64_t e = 0; e < experts; ++e) logits[static_cast<std::size_t>(t * experts + e)] -= mean;
  }
  return logits;
}

}  // namespace zoo
