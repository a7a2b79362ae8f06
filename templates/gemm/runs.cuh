// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Runs: kCount elements that follow each other along a row of a matrix, or down a column of it
// (operands swapped), in the registers of one thread. Memory beyond the matrix is not touched.
#pragma once

#include "common/types.cuh"
#include "params/gemm.h"
#include "ptx/convert.cuh"
#include "ptx/memory.cuh"

namespace nibble {

// How many of kCount elements from `start` on come before `end`.
template <int kCount>
__device__ int count_inside(int64_t start, int64_t end) {
  const int64_t left = end - start;
  return left >= kCount ? kCount : left > 0 ? static_cast<int>(left) : 0;
}

template <int kType>
constexpr int kElementBytes = kType == kF32 ? 4 : 2;

// The address of element (row, column) of a matrix of the batch.
template <int kType>
__device__ const char* element_address(const GemmMatrixParams& matrix, int64_t batch, int64_t row,
                                       int64_t column) {
  return static_cast<const char*>(matrix.data) +
         (batch * matrix.batch_stride + row * matrix.row_stride + column) * kElementBytes<kType>;
}

template <int kType>
__device__ float read_element(const char* from) {
  if constexpr (kType == kF32) {
    return *reinterpret_cast<const float*>(from);
  } else {
    const uint16_t bits = *reinterpret_cast<const uint16_t*>(from);
    return kType == kBf16 ? __uint_as_float(static_cast<uint32_t>(bits) << 16)
                          : ptx::cvt_f32_f16(bits);
  }
}

// Element i of the words of a run.
template <int kType>
__device__ float word_element(const uint32_t* words, int i) {
  if constexpr (kType == kF32) {
    return __uint_as_float(words[i]);
  } else if constexpr (kType == kBf16) {
    return __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xffff0000u);
  } else {
    return ptx::cvt_f32_f16(static_cast<uint16_t>(words[i / 2] >> 16 * (i % 2)));
  }
}

// The 16-bit or 32-bit element at `from`, as bits.
template <int kType>
__device__ uint32_t element_bits(const char* from) {
  if constexpr (kType == kF32) return *reinterpret_cast<const uint32_t*>(from);
  return *reinterpret_cast<const uint16_t*>(from);
}

// A run in words, as memory is accessed: pieces of 16 bytes, or of the whole run where it is
// shorter.
template <int kType, int kCount>
struct Pieces {
  enum : int {
    kBytes = kCount * kElementBytes<kType>,
    kWords = kBytes < 16 ? kBytes / 4 : 4,          // of a piece
    kElements = kWords * 4 / kElementBytes<kType>,  // of a piece
    kPieces = kCount / kElements,
  };

  static __device__ void load(const char* from, uint32_t* words) {
    if constexpr (kWords == 4) {
      ptx::ld_global_v4_b32(from, words);
    } else {
      ptx::ld_global_v2_b32(from, words);
    }
  }
  static __device__ void store(char* to, const uint32_t* words) {
    if constexpr (kWords == 4) {
      ptx::st_global_v4_b32(to, words);
    } else {
      ptx::st_global_v2_b32(to, words);
    }
  }

  // words = the first `count` elements at `from`, then zeros. At most one piece is cut: a loop
  // reads it for all of them, so that what seldom happens takes few instructions.
  static __device__ void load_cut(const char* from, int count, uint32_t (&words)[kBytes / 4]) {
    const int whole = count / kElements;
    uint32_t cut[kWords] = {};
#pragma unroll 1
    for (int i = count - 1; i >= whole * kElements; --i) {
      const uint32_t bits = element_bits<kType>(from + i * kElementBytes<kType>);
#pragma unroll
      for (int word = kWords - 1; word >= 0; --word) {
        const uint32_t below = word > 0 ? cut[word - 1] : 0;
        cut[word] = kType == kF32 ? below : cut[word] << 16 | below >> 16;
      }
      cut[0] |= bits;
    }
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      uint32_t* to = words + piece * kWords;
#pragma unroll
      for (int word = 0; word < kWords; ++word) to[word] = piece == whole ? cut[word] : 0;
      if (piece < whole) load(from + piece * kWords * 4, to);
    }
  }

  // The first `count` elements of words to `to`.
  static __device__ void store_cut(char* to, int count, const uint32_t (&words)[kBytes / 4]) {
    const int whole = count / kElements;
    uint32_t cut[kWords] = {};
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      if (piece < whole) store(to + piece * kWords * 4, words + piece * kWords);
#pragma unroll
      for (int word = 0; word < kWords; ++word) {
        if (piece == whole) cut[word] = words[piece * kWords + word];
      }
    }
#pragma unroll 1
    for (int i = whole * kElements; i < count; ++i) {
      char* element = to + i * kElementBytes<kType>;
      if constexpr (kType == kF32) {
        *reinterpret_cast<uint32_t*>(element) = cut[0];
      } else {
        *reinterpret_cast<uint16_t*>(element) = static_cast<uint16_t>(cut[0]);
      }
#pragma unroll
      for (int word = 0; word < kWords; ++word) {
        const uint32_t above = word + 1 < kWords ? cut[word + 1] : 0;
        cut[word] = kType == kF32 ? above : cut[word] >> 16 | above << 16;
      }
    }
  }
};

// use(i, element i) for the run at `from`; 0 for elements at `count` and beyond. kVectorBytes 16:
// `from` is a multiple of 16, or of the run's bytes where those are fewer.
template <int kType, int kVectorBytes, int kCount, class Use>
__device__ void read_row(const char* from, int count, Use use) {
  using Run = Pieces<kType, kCount>;
  if constexpr (kVectorBytes == 16 && Run::kBytes >= 8) {
    uint32_t words[Run::kBytes / 4];
    if (count == kCount) {
#pragma unroll
      for (int piece = 0; piece < Run::kPieces; ++piece) {
        Run::load(from + piece * Run::kWords * 4, words + piece * Run::kWords);
      }
    } else {
      Run::load_cut(from, count, words);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) use(i, word_element<kType>(words, i));
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      use(i, i < count ? read_element<kType>(from + i * kElementBytes<kType>) : 0.0f);
    }
  }
}

// The same down a column: elements are `stride` elements apart.
template <int kType, int kCount, class Use>
__device__ void read_column(const char* from, int64_t stride, int count, Use use) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    use(i, i < count ? read_element<kType>(from + i * stride * kElementBytes<kType>) : 0.0f);
  }
}

// A run of a [rows, columns] matrix of the batch.
template <int kType, int kVectorBytes, int kCount, bool kDown, class Use>
__device__ void read_run(const GemmMatrixParams& matrix, int64_t rows, int64_t columns,
                         int64_t batch, int64_t row, int64_t column, Use use) {
  const char* from = element_address<kType>(matrix, batch, row, column);
  if constexpr (kDown) {
    const int count = column < columns ? count_inside<kCount>(row, rows) : 0;
    read_column<kType, kCount>(from, matrix.row_stride, count, use);
  } else {
    const int count = row < rows ? count_inside<kCount>(column, columns) : 0;
    read_row<kType, kVectorBytes, kCount>(from, count, use);
  }
}

}  // namespace nibble
