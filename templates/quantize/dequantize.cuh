// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// dequantize: codes and scales back to a matrix.
#pragma once

#include "common/elements.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "quantize/dequantize_format.cuh"
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
  using Format = DequantizeFormat<Config::kFormat>;
  static constexpr int kCodeBytes = kVector * Format::kCodeBits / 8;  // of a vector
  static constexpr int kCodeWords = (kCodeBytes + 3) / 4;
  static constexpr int kVectorsPerScale = Format::kBlock / kVector;

  __device__ static float amax(const DequantizeParams& params) {
    return Format::kHasAmax ? *params.amax : 0.0f;
  }
};

// kBytes: 2, 4, 8 or 16, of codes that are aligned to 8 bytes or all of them. The first code is in
// the low bits.
template <int kBytes>
__device__ void load_codes(const unsigned char* from, uint32_t* words) {
  if constexpr (kBytes == 2) {
    words[0] = *reinterpret_cast<const uint16_t*>(from);
  } else if constexpr (kBytes == 4) {
    words[0] = *reinterpret_cast<const uint32_t*>(from);
  } else {
#pragma unroll
    for (int at = 0; at < kBytes; at += 8) ptx::ld_global_nc_v2_b32(from + at, words + at / 4);
  }
}

template <class Config>
__device__ typename DequantizeTile<Config>::Vector dequantize_vector(const uint32_t* words,
                                                                     float factor) {
  using D = DequantizeTile<Config>;
  float y[16];
#pragma unroll
  for (int at = 0; at < D::kVector; at += 8) {
    const int word = at * D::Format::kBytesOf8 / 32;
    constexpr bool kTwo = D::Format::kCodeBits == 8 && D::kCodeWords > 1;
    const uint32_t of_8[2] = {words[word], kTwo ? words[word + kTwo] : 0};
    float x[8];
    D::Format::template decode<Config::kHasE2m1Conversion != 0>(of_8, x);
#pragma unroll
    for (int i = 0; i < 8; ++i) y[at + i] = __fmul_rn(x[i], factor);
  }
  typename D::Vector vector;
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
  const int64_t blocks = ceil_div(params.columns, D::Format::kBlock);
  const int64_t first = begin + threadIdx.x % kStep;
  char* y = static_cast<char*>(params.y) + row * params.row_stride * D::kElementBytes +
            first * D::Vector::kBytes;
  const unsigned char* codes = params.codes + row * params.code_row_stride + first * D::kCodeBytes;
  const unsigned char* scales =
      params.scales + Layout::row_offset(row, blocks, params.scale_row_stride);
  // Elements of the row from the first vector on; more than a tile has are as good as any.
  const int64_t rest = params.columns - first * D::kVector;
  constexpr int kTile = D::kVectorsPerRow * D::kVector;
  const int left = rest < kTile ? static_cast<int>(rest) : kTile;
  // Several loads in flight, but for single elements, where addresses take the registers.
  constexpr int kAtATime = Config::kVectorBytes == 0 ? 1 : D::kVectorsPerThread;
#pragma unroll 1
  for (int from = 0; from < D::kVectorsPerThread; from += kAtATime) {
    uint32_t words[kAtATime][D::kCodeWords];
    float factor[kAtATime];
#pragma unroll
    for (int i = 0; i < kAtATime; ++i) {
      const int at = (from + i) * kStep;  // from the first vector
      if (at * D::kVector >= left) break;
      load_codes<D::kCodeBytes>(codes + at * D::kCodeBytes, words[i]);
      factor[i] =
          D::Format::factor(scales[Layout::block_offset((first + at) / D::kVectorsPerScale)], amax);
    }
#pragma unroll
    for (int i = 0; i < kAtATime; ++i) {
      const int at = (from + i) * kStep;
      const int count = left - at * D::kVector;
      if (count <= 0) break;
      dequantize_vector<Config>(words[i], factor[i])
          .template store<Config::kVectorBytes>(y + at * D::Vector::kBytes,
                                                count < D::kVector ? count : D::kVector);
    }
  }
}

template <class Config>
__device__ void dequantize(const DequantizeParams& params) {
  using D = DequantizeTile<Config>;
  const float amax = D::amax(params);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * D::kVectorsPerRow;
  for (int64_t row = D::first_row(); row < params.rows; row += D::row_step()) {
    dequantize_row<Config>(params, row, begin, amax);
  }
}

}  // namespace nibble
