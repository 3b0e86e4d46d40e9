#include "fanfold/io/file.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "fanfold/core/check.hpp"

namespace {

namespace io = fanfold::io;
namespace fs = std::filesystem;

/// An empty folder, gone afterwards.
struct folder {
  fs::path path;
  folder() {
    std::string name = (fs::temp_directory_path() / "fanfold_file_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
  std::string operator/(char const* name) const { return (path / name).string(); }
  auto files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

std::string content(std::string const& path) {
  io::file f(path, "rb");
  REQUIRE(f.open());
  std::string text(static_cast<std::size_t>(f.size()), '?');
  REQUIRE(f.read(text.data(), text.size()));
  return text;
}

TEST_CASE("replace_file: the new content under the old name, and nothing else in the folder") {
  folder const at;
  std::string const path = at / "a.bin";
  for (char const* text : {"first", "", "third, longer"}) {
    io::replace_file("save", path, [&](io::file& f) { return f.write(text, std::string(text).size()); });
    CHECK(content(path) == text);
    CHECK(at.files() == 1);
  }
}

TEST_CASE("replace_file: a failed or thrown write leaves the old file and no rubbish") {
  folder const at;
  std::string const path = at / "a.bin";
  io::replace_file("save", path, [](io::file& f) { return f.write("old", 3); });
  auto const half = [](io::file& f) { return f.write("ne", 2) && false; };
  CHECK_THROWS_WITH_AS(io::replace_file("save", path, half), doctest::Contains("save"), fanfold::argument_error);
  CHECK_THROWS_AS(io::replace_file("save", path, [](io::file&) -> bool { throw std::runtime_error("no"); }), std::runtime_error);
  CHECK(content(path) == "old");
  CHECK(at.files() == 1);
  CHECK_THROWS_WITH_AS(io::replace_file("save", at / "none/a.bin", half), doctest::Contains("folder"), fanfold::argument_error);
  // a name that no file can take
  fs::create_directory(at.path / "taken");
  CHECK_THROWS_AS(io::replace_file("save", at / "taken", [](io::file& f) { return f.write("x", 1); }), fanfold::argument_error);
  CHECK(at.files() == 2);
}

TEST_CASE("replace_file: a partial file of somebody else is left alone") {
  folder const at;
  std::string const path = at / "a.bin", theirs = path + ".partial0";
  {
    io::file f(theirs, "wb");
    REQUIRE(f.write("theirs", 6));
  }
  io::replace_file("save", path, [](io::file& f) { return f.write("mine", 4); });
  CHECK(content(path) == "mine");
  CHECK(content(theirs) == "theirs");
}

TEST_CASE("file: sizes, places, short reads") {
  folder const at;
  std::string const path = at / "a.bin";
  io::replace_file("save", path, [](io::file& f) { return f.write("0123456789", 10); });
  io::file f(path, "rb");
  char text[4] = {};
  CHECK(f.size() == 10);
  CHECK((f.seek(6) && f.read(text, 3)));
  CHECK(std::string(text) == "678");
  CHECK_FALSE(f.read(text, 2));
  CHECK(f.read(text, 0));
  CHECK(f.close());
  CHECK(f.close());
  CHECK_FALSE(io::file(at / "missing", "rb").open());
}

}  // namespace
