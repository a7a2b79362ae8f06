// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The Hadamard matrices of 12, 20 and 28: Paley's constructions over the integers modulo 11, 19
// and 13. Rows of bits, made by the compiler.
#pragma once

#include "common/types.cuh"

namespace nibble {

// 1 where a is a square modulo q and not 0, -1 where it is none.
__device__ constexpr int quadratic_character(int a, int q) {
  const int residue = (a % q + q) % q;
  if (residue == 0) return 0;
  for (int i = 1; i < q; ++i) {
    if (i * i % q == residue) return 1;
  }
  return -1;
}

// [0 1 .. 1; s .. Q] with Q[i][j] = character(i - j); s: 1 where -1 is a square, else -1.
__device__ constexpr int conference_entry(int row, int column, int q) {
  if (row == 0) return column == 0 ? 0 : 1;
  if (column == 0) return quadratic_character(-1, q);
  return quadratic_character(row - column, q);
}

template <int kOrder>
struct BaseMatrix {
  static_assert(kOrder == 12 || kOrder == 20 || kOrder == 28, "12, 20 or 28");
  uint32_t negative[kOrder] = {};  // bit j of row i: entry (i, j) is -1

  __device__ constexpr BaseMatrix() {
    for (int i = 0; i < kOrder; ++i) {
      for (int j = 0; j < kOrder; ++j) {
        if (entry(i, j) < 0) negative[i] |= 1u << j;
      }
    }
  }
  // 12, 20: I + C, C of order q + 1. 28: C of order 14 with 1 -> [1 1; 1 -1], 0 -> [1 -1; -1 -1].
  __device__ static constexpr int entry(int i, int j) {
    if (kOrder != 28) return i == j ? 1 : conference_entry(i, j, kOrder - 1);
    const int c = conference_entry(i / 2, j / 2, 13);
    const bool both = i % 2 == 1 && j % 2 == 1;
    if (c == 0) return i % 2 == 0 && j % 2 == 0 ? 1 : -1;
    return both ? -c : c;
  }
};

// t = H t, or its transpose, over kOrder numbers: elements kStride apart. Quads are added as
// (0 +- 1) +- (2 +- 3), each with the sign that its first has, and then one after the other.
template <int kOrder, int kStride, bool kTransposed>
__device__ void multiply_base(float* t) {
  constexpr BaseMatrix<kOrder> kMatrix;
  float sum[kOrder];
#pragma unroll
  for (int quad = 0; quad < kOrder / 4; ++quad) {
    const float a = t[(4 * quad) * kStride], b = t[(4 * quad + 1) * kStride];
    const float c = t[(4 * quad + 2) * kStride], d = t[(4 * quad + 3) * kStride];
    // Bit 0: a minus b, bit 1: minus (c +- d), bit 2: c minus d.
    float of[8];
#pragma unroll
    for (int signs = 0; signs < 8; ++signs) {
      const float ab = __fadd_rn(a, signs & 1 ? -b : b);
      const float cd = __fadd_rn(c, signs & 4 ? -d : d);
      of[signs] = __fadd_rn(ab, signs & 2 ? -cd : cd);
    }
#pragma unroll
    for (int i = 0; i < kOrder; ++i) {
      uint32_t negative = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int j = 4 * quad + k;
        negative |= (kTransposed ? kMatrix.negative[j] >> i & 1 : kMatrix.negative[i] >> j & 1)
                    << k;
      }
      const uint32_t first = negative & 1;
      const uint32_t signs = (first ^ (negative >> 1 & 1)) | (first ^ (negative >> 2 & 1)) << 1 |
                             ((negative >> 2 & 1) ^ (negative >> 3 & 1)) << 2;
      const float term = first ? -of[signs] : of[signs];
      sum[i] = quad == 0 ? term : __fadd_rn(sum[i], term);
    }
  }
#pragma unroll
  for (int i = 0; i < kOrder; ++i) t[i * kStride] = sum[i];
}

}  // namespace nibble
