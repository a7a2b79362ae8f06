// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The operand formats as the tensor cores see them: instruction, its descriptor, scales.
#pragma once

#include "common/types.cuh"
#include "params/gemm_layout.h"
#include "ptx/tcgen05.cuh"

namespace nibble {

// An MMA takes 32 bytes of k of each row, whatever the format: 64 FP4, 32 FP8, 16 BF16.
enum : int {
  kMmaBytes = 32,
  kMmasPerAtom = 4,  // in the 128 bytes of a swizzled row
};

template <int kFormat>
constexpr bool kHasBlockScales = kFormat <= kFormatMxfp8;

// Scale tiles (128 rows x 4 scales) of one operand in 128 bytes of k.
template <int kFormat>
constexpr int kScaleTilesPerAtom = gemm_scale_tiles(kFormat);

// Bits of the instruction descriptor; a, b, m and n are those of the MMA. a_e5m2, b_e5m2: of FP8.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#tcgen05-instruction-descriptor
template <int kFormat>
__device__ constexpr uint32_t instruction_descriptor(int m, int n, bool a_e5m2, bool b_e5m2) {
  const uint32_t columns = static_cast<uint32_t>(n >> 3) << 17;
  if constexpr (kHasBlockScales<kFormat>) {
    const uint32_t e2m1 = kFormat == kFormatMxfp8 ? 0 : 1;  // E4M3 is 0
    const uint32_t ue8m0 = kFormat == kFormatNvfp4 ? 0 : 1;
    return e2m1 << 7 | e2m1 << 10 | columns | ue8m0 << 23 | static_cast<uint32_t>(m >> 7) << 27;
  } else {
    constexpr uint32_t kF32Sum = 1 << 4;
    // E4M3 is 0, E5M2 and BF16 are 1.
    const uint32_t a = kFormat == kFormatBf16 || a_e5m2 ? 1 : 0;
    const uint32_t b = kFormat == kFormatBf16 || b_e5m2 ? 1 : 0;
    return kF32Sum | a << 7 | b << 10 | columns | static_cast<uint32_t>(m >> 4) << 24;
  }
}

// Which of the scales in a 32-bit cell the MMA of place `i` in an atom uses: bits 29-30 for A and
// 4-5 for B. NVFP4 uses all four, MXFP4 a half, MXFP8 one.
template <int kFormat>
__device__ constexpr uint32_t scale_ids(int i) {
  if constexpr (!kHasBlockScales<kFormat>) return 0;
  constexpr int kMmasPerTile =
      kMmasPerAtom / (kHasBlockScales<kFormat> ? kScaleTilesPerAtom<kFormat> : 1);
  const auto id = static_cast<uint32_t>(i % kMmasPerTile * (4 / kMmasPerTile) % 4);
  return id << 29 | id << 4;
}

// Rows of 128 bytes with the 128-byte swizzle, eight rows 1024 bytes apart.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#tcgen05-shared-memory-descriptor
__device__ inline uint64_t operand_descriptor(uint32_t address) {
  return 0x4000404000010000ull | (address & 0x3ffffu) >> 4;
}

// 512 contiguous bytes, no swizzle: rows of 16 bytes, eight of them 128 bytes apart.
__device__ inline uint64_t scale_descriptor(uint32_t address) {
  return 0x0000400800080000ull | (address & 0x3ffffu) >> 4;
}

template <int kFormat, int kCtaGroup>
__device__ inline void multiply(uint32_t d, uint64_t a, uint64_t b, uint32_t descriptor,
                                uint32_t a_scales, uint32_t b_scales, bool accumulate) {
  if constexpr (kFormat == kFormatNvfp4) {
    ptx::tcgen05_mma_mxf4nvf4_block16<kCtaGroup>(d, a, b, descriptor, a_scales, b_scales,
                                                 accumulate);
  } else if constexpr (kFormat == kFormatMxfp4) {
    ptx::tcgen05_mma_mxf4nvf4_block32<kCtaGroup>(d, a, b, descriptor, a_scales, b_scales,
                                                 accumulate);
  } else if constexpr (kFormat == kFormatMxfp8) {
    ptx::tcgen05_mma_mxf8f6f4<kCtaGroup>(d, a, b, descriptor, a_scales, b_scales, accumulate);
  } else if constexpr (kFormat == kFormatFp8) {
    ptx::tcgen05_mma_f8f6f4<kCtaGroup>(d, a, b, descriptor, accumulate);
  } else {
    ptx::tcgen05_mma_f16<kCtaGroup>(d, a, b, descriptor, accumulate);
  }
}

}  // namespace nibble
