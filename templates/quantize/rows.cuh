// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize row by row: whole blocks to a thread, which needs nothing from the others.
#pragma once

#include "common/elements.cuh"
#include "common/words.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "ptx/reduce.cuh"
#include "quantize/encode.cuh"
#include "quantize/hadamard_group.cuh"
#include "quantize/tile.cuh"

namespace nibble {

// One block of a row, from memory to codes.
template <class Config>
struct RowBlock {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using E = Encoder<Config>;
  using Part = Elements<Config::kElementType>;
  static constexpr int kParts = Format::kBlock / 16;
  static constexpr int kBytes = kParts * Part::kBytes;  // of x
  static constexpr int kCodeBytes = Format::kBlock * Format::kCodeBits / 8;

  Part part[kParts];

  __device__ void load(const char* x) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      part[p].template load<Config::kVectorBytes>(x + p * Part::kBytes);
    }
  }
  // The first `count` >= 1 elements; the others become 0.
  __device__ void load(const char* x, int count) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      if (count > 16 * p) {
        part[p].template load<Config::kVectorBytes>(x + p * Part::kBytes, count - 16 * p);
      } else {
#pragma unroll
        for (uint32_t& word : part[p].word) word = 0;
      }
    }
  }

  // Groups larger than a block lie in the blocks of neighbouring lanes, of which all go the same
  // way: there are only whole groups in a row. kWarp: all lanes of the warp do. `count` elements
  // exist, all with kWarp; a group of which none does stays 0: signs would make some of it -0.
  static constexpr int kSize = Config::kRowTransformSize;
  static constexpr int kCount = kSize < Format::kBlock ? kSize : Format::kBlock;  // of a thread
  static constexpr int kLanes = kSize / kCount;
  static_assert(kLanes == 1 || Tile<Config>::kThreadsPerRow % 32 == 0,
                "kRowTransformSize: more than a block takes whole warps of a row");
  template <bool kWarp>
  __device__ void transform(const uint32_t (&signs)[4], int count) {
    if constexpr (Config::kRowTransform != kNoTransform) {
      const int lane = threadIdx.x % kLanes;
      const uint32_t members =
          kWarp ? 0xffffffffu : ((1u << kLanes) - 1) << (threadIdx.x % 32 - lane);
#pragma unroll
      for (int first = 0; first < kParts; first += kCount / 16) {
        if (!kWarp && first > 0 && 16 * first >= count) continue;
        float z[kCount];
#pragma unroll
        for (int i = 0; i < kCount; ++i) z[i] = part[first + i / 16].value(i % 16);
        hadamard_group<Config::kRowTransform, kSize, !W::kIs32Bit>(z, signs, lane, members);
#pragma unroll
        for (int p = 0; p < kCount / 16; ++p) part[first + p].set(z + 16 * p);
      }
    }
  }

  // max |x|; NaN counts as 0. Makes NaN positive where the encoder needs that.
  __device__ float amax() {
    uint32_t m = largest<!E::kSignsApart>();
    if constexpr (E::kSignsApart) {
      if (m > W::kInfinity) {
#pragma unroll
        for (Part& some : part) {
#pragma unroll
          for (uint32_t& word : some.word) word = W::positive_nan(word);
        }
        m = largest<true>();
      }
    }
    return W::kIs32Bit || !W::kIsBf16 ? W::value(m, 0) : __uint_as_float(m << 16);
  }

  // Stores codes; returns the scale. Raises `recorded` to the block's amax.
  __device__ uint32_t quantize(const QuantizeParams& params, const typename Format::Tensor& tensor,
                               int64_t row, int64_t block, unsigned char* codes, float& recorded) {
    const float block_amax = amax();
    if constexpr (Config::kRecordsAmax != 0) recorded = fmaxf(recorded, block_amax);
    const uint32_t scale = scale_of(block_amax, tensor);
    const float factor = Format::factor(static_cast<uint8_t>(scale), tensor);
    uint32_t words[kParts * 2][E::kWords];
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      uint32_t random[4] = {};
      if constexpr (E::kStochastic) {
        dither_words(params.keys, 0, row, block * kParts + p, random);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        constexpr int kWordsOfEight = 8 / W::kPerWord;
        float x[8];
        uint32_t w[kWordsOfEight];
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = part[p].value(8 * half + i);
#pragma unroll
        for (int i = 0; i < kWordsOfEight; ++i) w[i] = part[p].word[kWordsOfEight * half + i];
        E::template encode<false>(x, factor, E::signs_of(w), random[2 * half], random[2 * half + 1],
                                  words[2 * p + half]);
      }
    }
    store(params.copies[0], &words[0][0], codes);
    return scale;
  }

 private:
  __device__ uint32_t scale_of(float amax, const typename Format::Tensor& tensor) const {
    if constexpr (!Format::kChooses) {
      return Format::scale(amax, tensor);
    } else {
      typename Format::Choice choice(amax, tensor);
#pragma unroll
      for (int i = 0; i < 16; ++i) choice.add(part[0].value(i));
      return choice.scale();
    }
  }

  // A block's codes: 8, 16 or 32 bytes.
  __device__ static void store(const QuantizedCopy& copy, const uint32_t* words,
                               unsigned char* codes) {
    const uint64_t alignment =
        reinterpret_cast<uint64_t>(copy.codes) | static_cast<uint64_t>(copy.code_row_stride);
    if (kCodeBytes % 16 == 0 && alignment % 16 == 0) {
#pragma unroll
      for (int at = 0; at < kCodeBytes; at += 16) ptx::st_global_v4_b32(codes + at, words + at / 4);
    } else {
#pragma unroll
      for (int at = 0; at < kCodeBytes; at += 8) ptx::st_global_v2_b32(codes + at, words + at / 4);
    }
  }

  // The bits of the largest magnitude; NaN counts as 0, or is larger than infinity.
  template <bool kIgnoreNan>
  __device__ uint32_t largest() const {
    uint32_t m = 0;
#pragma unroll
    for (const Part& some : part) {
#pragma unroll
      for (uint32_t word : some.word) {
        m = kIgnoreNan ? W::max_abs(m, word) : W::max_abs_or_nan(m, word);
      }
    }
    m &= W::kMagnitude;
    if constexpr (W::kIs32Bit) return m;
    const uint32_t low = m & 0xffffu;
    const uint32_t high = m >> 16;
    return low > high ? low : high;
  }
};

// The blocks of a thread in a row: the same in all rows of a matrix.
template <class Config>
struct RowBlocks {
  using T = Tile<Config>;
  using Block = RowBlock<Config>;
  using Format = typename Block::Format;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  static constexpr int kCount = Config::kBlocksPerThread;
  static constexpr int kStep = T::kThreadsPerRow;

  const QuantizeParams& params;
  const typename Format::Tensor tensor;
  const int64_t blocks;  // of a row
  int64_t first;         // of the thread's blocks, the others kStep apart
  // Of the thread's blocks: those with all of their elements, any element, padding included.
  int full, present, all;
  float recorded = 0.0f;  // max |x|

  __device__ explicit RowBlocks(const QuantizeParams& of)
      : params(of),
        tensor(Format::tensor(of.copies[0].amax)),
        blocks(ceil_div(params.columns, Format::kBlock)) {}

  __device__ void begin_at(int64_t block) {
    first = block;
    full = T::count_below(first, params.columns / Format::kBlock);
    present = T::count_below(first, blocks);
    all = T::count_below(first, Layout::padded_blocks(blocks));
  }

  // Rows of padding have scales too.
  __device__ void quantize(int64_t row) {
    const QuantizedCopy& copy = params.copies[0];
    const int written = row < params.rows ? present : 0;
    const char* x = static_cast<const char*>(params.x) +
                    row * params.row_stride * Block::W::kElementBytes + first * Block::kBytes;
    unsigned char* codes = copy.codes + row * copy.code_row_stride + first * Block::kCodeBytes;
    unsigned char* scales = copy.scales + Layout::row_offset(row, blocks, copy.scale_row_stride);
    bool whole = full == kCount && written != 0;
    if constexpr (Block::kLanes > 1) whole = !ptx::vote_sync_any(!whole);
    if (whole) {
      Block block[kCount];
#pragma unroll
      for (int i = 0; i < kCount; ++i) block[i].load(x + i * kStep * Block::kBytes);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int64_t at = first + i * kStep;
        block[i].template transform<true>(params.signs[0], Format::kBlock);
        scales[Layout::block_offset(at)] = static_cast<uint8_t>(block[i].quantize(
            params, tensor, row, at, codes + i * kStep * Block::kCodeBytes, recorded));
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < all; ++i) {
        const int64_t at = first + i * kStep;
        uint32_t scale = 0;  // of padding
        if (i < written) {
          Block block;
          const int64_t left = params.columns - at * Format::kBlock;
          const int count = left < Format::kBlock ? static_cast<int>(left) : Format::kBlock;
          block.load(x + i * kStep * Block::kBytes, count);
          block.template transform<false>(params.signs[0], count);
          scale = block.quantize(params, tensor, row, at, codes + i * kStep * Block::kCodeBytes,
                                 recorded);
        }
        scales[Layout::block_offset(at)] = static_cast<uint8_t>(scale);
      }
    }
  }

  __device__ void finish() const {
    if constexpr (Config::kRecordsAmax != 0) {
      const uint32_t largest = ptx::redux_sync_max_u32(__float_as_uint(recorded));
      if (threadIdx.x % 32 == 0) {
        ptx::red_relaxed_gpu_global_max_u32(params.copies[0].new_amax, largest);
      }
    }
  }
};

template <class Config>
__device__ void quantize_rows(const QuantizeParams& params) {
  using T = Tile<Config>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  RowBlocks<Config> blocks(params);
  blocks.begin_at(T::first_block());
  for (int64_t row = T::first_row(); row < Layout::padded_rows(params.rows); row += T::row_step()) {
    blocks.quantize(row);
  }
  blocks.finish();
}

}  // namespace nibble
