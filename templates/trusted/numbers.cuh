// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the trusted kernels are made of: formats by their definitions, rounding as a search for the
// nearest, loops over everything. Nothing of the fast kernels is in here.
#pragma once

#include "common/types.cuh"
#include "ptx/convert.cuh"
#include "ptx/reduce.cuh"

namespace nibble::trusted {

constexpr float kLargestFloat = 0x1.fffffep127f;

// All threads of the grid share a loop: for (i = thread(); i < count; i += threads()).
__device__ inline int64_t thread() {
  const int64_t block = int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
  return block * blockDim.x + threadIdx.x;
}
__device__ inline int64_t threads() { return int64_t{gridDim.x} * gridDim.y * blockDim.x; }

// 2^exponent, for -1022 <= exponent <= 1023.
__device__ inline double power_of_two(int exponent) {
  return __longlong_as_double(static_cast<int64_t>(exponent + 1023) << 52);
}

// Magnitudes of a format of few bits: code 0 is 0, code kLargest the largest number, each is a
// multiple of 1 / kStepsOfOne, the smallest.
template <int kMantissaBits, int kLargest, int kNan, int kStepsOfOne>
struct SmallFloat {
  __device__ static int steps(int code) {
    const int exponent = code >> kMantissaBits;
    const int mantissa = code % (1 << kMantissaBits);
    return exponent == 0 ? mantissa : (mantissa + (1 << kMantissaBits)) << (exponent - 1);
  }
  __device__ static float magnitude(int code) {
    return static_cast<float>(steps(code)) / static_cast<float>(kStepsOfOne);
  }

  // The code of the largest magnitude that is no more than `exact` steps.
  __device__ static int below(double exact) {
    int code = 0;
#pragma unroll 1
    for (int bit = 64; bit > 0; bit /= 2) {
      if (code + bit <= kLargest && steps(code + bit) <= exact) code += bit;
    }
    return code;
  }

  // The nearest, of two the one with the even code; beyond the largest the largest. Without sign.
  __device__ static int nearest(float value) {
    if (value != value) return kNan;
    const double exact = fabs(static_cast<double>(value)) * kStepsOfOne;
    const int code = below(exact);
    if (code == kLargest) return code;
    const double down = exact - steps(code);
    const double up = steps(code + 1) - exact;
    return up < down || (up == down && code % 2 != 0) ? code + 1 : code;
  }

  // By 16 random bits: the next one where the fraction of the way to it, plus random / 2^16, is 1
  // or more. Without sign.
  __device__ static int stochastic(float value, uint32_t random) {
    if (value != value) return kNan;
    const double exact = fabs(static_cast<double>(value)) * kStepsOfOne;
    const int code = below(exact);
    if (code == kLargest) return code;
    const double gap = steps(code + 1) - steps(code);
    return (exact - steps(code)) * 65536 >= (65536 - random) * gap ? code + 1 : code;
  }
};
using E2m1 = SmallFloat<1, 7, 7, 2>;
using E4m3 = SmallFloat<3, 126, 127, 512>;

// The E8M0 byte of the least power of two from 2^-127 on that is no less than value >= 0.
__device__ inline int e8m0_above(float value) {
  int byte = 0;
#pragma unroll 1
  while (byte < 254 && power_of_two(byte - 127) < value) ++byte;
  return byte;
}

// Element i of a matrix of kType (kF32, kF16, kBf16), widened exactly.
template <int kType>
__device__ float element(const void* matrix, int64_t i) {
  if constexpr (kType == kF32) return static_cast<const float*>(matrix)[i];
  const uint16_t bits = static_cast<const uint16_t*>(matrix)[i];
  return kType == kBf16 ? __uint_as_float(uint32_t{bits} << 16) : ptx::cvt_f32_f16(bits);
}

// The bits of `value` rounded to kType; a NaN is all ones but its sign.
template <int kType>
__device__ uint32_t rounded_bits(float value) {
  if constexpr (kType == kF32) return value != value ? 0x7fffffffu : __float_as_uint(value);
  if (value != value) return 0x7fffu;
  const uint32_t pair =
      kType == kBf16 ? ptx::cvt_rn_bf16x2_f32(0, value) : ptx::cvt_rn_f16x2_f32(0, value);
  return pair & 0xffffu;
}
template <int kType>
__device__ float rounded(float value) {
  const uint32_t bits = rounded_bits<kType>(value);
  if constexpr (kType == kF32) return __uint_as_float(bits);
  return kType == kBf16 ? __uint_as_float(bits << 16)
                        : ptx::cvt_f32_f16(static_cast<uint16_t>(bits));
}
template <int kType>
__device__ void set_element(void* matrix, int64_t i, float value) {
  const uint32_t bits = rounded_bits<kType>(value);
  if constexpr (kType == kF32) {
    static_cast<uint32_t*>(matrix)[i] = bits;
  } else {
    static_cast<uint16_t*>(matrix)[i] = static_cast<uint16_t>(bits);
  }
}

// The larger magnitude; a NaN is none.
__device__ inline float larger(float amax, float value) {
  return fabsf(value) > amax ? fabsf(value) : amax;
}

// *amax becomes the larger of itself and what each thread found.
__device__ inline void raise_amax(float found, float* amax) {
  if (found > 0) ptx::red_relaxed_gpu_global_max_u32(amax, __float_as_uint(found));
}

// The same, but a grid of one thread block overwrites what was there.
__device__ inline void set_amax(float found, float* amax) {
  if (gridDim.x == 1 && gridDim.y == 1) {
    if (threadIdx.x == 0) *amax = 0;
    __syncthreads();
  }
  raise_amax(found, amax);
}

// Of scale (row, block) of `blocks` in a row, in the 128x4 layout.
__device__ inline int64_t tiled_scale(int64_t row, int64_t block, int64_t blocks) {
  const int64_t tile = row / 128 * ((blocks + 3) / 4) + block / 4;
  return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
}

// Element i of 2^kDistances, load(0), load(1) .., after the butterflies of the distances 1, 2 .. in
// that order: of two sums or elements that meet, lower + upper is what becomes of the lower, lower
// - upper of the upper. Sums wait for their partners: one at most of each distance.
template <int kDistances, class Load>
__device__ float butterflies(int i, const Load& load) {
  float waiting[kDistances + 1] = {};
  float sum = 0;
#pragma unroll 1
  for (int j = 0; j < 1 << kDistances; ++j) {
    sum = load(j);
    bool waits = false;
#pragma unroll
    for (int bit = 0; bit < kDistances; ++bit) {
      const bool is_lower = (j >> bit & 1) == 0;
      if (!waits && is_lower) waiting[bit] = sum;
      waits = waits || is_lower;
      if (waits) continue;
      sum = (i >> bit & 1) != 0 ? __fsub_rn(waiting[bit], sum) : __fadd_rn(waiting[bit], sum);
    }
  }
  return sum;
}

}  // namespace nibble::trusted
