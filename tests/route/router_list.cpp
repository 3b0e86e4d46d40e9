#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "support/named_routers.hpp"

namespace {

std::set<std::string> listed_names() {
  std::set<std::string> names;
  auto const add = [&](char const* text, auto const&) {
    std::istringstream words(text);
    names.insert(std::istream_iterator<std::string>(words), {});
  };
  support::for_each_named_router<0>(add);
  support::for_each_named_router<1>(add);
  support::for_each_named_router<2>(add);
  support::for_each_named_router<3>(add);
  support::for_each_named_router<4>(add);
  support::for_each_named_router<5>(add);
  static_assert(support::router_parts == 6);
  names.insert("sinkhorn_router");  // looks at the whole batch: balanced_assign.cpp
  return names;
}

TEST_CASE("named routers: the contract's list holds every router of the headers") {
  auto const headers = std::filesystem::path(__FILE__).parent_path() / "../../include/fanfold/route";
  REQUIRE(std::filesystem::is_directory(headers));
  std::regex const declares("(?:using|struct) (\\w+_router)\\b(?! *;)");
  std::set<std::string> declared;
  for (auto const& entry : std::filesystem::directory_iterator(headers)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path());
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    for (std::sregex_iterator m(text.begin(), text.end(), declares), end; m != end; ++m) declared.insert((*m)[1]);
  }
  CHECK(declared.size() > 30);
  CHECK(declared == listed_names());
}

}  // namespace
