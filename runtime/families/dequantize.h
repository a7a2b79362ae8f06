// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The dequantize family, for itself and for batches.
#pragma once

#include <span>

#include "nibble/dequantize.hpp"
#include "runtime/families/tile.h"
#include "templates/params/quantize.h"

namespace nibble {

extern const Family kDequantizeFamily;

std::span<const Constant> dequantize_constants();

DequantizeRequest with_strides(DequantizeRequest request);
// Strides must be filled in, here and below.
Status check_dequantize(const DequantizeRequest& request, Pointers pointers);
// Of a family with the constants of dequantize.
KernelSpec dequantize_spec(const Family& family, const DequantizeRequest& request,
                           const Arch& arch);
DequantizeParams dequantize_params(const DequantizeRequest& request);

}  // namespace nibble
