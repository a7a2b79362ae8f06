// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The sign vector of a transform, a bit an element: 1 is -1.
#pragma once

#include "common/elements.cuh"
#include "hadamard/butterfly.cuh"
#include "params/hadamard.h"

namespace nibble {

// Bit i is that of element at + i of a group. `at` is a multiple of the vector's length.
template <class Config>
__device__ uint32_t sign_bits(const HadamardParams& params, int at) {
  if constexpr (Config::kSigns == 1) {
    return params.sign_mask[at >> 5 & 3] >> (at & 31);
  } else if constexpr (Config::kSigns == 3) {
    return kDefaultSignBits >> (at & 31);
  } else if constexpr (Config::kSigns == 2) {
    uint32_t bits = params.signs[at >> 5] >> (at & 31);
    if constexpr (Config::kSize < 16) {  // a vector may hold several groups
      bits &= (1u << Config::kSize) - 1;
#pragma unroll
      for (int have = Config::kSize; have < 16; have *= 2) bits |= bits << have;
    }
    return bits;
  } else {
    return 0;
  }
}

template <int kElementType, int kCount>
__device__ void flip(Elements<kElementType, kCount>& x, uint32_t signs) {
#pragma unroll
  for (int i = 0; i < x.kWords; ++i) {
    if constexpr (kElementType == kF32) {
      x.word[i] ^= signs << (31 - i) & 0x80000000u;
    } else {
      x.word[i] ^= (signs >> (2 * i) & 1) << 15 | (signs >> (2 * i + 1) & 1) << 31;
    }
  }
}

// All elements, by the lowest bit.
template <int kElementType, int kCount>
__device__ void flip_all(Elements<kElementType, kCount>& x, uint32_t sign) {
  const uint32_t mask = (0 - (sign & 1)) & (kElementType == kF32 ? 0x80000000u : 0x80008000u);
#pragma unroll
  for (uint32_t& word : x.word) word ^= mask;
}

__device__ inline float flipped(float a, uint32_t signs, int i) {
  return __uint_as_float(__float_as_uint(a) ^ (signs << (31 - i) & 0x80000000u));
}

}  // namespace nibble
