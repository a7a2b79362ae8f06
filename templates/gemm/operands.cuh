// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Operands by plain arithmetic, on every target: what the elements and scales of a format are, and
// the exact dot products of the blocks that share a scale.
#pragma once

#include "common/math.cuh"
#include "nvfp4/e2m1_arithmetic.cuh"
#include "nvfp4/scale_layout.cuh"
#include "ptx/convert.cuh"

namespace nibble {

// E4M3, exact: its bits are those of an fp32 of another bias; 0x7F and 0xFF are NaN.
__device__ inline float e4m3_decode_arithmetic(uint32_t code) {
  const float value = __uint_as_float((code & 0x80u) << 24 | (code & 0x7fu) << 20) * 0x1p120f;
  return (code & 0x7fu) == 0x7fu ? __uint_as_float(0x7fffffffu) : value;
}

// UE8M0: 2^(code - 127), 255 is NaN. As fp64, whose range has the products of two.
__device__ inline double ue8m0_decode_arithmetic(uint32_t code) {
  const int64_t bits = code == 255 ? 0x7ff8000000000000ll : static_cast<int64_t>(code + 896) << 52;
  return __longlong_as_double(bits);
}

// kE5m2: of FP8, else its elements are E4M3.
template <int kFormat, bool kE5m2>
struct OperandRow {
  static_assert(kFormat >= 0 && kFormat <= 4, "kFormat: 0 to 4, as enum OperandFormat");
  static constexpr bool kIsFp4 = kFormat == kFormatNvfp4 || kFormat == kFormatMxfp4;
  static constexpr bool kHasBlocks = kIsFp4 || kFormat == kFormatMxfp8;
  // Elements that share a scale; without scales, that are added up at a time.
  static constexpr int kBlock = kFormat == kFormatNvfp4 ? 16 : kHasBlocks ? 32 : 1;
  // Products of FP4 are multiples of 1/4 and a block's sum is at most 1152: exact in fp32. Those of
  // E4M3 are multiples of 2^-18 and a block's sum is at most 2^23: exact in fp64. So is one product
  // of bf16 or E5M2.
  template <bool kIs32Bit, class Dummy = void>
  struct DotOf {
    using Type = double;
  };
  template <class Dummy>
  struct DotOf<true, Dummy> {
    using Type = float;
  };
  using Dot = typename DotOf<kIsFp4>::Type;

  const unsigned char* data;
  const unsigned char* scales;  // at the row's offset in the 128x4 layout

  // Row `row` of a batch's matrix, k elements long.
  __device__ OperandRow(const unsigned char* matrix, const unsigned char* matrix_scales,
                        int64_t row_stride, int64_t row, int64_t k)
      : data(matrix + row * row_stride), scales(nullptr) {
    if constexpr (kHasBlocks) {
      scales = matrix_scales + ScaleLayout<k128x4>::row_offset(row, ceil_div(k, kBlock), 0);
    }
  }

  __device__ float element(int64_t i) const {
    if constexpr (kIsFp4) {
      return e2m1_decode_arithmetic(data[i / 2] >> 4 * (i % 2));
    } else if constexpr (kFormat == kFormatBf16) {
      return __uint_as_float(uint32_t{reinterpret_cast<const uint16_t*>(data)[i]} << 16);
    } else if constexpr (kE5m2) {
      return ptx::cvt_f32_f16(static_cast<uint16_t>(data[i] << 8));  // the upper half of an f16
    } else {
      return e4m3_decode_arithmetic(data[i]);
    }
  }

  // Of a block; the sign of E4M3 is ignored, as tensor cores do.
  __device__ double scale(int64_t block) const {
    if constexpr (kHasBlocks) {
      const uint32_t code = scales[ScaleLayout<k128x4>::block_offset(block)];
      return kFormat == kFormatNvfp4 ? double{e4m3_decode_arithmetic(code & 0x7fu)}
                                     : ue8m0_decode_arithmetic(code);
    } else {
      return 1.0;
    }
  }
};

}  // namespace nibble
