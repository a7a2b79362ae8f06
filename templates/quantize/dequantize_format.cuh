// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the quantised formats differ in where they are read: Config::kFormat.
#pragma once

#include "nvfp4/e2m1.cuh"
#include "nvfp4/four_over_six.cuh"

namespace nibble {

// 0: NVFP4, E2M1 with an E4M3 scale for 16 elements and the tensor's amax.
// 1: MXFP4, E2M1 with a UE8M0 scale for 32. 2: MXFP8, E4M3 with one. 3: NVFP4 four over six.
template <int kFormat>
struct DequantizeFormat {
  static_assert(kFormat >= 0 && kFormat <= 3,
                "kFormat: 0 (nvfp4), 1 (mxfp4), 2 (mxfp8) or 3 (four over six)");
  static constexpr bool kHasAmax = kFormat == 0 || kFormat == 3;
  static constexpr float kMost = kFormat == 3 ? kMaxScaledFourOverSix : kMaxScaled<>;
  static constexpr int kBlock = kHasAmax ? 16 : 32;
  static constexpr int kCodeBits = kFormat == 2 ? 8 : 4;
  static constexpr int kBytesOf8 = kCodeBits;  // of the codes of 8 elements

  // What the codes of a block are multiplied by.
  __device__ static float factor(uint8_t scale, float amax) {
    if constexpr (kHasAmax) {
      return decode_factor(scale, amax, kMost);
    } else {
      // Byte e is 2^(e - 127), a subnormal for 0; 255 is NaN.
      const uint32_t bits = scale == 0 ? 0x00400000u : uint32_t{scale} << 23;
      return __uint_as_float(scale == 255 ? 0x7fffffffu : bits);
    }
  }

  // Eight elements, exact.
  template <bool kHasE2m1Conversion>
  __device__ static void decode(const uint32_t* words, float (&x)[8]) {
    if constexpr (kFormat == 2) {
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const uint32_t halves =
            ptx::cvt_rn_f16x2_e4m3x2(static_cast<uint16_t>(words[pair / 2] >> 16 * (pair % 2)));
        x[2 * pair] = ptx::cvt_f32_f16(static_cast<uint16_t>(halves));
        x[2 * pair + 1] = ptx::cvt_f32_f16(static_cast<uint16_t>(halves >> 16));
      }
    } else {
      e2m1x8_decode<kHasE2m1Conversion>(words[0], x);
    }
  }
};

}  // namespace nibble
