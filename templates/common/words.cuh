// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Elements in 32-bit words, in the type that they have in memory: one fp32, or two 16-bit floats,
// the first in the low half.
#pragma once

#include "common/types.cuh"
#include "ptx/convert.cuh"
#include "ptx/half.cuh"
#include "ptx/permute.cuh"

namespace nibble {

// kSource: the type that results are rounded to, where fp32 words hold 16-bit elements.
template <int kElementType, int kSource = kElementType>
struct Words {
  static_assert(kElementType == kSource || kElementType == kF32);
  static constexpr bool kIs32Bit = kElementType == kF32;
  static constexpr bool kIsBf16 = kElementType == kBf16;
  static constexpr int kElementBytes = kIs32Bit ? 4 : 2;
  static constexpr int kPerWord = 4 / kElementBytes;
  static constexpr uint32_t kMagnitude = kIs32Bit ? 0x7fffffffu : 0x7fff7fffu;
  static constexpr uint32_t kInfinity = kIs32Bit ? 0x7f800000u : kIsBf16 ? 0x7f80u : 0x7c00u;

  __device__ static float value(uint32_t word, int i) {
    if constexpr (kIs32Bit) {
      return __uint_as_float(word);
    } else if constexpr (kIsBf16) {
      return __uint_as_float(i == 0 ? word << 16 : word & 0xffff0000u);
    } else {
      return ptx::cvt_f32_f16(static_cast<uint16_t>(word >> (16 * i)));
    }
  }

  // Bytes of equal bits, the signs of four values: the first of each word, then the second.
  __device__ static uint32_t sign_bytes(uint32_t a, uint32_t b) {
    static_assert(!kIs32Bit);
    return ptx::prmt_b32<0xfbd9>(a, b);
  }

  // From such bytes of eight values, of even and of odd ones, to two in each byte.
  __device__ static uint32_t merge_signs(uint32_t even, uint32_t odd) {
    return ptx::lop3_b32<0xe4>(even, odd, 0x0f0f0f0fu);
  }

  // The signs of eight consecutive values, that of value i in bit 4i + 3. Other bits are any.
  __device__ static uint32_t signs(const uint32_t (&w)[8 / kPerWord]) {
    if constexpr (kIs32Bit) {
      return signs_of_halves(w, 0);
    } else {
      const uint32_t low = sign_bytes(w[0], w[1]);
      const uint32_t high = sign_bytes(w[2], w[3]);
      return merge_signs(__byte_perm(low, high, 0x5410), __byte_perm(low, high, 0x7632));
    }
  }

  // The signs of value i of each of eight words.
  __device__ static uint32_t signs_of_halves(const uint32_t (&w)[8], int i) {
    if constexpr (kIs32Bit) {
      constexpr uint32_t kBytes = 0x00fb;
      const uint32_t even =
          __byte_perm(ptx::prmt_b32<kBytes>(w[0], w[2]), ptx::prmt_b32<kBytes>(w[4], w[6]), 0x5410);
      const uint32_t odd =
          __byte_perm(ptx::prmt_b32<kBytes>(w[1], w[3]), ptx::prmt_b32<kBytes>(w[5], w[7]), 0x5410);
      return merge_signs(even, odd);
    } else {
      const uint32_t low = merge_signs(sign_bytes(w[0], w[2]), sign_bytes(w[1], w[3]));
      const uint32_t high = merge_signs(sign_bytes(w[4], w[6]), sign_bytes(w[5], w[7]));
      return __byte_perm(low, high, i == 0 ? 0x5410 : 0x7632);
    }
  }

  // One value, or two, rounded to nearest even.
  __device__ static uint32_t pack(float low, float high) {
    if constexpr (kSource == kF32) {
      return __float_as_uint(low);
    } else if constexpr (kIs32Bit && kSource == kBf16) {
      return ptx::cvt_rn_bf16x2_f32(0.0f, low) << 16;
    } else if constexpr (kIs32Bit) {
      const uint32_t half = ptx::cvt_rn_f16x2_f32(0.0f, low);
      return __float_as_uint(ptx::cvt_f32_f16(static_cast<uint16_t>(half)));
    } else if constexpr (kIsBf16) {
      return ptx::cvt_rn_bf16x2_f32(high, low);
    } else {
      return ptx::cvt_rn_f16x2_f32(high, low);
    }
  }

  // The larger magnitudes, with any signs. A NaN loses against a number.
  __device__ static uint32_t max_abs(uint32_t a, uint32_t b) {
    if constexpr (kIs32Bit) {
      return __float_as_uint(fmaxf(fabsf(__uint_as_float(a)), fabsf(__uint_as_float(b))));
    } else if constexpr (kIsBf16) {
      return ptx::max_xorsign_abs_bf16x2(a, b);
    } else {
      return ptx::max_xorsign_abs_f16x2(a, b);
    }
  }

  // As above, but a NaN wins.
  __device__ static uint32_t max_abs_or_nan(uint32_t a, uint32_t b) {
    if constexpr (kIs32Bit) {
      const uint32_t x = a & kMagnitude;  // NaN comes after infinity
      const uint32_t y = b & kMagnitude;
      return x > y ? x : y;
    } else if constexpr (kIsBf16) {
      return ptx::max_nan_xorsign_abs_bf16x2(a, b);
    } else {
      return ptx::max_nan_xorsign_abs_f16x2(a, b);
    }
  }

  // Whether a result of max_abs_or_nan is NaN, or one of its halves is.
  __device__ static bool has_nan(uint32_t word) {
    if constexpr (kIs32Bit) return word > kInfinity;
    // What lies above infinity carries into the sign.
    return (((word & kMagnitude) + (0x7fffu - kInfinity) * 0x10001u) & ~kMagnitude) != 0;
  }

  // Clears the sign of NaN.
  __device__ static uint32_t positive_nan(uint32_t word) {
    const uint32_t magnitude = word & kMagnitude;
    if constexpr (kIs32Bit) return magnitude > kInfinity ? magnitude : word;
    const uint32_t low = (magnitude & 0xffffu) > kInfinity ? magnitude : word;
    const uint32_t high = (magnitude >> 16) > kInfinity ? magnitude : word;
    return (low & 0xffffu) | (high & 0xffff0000u);
  }
};

}  // namespace nibble
