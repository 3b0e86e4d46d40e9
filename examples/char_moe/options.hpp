#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/command_line.hpp"

namespace char_moe {

/// What the command line can set.
struct options {
  std::int32_t steps = 2000;
  std::int32_t batch = 512;
  std::int32_t reports = 30;
  std::int32_t sample = 240;
  std::int32_t threads = 0;  // 0: as many as the machine has
  float rate = 2e-3f;
  std::uint64_t seed = 1;
  std::string text = EXAMPLE_DATA_DIR "/jargon.txt";
  std::string output = ".";
};

inline char const* usage() {
  return R"(Five routers learn to predict the next character of a text, each in the same network of two sparse mixture layers,
with as many parameters and multiply-adds a character as the others (to 0.3 %).

  --steps N      optimiser steps, 1 to 1000000 (2000)
  --batch N      characters a step, 16 to 65536 (512)
  --reports N    points of the curves, 1 to 1000 (30)
  --sample N     characters that the best model writes at the end, 0 to 100000 (240)
  --rate X       peak learning rate, above 0 to 1 (0.002)
  --seed N       seed of everything random (1)
  --threads N    threads, 0 for all of the machine; the results do not depend on it (0)
  --text FILE    the text (the Jargon File's excerpt that comes with the examples)
  --output DIR   where char_moe_loss.svg, char_moe_load.svg and char_moe.csv go (.)
  --help         this text
)";
}

[[noreturn]] inline void refuse(std::string const& message) { command_line::refuse("char_moe", message); }

inline std::int64_t whole_number(std::string const& option, std::string const& text, std::int64_t least, std::int64_t most) {
  return command_line::whole_number("char_moe", option, text, least, most);
}

/// Reads the command line; leaves with a message and exit code 2 where it makes no sense.
inline options parse(int count, char** text) {
  options o;
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
    auto const whole = [&](std::int64_t least, std::int64_t most) { return static_cast<std::int32_t>(whole_number(name, value(), least, most)); };
    if (name == "--steps") o.steps = whole(1, 1000000);
    else if (name == "--batch") o.batch = whole(16, 65536);
    else if (name == "--reports") o.reports = whole(1, 1000);
    else if (name == "--sample") o.sample = whole(0, 100000);
    else if (name == "--threads") o.threads = whole(0, 1024);
    else if (name == "--seed") o.seed = static_cast<std::uint64_t>(whole_number(name, value(), 0, INT64_MAX));
    else if (name == "--text") o.text = value();
    else if (name == "--output") o.output = value();
    else if (name == "--rate") {
      std::string const given = value();
      char* end = nullptr;
      o.rate = std::strtof(given.c_str(), &end);
      if (given.empty() || *end != '\0' || !(o.rate > 0 && o.rate <= 1)) refuse("--rate is '" + given + "', must be a number above 0 to 1");
    } else refuse("there is no option " + name);
  }
  return o;
}

}  // namespace char_moe
