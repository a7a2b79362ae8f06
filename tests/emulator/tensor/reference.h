// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The models of tensor-core sums over again, in long double: real numbers, where the emulator has
// integers and exponents. And codes at random.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator::tensor::test {

long double value_of(Format format, uint32_t code);
long double scale_of(ScaleFormat format, uint8_t code);

struct Problem {
  Multiply shape;
  std::vector<uint32_t> a, b, c;
  std::vector<uint8_t> a_scales, b_scales;

  const uint8_t* a_scale_codes() const { return a_scales.empty() ? nullptr : a_scales.data(); }
  const uint8_t* b_scale_codes() const { return b_scales.empty() ? nullptr : b_scales.data(); }
  std::vector<uint32_t> multiplied() const {
    std::vector<uint32_t> d = c;
    multiply(shape, a.data(), b.data(), a_scale_codes(), b_scale_codes(), d.data());
    return d;
  }
};

// How codes are chosen.
enum class Codes : uint8_t {
  kAny,      // every code alike
  kFinite,   // neither infinite nor NaN
  kSimilar,  // finite, with exponents within 2^4 of each other
  kZeroes,   // finite, most of them zero or subnormal
};
Problem problem_of(const Multiply& shape, Codes codes, std::mt19937_64& random);

// One output of kMmaHopper (without fp8), kWgmmaHopper, kMmaBlackwell (without fp8) or kTcgen05.
uint32_t expected_output(const Problem& problem, size_t row, size_t column);

// The code of the f16 or f32 nearest to x, ties to even.
uint32_t nearest(Format d, long double x);

}  // namespace nibble::emulator::tensor::test
