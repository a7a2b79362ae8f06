// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The largest magnitude of a transform. Scaling and rounding keep the order of magnitudes, so they
// are done once, on the largest sum.
#pragma once

#include "common/block_amax.cuh"
#include "common/elements.cuh"
#include "params/hadamard.h"

namespace nibble {

// NaN counts as 0.
template <int kCount>
__device__ float largest_magnitude(const float (&t)[kCount]) {
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < kCount; ++i) largest = fmaxf(largest, fabsf(t[i]));
  return largest;
}

// The maximum over the thread block's sums, as the elements would have been stored, into amax.
template <class Config>
__device__ void reduce_transformed(float largest, const HadamardParams& params) {
  const float scaled = __fmul_rn(largest, fabsf(params.scale));
  const float pair[2] = {scaled, 0.0f};
  Elements<Config::kElementType, 2> rounded;
  rounded.set(pair);
  reduce_amax<Config::kThreads>(rounded.value(0), params.amax);
}

}  // namespace nibble
