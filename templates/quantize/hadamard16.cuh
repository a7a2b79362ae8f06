// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The random Hadamard transform of 16 values: y = x diag(s) H / 4, H in Sylvester's order. The
// order of the fp32 sums is that of the numerics contract: butterflies over distances 1, 2, 4, 8.
#pragma once

#include "common/types.cuh"
#include "hadamard/butterfly.cuh"

namespace nibble {

// Config::kRowTransform, kColumnTransform.
enum : int {
  kNoTransform = 0,
  kDefaultSigns = 1,
  kGivenSigns = 2,  // of the parameters
};

template <int kTransform>
__device__ float quarter_with_sign(int i, uint32_t signs) {
  if constexpr (kTransform == kDefaultSigns) {
    return (kDefaultSignBits >> i & 1) != 0 ? -0.25f : 0.25f;
  } else {
    return __uint_as_float(0x3e800000u | (signs >> i & 1) << 31);
  }
}

// x / 4 with the sign of place i: exact for f16 and bf16.
template <int kTransform>
__device__ float sign_and_scale(float x, int i, uint32_t signs) {
  return __fmul_rn(x, quarter_with_sign<kTransform>(i, signs));
}

// Over distances kFirst, 2 kFirst .. kCount / 2.
template <int kFirst, int kCount>
__device__ void butterflies_from(float (&x)[kCount]) {
#pragma unroll
  for (int distance = kFirst; distance < kCount; distance *= 2) butterflies(x, distance);
}

// The transform of kCount values, 16 or the first stages of it. kExact: a quarter of each is exact,
// so that the first sums can be made with the products.
template <int kTransform, bool kExact, int kCount>
__device__ void hadamard(float (&x)[kCount], uint32_t signs) {
  if constexpr (kExact) {
#pragma unroll
    for (int i = 0; i < kCount; i += 2) {
      const float b = sign_and_scale<kTransform>(x[i + 1], i + 1, signs);
      const float quarter = quarter_with_sign<kTransform>(i, signs);
      x[i + 1] = __fmaf_rn(x[i], quarter, -b);
      x[i] = __fmaf_rn(x[i], quarter, b);
    }
    butterflies_from<2>(x);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] = sign_and_scale<kTransform>(x[i], i, signs);
    butterflies_from<1>(x);
  }
}

}  // namespace nibble
