// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Block scales from row-major to the 128x4 layout of tensor cores, and back.
#pragma once

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

// A byte a block, whatever its format. The 128x4 side is 16-byte aligned and is written with its
// padding, zeros; of the row-major side nothing between the rows is written.
struct ScaleLayoutRequest {
  DevicePointer from = 0;
  DevicePointer to = 0;
  ScaleLayout from_layout = ScaleLayout::kRowMajor;
  ScaleLayout to_layout = ScaleLayout::k128x4;  // the other one
  int64_t rows = 0;                             // >= 1
  int64_t blocks = 0;                           // in a row, >= 1
  int64_t row_stride = 0;                       // bytes, of the row-major side; 0: blocks
  Stream stream = nullptr;
  KernelKind kernel = KernelKind::kFast;
};

// Enqueues the conversion on the stream.
Status convert_scales(Context& context, const ScaleLayoutRequest& request);

}  // namespace nibble
