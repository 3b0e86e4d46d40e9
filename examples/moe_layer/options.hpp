#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/command_line.hpp"

namespace moe_example {

/// Experts and choices as published; widths are the published ones over `divided_by`.
struct shape {
  char const* name;
  std::int64_t experts, chosen, features, wide, divided_by, groups, kept_groups, shared;
};

inline std::vector<shape> const& shapes() {
  static std::vector<shape> const all{{"mixtral", 8, 2, 512, 1792, 8, 1, 1, 0},
                                      {"olmoe", 64, 8, 512, 256, 4, 1, 1, 0},
                                      {"qwen3", 128, 8, 512, 192, 4, 1, 1, 0},
                                      {"deepseek-v3", 256, 8, 448, 128, 16, 8, 4, 1}};
  return all;
}

struct options {
  std::vector<shape> chosen = shapes();
  std::int64_t tokens = 2048;
  std::int32_t repeats = 5;
  std::int32_t threads = 0;  // 0: as many as the machine has
  std::uint64_t seed = 1;
  std::string read, write;
};

inline char const* usage() {
  return R"(Runs mixture-of-experts layers of published shapes and prints their speed, the load of the experts and the bytes that they move.

  --shape NAME   mixtral, olmoe, qwen3, deepseek-v3 or all (all)
  --tokens N     tokens of a call, 1 to 1000000 (2048)
  --narrow N     divides the widths further by N, 1 to 16 (1)
  --repeats N    timed calls, of which the best counts, 1 to 1000 (5)
  --threads N    threads, 0 for all of the machine (0)
  --seed N       seed of the random weights and tokens (1)
  --read FILE    weights and tokens from a .safetensors file instead; needs one --shape, whose router is used
  --write FILE   weights, tokens, logits, choices and outputs into a .safetensors file; needs one --shape
  --help         this text

Tensors of the files, in float: x [T, D], router [E, D], gate and up [E, I, D], down [E, D, I] (as torch's linear layers store them),
bias [E] and shared_gate, shared_up, shared_down for deepseek-v3; written besides: logits [T, E], ids and weights [T, K], y [T, D].
)";
}

[[noreturn]] inline void refuse(std::string const& message) { command_line::refuse("moe_layer", message); }

inline std::int64_t whole_number(std::string const& option, std::string const& text, std::int64_t least, std::int64_t most) {
  return command_line::whole_number("moe_layer", option, text, least, most);
}

inline std::vector<shape> shapes_called(std::string const& name) {
  if (name == "all") return shapes();
  for (shape const& s : shapes())
    if (name == s.name) return {s};
  refuse("--shape is '" + name + "', must be mixtral, olmoe, qwen3, deepseek-v3 or all");
}

/// Reads the command line; leaves with a message and exit code 2 where it makes no sense.
inline options parse(int count, char** text) {
  options o;
  std::int64_t narrow = 1;
  for (int i = 1; i < count; ++i) {
    std::string const name = text[i];
    if (name == "--help") {
      std::fputs(usage(), stdout);
      std::exit(0);
    }
    auto const value = [&]() -> std::string {
      if (i + 1 >= count) refuse(name + " needs a value");
      return text[++i];
    };
    auto const whole = [&](std::int64_t least, std::int64_t most) { return whole_number(name, value(), least, most); };
    if (name == "--shape") o.chosen = shapes_called(value());
    else if (name == "--tokens") o.tokens = whole(1, 1000000);
    else if (name == "--narrow") narrow = whole(1, 16);
    else if (name == "--repeats") o.repeats = static_cast<std::int32_t>(whole(1, 1000));
    else if (name == "--threads") o.threads = static_cast<std::int32_t>(whole(0, 1024));
    else if (name == "--seed") o.seed = static_cast<std::uint64_t>(whole(0, INT64_MAX));
    else if (name == "--read") o.read = value();
    else if (name == "--write") o.write = value();
    else refuse("there is no option " + name);
  }
  if ((!o.read.empty() || !o.write.empty()) && o.chosen.size() != 1) refuse("--read and --write need one --shape");
  for (shape& s : o.chosen) s.features /= narrow, s.wide /= narrow, s.divided_by *= narrow;
  return o;
}

}  // namespace moe_example
