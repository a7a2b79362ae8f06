// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A matrix as an operand in device memory. NVFP4 is made by the quantize kernels; the other formats
// here on the host: the operands that NVFP4 is compared with.
#pragma once

#include <cstdint>
#include <vector>

#include "nibble/context.hpp"
#include "nibble/gemm.hpp"
#include "nibble/status.hpp"
#include "runtime/cli/gemm_input.h"

namespace nibble::cli {

// As the formats of gemm.hpp say. Rows are padded with zeros to a multiple of 16 bytes.
//   mxfp4, mxfp8  the scale of a block is the least power of two that is no less than the largest
//                 magnitude / 6 or / 448, so that no element saturates (as Transformer Engine does)
//   fp8           one scale: the largest magnitude / 448
//   bf16          rounded to nearest, ties to even
struct PackedMatrix {
  std::vector<uint8_t> data;
  std::vector<uint8_t> scales;  // the 128x4 layout
  int64_t row_stride = 0;       // bytes
  float scale = 1;              // fp8
};
PackedMatrix pack(OperandFormat format, const HostMatrix& matrix, Fp8Type fp8 = Fp8Type::kE4m3);

// Owns what the operand points to.
struct DeviceOperand {
  Buffer data, scales, factor;
  GemmOperand operand;
};
Result<DeviceOperand> make_operand(Context& context, OperandFormat format, const HostMatrix& matrix,
                                   Fp8Type fp8 = Fp8Type::kE4m3);

// Allocated, and filled with `bytes` bytes.
Result<Buffer> upload(Context& context, const void* from, int64_t bytes);

}  // namespace nibble::cli
