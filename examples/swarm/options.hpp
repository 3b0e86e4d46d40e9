#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/command_line.hpp"

namespace swarm {

enum class target { contributors, received, self, blend, xavier };
enum class topology { regular, ring, torus, complete, barabasi_albert };

/// What the command line can set.
struct options {
  std::int32_t nodes = 16;
  topology links = topology::regular;
  std::int32_t degree = 4;
  std::int32_t rounds = 150;
  std::int32_t local_steps = 4;
  std::int32_t report_every = 10;
  std::uint64_t seed = 1;
  std::int32_t threads = 0;  // 0: as many as the machine has
  target correction = target::contributors;
  std::string output = ".";
  std::string data = EXAMPLE_DATA_DIR;
};

inline char const* usage() {
  return R"(A decentralised swarm learns to read handwritten digits: plain gossip averaging, variance-corrected
gossip averaging and federated averaging side by side, on the same data, networks and batches.

  --nodes N        nodes of the swarm, 4 to 256 (16)
  --topology T     regular, ring, torus, complete or barabasi-albert (regular)
  --degree N       links a node in a regular graph, links a new node in barabasi-albert (4)
  --rounds N       rounds of local training and averaging, 1 to 100000 (150)
  --steps N        local steps a round, 1 to 1000 (4)
  --report N       rounds between two lines of the table (10)
  --seed N         seed of everything random (1)
  --threads N      threads, 0 for all of the machine; the results do not depend on it (0)
  --correction T   target variance: contributors, received, self, blend or xavier (contributors)
  --output DIR     where swarm.svg and swarm.csv go (.)
  --data DIR       where digits_images.npy and digits_labels.npy are
  --help           this text
)";
}

[[noreturn]] inline void refuse(std::string const& message) { command_line::refuse("swarm", message); }

inline std::int64_t number(std::string const& option, std::string const& text, std::int64_t least, std::int64_t most) {
  return command_line::whole_number("swarm", option, text, least, most);
}

template <class Choice>
Choice choice(std::string const& option, std::string const& text, std::vector<std::pair<char const*, Choice>> const& known) {
  std::string names;
  for (auto const& [name, value] : known) {
    if (text == name) return value;
    names += std::string(names.empty() ? "" : ", ") + name;
  }
  refuse(option + " is '" + text + "', must be one of " + names);
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
    auto const whole = [&](std::int64_t least, std::int64_t most) { return static_cast<std::int32_t>(number(name, value(), least, most)); };
    if (name == "--nodes") o.nodes = whole(4, 256);
    else if (name == "--degree") o.degree = whole(1, 255);
    else if (name == "--rounds") o.rounds = whole(1, 100000);
    else if (name == "--steps") o.local_steps = whole(1, 1000);
    else if (name == "--report") o.report_every = whole(1, 100000);
    else if (name == "--threads") o.threads = whole(0, 1024);
    else if (name == "--seed") o.seed = static_cast<std::uint64_t>(number(name, value(), 0, INT64_MAX));
    else if (name == "--output") o.output = value();
    else if (name == "--data") o.data = value();
    else if (name == "--topology")
      o.links = choice<topology>(name, value(), {{"regular", topology::regular}, {"ring", topology::ring}, {"torus", topology::torus},
                                                 {"complete", topology::complete}, {"barabasi-albert", topology::barabasi_albert}});
    else if (name == "--correction")
      o.correction = choice<target>(name, value(), {{"contributors", target::contributors}, {"received", target::received}, {"self", target::self},
                                                    {"blend", target::blend}, {"xavier", target::xavier}});
    else refuse("there is no option " + name);
  }
  if (o.degree >= o.nodes) refuse("--degree is " + std::to_string(o.degree) + ", must be below --nodes, " + std::to_string(o.nodes));
  if (o.links == topology::regular && o.degree * o.nodes % 2 != 0) refuse("--degree times --nodes must be even in a regular graph");
  return o;
}

}  // namespace swarm
