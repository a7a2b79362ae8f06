// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How the three kernels of this folder divide a matrix among threads. A thread block works on
// tiles of kRowsPerTile rows; kThreads / kRowsPerTile neighbouring threads share a row, and each
// has kBlocksPerThread of its 16-element blocks, that many threads apart.
#pragma once

#include "common/math.cuh"

namespace nibble {

template <class Config>
struct Tile {
  static_assert(Config::kThreads % 32 == 0 && Config::kThreads >= 32 && Config::kThreads <= 1024,
                "kThreads: a multiple of 32 from 32 to 1024");
  static_assert(is_power_of_two(Config::kRowsPerTile) &&
                    Config::kThreads % Config::kRowsPerTile == 0,
                "kRowsPerTile: a power of two that divides kThreads");
  static_assert(is_power_of_two(Config::kBlocksPerThread) && Config::kBlocksPerThread <= 8,
                "kBlocksPerThread: 1, 2, 4 or 8");
  static_assert(Config::kElementType == kF32 || Config::kElementType == kF16 ||
                    Config::kElementType == kBf16,
                "kElementType: 0 (f32), 1 (f16) or 2 (bf16)");
  static_assert(Config::kVectorBytes == 0 || Config::kVectorBytes == 16 ||
                    Config::kVectorBytes == 32,
                "kVectorBytes: 0, 16, or from sm_100 on 32");

  enum : int {
    kThreadsPerRow = Config::kThreads / Config::kRowsPerTile,
    kBlocksPerRow = kThreadsPerRow * Config::kBlocksPerThread,
  };

  // The first row and block of this thread, and the way to those of its next tile.
  __device__ static int64_t first_row() {
    return static_cast<int64_t>(blockIdx.y) * Config::kRowsPerTile + threadIdx.x / kThreadsPerRow;
  }
  __device__ static int64_t row_step() {
    return static_cast<int64_t>(gridDim.y) * Config::kRowsPerTile;
  }
  __device__ static int64_t first_block() {
    return static_cast<int64_t>(blockIdx.x) * kBlocksPerRow + threadIdx.x % kThreadsPerRow;
  }
  // How many of the thread's blocks, from `first` on, come before block `end`.
  __device__ static int count_below(int64_t first, int64_t end) {
    int count = 0;
#pragma unroll
    for (int i = 0; i < Config::kBlocksPerThread; ++i) count += first + i * kThreadsPerRow < end;
    return count;
  }
  __device__ static int64_t block_step() { return static_cast<int64_t>(gridDim.x) * kBlocksPerRow; }
};

// Elements of a row in a block that starts inside it: 16, fewer in a ragged last block.
__device__ inline int block_count(int64_t block, int64_t columns) {
  const int64_t left = columns - block * kBlockSize;
  return left < kBlockSize ? static_cast<int>(left) : kBlockSize;
}

}  // namespace nibble
