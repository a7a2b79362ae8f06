// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// dequantize: NVFP4 codes and scales back to a matrix.
#pragma once

#include "common/elements.cuh"
#include "nvfp4/e2m1.cuh"
#include "nvfp4/scale.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "quantize/tile.cuh"

namespace nibble {

// The blocks of quantize/tile.cuh, in vectors: neighbouring threads write neighbouring vectors.
template <class Config>
struct DequantizeTile : Tile<Config> {
  using T = Tile<Config>;
  static constexpr int kElementBytes = Config::kElementType == kF32 ? 4 : 2;
  static constexpr int kVector = (Config::kVectorBytes == 32 ? 32 : 16) / kElementBytes;
  static constexpr int kVectorsPerBlock = kBlockSize / kVector;
  static constexpr int kVectorsPerThread = Config::kBlocksPerThread * kVectorsPerBlock;
  static constexpr int kVectorsPerRow = T::kBlocksPerRow * kVectorsPerBlock;
  using Vector = Elements<Config::kElementType, kVector>;
};

// The codes of kVector elements, the first in bits 3:0.
template <int kVector>
__device__ void load_codes(const unsigned char* from, uint32_t (&words)[2]) {
  words[1] = 0;
  if constexpr (kVector == 16) {
    ptx::ld_global_nc_v2_b32(from, words);
  } else if constexpr (kVector == 8) {
    words[0] = *reinterpret_cast<const uint32_t*>(from);
  } else {
    words[0] = *reinterpret_cast<const uint16_t*>(from);
  }
}

template <class Config>
__device__ typename DequantizeTile<Config>::Vector dequantize_vector(const uint32_t (&words)[2],
                                                                     float factor) {
  constexpr int kVector = DequantizeTile<Config>::kVector;
  float y[16];
#pragma unroll
  for (int half = 0; half < (kVector + 7) / 8; ++half) {
    float x[8];
    e2m1x8_decode<Config::kHasE2m1Conversion != 0>(words[half], x);
#pragma unroll
    for (int i = 0; i < 8; ++i) y[8 * half + i] = __fmul_rn(x[i], factor);
  }
  typename DequantizeTile<Config>::Vector vector;
  vector.set(y);
  return vector;
}

// This thread's vectors of a row in the tile that begins at vector `begin`.
template <class Config>
__device__ void dequantize_row(const DequantizeParams& params, int64_t row, int64_t begin,
                               float amax) {
  using D = DequantizeTile<Config>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  constexpr int kStep = D::T::kThreadsPerRow;
  const int64_t blocks = ceil_div(params.columns, kBlockSize);
  const int64_t first = begin + threadIdx.x % kStep;
  char* y = static_cast<char*>(params.y) + row * params.row_stride * D::kElementBytes;
  const unsigned char* codes = params.codes + row * params.code_row_stride;
  const unsigned char* scales =
      params.scales + Layout::row_offset(row, blocks, params.scale_row_stride);
  // Several loads in flight, but for single elements, where addresses take the registers.
  constexpr int kAtATime = Config::kVectorBytes == 0 ? 1 : D::kVectorsPerThread;
#pragma unroll 1
  for (int64_t from = first; from < first + D::kVectorsPerThread * kStep;
       from += kAtATime * kStep) {
    uint32_t words[kAtATime][2];
    float factor[kAtATime];
#pragma unroll
    for (int i = 0; i < kAtATime; ++i) {
      const int64_t at = from + i * kStep;
      if (at * D::kVector >= params.columns) break;
      load_codes<D::kVector>(codes + at * (D::kVector / 2), words[i]);
      factor[i] = decode_factor(scales[Layout::block_offset(at / D::kVectorsPerBlock)], amax);
    }
#pragma unroll
    for (int i = 0; i < kAtATime; ++i) {
      const int64_t at = from + i * kStep;
      const int64_t left = params.columns - at * D::kVector;
      if (left <= 0) break;
      dequantize_vector<Config>(words[i], factor[i])
          .template store<Config::kVectorBytes>(
              y + at * D::Vector::kBytes, left < D::kVector ? static_cast<int>(left) : D::kVector);
    }
  }
}

template <class Config>
__device__ void dequantize(const DequantizeParams& params) {
  using D = DequantizeTile<Config>;
  const float amax = *params.amax;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * D::kVectorsPerRow;
  for (int64_t row = D::first_row(); row < params.rows; row += D::row_step()) {
    dequantize_row<Config>(params, row, begin, amax);
  }
}

}  // namespace nibble
