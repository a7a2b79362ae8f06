// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NVFP4, MXFP4 or MXFP8 back to f32, f16 or bf16, by the operations of the numerics contract in
// templates/README.md.
#pragma once

#include "nibble/context.hpp"
#include "nibble/quantize.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

struct DequantizeRequest {
  Nvfp4Matrix x;  // read; amax is required of NVFP4, there is none of the others
  Matrix y;       // written; its rows and columns are those of x
  Stream stream = nullptr;
  // NVFP4, MXFP4 or MXFP8. Rows of the MX formats are whole blocks of 32 elements: of 16 and of 32
  // bytes; strides of 0 follow.
  QuantizedFormat format = QuantizedFormat::kNvfp4;
  BlockScaling scaling = BlockScaling::kLargest;  // that of its quantisation
  KernelKind kernel = KernelKind::kFast;
};

// Enqueues the conversion on the stream.
Status dequantize(Context& context, const DequantizeRequest& request);

}  // namespace nibble
