#include "fanfold/io/tensor_type.hpp"

#include <doctest/doctest.h>

#include <cmath>

namespace {

using fanfold::io::decode_float8;
using fanfold::io::tensor_type;

}  // namespace

TEST_CASE("names and sizes") {
  CHECK(fanfold::io::name_of(tensor_type::bf16) == "BF16");
  CHECK(fanfold::io::bits_of(tensor_type::f6_e3m2) == 6);
  tensor_type t = tensor_type::boolean;
  CHECK(fanfold::io::find_tensor_type("F8_E5M2FNUZ", t));
  CHECK(t == tensor_type::f8_e5m2fnuz);
  CHECK_FALSE(fanfold::io::find_tensor_type("F128", t));
  CHECK(fanfold::io::tensor_type_of<std::int16_t>() == tensor_type::i16);
}

TEST_CASE("eight-bit floats at their landmarks") {
  CHECK(decode_float8(tensor_type::f8_e4m3, 0x7E) == 448);
  CHECK(decode_float8(tensor_type::f8_e4m3, 0x01) == 0x1p-9f);
  CHECK(std::isnan(decode_float8(tensor_type::f8_e4m3, 0xFF)));
  CHECK(decode_float8(tensor_type::f8_e4m3, 0x38) == 1);
  CHECK(std::signbit(decode_float8(tensor_type::f8_e4m3, 0x80)));
  CHECK(decode_float8(tensor_type::f8_e5m2, 0x7B) == 57344);
  CHECK(decode_float8(tensor_type::f8_e5m2, 0x01) == 0x1p-16f);
  CHECK(std::isinf(decode_float8(tensor_type::f8_e5m2, 0xFC)));
  CHECK(std::isnan(decode_float8(tensor_type::f8_e5m2, 0x7D)));
  CHECK(decode_float8(tensor_type::f8_e4m3fnuz, 0x7F) == 240);
  CHECK(decode_float8(tensor_type::f8_e4m3fnuz, 0x01) == 0x1p-10f);
  CHECK(std::isnan(decode_float8(tensor_type::f8_e4m3fnuz, 0x80)));
  CHECK(decode_float8(tensor_type::f8_e5m2fnuz, 0x7F) == 57344);
  CHECK(decode_float8(tensor_type::f8_e5m2fnuz, 0x01) == 0x1p-17f);
  CHECK(decode_float8(tensor_type::f8_e8m0, 127) == 1);
  CHECK(decode_float8(tensor_type::f8_e8m0, 0) == 0x1p-127f);
  CHECK(decode_float8(tensor_type::f8_e8m0, 254) == 0x1p127f);
  CHECK(std::isnan(decode_float8(tensor_type::f8_e8m0, 255)));
  CHECK(std::isnan(decode_float8(tensor_type::f32, 1)));
}
