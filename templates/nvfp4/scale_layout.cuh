// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Where the scale of block c of row r lies: offset(r, c) = scale_row_offset(r) + scale_offset(c).
// 128x4: rows and blocks are padded to multiples of 128 and 4; each 128 x 4 tile is 512 bytes,
// tiles of the same rows follow each other:
//   ((r / 128) * ceil(C / 4) + c / 4) * 512 + (r % 32) * 16 + (r % 128 / 32) * 4 + c % 4
// https://docs.nvidia.com/cuda/cublas/#d-block-scaling-factors-layout
#pragma once

#include "common/math.cuh"

namespace nibble {

template <int kLayout>
__device__ int64_t scale_rows(int64_t rows) {
  return kLayout == k128x4 ? round_up(rows, 128) : rows;
}

template <int kLayout>
__device__ int64_t scale_columns(int64_t blocks) {
  return kLayout == k128x4 ? round_up(blocks, 4) : blocks;
}

// row_stride (bytes) matters to the row-major layout alone.
template <int kLayout>
__device__ int64_t scale_row_offset(int64_t row, int64_t blocks, int64_t row_stride) {
  if constexpr (kLayout == k128x4) {
    return (row >> 7) * ((blocks + 3) >> 2) * 512 + (row & 31) * 16 + (row >> 5 & 3) * 4;
  } else {
    return row * row_stride;
  }
}

template <int kLayout>
__device__ int64_t scale_offset(int64_t block) {
  return kLayout == k128x4 ? (block >> 2) * 512 + (block & 3) : block;
}

}  // namespace nibble
