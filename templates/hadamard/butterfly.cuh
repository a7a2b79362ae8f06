// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// (a, b) -> (a + b, a - b), in the registers of a thread and between lanes.
#pragma once

#include "ptx/shuffle.cuh"

namespace nibble {

// The default signs, Transformer Engine's of 16 elements, twice: bit i is that of element i, 1 is
// -1.
enum : uint32_t { kDefaultSignBits = 0xd7e8d7e8u };

// Elements i and i + distance, for each i that lacks that bit.
template <int kCount>
__device__ void butterflies(float (&t)[kCount], int distance) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if ((i & distance) != 0) continue;
    const float a = t[i], b = t[i + distance];
    t[i] = __fadd_rn(a, b);
    t[i + distance] = __fadd_rn(a, -b);
  }
}

// The same elements of the lanes `distance` apart: the lower keeps the sums.
template <int kCount>
__device__ void lane_butterflies(float (&t)[kCount], int distance) {
  const float sign = (threadIdx.x & distance) == 0 ? 1.0f : -1.0f;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    // The product is exact: one rounding, that of the sum.
    t[i] = __fmaf_rn(t[i], sign, ptx::shfl_sync_bfly_f32(t[i], distance));
  }
}

}  // namespace nibble
