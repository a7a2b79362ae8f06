// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The elements of one thread, in shared memory, where those of the tile lie row by row: as many
// rows as a block has elements, by 16 bytes of columns there. Columns of a patch are whole blocks
// of the transpose; a few neighbouring lanes share the blocks of its rows. Code can loop over rows
// and columns, which registers would not let it do.
#pragma once

#include "common/words.cuh"
#include "ptx/async.cuh"
#include "ptx/memory.cuh"
#include "quantize/hadamard_group.cuh"

namespace nibble {

// Columns of a tile, and rows but where Config::kRowsPerTile is half of it.
enum : int { kPatchTile = 128 };

// A Config as the templates of patches see it: with kWiden 16-bit elements are fp32 in shared
// memory, and a thread has half as many. kSourceType: of x.
template <class Config>
struct PatchConfig : Config {
  enum : int {
    kSourceType = Config::kElementType,
    kElementType = Config::kWiden != 0 ? int{kF32} : int{Config::kElementType}
  };
};

template <int kElementType, int kRows, int kSource>
struct Patch {
  using W = Words<kElementType, kSource>;
  using Source = Words<kSource>;  // in memory
  static constexpr bool kWidens = kSource != kElementType;
  static constexpr int kColumns = 16 / W::kElementBytes;
  static constexpr int kAcross = kPatchTile / kColumns;  // patches
  static constexpr int kPitch = kAcross + 1;             // from row to row; odd, for the banks

  // Where row r of the tile begins. Patches have a gap between them, for the banks too.
  __device__ static constexpr int row_at(int r) { return r * kPitch + r / kRows; }
  // Of 16 bytes.
  __device__ static constexpr int tile_words(int rows) { return rows * kPitch + rows / kRows; }

  uint4* mine;  // row r at mine[r * kPitch]

  // Begins to load from `x`, the address of the patch, on; ptx::cp_async_wait_all() ends it. Of its
  // rows `rows` exist, of its columns `columns`, both perhaps <= 0; the others become 0.
  template <int kVectorBytes>
  __device__ void load(const char* x, int64_t row_bytes, int rows, int columns) {
    if (kVectorBytes != 0 && columns >= kColumns) {
      load_vectors(x, row_bytes, rows);
      return;
    }
#pragma unroll 1
    for (int r = 0; r < kRows; ++r) {
      mine[r * kPitch] = elements(x, r < rows ? columns : 0);
      x += row_bytes;
    }
  }

  // Row r.
  __device__ void row(int r, uint32_t (&y)[4]) const {
    const uint4 words = mine[r * kPitch];
    y[0] = words.x;
    y[1] = words.y;
    y[2] = words.z;
    y[3] = words.w;
  }

  // Row r, or what the transform makes of it. A group lies in neighbouring lanes.
  template <int kTransform, int kSize>
  __device__ void row(int r, const uint32_t (&signs)[4], uint32_t (&y)[4]) const {
    row(r, y);
    if constexpr (kTransform != kNoTransform) {
      float z[kColumns];
#pragma unroll
      for (int i = 0; i < kColumns; ++i) z[i] = W::value(y[i / W::kPerWord], i % W::kPerWord);
      hadamard_group<kTransform, kSize, !W::kIs32Bit>(z, signs, threadIdx.x % (kSize / kColumns),
                                                      0xffffffffu);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        y[j] = W::pack(z[j * W::kPerWord], z[j * W::kPerWord + W::kPerWord - 1]);
      }
    }
  }

  // Word column j.
  __device__ void column(int j, uint32_t (&y)[kRows]) const {
#pragma unroll
    for (int r = 0; r < kRows; ++r) y[r] = reinterpret_cast<const uint32_t*>(mine + r * kPitch)[j];
  }

  // What the transform of kRows elements makes of column h of a word column, two rows in a word.
  template <int kTransform>
  __device__ static void transformed_column(const uint32_t (&y)[kRows], int h,
                                            const uint32_t (&signs)[4],
                                            uint32_t (&pairs)[kRows / 2]) {
    float z[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) z[i] = W::value(y[i], h);
    hadamard_group<kTransform, kRows, !W::kIs32Bit>(z, signs, 0, 0);
#pragma unroll
    for (int i = 0; i < kRows; i += 2) pairs[i / 2] = W::pack(z[i], z[i + 1]);
  }

  // What the transform makes of all columns of a word column. `rows` exist; a group of which none
  // does stays 0: signs would make some of it -0.
  template <int kTransform, int kSize>
  __device__ static void transform_column(const uint32_t (&signs)[4], int rows,
                                          uint32_t (&y)[kRows]) {
    static_assert(kRows % kSize == 0, "kColumnTransformSize: at most a block");
    if constexpr (kTransform != kNoTransform) {
#pragma unroll
      for (int first = 0; first < kRows; first += kSize) {
        if (first > 0 && first >= rows) continue;
        float z[W::kPerWord][kSize];
#pragma unroll
        for (int h = 0; h < W::kPerWord; ++h) {
#pragma unroll
          for (int i = 0; i < kSize; ++i) z[h][i] = W::value(y[first + i], h);
          hadamard_group<kTransform, kSize, !W::kIs32Bit>(z[h], signs, 0, 0);
        }
#pragma unroll
        for (int i = 0; i < kSize; ++i) y[first + i] = W::pack(z[0][i], z[W::kPerWord - 1][i]);
      }
    }
  }

  // What the transforms make of the patch takes its place, where groups down columns lie in it.
  template <class Config>
  __device__ void transform(const uint32_t (&signs)[2][4], int rows) {
    if constexpr (Config::kRowTransform != kNoTransform) {
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        row<Config::kRowTransform, Config::kRowTransformSize>(r, signs[0], y);
        mine[r * kPitch] = make_uint4(y[0], y[1], y[2], y[3]);
      }
    }
    if constexpr (Config::kColumnTransform != kNoTransform &&
                  Config::kColumnTransformSize <= kRows) {
#pragma unroll 1
      for (int j = 0; j < 4; ++j) {
        uint32_t y[kRows];
        column(j, y);
        transform_column<Config::kColumnTransform, Config::kColumnTransformSize>(signs[1], rows, y);
#pragma unroll
        for (int r = 0; r < kRows; ++r) reinterpret_cast<uint32_t*>(mine + r * kPitch)[j] = y[r];
      }
    }
  }

 private:
  __device__ void load_vectors(const char* x, int64_t row_bytes, int rows) {
    if constexpr (kWidens) {
      uint32_t pairs[kRows][2];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        pairs[r][0] = pairs[r][1] = 0;
        if (r < rows) ptx::ld_global_nc_v2_b32(x, pairs[r]);
        x += row_bytes;
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const auto word = [&](int i) {
          return __float_as_uint(Source::value(pairs[r][i / 2], i % 2));
        };
        mine[r * kPitch] = make_uint4(word(0), word(1), word(2), word(3));
      }
    } else if (rows >= kRows) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        ptx::cp_async_cg_16(mine + r * kPitch, x);
        x += row_bytes;
      }
    } else {
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        if (r < rows) {
          ptx::cp_async_cg_16(mine + r * kPitch, x);
        } else {
          mine[r * kPitch] = make_uint4(0, 0, 0, 0);
        }
        x += row_bytes;
      }
    }
  }

  // Of a row of the patch, the first `count`; then zeros. All loads before the first use.
  __device__ static uint4 elements(const char* from, int count) {
    uint32_t bits[kColumns];
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      bits[i] = 0;
      if (i >= count) continue;
      bits[i] = Source::kIs32Bit ? reinterpret_cast<const uint32_t*>(from)[i]
                                 : reinterpret_cast<const uint16_t*>(from)[i];
    }
    const auto word = [&](int j) {
      if constexpr (kWidens) {
        return __float_as_uint(Source::value(bits[j], 0));
      } else if constexpr (W::kIs32Bit) {
        return bits[j];
      } else {
        return bits[2 * j] | bits[2 * j + 1] << 16;
      }
    };
    return make_uint4(word(0), word(1), word(2), word(3));
  }
};

}  // namespace nibble
