// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NVFP4 back to f32, f16 or bf16, by the operations of the numerics contract in
// templates/README.md.
#pragma once

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

struct DequantizeRequest {
  Nvfp4Matrix x;  // read; amax is required
  Matrix y;       // written; its rows and columns are those of x
  Stream stream = nullptr;
};

// Enqueues the conversion on the stream.
Status dequantize(Context& context, const DequantizeRequest& request);

}  // namespace nibble
