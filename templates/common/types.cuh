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
constexpr int kF32 = 0;
constexpr int kF16 = 1;
constexpr int kBf16 = 2;

// Config::kScaleLayout.
constexpr int kRowMajor = 0;  // [rows, ceil(columns / 16)]
constexpr int k128x4 = 1;     // 512-byte tiles of 128 rows x 4 scales, padded with zeros

// Elements along a row that share one E4M3 scale.
constexpr int kBlockSize = 16;

}  // namespace nibble
