// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Sixteen consecutive elements of a row in registers, in the type they have in memory.
#pragma once

#include "common/types.cuh"
#include "ptx/convert.cuh"
#include "ptx/half.cuh"
#include "ptx/memory.cuh"

namespace nibble {

template <int kElementType>
struct Elements {
  static constexpr bool kIs32Bit = kElementType == kF32;
  static constexpr int kElementBytes = kIs32Bit ? 4 : 2;
  static constexpr int kBytes = 16 * kElementBytes;

  uint32_t word[kBytes / 4];  // element i: word i, or the half i % 2 of word i / 2

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

  // Rounds to nearest even.
  __device__ void set(const float (&x)[16]) {
#pragma unroll
    for (int i = 0; i < 16; i += 2) {
      if constexpr (kIs32Bit) {
        word[i] = __float_as_uint(x[i]);
        word[i + 1] = __float_as_uint(x[i + 1]);
      } else if constexpr (kElementType == kBf16) {
        word[i / 2] = ptx::cvt_rn_bf16x2_f32(x[i + 1], x[i]);
      } else {
        word[i / 2] = ptx::cvt_rn_f16x2_f32(x[i + 1], x[i]);
      }
    }
  }

  // From address `from` on. kVectorBytes: bytes of one access, a divisor of the address; 0: single
  // elements. Elements at `count` (>= 1) and beyond are not read and become 0.
  template <int kVectorBytes>
  __device__ void load(const char* from, int count = 16) {
    if (kVectorBytes != 0 && count >= 16) {
#pragma unroll
      for (int at = 0; at < kBytes; at += kVectorBytes) {
        if constexpr (kVectorBytes == 32) {
          ptx::ld_global_nc_v8_b32(from + at, word + at / 4);
        } else if constexpr (kVectorBytes == 16) {
          ptx::ld_global_nc_v4_b32(from + at, word + at / 4);
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) {
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
    if (kVectorBytes != 0 && count >= 16) {
#pragma unroll
      for (int at = 0; at < kBytes; at += kVectorBytes) {
        if constexpr (kVectorBytes == 32) {
          ptx::st_global_v8_b32(to + at, word + at / 4);
        } else if constexpr (kVectorBytes == 16) {
          ptx::st_global_v4_b32(to + at, word + at / 4);
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) {
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
