#pragma once

/// \file
/// Portable elementary functions in namespace fanfold::math, for host and device: exp, exp_nonpositive, log, tanh, sigmoid, softplus, erf,
/// sqrt, rint, floor, ceil for float and double; fma for float; sin, cos, acos for double; and the helpers of bits.hpp. What the
/// determinism contract rests on: no product is fused into a sum unless the compiler does so (the target fanfold::reproducible forbids it).

#include "fanfold/core/bits.hpp"         // IWYU pragma: export
#include "fanfold/core/math_double.hpp"  // IWYU pragma: export
#include "fanfold/core/math_float.hpp"   // IWYU pragma: export
