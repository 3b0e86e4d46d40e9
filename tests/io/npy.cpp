#include "fanfold/io/npy.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "support/bits.hpp"

namespace {

namespace io = fanfold::io;

std::string image(std::string const& dict, std::string const& data = "", char major = 1, char minor = 0) {
  std::string s = "\x93NUMPY";
  s += major;
  s += minor;
  s += static_cast<char>(dict.size() & 255);
  s += static_cast<char>(dict.size() >> 8);
  return s + dict + data;
}

std::string slurp(std::string const& path) {
  std::string s;
  if (std::FILE* f = std::fopen(path.c_str(), "rb")) {
    for (int c; (c = std::fgetc(f)) != EOF;) s += static_cast<char>(c);
    std::fclose(f);
  }
  return s;
}

void spill(std::string const& path, std::string const& bytes) {
  std::FILE* f = std::fopen(path.c_str(), "wb");
  REQUIRE(f != nullptr);
  std::fwrite(bytes.data(), 1, bytes.size(), f);
  std::fclose(f);
}

struct temporary_folder {
  std::string path = "/tmp/fanfold-npy-XXXXXX";
  temporary_folder() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~temporary_folder() { rmdir(path.c_str()); }
};

struct temporary_file {
  temporary_folder folder;
  std::string path = folder.path + "/array.npy";
  ~temporary_file() { std::remove(path.c_str()); }
};

template <class T>
std::vector<T> samples(std::size_t n) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<T>(3 * i) / static_cast<T>(2);
  return x;
}

template <class T>
void refused(std::string const& bytes, char const* text) {
  CAPTURE(text);
  std::string what;
  try {
    (void)io::decode_npy<T>(bytes);
  } catch (fanfold::argument_error const& e) {
    what = e.what();
  }
  CHECK_MESSAGE(what.find(text) != std::string::npos, what);
  temporary_file file;
  spill(file.path, bytes);
  std::string what_file;
  try {
    (void)io::read_npy<T>(file.path);
  } catch (fanfold::argument_error const& e) {
    what_file = e.what();
  }
  CHECK(what_file.find(text) != std::string::npos);
  CHECK(what_file.find(file.path) != std::string::npos);
}

}  // namespace

TEST_CASE_TEMPLATE("npy: what is written is read back", T, float, double, std::int32_t, std::int64_t, std::uint8_t) {
  for (std::vector<std::int64_t> const& shape :
       {std::vector<std::int64_t>{}, {0}, {1}, {7}, {3, 5}, {0, 4}, {2, 3, 4}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2}}) {
    std::int64_t n = 1;
    for (auto s : shape) n *= s;
    auto const x = samples<T>(static_cast<std::size_t>(n));
    temporary_file file;
    io::write_npy(file.path, x, shape);
    auto const y = io::read_npy<T>(file.path);
    CHECK(y.shape == shape);
    CHECK(support::same_bits(x, y.data));
    auto const z = io::decode_npy<T>(slurp(file.path));
    CHECK(z.shape == shape);
    CHECK(support::same_bits(x, z.data));
    CHECK(slurp(file.path).size() % 64 == static_cast<std::size_t>(n) * sizeof(T) % 64);
  }
}

TEST_CASE("npy: special values keep their bits") {
  std::vector<float> const x{-0.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e-45f};
  temporary_file file;
  io::write_npy(file.path, x);
  auto const y = io::read_npy<float>(file.path);
  CHECK(y.shape == std::vector<std::int64_t>{4});
  CHECK(support::same_bits(x, y.data));
}

TEST_CASE("npy: golden file") {
  std::vector<float> const x{1.0f, -2.0f, 0.5f, 0.0f, 3.0f, 4.0f};
  temporary_file file;
  io::write_npy(file.path, x, {2, 3});
  std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  dict.resize(117, ' ');
  dict += '\n';
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += dict;
  expected += std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0\x00\x00\x00\x3f\x00\x00\x00\x00\x00\x00\x40\x40\x00\x00\x80\x40", 24);
  CHECK(slurp(file.path) == expected);
  CHECK(expected.size() == 128 + 24);
}

TEST_CASE("npy: forms of the header that other writers use") {
  std::string const four("\x01\x00\x00\x00", 4);
  for (char const* dict : {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }\n", "{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"<i4\"}   \n",
                           "{'shape': (1, 1), 'descr': '<i4', 'fortran_order': False}\n", "{'shape':(1,1,),'descr':'<i4','fortran_order':False,}\n",
                           "  {'descr': '<i4', 'fortran_order': False, 'shape': ()}\n"}) {
    CAPTURE(dict);
    CHECK(io::decode_npy<std::int32_t>(image(dict, four)).data == std::vector<std::int32_t>{1});
  }
  CHECK(io::decode_npy<std::uint8_t>(image("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9)}\n")).data.empty());
}

TEST_CASE("npy: malformed files are refused") {
  std::string const good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
  std::string const eight(8, '\0');
  CHECK(io::decode_npy<float>(image(good, eight)).data.size() == 2);

  refused<float>("", "begins with the bytes");
  refused<float>("\x93NUMPY", "begins with the bytes");
  refused<float>("\x93NUMPZ" + image(good, eight).substr(6), "begins with the bytes");
  refused<float>(std::string(200, '\0'), "begins with the bytes");
  refused<float>(image(good, eight, 2), "version 1.0");
  refused<float>(image(good, eight, 1, 1), "version 1.0");
  refused<float>(image(good, eight, 0), "version 1.0");
  refused<float>(image("", eight), "header length");
  refused<float>(image(good).substr(0, 40), "header length");
  refused<float>(std::string("\x93NUMPY\x01\x00\xff\xff", 10) + good, "header length");

  refused<float>(image("\n", eight), "dictionary");
  refused<float>(image("{\n", eight), "quoted");
  refused<float>(image("{}\n", eight), "keys descr");
  refused<float>(image("[1]\n", eight), "dictionary");
  refused<float>(image("{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}\n", eight), "dictionary");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False}\n", eight), "keys descr");
  refused<float>(image("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", eight), "repeated");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}\n", eight), "only");
  refused<float>(image("{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}\n", eight), "dictionary");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape: (2,)}\n", eight), "closed");
  refused<float>(image("{'des\\x63r': '<f4', 'fortran_order': False, 'shape': (2,)}\n", eight), "plain");
  refused<float>(image("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}\n", eight), "quoted");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", eight), "newline");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x\n", eight), "newline");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n\n", eight), "newline");
  refused<float>(image(std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\0\n", 57), eight), "newline");

  refused<float>(image("{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}\n", eight), "C order");
  refused<float>(image("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}\n", eight), "C order");
  refused<float>(image("{'descr': '<f4', 'fortran_order': FalseTrue, 'shape': (2,)}\n", eight), "C order");
  for (char const* descr : {">f4", "<f8", "<f2", "<i4", "f4", "|O", "", "<f4 "})
    refused<float>(image(std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (2,)}\n", eight), "element type <f4");

  for (char const* shape : {"(2)", "2", "[2]", "(2,", "(2 3)", "(2,,3)", "(,)", "(2,)}{", "(2, 3"})
    refused<float>(image(std::string("{'descr': '<f4', 'fortran_order': False, 'shape': ") + shape + "}\n", eight), "file is");
  for (char const* number : {"-2", "+2", "2.0", "02", "2L", "0x2", "two", "1_0", "2e0"})
    refused<float>(image(std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (") + number + ",)}\n", eight), "header whose");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}\n", eight), "63 bits");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}\n", eight), "63 bits");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0)}\n"), "63 bits");
  refused<float>(image("{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693951,)}\n", eight), "before its last element");

  refused<float>(image(good, std::string(7, '\0')), "before its last element");
  refused<float>(image(good), "before its last element");
  refused<float>(image(good, std::string(9, '\0')), "after its last element");
  refused<float>(image(good, std::string(12, '\0')), "after its last element");
}

TEST_CASE("npy: every truncation and every changed header byte is refused or harmless") {
  std::string const whole = image("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", std::string(8, '\1'));
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK_THROWS_AS((void)io::decode_npy<float>(whole.substr(0, n)), fanfold::argument_error);
  int accepted = 0, wrong = 0;
  for (std::size_t at = 0; at + 8 < whole.size(); ++at)
    for (int c = 0; c < 256; ++c) {
      std::string changed = whole;
      changed[at] = static_cast<char>(c);
      try {
        auto const x = io::decode_npy<float>(changed);
        ++accepted;
        wrong += x.data != io::decode_npy<float>(whole).data;
      } catch (fanfold::argument_error const&) {
      }
    }
  CHECK(wrong == 0);
  CHECK(accepted == 68 + 6 + 2);  // each byte as it was, a tab for each blank, and a blank or tab for the last comma
}

TEST_CASE("npy: errors of paths and shapes") {
  CHECK_THROWS_WITH_AS((void)io::read_npy<float>("/nowhere/at/all.npy"), doctest::Contains("can be opened"), fanfold::argument_error);
  CHECK_THROWS_AS((void)io::read_npy<float>("/"), fanfold::argument_error);
  std::vector<float> const x(6);
  CHECK_THROWS_WITH_AS(io::write_npy("/nowhere/at/all.npy", x), doctest::Contains("can be written"), fanfold::argument_error);
  temporary_file file;
  CHECK_THROWS_WITH_AS(io::write_npy(file.path, x, {2, 2}), doctest::Contains("(2, 2)"), fanfold::argument_error);
  CHECK_THROWS_AS(io::write_npy(file.path, x, {-2, -3}), fanfold::argument_error);
  CHECK_THROWS_AS(io::write_npy(file.path, x, {std::int64_t{1} << 62, std::int64_t{1} << 62}), fanfold::argument_error);
  CHECK_THROWS_AS((void)io::read_npy<float>(file.path), fanfold::argument_error);
}

TEST_CASE("npy: a failed write leaves the older file and no other behind") {
  temporary_file file;
  io::write_npy(file.path, std::vector<float>{1.0f, 2.0f});
  std::string const before = slurp(file.path);
  spill(file.path + ".partial0", "somebody else's");
  io::write_npy(file.path, std::vector<float>{1.0f, 2.0f});
  CHECK(slurp(file.path) == before);
  CHECK(slurp(file.path + ".partial0") == "somebody else's");
  CHECK(slurp(file.path + ".partial1").empty());
  std::remove((file.path + ".partial0").c_str());
  CHECK_THROWS_AS(io::write_npy(file.path, std::vector<float>{1.0f}, {3}), fanfold::argument_error);
  CHECK(slurp(file.path) == before);
}
