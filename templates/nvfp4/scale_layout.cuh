// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Where the E4M3 scales lie: that of block c of row r at row_offset(r) + block_offset(c).
#pragma once

#include "common/math.cuh"

namespace nibble {

template <int kLayout>
struct ScaleLayout {
  static_assert(kLayout == kRowMajor || kLayout == k128x4,
                "kScaleLayout: 0 (row-major) or 1 (128x4)");
};

template <>
struct ScaleLayout<kRowMajor> {
  __device__ static int64_t padded_rows(int64_t rows) { return rows; }
  __device__ static int64_t padded_blocks(int64_t blocks) { return blocks; }
  __device__ static int64_t row_offset(int64_t row, int64_t, int64_t row_stride) {
    return row * row_stride;
  }
  __device__ static int64_t block_offset(int64_t block) { return block; }
};

// What the tensor cores of sm_100 read: tiles of 128 rows x 4 blocks, 512 bytes each, those of the
// same rows one after the other. Byte (r % 32) * 16 + (r % 128 / 32) * 4 + c % 4 of its tile.
// https://docs.nvidia.com/cuda/cublas/#d-block-scaling-factors-layout
template <>
struct ScaleLayout<k128x4> {
  __device__ static int64_t padded_rows(int64_t rows) { return round_up(rows, 128); }
  __device__ static int64_t padded_blocks(int64_t blocks) { return round_up(blocks, 4); }
  __device__ static int64_t row_offset(int64_t row, int64_t blocks, int64_t) {
    return (row >> 7) * padded_blocks(blocks) * 128 + (row & 31) * 16 + (row >> 5 & 3) * 4;
  }
  __device__ static int64_t block_offset(int64_t block) { return (block >> 2) * 512 + (block & 3); }
};

}  // namespace nibble
