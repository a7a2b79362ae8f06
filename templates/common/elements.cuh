// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Consecutive elements of a row in registers, in the type they have in memory.
#pragma once

#include "common/types.cuh"
#include "ptx/convert.cuh"
#include "ptx/half.cuh"
#include "ptx/memory.cuh"

namespace nibble {

// kCount: even, or 1. Of one 16-bit element the high half of its word is 0.
template <int kElementType, int kCount = 16>
struct Elements {
  static constexpr bool kIs32Bit = kElementType == kF32;
  static constexpr int kElementBytes = kIs32Bit ? 4 : 2;
  static constexpr int kBytes = kCount * kElementBytes;
  static constexpr int kWords = (kBytes + 3) / 4;

  uint32_t word[kWords];  // element i: word i, or the half i % 2 of word i / 2

  __device__ float value(int i) const {
    if constexpr (kIs32Bit) {
      return __uint_as_float(word[i]);
    } else if constexpr (kElementType == kBf16) {
      return __uint_as_float(i % 2 == 0 ? word[i / 2] << 16 : word[i / 2] & 0xffff0000u);
    } else {
      return ptx::cvt_f32_f16(static_cast<uint16_t>(word[i / 2] >> (16 * (i % 2))));
    }
  }

  // max |x|; NaN counts as 0.
  __device__ float amax() const {
    if constexpr (kIs32Bit) {
      float m = 0.0f;
#pragma unroll
      for (uint32_t w : word) m = fmaxf(m, fabsf(__uint_as_float(w)));
      return m;
    } else {
      uint32_t pair = 0;
#pragma unroll
      for (uint32_t w : word) {
        const uint32_t magnitudes = w & 0x7fff7fffu;
        pair = kElementType == kBf16 ? ptx::max_bf16x2(pair, magnitudes)
                                     : ptx::max_f16x2(pair, magnitudes);
      }
      // Non-negative floats order like their bits.
      const uint32_t low = pair & 0xffffu;
      const uint32_t high = pair >> 16;
      const uint32_t m = low > high ? low : high;
      return kElementType == kBf16 ? __uint_as_float(m << 16) : ptx::cvt_f32_f16(m);
    }
  }

  // kCount values, rounded to nearest even.
  __device__ void set(const float* x) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (kIs32Bit) {
        word[i] = __float_as_uint(x[i]);
      } else {
        const float high = kCount == 1 ? 0.0f : x[2 * i + 1];
        word[i] = kElementType == kBf16 ? ptx::cvt_rn_bf16x2_f32(high, x[2 * i])
                                        : ptx::cvt_rn_f16x2_f32(high, x[2 * i]);
      }
    }
  }

  // From address `from` on. kVectorBytes: bytes of one access, a divisor of the address and of
  // kBytes; 0: single elements. Elements at `count` (>= 1) and beyond are not read and become 0.
  // kReadOnly: nothing writes there while the kernel runs.
  template <int kVectorBytes, bool kReadOnly = true>
  __device__ void load(const char* from, int count = kCount) {
    if (kVectorBytes != 0 && count >= kCount) {
#pragma unroll
      for (int at = 0; at < kBytes; at += kVectorBytes) {
        if constexpr (kVectorBytes == 32) {
          kReadOnly ? ptx::ld_global_nc_v8_b32(from + at, word + at / 4)
                    : ptx::ld_global_v8_b32(from + at, word + at / 4);
        } else if constexpr (kVectorBytes == 16) {
          kReadOnly ? ptx::ld_global_nc_v4_b32(from + at, word + at / 4)
                    : ptx::ld_global_v4_b32(from + at, word + at / 4);
        } else if constexpr (kVectorBytes == 8) {
          kReadOnly ? ptx::ld_global_nc_v2_b32(from + at, word + at / 4)
                    : ptx::ld_global_v2_b32(from + at, word + at / 4);
        } else if constexpr (kVectorBytes == 4) {
          word[at / 4] = *reinterpret_cast<const uint32_t*>(from + at);
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int at = i < count ? i : 0;  // no branch, and no access beyond the row
      if constexpr (kIs32Bit) {
        const uint32_t bits = reinterpret_cast<const uint32_t*>(from)[at];
        word[i] = i < count ? bits : 0;
      } else {
        const uint32_t bits = reinterpret_cast<const uint16_t*>(from)[at];
        const uint32_t half = i < count ? bits : 0;
        word[i / 2] = i % 2 == 0 ? half : word[i / 2] | half << 16;
      }
    }
  }

  // The first `count` elements to address `to` on.
  template <int kVectorBytes>
  __device__ void store(char* to, int count) const {
    if (kVectorBytes != 0 && count >= kCount) {
#pragma unroll
      for (int at = 0; at < kBytes; at += kVectorBytes) {
        if constexpr (kVectorBytes == 32) {
          ptx::st_global_v8_b32(to + at, word + at / 4);
        } else if constexpr (kVectorBytes == 16) {
          ptx::st_global_v4_b32(to + at, word + at / 4);
        } else if constexpr (kVectorBytes == 8) {
          ptx::st_global_v2_b32(to + at, word + at / 4);
        } else if constexpr (kVectorBytes == 4) {
          *reinterpret_cast<uint32_t*>(to + at) = word[at / 4];
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i >= count) break;
      if constexpr (kIs32Bit) {
        reinterpret_cast<uint32_t*>(to)[i] = word[i];
      } else {
        reinterpret_cast<uint16_t*>(to)[i] = static_cast<uint16_t>(word[i / 2] >> 16 * (i % 2));
      }
    }
  }
};

}  // namespace nibble
