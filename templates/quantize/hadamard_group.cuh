// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The random Hadamard transform of groups of 16, 32, 64 or 128 values, which neighbouring lanes may
// share. Groups of 16 are scaled before the sums, exactly in 16-bit types; the others after them,
// as the hadamard family does.
#pragma once

#include "ptx/shuffle.cuh"
#include "quantize/hadamard16.cuh"

namespace nibble {

// Bit i: the sign of place first + i of a group changes.
template <int kTransform>
__device__ uint32_t signs_from(const uint32_t (&signs)[4], int first) {
  if constexpr (kTransform == kDefaultSigns) {
    return kDefaultSignBits >> (first % 16);
  } else {
    return signs[first / 32] >> (first % 32);
  }
}

template <int kSize>
__device__ constexpr float orthonormal_scale() {
  static_assert(kSize == 32 || kSize == 64 || kSize == 128, "kSize: 16, 32, 64 or 128");
  return kSize == 32 ? 0x1.6a09e6p-3f : kSize == 64 ? 0x1p-3f : 0x1.6a09e6p-4f;
}

// x: the thread's part of a group of kSize values. The kSize / kCount lanes that share the group
// are neighbours, this one number `lane` of them; `members` are the lanes that go this way now.
// kExact: a quarter of each value is exact.
template <int kTransform, int kSize, bool kExact, int kCount>
__device__ void hadamard_group(float (&x)[kCount], const uint32_t (&signs)[4], int lane,
                               uint32_t members) {
  constexpr int kLanes = kSize / kCount;
  static_assert(kLanes * kCount == kSize, "a thread has a part of one group");
  const uint32_t mine = signs_from<kTransform>(signs, lane * kCount);
  if constexpr (kSize == 16) {
    hadamard<kLanes == 1 ? kTransform : kGivenSigns, kExact>(x, mine);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      x[i] = __uint_as_float(__float_as_uint(x[i]) ^ (mine >> i & 1u) << 31);
    }
    butterflies_from<1>(x);
  }
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2) {
    const uint32_t minus = (lane & distance) != 0 ? 0x80000000u : 0u;
#pragma unroll
    for (float& value : x) {
      const float other = ptx::shfl_sync_bfly_f32(value, distance, members);
      value = __fadd_rn(other, __uint_as_float(__float_as_uint(value) ^ minus));
    }
  }
  if constexpr (kSize != 16) {
#pragma unroll
    for (float& value : x) value = __fmul_rn(value, orthonormal_scale<kSize>());
  }
}

}  // namespace nibble
