// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The parts of the floating-point rows, and of the half-precision rows.
#pragma once

#include <cmath>

#include "runtime/emulator/ops/arithmetic.h"

namespace nibble::emulator {

// tiny() for .ftz: whether the same operation at kLarger times the scale, where nothing is
// subnormal, is below the smallest normal number there. Sums that are tiny are exact and need none.
// No operand overflows with a result near 2^-126, as the others are flushed: zero or 2^-126 and up.
constexpr float kLarger = 0x1p60F;
inline bool tiny_when_larger(float result) { return std::fabs(result) < 0x1p-126F * kLarger; }

struct Product {
  template <class T>
  T operator()(T a, T b) const {
    return a * b;
  }
  bool tiny(float a, float b) const { return tiny_when_larger(a * kLarger * b); }
};

void append_approximate_rows(Rows& rows);  // of f32, f64, f16 and bf16
void append_min_max_rows(Rows& rows);      // of f32, f64, f16 and bf16

}  // namespace nibble::emulator
