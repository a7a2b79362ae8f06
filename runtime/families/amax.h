// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The amax family, for itself and for quantize, which runs it first when no amax is given.
#pragma once

#include "nibble/amax.hpp"
#include "runtime/families/tile.h"

namespace nibble {

extern const Family kAmaxFamily;
extern const Family kAmaxRowsFamily;

KernelSpec amax_spec(const ContextState& context, const Matrix& x, KernelKind kernel);
// Rows that follow each other without a gap are one row: no ragged edges but the last.
Matrix flattened(Matrix x);

// Overwrites `amax` with the maximum of x, in stream order.
Status launch_amax(const ContextState& context, const Kernel& kernel, const Matrix& x,
                   DevicePointer amax, Stream stream);

}  // namespace nibble
