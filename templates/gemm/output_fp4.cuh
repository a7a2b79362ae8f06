// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// D in NVFP4 or MXFP4: codes, and scales in the 128x4 layout.
#pragma once

#include "gemm/output.cuh"
#include "nvfp4/e2m1.cuh"
#include "nvfp4/mx_scale.cuh"
#include "nvfp4/scale.cuh"
#include "nvfp4/scale_layout.cuh"

namespace nibble {

// Elements of D that share a scale.
template <class Config>
constexpr int kScaledElements = Config::kOutput == kOutputMxfp4 ? 32 : 16;

// What all blocks of D share, once a thread. MXFP4 has no tensor scale.
template <class Config>
__device__ TensorScale output_scale(const GemmEpilogueParams& params) {
  if constexpr (Config::kOutput == kOutputNvfp4) return tensor_scale(*params.d_tensor_amax);
  return {};
}

// The scale byte of the block that begins at value[first], and its codes.
template <class Config, int kSize>
__device__ uint32_t quantize_run(const float (&value)[kSize], int first, const TensorScale& tensor,
                                 uint32_t (&words)[kScaledElements<Config> / 8]) {
  constexpr int kElements = kScaledElements<Config>;
  float amax = 0.0f;
#pragma unroll
  for (int i = 0; i < kElements; ++i) amax = fmaxf(amax, fabsf(value[first + i]));
  uint8_t scale;
  float factor;
  if constexpr (Config::kOutput == kOutputMxfp4) {
    scale = mx_scale(amax);
    factor = mx_encode_factor(scale);
  } else {
    scale = block_scale(amax, tensor);
    factor = encode_factor(scale, tensor);
  }
#pragma unroll
  for (int word = 0; word < kElements / 8; ++word) {
    float scaled[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) scaled[i] = __fmul_rn(value[first + 8 * word + i], factor);
    words[word] = e2m1x8_encode<Config::kHasE2m1Conversion != 0>(scaled);
  }
  return scale;
}

// Of a run of kCount values of D, `count` are inside: the others become 0, which says nothing to a
// block's scale. max |value|, before it is quantised, goes into amax.
template <class Config, int kCount, int kSize>
__device__ void cut_run(int count, float (&value)[kSize], float& amax) {
  static_assert(kCount <= kSize, "kCount: within the array");
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i >= count) value[i] = 0.0f;
    if constexpr (Config::kAmax) amax = fmaxf(amax, fabsf(value[i]));
  }
}

// kBytes scale bytes, at an address that is a multiple of kBytes.
template <int kBytes>
__device__ void store_scales(unsigned char* to, uint32_t bytes) {
  static_assert(kBytes == 1 || kBytes == 2 || kBytes == 4, "scale bytes of a run within a tile");
  if constexpr (kBytes == 4) {
    *reinterpret_cast<uint32_t*>(to) = bytes;
  } else if constexpr (kBytes == 2) {
    *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(bytes);
  } else {
    *to = static_cast<unsigned char>(bytes);
  }
}

// Quantises kCount values of row `row` from column `column` of D on, a multiple of kCount, and
// stores their codes and scales. Values beyond D are 0 (cut_run). Rows from m up to a multiple of
// 128 get scales of 0 and no codes; who stores the last block of a row also stores the 0 of the
// padding behind it.
template <class Config, int kCount, int kSize>
__device__ void store_fp4_row(const GemmEpilogueParams& params, const TensorScale& tensor,
                              int64_t batch, int64_t row, int64_t column,
                              const float (&value)[kSize]) {
  constexpr int kElements = kScaledElements<Config>;
  constexpr int kBlocks = kCount / kElements;
  static_assert(kCount <= kSize && kBlocks >= 1 && kCount % kElements == 0,
                "kCount: whole blocks of the output, within the array");
  constexpr int kGroup = kBlocks < 4 ? kBlocks : 4;
  static_assert(kBlocks % kGroup == 0 && kGroup != 3, "scales of a run: 1, 2 or fours");
  using Layout = ScaleLayout<k128x4>;

  const int64_t columns = d_column<Config>(params.n);
  const int64_t blocks = ceil_div(columns, kElements);
  const int64_t first = column / kElements;
  if (first >= blocks || row >= Layout::padded_rows(params.m)) return;
  const int count = count_in_d<Config, kCount, false>(params, row, column);
  unsigned char* scales =
      params.d_scales + batch * params.d_scale_batch_stride + Layout::row_offset(row, blocks, 0);
  unsigned char* codes = static_cast<unsigned char*>(params.d.data) +
                         batch * params.d.batch_stride + row * params.d.row_stride + column / 2;
  uint32_t group = 0;
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
    if (block * kElements < count) {
      uint32_t words[kElements / 8];
      group |= quantize_run<Config>(value, block * kElements, tensor, words) << 8 * (block % 4);
      // A last block of MXFP4 has 8 bytes of codes where no more than 16 columns are left.
      ptx::st_global_v2_b32(codes + block * kElements / 2, words);
      if constexpr (kElements == 32) {
        if (block * kElements + 16 < count) {
          ptx::st_global_v2_b32(codes + block * kElements / 2 + 8, words + 2);
        }
      }
    }
    if (block % kGroup == kGroup - 1) {
      const int64_t at = first + block - (kGroup - 1);
      if (at < Layout::padded_blocks(blocks)) {
        store_scales<kGroup>(scales + Layout::block_offset(at), group);
      }
      group = 0;
    }
  }
  if (first + kBlocks >= blocks) {
    for (int64_t at = first + kBlocks; at < Layout::padded_blocks(blocks); ++at) {
      scales[Layout::block_offset(at)] = 0;
    }
  }
}

}  // namespace nibble
