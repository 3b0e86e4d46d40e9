#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

// What the command lines of the examples share.
namespace command_line {

/// Says what is wrong and leaves with exit code 2.
[[noreturn]] inline void refuse(char const* program, std::string const& message) {
  std::fprintf(stderr, "%s: %s\nTry --help.\n", program, message.c_str());
  std::exit(2);
}

/// The value of `option` as a whole number in [least, most]; refuses anything else.
inline std::int64_t whole_number(char const* program, std::string const& option, std::string const& text, std::int64_t least, std::int64_t most) {
  char* end = nullptr;
  long long const value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > most)
    refuse(program, option + " is '" + text + "', must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return value;
}

}  // namespace command_line
