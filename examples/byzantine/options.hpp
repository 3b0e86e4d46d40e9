#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/command_line.hpp"

namespace byzantine {

/// What the command line can set.
struct options {
  std::int64_t rounds = 250;
  std::int64_t threads = 0;  // 0: as many as the machine has
  float rate = 0.5f;
  double skew = 1;
  std::uint64_t seed = 1;
  std::string output = ".";
};

inline char const* usage() {
  return R"(Twenty clients train one network on handwritten digits, four of them attack: every robust rule against every attack.

  --rounds N     rounds of training, 1 to 100000 (250)
  --rate X       learning rate, above 0 to 10 (0.5)
  --skew X       Dirichlet parameter of the clients' label shares, 0.05 to 1000: small is skewed (1)
  --seed N       seed of everything random (1)
  --threads N    threads, 0 for all of the machine; the accuracies do not depend on it (0)
  --output DIR   where byzantine.svg and byzantine.csv go (.)
  --help         this text
)";
}

/// Reads the command line; leaves with a message and exit code 2 where it makes no sense.
inline options parse(int count, char** text) {
  char const* const program = "byzantine";
  options o;
  for (int i = 1; i < count; ++i) {
    std::string const name = text[i];
    if (name == "--help") {
      std::fputs(usage(), stdout);
      std::exit(0);
    }
    if (i + 1 >= count) command_line::refuse(program, name + " needs a value");
    std::string const value = text[++i];
    auto const whole = [&](std::int64_t least, std::int64_t most) { return command_line::whole_number(program, name, value, least, most); };
    auto const real = [&](double least, double most) {
      char* end = nullptr;
      double const v = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0' || !(v >= least && v <= most)) command_line::refuse(program, name + " is '" + value + "', out of its range");
      return v;
    };
    if (name == "--rounds") o.rounds = whole(1, 100000);
    else if (name == "--threads") o.threads = whole(0, 1024);
    else if (name == "--seed") o.seed = static_cast<std::uint64_t>(whole(0, INT64_MAX));
    else if (name == "--rate") o.rate = static_cast<float>(real(1e-6, 10));
    else if (name == "--skew") o.skew = real(0.05, 1000);
    else if (name == "--output") o.output = value;
    else command_line::refuse(program, "unknown option " + name);
  }
  return o;
}

}  // namespace byzantine
