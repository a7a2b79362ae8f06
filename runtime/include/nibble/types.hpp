// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Element types, scale layouts and matrices in device memory.
#pragma once

#include <cstdint>
#include <string_view>

struct CUstream_st;

namespace [[gnu::visibility("default")]] nibble {

using DevicePointer = uint64_t;  // CUdeviceptr
using Stream = CUstream_st*;     // CUstream; null: the default stream

enum class DataType : int { kF32 = 0, kF16 = 1, kBf16 = 2 };
std::string_view type_name(DataType type);  // "bf16"
int64_t size_of(DataType type);             // bytes

// Where the E4M3 scale of row r and 16-column block b lies, in bytes from the start.
enum class ScaleLayout : int {
  kRowMajor = 0,  // r * row_stride + b
  k128x4 = 1,  // the layout of tcgen05 and cuBLASLt: tiles of 128 rows x 4 blocks, 512 bytes each,
               // (r/128 * ceil(blocks/4) + b/4) * 512 + r%32 * 16 + r%128/32 * 4 + b%4;
               // rows padded to 128 and blocks to 4 with zero
};
std::string_view layout_name(ScaleLayout layout);  // "128x4"

// Which kernel serves a request.
enum class KernelKind : int {
  kFast = 0,
  kTrusted = 1,  // plain and slow, with the same bits by other means: what fast kernels are held
                 // against on a GPU
};

constexpr int64_t kBlockSize = 16;  // elements that share a block scale

// Bytes of the packed E2M1 codes of one row: whole blocks, the missing elements are zero codes.
constexpr int64_t code_row_bytes(int64_t columns) {
  return (columns + kBlockSize - 1) / kBlockSize * (kBlockSize / 2);
}
// Bytes of the scales of a [rows, columns] matrix, padding included (dense rows if row-major).
constexpr int64_t scale_bytes(int64_t rows, int64_t columns, ScaleLayout layout) {
  const int64_t blocks = (columns + kBlockSize - 1) / kBlockSize;
  if (layout == ScaleLayout::kRowMajor) return rows * blocks;
  return (rows + 127) / 128 * 128 * ((blocks + 3) / 4 * 4);
}

// A row-major matrix in device memory; not owned. Element (r, c) is element r * row_stride + c of
// `data`, which is aligned to the element's size.
struct Matrix {
  DevicePointer data = 0;
  DataType type = DataType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;  // elements; 0: columns
};

// An NVFP4 matrix in device memory; not owned. Value (r, c) = E2M1 code x E4M3 scale of its block x
// amax / 2688 (templates/README.md has the exact operations).
struct Nvfp4Matrix {
  DevicePointer codes = 0;   // two a byte, even column in the low half; 8-byte aligned rows
  DevicePointer scales = 0;  // one byte a block
  DevicePointer amax = 0;    // one float: the largest |x| of the tensor
  ScaleLayout scale_layout = ScaleLayout::kRowMajor;
  int64_t code_row_stride = 0;   // bytes, a multiple of 8; 0: code_row_bytes(columns)
  int64_t scale_row_stride = 0;  // bytes, row-major layout only; 0: blocks in a row
};

}  // namespace nibble
