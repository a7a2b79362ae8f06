// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The transform down columns whose groups take the rows of several patches: it takes the place of
// the elements in shared memory before patches are quantised.
#pragma once

#include "quantize/hadamard_group.cuh"
#include "quantize/patch.cuh"

namespace nibble {

template <class Config, int kRows>
struct ColumnGroups {
  static constexpr int kSize = Config::kColumnTransformSize;
  // Smaller groups lie in a patch, which transforms them itself.
  static constexpr bool kTransforms = Config::kColumnTransform != kNoTransform && kSize > kRows;
  using ThePatch = Patch<Config::kElementType, kRows, Config::kSourceType>;
  using W = typename ThePatch::W;

  // A thread has 16 rows of a word column, neighbouring lanes those below.
  static constexpr int kPart = 16;
  static constexpr int kParts = Config::kRowsPerTile / kPart;
  static constexpr int kLanes = kSize / kPart;
  static constexpr int kWordColumns = 4 * ThePatch::kAcross;
  static constexpr int kStep = Config::kThreads / kParts;  // word columns at a time
  static_assert(!kTransforms || (Config::kThreads % 32 == 0 && kWordColumns % kStep == 0 &&
                                 kSize <= Config::kRowsPerTile));

  // Of the tile, where `rows` of the matrix are in it: of each group all or none. The others stay
  // 0: signs would make some of them -0. Between barriers.
  __device__ static void transform(uint4* patches, const uint32_t (&signs)[4], int rows) {
    const int part = static_cast<int>(threadIdx.x % kParts);
    const int first = part * kPart;
    uint32_t* const mine = reinterpret_cast<uint32_t*>(patches + ThePatch::row_at(first));
#pragma unroll 1
    for (int j = static_cast<int>(threadIdx.x) / kParts; j < kWordColumns; j += kStep) {
      float z[W::kPerWord][kPart];
#pragma unroll
      for (int r = 0; r < kPart; ++r) {
        const uint32_t word = mine[r * 4 * ThePatch::kPitch + j];
#pragma unroll
        for (int h = 0; h < W::kPerWord; ++h) z[h][r] = W::value(word, h);
      }
#pragma unroll
      for (int h = 0; h < W::kPerWord; ++h) {
        hadamard_group<Config::kColumnTransform, kSize, !W::kIs32Bit>(z[h], signs, part % kLanes,
                                                                      0xffffffffu);
      }
      if (first >= rows) continue;
#pragma unroll
      for (int r = 0; r < kPart; ++r) {
        mine[r * 4 * ThePatch::kPitch + j] = W::pack(z[0][r], z[W::kPerWord - 1][r]);
      }
    }
  }
};

}  // namespace nibble
