#include "fanfold/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fanfold/core/half.hpp"
#include "support/samples.hpp"

namespace {

namespace io = fanfold::io;

std::string const path = "safetensors_test.safetensors";

std::string with_length(std::string const& header, std::string const& data, std::uint64_t length) {
  std::string s;
  for (int i = 0; i < 8; ++i) s += static_cast<char>(length >> 8 * i & 255);
  return s + header + data;
}
std::string file_of(std::string const& header, std::string const& data = "") { return with_length(header, data, header.size()); }

io::safetensors_view open(std::string const& bytes, io::safetensors_limits const& limits = {}) {
  return io::safetensors_view({reinterpret_cast<std::byte const*>(bytes.data()), static_cast<std::int64_t>(bytes.size())}, limits);
}

std::string contents(std::string const& name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string tensor(std::string const& name, std::string const& type, std::string const& shape, std::string const& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets + "]}";
}

std::string const four(4, '\1');

}  // namespace

TEST_CASE("the worked example, byte for byte, whatever the order of adding") {
  std::vector<fanfold::bfloat16> a;
  for (float v : {1.0f, 2.0f, 3.0f}) a.push_back(fanfold::from_arithmetic<fanfold::bfloat16>(v));
  std::vector<float> const b{1, -2};
  std::string const header = R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})";
  CHECK(header.size() == 109);
  std::string const expected = with_length(header + "   ", std::string("\0\0\x80\x3f\0\0\0\xc0\x80\x3f\0\x40\x40\x40", 14), 112);
  for (bool first : {true, false}) {
    io::safetensors_writer w;
    if (first) w.add("a", a);
    w.add("b", b);
    if (!first) w.add("a", a);
    w.write(path);
    CHECK(contents(path) == expected);
  }
  CHECK(expected.size() == 134);
  io::safetensors_file f(path);
  CHECK(f.header().tensors.size() == 2);
  CHECK(f.read<float>("b") == b);
  CHECK(fanfold::to_arithmetic(f.read<fanfold::bfloat16>("a")[2]) == 3);
  CHECK_THROWS_WITH_AS(f.read<double>("b"), doctest::Contains("element type is F32, must be F64"), fanfold::argument_error);
  CHECK_THROWS_AS(f.read<float>("c"), fanfold::argument_error);

  io::safetensors_writer one;
  std::vector<std::int32_t> const zeros(4);
  one.add("test", zeros, {2, 2});
  one.write(path);
  CHECK(contents(path)[0] == 0x40);
  io::safetensors_writer{}.write(path);
  CHECK(contents(path) == with_length("{}      ", "", 8));
  CHECK(io::safetensors_file(path).header().tensors.empty());
  std::remove(path.c_str());
}

TEST_CASE("round trip of every element type, metadata, alignment, empty and scalar tensors") {
  io::safetensors_writer w;
  std::vector<std::vector<std::byte>> keep;
  for (int i = 0; i < io::tensor_type_count; ++i) {
    auto const type = static_cast<io::tensor_type>(i);
    keep.emplace_back(static_cast<std::size_t>(4 * io::bits_of(type) / 8), static_cast<std::byte>(i));
  }
  for (int i = 0; i < io::tensor_type_count; ++i)
    w.add(std::string(io::name_of(static_cast<io::tensor_type>(i))), static_cast<io::tensor_type>(i), {2, 2}, keep[static_cast<std::size_t>(i)]);
  std::vector<double> const scalar{2.5};
  std::vector<float> const none;
  std::vector<std::uint8_t> const seven{7};
  w.add("scalar", scalar, {});
  w.add("none", none, {3, 0});
  w.add("../\"odd\"\n\1 n\xc3\xa4me", seven);
  w.add_metadata("zeta", "last");
  w.add_metadata("alpha", "first \"one\"");
  w.add_alias("tied", "scalar");
  for (std::uint64_t align : {8u, 64u, 256u, 4096u}) {
    w.write(path, align);
    io::safetensors_file f(path);
    CHECK(f.header().data_offset % align == 0);
    CHECK(f.header().tensors.size() == 25);
    CHECK(f.header().metadata == std::vector<std::pair<std::string, std::string>>{{"alias.tied", "scalar"}, {"alpha", "first \"one\""}, {"zeta", "last"}});
    for (int i = 0; i < io::tensor_type_count; ++i) {
      auto const* t = f.find(io::name_of(static_cast<io::tensor_type>(i)));
      REQUIRE(t != nullptr);
      CHECK(static_cast<int>(t->type) == i);
      std::vector<std::byte> bytes(static_cast<std::size_t>(t->bytes()));
      f.read(*t, bytes);
      CHECK(bytes == keep[static_cast<std::size_t>(i)]);
    }
    CHECK(f.read<double>("scalar") == std::vector<double>{2.5});
    CHECK(f.read<float>("none").empty());
    CHECK(f.read<std::uint8_t>("../\"odd\"\n\1 n\xc3\xa4me")[0] == 7);
    for (std::size_t i = 1; i < f.header().tensors.size(); ++i) CHECK(f.header().tensors[i - 1].type >= f.header().tensors[i].type);
    std::string const bytes = contents(path);
    auto const v = open(bytes);
    auto const seen = v.tensor(*v.find("F64"));
    CHECK(seen.bytes.size() == 32);
    CHECK(seen.bytes[0] == keep[19][0]);
  }
  std::remove(path.c_str());
}

TEST_CASE("a writer refuses what readers would") {
  io::safetensors_writer w;
  std::vector<float> const x(1), three(3);
  std::vector<std::byte> const bytes(2);
  CHECK_THROWS_AS(w.add("__metadata__", x), fanfold::argument_error);
  CHECK_THROWS_AS(w.add("\xff", x), fanfold::argument_error);
  CHECK_THROWS_AS(w.add("a", three, {2, 2}), fanfold::argument_error);
  CHECK_THROWS_AS(w.add("a", io::tensor_type::f4, {3}, bytes), fanfold::argument_error);
  w.add("a", x);
  w.add("a", x);
  CHECK_THROWS_WITH_AS(w.write(path), doctest::Contains("used once"), fanfold::argument_error);
  CHECK(contents(path).empty());
  CHECK_THROWS_AS(io::safetensors_writer{}.write(path, 7), fanfold::argument_error);
  CHECK_THROWS_AS(io::safetensors_writer{}.write("no_such_folder/x"), fanfold::argument_error);
}

TEST_CASE("the attack corpus is refused") {
  std::string const good = tensor("a", "F32", "1", "0,4");
  REQUIRE(open(file_of("{" + good + "}", four)).header().tensors.size() == 1);
  struct attack {
    char const* what;
    std::string bytes;
  };
  std::string deep = "{\"a\":";
  for (int i = 0; i < 200000; ++i) deep += "[";
  std::vector<attack> const corpus{
      {"empty", ""},
      {"seven bytes", std::string(7, '\0')},
      {"length 2^64-1", with_length("{}", "", UINT64_MAX)},
      {"length size-7", with_length("{}", "", 3)},
      {"length 100,000,001", with_length("{}", "", 100000001)},
      {"length 0", with_length("", "", 0)},
      {"one range for all", file_of("{" + good + "," + tensor("b", "F32", "1", "0,4") + "}", four)},
      {"a hole", file_of("{" + good + "," + tensor("b", "F32", "1", "8,12") + "}", four + four + four)},
      {"a hole at the start", file_of("{" + tensor("a", "F32", "1", "4,8") + "}", four + four)},
      {"trailing bytes", file_of("{" + good + "}", four + "x")},
      {"truncated", file_of("{" + good + "}", "123")},
      {"past the end", file_of("{" + tensor("a", "F32", "2", "0,8") + "}", four)},
      {"negative", file_of("{" + tensor("a", "F32", "-1", "0,4") + "}", four)},
      {"negative zero", file_of("{" + tensor("a", "F32", "1", "-0,4") + "}", four)},
      {"float", file_of("{" + tensor("a", "F32", "1.0", "0,4") + "}", four)},
      {"exponent", file_of("{" + tensor("a", "F32", "1e0", "0,4") + "}", four)},
      {"leading zero", file_of("{" + tensor("a", "F32", "01", "0,4") + "}", four)},
      {"2^64", file_of("{" + tensor("a", "F32", "18446744073709551616", "0,4") + "}", four)},
      {"begin after end", file_of("{" + tensor("a", "F32", "0", "4,0") + "}", four)},
      {"product wraps to 0", file_of("{" + tensor("a", "F32", "4294967296,4294967296", "0,0") + "}")},
      {"product wraps to 0, then 0", file_of("{" + tensor("a", "F32", "4294967296,4294967296,0", "0,0") + "}")},
      {"product wraps to small", file_of("{" + tensor("a", "U8", "4294967297,4294967297", "0,8589934593") + "}")},
      {"bits wrap", file_of("{" + tensor("a", "F64", "288230376151711745", "0,8") + "}", four + four)},
      {"unknown dtype", file_of("{" + tensor("a", "F33", "1", "0,99999999999") + "}", four)},
      {"wrong size", file_of("{" + tensor("a", "F32", "2", "0,4") + "}", four)},
      {"odd bits", file_of("{" + tensor("a", "F4", "3", "0,2") + "}", "12")},
      {"duplicate name", file_of("{" + good + "," + good + "}", four)},
      {"duplicate by escape", file_of("{" + good + "," + tensor("\\u0061", "F32", "0", "4,4") + "}", four)},
      {"duplicate metadata", file_of("{\"__metadata__\":{},\"__metadata__\":{}}")},
      {"duplicate key in a tensor", file_of("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", four)},
      {"metadata of numbers", file_of("{\"__metadata__\":{\"a\":1}}")},
      {"metadata null", file_of("{\"__metadata__\":null}")},
      {"not an object", file_of("[]")},
      {"a byte-order mark", file_of("\xef\xbb\xbf{}")},
      {"NUL padding", file_of(std::string("{}\0\0", 4))},
      {"something after", file_of("{} x")},
      {"invalid UTF-8", file_of("{" + tensor("\xc0\xaf", "F32", "1", "0,4") + "}", four)},
      {"surrogate bytes", file_of("{" + tensor("\xed\xa0\x80", "F32", "1", "0,4") + "}", four)},
      {"above U+10FFFF", file_of("{" + tensor("\xf4\x90\x80\x80", "F32", "1", "0,4") + "}", four)},
      {"lone surrogate escape", file_of("{" + tensor("\\ud800", "F32", "1", "0,4") + "}", four)},
      {"low surrogate escape", file_of("{" + tensor("\\udc00", "F32", "1", "0,4") + "}", four)},
      {"raw control character", file_of("{" + tensor("a\n", "F32", "1", "0,4") + "}", four)},
      {"deep nesting", file_of(deep)},
      {"unknown key", file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", four)},
      {"missing key", file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", four)},
      {"three offsets", file_of("{" + tensor("a", "F32", "1", "0,4,4") + "}", four)},
      {"rank 65", file_of("{" + tensor("a", "F32", "1" + [] { std::string s; for (int i = 0; i < 64; ++i) s += ",1"; return s; }(), "0,4") + "}", four)},
      {"unclosed", file_of("{" + good, four)},
      {"trailing comma", file_of("{" + good + ",}", four)},
  };
  for (attack const& a : corpus) {
    CAPTURE(a.what);
    CHECK_THROWS_AS(open(a.bytes), fanfold::argument_error);
    std::ofstream(path, std::ios::binary) << a.bytes;
    CHECK_THROWS_AS(io::safetensors_file f(path), fanfold::argument_error);
  }
  std::remove(path.c_str());
  CHECK_THROWS_AS(io::safetensors_file("no_such_file.safetensors"), fanfold::argument_error);
  CHECK_THROWS_AS(io::safetensors_file("."), fanfold::argument_error);
}

TEST_CASE("what looks odd but is legal is accepted") {
  CHECK(open(file_of(" \t\r\n{} \n")).header().tensors.empty());
  CHECK(open(file_of("{" + tensor("a\\u0000../b", "F32", "1", "0,4") + "}", four)).find(std::string_view("a\0../b", 6)) != nullptr);
  CHECK(open(file_of("{" + tensor("a", "F32", "0,4294967296,4294967296", "0,0") + "}")).header().tensors.size() == 1);
  CHECK(open(file_of("{" + tensor("\\ud83d\\ude00", "F32", "1", "0,4") + "}", four)).find("\xf0\x9f\x98\x80") != nullptr);
  io::safetensors_limits lenient;
  lenient.unknown_keys = lenient.trailing_bytes = true;
  CHECK(open(file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":[1.5e3,null,true]}}", four + four), lenient).header().tensors.size() == 1);
  CHECK_THROWS_AS(open(file_of("{" + tensor("a", "F32", "2", "0,8") + "}", four), lenient), fanfold::argument_error);
  io::safetensors_limits few;
  few.tensors = 1;
  CHECK_THROWS_AS(open(file_of("{" + tensor("a", "F32", "1", "0,4") + "," + tensor("b", "F32", "0", "4,4") + "}", four), few), fanfold::argument_error);
}

TEST_CASE("random mutations are read or refused, never worse, and what is read keeps its promises") {
  std::string const base = file_of("{\"__metadata__\":{\"k\":\"v\"}," + tensor("a", "F32", "2,1", "0,8") + "," + tensor("b", "BF16", "2", "8,12") + "}", four + four + four);
  support::lcg g(11);
  int accepted = 0;
  for (int i = 0; i < 30000; ++i) {
    std::string s = base;
    for (std::int64_t k = 1 + g.below(3); k > 0; --k) {
      auto const at = static_cast<std::size_t>(g.below(static_cast<std::int64_t>(s.size())));
      std::int64_t const how = g.below(3);
      if (how == 0) s[at] = static_cast<char>(g.below(256));
      if (how == 1) s.erase(at, 1);
      if (how == 2) s.insert(at, 1, "0123456789{}[],:\"\\"[g.below(18)]);
    }
    try {
      auto const v = open(s);
      std::uint64_t at = 0;
      for (auto const& t : v.header().tensors) {
        CHECK(t.begin == at);
        at = t.end;
        CHECK(v.tensor(t).bytes.size() == static_cast<std::int64_t>(t.bytes()));
      }
      CHECK(v.header().data_offset + at == s.size());
      ++accepted;
    } catch (fanfold::argument_error const&) {
    }
  }
  CHECK(accepted > 100);
  CHECK(accepted < 29000);
}

TEST_CASE("many tensors load in reasonable time") {
  io::safetensors_writer w;
  std::vector<float> const x(1);
  for (int i = 0; i < 20000; ++i) w.add("tensor." + std::to_string(i), x);
  w.write(path);
  io::safetensors_file f(path);
  CHECK(f.header().tensors.size() == 20000);
  CHECK(f.find("tensor.19999") != nullptr);
  std::remove(path.c_str());
}
