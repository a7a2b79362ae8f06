// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The elements of one thread, in shared memory: as many rows as a block has elements, by 16 bytes
// of columns. Columns of a patch are whole blocks of the transpose; a few neighbouring lanes share
// the blocks of its rows. No thread touches another's, so that there is nothing to wait for, and
// code can loop over rows and columns, which registers would not let it do.
#pragma once

#include "common/words.cuh"
#include "ptx/async.cuh"
#include "ptx/reduce.cuh"
#include "quantize/hadamard16.cuh"

namespace nibble {

template <int kElementType, int kRows, int kThreads>
struct Patch {
  using W = Words<kElementType>;
  static constexpr int kColumns = 16 / W::kElementBytes;
  static constexpr int kPitch = kThreads + 1;         // from row to row; odd, for the banks
  static constexpr int kBytes = kRows * kPitch * 16;  // of all threads' patches

  uint4* mine;  // row r at mine[r * kPitch]

  // Begins to load from `x`, the address of the patch, on; ptx::cp_async_wait_all() ends it. Of its
  // rows `rows` exist, of its columns `columns`, both perhaps <= 0; the others become 0.
  template <int kVectorBytes>
  __device__ void load(const char* x, int64_t row_bytes, int rows, int columns) {
    if (kVectorBytes != 0 && columns >= kColumns && rows >= kRows) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        ptx::cp_async_cg_16(mine + r * kPitch, x);
        x += row_bytes;
      }
      return;
    }
#pragma unroll 1
    for (int r = 0; r < kRows; ++r) {
      mine[r * kPitch] = make_uint4(0, 0, 0, 0);
      const int count = r >= rows ? 0 : columns < kColumns ? columns : kColumns;
      if constexpr (W::kIs32Bit) {
        copy_elements<uint32_t>(mine + r * kPitch, x + r * row_bytes, count);
      } else {
        copy_elements<uint16_t>(mine + r * kPitch, x + r * row_bytes, count);
      }
    }
  }

  // Row r, or what the transform makes of it. Its groups of 16 lie in 16 / kColumns lanes.
  template <int kTransform>
  __device__ void row(int r, uint32_t signs, uint32_t (&y)[4]) const {
    const uint4 words = mine[r * kPitch];
    y[0] = words.x;
    y[1] = words.y;
    y[2] = words.z;
    y[3] = words.w;
    if constexpr (kTransform != kNoTransform) {
      constexpr int kLanes = 16 / kColumns;
      const uint32_t all = kTransform == kDefaultSigns ? kDefaultSignMask : signs;
      const int lane = threadIdx.x % kLanes;
      float z[kColumns];
#pragma unroll
      for (int i = 0; i < kColumns; ++i) z[i] = W::value(y[i / W::kPerWord], i % W::kPerWord);
      hadamard<kGivenSigns, !W::kIs32Bit>(z, all >> (lane * kColumns));
#pragma unroll
      for (int distance = 1; distance < kLanes; distance *= 2) {
#pragma unroll
        for (float& value : z) {
          const float other =
              __uint_as_float(ptx::shfl_sync_bfly_b32(__float_as_uint(value), distance));
          value = (lane & distance) != 0 ? __fsub_rn(other, value) : __fadd_rn(value, other);
        }
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        y[j] = W::pack(z[j * W::kPerWord], z[j * W::kPerWord + W::kPerWord - 1]);
      }
    }
  }

  // Word columns 2 j and 2 j + 1, or what the transform makes of them. `rows` exist; a group of 16
  // of which none does stays 0: signs would make some of it -0.
  template <int kTransform>
  __device__ void columns(int j, uint32_t signs, int rows, uint32_t (&y)[2][kRows]) const {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const uint2 words = reinterpret_cast<const uint2*>(mine + r * kPitch)[j];
      y[0][r] = words.x;
      y[1][r] = words.y;
    }
    if constexpr (kTransform != kNoTransform) {
#pragma unroll
      for (uint32_t(&column)[kRows] : y) {
#pragma unroll
        for (int first = 0; first < kRows; first += 16) {
          if (first > 0 && first >= rows) continue;
          float z[W::kPerWord][16];
#pragma unroll
          for (int h = 0; h < W::kPerWord; ++h) {
#pragma unroll
            for (int i = 0; i < 16; ++i) z[h][i] = W::value(column[first + i], h);
            hadamard<kTransform, !W::kIs32Bit>(z[h], signs);
          }
#pragma unroll
          for (int i = 0; i < 16; ++i) column[first + i] = W::pack(z[0][i], z[W::kPerWord - 1][i]);
        }
      }
    }
  }

  // What the transforms make of the patch takes its place.
  template <int kRowTransform, int kColumnTransform>
  __device__ void transform(const uint32_t (&signs)[2], int rows) {
    if constexpr (kRowTransform != kNoTransform) {
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        row<kRowTransform>(r, signs[0], y);
        mine[r * kPitch] = make_uint4(y[0], y[1], y[2], y[3]);
      }
    }
    if constexpr (kColumnTransform != kNoTransform) {
#pragma unroll 1
      for (int j = 0; j < 2; ++j) {
        uint32_t y[2][kRows];
        columns<kColumnTransform>(j, signs[1], rows, y);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          reinterpret_cast<uint2*>(mine + r * kPitch)[j] = make_uint2(y[0][r], y[1][r]);
        }
      }
    }
  }

 private:
  template <class Element>
  __device__ static void copy_elements(uint4* to, const char* from, int count) {
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      reinterpret_cast<Element*>(to)[i] = reinterpret_cast<const Element*>(from)[i];
    }
  }
};

}  // namespace nibble
