// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Integer names, element types and the rule that makes fp32 arithmetic reproducible.
#pragma once

#if defined(__CUDA_FTZ) && __CUDA_FTZ
#error "nibble templates need IEEE subnormals: compile without -ftz=true and -use_fast_math"
#endif

namespace nibble {

using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long long;
using int64_t = long long;

// Config::kElementType: the type of the matrix that is not NVFP4.
enum : int {
  kF32 = 0,
  kF16 = 1,
  kBf16 = 2,
};

// Config::kFormat: of codes and scales.
enum : int {
  kNvfp4 = 0,        // E2M1, an E4M3 scale for 16 elements, an fp32 amax of the tensor
  kMxfp4 = 1,        // E2M1, a UE8M0 scale for 32
  kMxfp8 = 2,        // E4M3, a UE8M0 scale for 32
  kFourOverSix = 3,  // NVFP4, its blocks scaled to 6 or to 4
};

// Config::kFormat: of the operands of a multiplication.
enum : int {
  kFormatNvfp4 = 0,
  kFormatMxfp4 = 1,
  kFormatMxfp8 = 2,
  kFormatFp8 = 3,
  kFormatBf16 = 4,
};

// Config::kScaleLayout.
enum : int {
  kRowMajor = 0,  // [rows, ceil(columns / 16)]
  k128x4 = 1,     // 512-byte tiles of 128 rows x 4 scales, padded with zeros
};

// Elements along a row that share one E4M3 scale.
enum : int { kBlockSize = 16 };

}  // namespace nibble
