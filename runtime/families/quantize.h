// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The quantize family, for itself and for batches.
#pragma once

#include "nibble/quantize.hpp"
#include "runtime/jit/family.h"
#include "templates/params/quantize.h"

namespace nibble {

extern const Family kQuantizeFamily;

// Strides must be filled in, here and below.
QuantizeParams quantize_params(const QuantizeRequest& request);
// Of the kernel that finds the amax of what is transformed: it goes to where the copies are scaled
// by it.
QuantizeParams transformed_amax_params(const QuantizeRequest& request);

}  // namespace nibble
