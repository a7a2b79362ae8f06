// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble quantize for one .npy array.
#pragma once

#include <string>

#include "nibble/quantize.hpp"
#include "runtime/cli/application.h"

namespace nibble::cli {

// `output` ends in .safetensors: NAME.weight, NAME.weight_scale and NAME.weight_scale_2, NAME being
// the input's name without .npy; columns must be a multiple of 16. Else a prefix (a trailing .npy
// is dropped): PREFIX.codes.npy u1 [rows, 8 ceil(columns / 16)], PREFIX.scales.npy u1 (E4M3 bits)
// [rows, ceil(columns / 16)], PREFIX.tensor_scale.npy f4, a scalar.
Outcome quantize_array(const std::string& input, const std::string& output, BlockScaling scaling,
                       Session& session);

}  // namespace nibble::cli
