// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// dequantize_trusted: what the fast kernel is held against. A thread an element.
#pragma once

#include "params/quantize.h"
#include "trusted/numbers.cuh"

namespace nibble {

namespace trusted {

// What the codes of a block are multiplied by.
template <int kFormat>
__device__ float decode_factor(int scale, const DequantizeParams& params) {
  if constexpr (kFormat == kMxfp4 || kFormat == kMxfp8) {
    if (scale == 255) return __uint_as_float(0x7fffffffu);
    return static_cast<float>(power_of_two(scale - 127));
  } else {
    constexpr float kPart = 1.0f / (kFormat == kFourOverSix ? 1536.0f : 2688.0f);
    const float magnitude =
        scale % 128 == 127 ? __uint_as_float(0x7fffffffu) : E4m3::magnitude(scale % 128);
    const float signed_scale = scale >= 128 ? -magnitude : magnitude;
    return __fmul_rn(__fmul_rn(signed_scale, fabsf(*params.amax)), kPart);
  }
}

template <int kFormat>
__device__ float decode_element(const unsigned char* codes, int64_t column) {
  if constexpr (kFormat == kMxfp8) {
    const int code = codes[column];
    if (code % 128 == 127) return __uint_as_float(0x7fffffffu);
    return code >= 128 ? -E4m3::magnitude(code % 128) : E4m3::magnitude(code);
  } else {
    const int code = codes[column / 2] >> (column % 2 * 4) & 15;
    return code >= 8 ? -E2m1::magnitude(code % 8) : E2m1::magnitude(code);
  }
}

}  // namespace trusted

template <class Config>
__device__ void dequantize_trusted(const DequantizeParams& params) {
  constexpr int kFormat = Config::kFormat;
  constexpr int kBlock = kFormat == kMxfp4 || kFormat == kMxfp8 ? 32 : 16;
  const int64_t blocks = (params.columns + kBlock - 1) / kBlock;
#pragma unroll 1
  for (int64_t i = trusted::thread(); i < params.rows * params.columns; i += trusted::threads()) {
    const int64_t row = i / params.columns;
    const int64_t column = i % params.columns;
    const int64_t block = column / kBlock;
    const int64_t at = Config::kScaleLayout == k128x4 ? trusted::tiled_scale(row, block, blocks)
                                                      : row * params.scale_row_stride + block;
    const float factor = trusted::decode_factor<kFormat>(params.scales[at], params);
    const float code =
        trusted::decode_element<kFormat>(params.codes + row * params.code_row_stride, column);
    trusted::set_element<Config::kElementType>(params.y, row * params.row_stride + column,
                                               __fmul_rn(code, factor));
  }
}

}  // namespace nibble
