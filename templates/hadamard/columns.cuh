// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// hadamard_columns: transforms of groups of kSize elements down the columns of a matrix.
#pragma once

#include "common/elements.cuh"
#include "common/math.cuh"
#include "hadamard/amax.cuh"
#include "hadamard/butterfly.cuh"
#include "hadamard/signs.cuh"

namespace nibble {

// A thread holds a vector of each of kRowsPerThread consecutive rows; the rest of a group's rows
// are in other lanes of its warp, whose low bits count vectors along the row.
template <class Config>
struct ColumnGroup {
  static constexpr int kElementBytes = Config::kElementType == kF32 ? 4 : 2;
  static constexpr int kRows = Config::kRowsPerThread;
  static constexpr int kLanes = Config::kSize / kRows;  // of a warp, that share columns
  static constexpr int kVector =
      (Config::kVectorBytes == 0 ? 4 : Config::kVectorBytes) / kElementBytes;
  static_assert(is_power_of_two(Config::kSize) && Config::kSize >= 2 && Config::kSize <= 128,
                "kSize: a power of two from 2 to 128");
  static_assert(is_power_of_two(kRows) && kRows <= 32 && kLanes >= 1 && kLanes <= 8,
                "kRowsPerThread: a power of two up to 32, an eighth of kSize or more");
  static_assert(kRows * kVector <= 128, "kRowsPerThread: 128 elements of a thread at most");
  static_assert(Config::kThreads % 32 == 0, "kThreads: a multiple of 32");
  static constexpr int kVectorsPerWarp = 32 / kLanes;
  static constexpr int kColumnsPerTile = Config::kThreads / kLanes * kVector;
  using Vector = Elements<Config::kElementType, kVector>;
};

// Adds the rows that this thread holds; t[row * vector + i].
template <class Config>
__device__ void add_rows(float (&t)[ColumnGroup<Config>::kRows * ColumnGroup<Config>::kVector]) {
  using G = ColumnGroup<Config>;
#pragma unroll
  for (int rows = 1; rows < G::kRows; rows *= 2) butterflies(t, rows * G::kVector);
#pragma unroll
  for (int lanes = G::kVectorsPerWarp; lanes < 32; lanes *= 2) lane_butterflies(t, lanes);
}

// The rows of a thread, from address `from` on; `count` elements of each, those beyond it 0.
template <class Config>
__device__ void load_rows(typename ColumnGroup<Config>::Vector (&block)[ColumnGroup<Config>::kRows],
                          const char* from, int64_t pitch, int count) {
  using G = ColumnGroup<Config>;
  if (count == G::kVector) {
#pragma unroll
    for (int r = 0; r < G::kRows; ++r) {
      block[r].template load<Config::kVectorBytes, false>(from + r * pitch);
    }
    return;
  }
#pragma unroll
  for (int r = 0; r < G::kRows; ++r) {
    if (G::kVector > 1 && count > 0) {
      block[r].template load<0, false>(from + r * pitch, count);
    } else {
#pragma unroll
      for (uint32_t& word : block[r].word) word = 0;
    }
  }
}

template <class Config>
__device__ void store_rows(
    const typename ColumnGroup<Config>::Vector (&block)[ColumnGroup<Config>::kRows], char* to,
    int64_t pitch, int count) {
  using G = ColumnGroup<Config>;
  if (count == G::kVector) {
#pragma unroll
    for (int r = 0; r < G::kRows; ++r) {
      block[r].template store<Config::kVectorBytes>(to + r * pitch, G::kVector);
    }
  } else if (G::kVector > 1 && count > 0) {
#pragma unroll
    for (int r = 0; r < G::kRows; ++r) block[r].template store<0>(to + r * pitch, count);
  }
}

template <class Config>
__device__ void hadamard_columns(const HadamardParams& params) {
  using G = ColumnGroup<Config>;
  using Vector = typename G::Vector;
  const int lane = threadIdx.x % 32;
  const int row_in_group = lane / G::kVectorsPerWarp * G::kRows;
  const int vector = threadIdx.x / 32 * G::kVectorsPerWarp + lane % G::kVectorsPerWarp;
  constexpr bool kFlipsInput = Config::kSigns != 0 && Config::kInverse == 0;
  constexpr bool kFlipsOutput = Config::kSigns != 0 && Config::kInverse != 0;
  // Every lane has the same default signs where its rows are a multiple of their period.
  constexpr bool kKnown = Config::kSigns == 3 && (G::kRows % 16 == 0 || G::kLanes == 1);
  const uint32_t signs = kKnown ? kDefaultSignBits : sign_bits<Config>(params, row_in_group);
  float largest = 0.0f;
  // Tiles are numbered along the rows, then down.
  const int64_t across = ceil_div(params.columns, G::kColumnsPerTile);
  const int64_t tiles = across * (params.rows / Config::kSize);
#pragma unroll 1
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t group = divide(tile, across);
    const int64_t column = (tile - group * across) * G::kColumnsPerTile + vector * G::kVector;
    const int64_t left = params.columns - column;
    const int count = left < G::kVector ? static_cast<int>(left) : G::kVector;
    const int64_t row = group * Config::kSize + row_in_group;
    Vector block[G::kRows];
    load_rows<Config>(block,
                      static_cast<const char*>(params.x) +
                          (row * params.x_row_stride + column) * G::kElementBytes,
                      params.x_row_stride * G::kElementBytes, count);
    float t[G::kRows * G::kVector];
#pragma unroll
    for (int i = 0; i < G::kRows * G::kVector; ++i) {
      if constexpr (kFlipsInput && !kKnown) {
        if (i % G::kVector == 0) flip_all(block[i / G::kVector], signs >> (i / G::kVector));
      }
      t[i] = block[i / G::kVector].value(i % G::kVector);
      if constexpr (kFlipsInput && kKnown) {
        if ((kDefaultSignBits >> (i / G::kVector % 16) & 1) != 0) t[i] = -t[i];
      }
    }
    add_rows<Config>(t);
    if constexpr (Config::kAmax != 0) largest = fmaxf(largest, largest_magnitude(t));
    if constexpr (Config::kWrite != 0) {
#pragma unroll
      for (int r = 0; r < G::kRows; ++r) {
        // The sign goes with the scale: a NaN stays as it is.
        const float factor = kFlipsOutput ? flipped(params.scale, signs, r) : params.scale;
#pragma unroll
        for (int i = 0; i < G::kVector; ++i) {
          t[r * G::kVector + i] = __fmul_rn(t[r * G::kVector + i], factor);
        }
        block[r].set(t + r * G::kVector);
      }
      store_rows<Config>(
          block,
          static_cast<char*>(params.y) + (row * params.y_row_stride + column) * G::kElementBytes,
          params.y_row_stride * G::kElementBytes, count);
    }
  }
  if constexpr (Config::kAmax != 0) reduce_transformed<Config>(largest, params);
}

}  // namespace nibble
