// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The largest magnitude of a matrix: amax = max |x|, NaN ignored, infinities counted, 0 if all is
// zero or NaN.
#pragma once

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

struct AmaxRequest {
  Matrix x;                // rows, columns >= 1
  DevicePointer amax = 0;  // one float, 4-byte aligned; overwritten
  Stream stream = nullptr;
  KernelKind kernel = KernelKind::kFast;
};

// Enqueues the reduction on the stream.
Status amax(Context& context, const AmaxRequest& request);

// The same of each row.
struct AmaxRowsRequest {
  Matrix x;                // rows, columns >= 1
  DevicePointer amax = 0;  // x.rows floats, 4-byte aligned; overwritten
  Stream stream = nullptr;
  KernelKind kernel = KernelKind::kFast;
};
Status amax_rows(Context& context, const AmaxRowsRequest& request);

}  // namespace nibble
