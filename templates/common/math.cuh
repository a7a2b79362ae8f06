// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic on sizes.
#pragma once

#include "common/types.cuh"

namespace nibble {

// Both for a >= 0, b > 0.
__device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
__device__ constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// a / b, for both >= 0, by the faster division of 32 bits where that suffices.
__device__ inline int64_t divide(int64_t a, int64_t b) {
  if (((a | b) >> 32) != 0) return a / b;
  return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
}

__device__ constexpr bool is_power_of_two(int a) { return a > 0 && (a & (a - 1)) == 0; }

}  // namespace nibble
