#pragma once

/// \file
/// Compiler facts and the few macros of the library. Includes nothing that a device compiler minds.

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "Fanfold needs C++20: pass -std=c++20 (g++, clang, nvcc)."
#endif

#if defined(__FAST_MATH__) || defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "Fanfold relies on IEEE arithmetic (NaN, infinities, signed zeros, rounding order): compile without -ffast-math."
#endif

#if defined(__CUDACC__)
#define FANFOLD_HD __host__ __device__
#define FANFOLD_DEVICE __device__
#define FANFOLD_KERNEL __attribute__((visibility("hidden"))) __global__
#else
#define FANFOLD_HD
#define FANFOLD_DEVICE
#define FANFOLD_KERNEL
#endif

/// Defined in the passes that generate device code; selects device forms inside FANFOLD_HD functions.
#if defined(__CUDA_ARCH__)
#define FANFOLD_ON_DEVICE 1
#else
#define FANFOLD_ON_DEVICE 0
#endif

#define FANFOLD_INLINE inline __attribute__((always_inline))
/// Leaf loops carry this, so that one instantiation serves every host executor (and bits cannot differ between them).
#define FANFOLD_NOINLINE __attribute__((noinline))
#define FANFOLD_RESTRICT __restrict__

/// 1: checks that read data run, and views test their indices. Default: on in debug builds.
#ifndef FANFOLD_CHECKED
#ifdef NDEBUG
#define FANFOLD_CHECKED 0
#else
#define FANFOLD_CHECKED 1
#endif
#endif

/// Checked and unchecked translation units get different symbols, so that mixing them stays within the one-definition rule.
#if FANFOLD_CHECKED
#define FANFOLD_ABI v0_checked
#else
#define FANFOLD_ABI v0
#endif

/// Bytes of the widest vector register that the compile target has; the one place where a width is chosen.
#if defined(__AVX512F__)
#define FANFOLD_VECTOR_BYTES 64
#elif defined(__AVX__)
#define FANFOLD_VECTOR_BYTES 32
#else
#define FANFOLD_VECTOR_BYTES 16
#endif
