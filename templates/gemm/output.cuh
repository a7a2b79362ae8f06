// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// From the finished values of a run to D: rounding, max |D|, stores.
#pragma once

#include "gemm/runs.cuh"
#include "ptx/reduce.cuh"

namespace nibble {

// Config::kOutput, beyond the element types.
enum : int {
  kOutputNvfp4 = 3,
  kOutputMxfp4 = 4,
};

// Values of D that a run of kCount elements of the product makes.
template <class Config, int kCount>
constexpr int kFinished = Config::kGated ? kCount / 2 : kCount;

// The column of D of a column of the product; of n: how many D has.
template <class Config>
__device__ int64_t d_column(int64_t column) {
  return Config::kGated ? column / 2 : column;
}

// Of a run of kCount values from (row, column) of D on, how many are inside.
template <class Config, int kCount, bool kDown>
__device__ int count_in_d(const GemmEpilogueParams& params, int64_t row, int64_t column) {
  const int64_t columns = d_column<Config>(params.n);
  if constexpr (kDown) return column < columns ? count_inside<kCount>(row, params.m) : 0;
  return row < params.m ? count_inside<kCount>(column, columns) : 0;
}

// The 32-bit words of kCount values.
template <class Config, int kCount>
constexpr int kPackedWords = kCount* kElementBytes<Config::kOutput> / 4;

// f32, f16 or bf16, to nearest even: value 2i in the low half of a word. kCount: how many of the
// array are values of D.
template <class Config, int kCount, int kSize>
__device__ void pack(const float (&value)[kSize], uint32_t (&word)[kPackedWords<Config, kCount>]) {
  static_assert(kCount <= kSize && kCount % 2 == 0, "kCount: even, within the array");
  static_assert(Config::kOutput <= kBf16, "FP4: store_fp4_row");
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    if constexpr (Config::kOutput == kF32) {
      word[i] = __float_as_uint(value[i]);
      word[i + 1] = __float_as_uint(value[i + 1]);
    } else if constexpr (Config::kOutput == kBf16) {
      word[i / 2] = ptx::cvt_rn_bf16x2_f32(value[i + 1], value[i]);
    } else {
      word[i / 2] = ptx::cvt_rn_f16x2_f32(value[i + 1], value[i]);
    }
  }
}

// amax = max(amax, |values|) of the first `count` as they are stored; NaN is ignored.
template <class Config, int kCount>
__device__ void track_amax(const uint32_t (&word)[kPackedWords<Config, kCount>], int count,
                           float& amax) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) amax = fmaxf(amax, fabsf(word_element<Config::kOutput>(word, i)));
  }
}

// *target = max(*target, amax) over the warp, all of whose lanes call. Non-negative floats order
// like their bits.
__device__ inline void warp_amax(float amax, float* target) {
  const uint32_t of_warp = ptx::redux_sync_max_u32(__float_as_uint(amax));
  if (threadIdx.x % 32 == 0) ptx::red_relaxed_gpu_global_max_u32(target, of_warp);
}

// The first `count` values of a run to (row, column) of D, element by element or, along a row
// that is inside and aligned, by 16 bytes.
template <class Config, int kCount, bool kDown>
__device__ void store_direct(const GemmEpilogueParams& params, int64_t batch, int64_t row,
                             int64_t column, int count,
                             const uint32_t (&word)[kPackedWords<Config, kCount>]) {
  constexpr int kBytes = kElementBytes<Config::kOutput>;
  using Run = Pieces<Config::kOutput, kCount>;
  char* to = const_cast<char*>(element_address<Config::kOutput>(params.d, batch, row, column));
  if constexpr (!kDown && Config::kVectorBytes == 16 && Run::kBytes >= 8) {
    if (count == kCount) {
#pragma unroll
      for (int piece = 0; piece < Run::kPieces; ++piece) {
        Run::store(to + piece * Run::kWords * 4, word + piece * Run::kWords);
      }
    } else {
      Run::store_cut(to, count, word);
    }
    return;
  }
  const int64_t step = kDown ? params.d.row_stride * kBytes : kBytes;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i >= count) break;
    if constexpr (kBytes == 4) {
      *reinterpret_cast<uint32_t*>(to + i * step) = word[i];
    } else {
      *reinterpret_cast<uint16_t*>(to + i * step) =
          static_cast<uint16_t>(word[i / 2] >> 16 * (i % 2));
    }
  }
}

}  // namespace nibble
