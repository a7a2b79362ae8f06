// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The parts of the floating-point rows, and of the half-precision rows.
#pragma once

#include "runtime/emulator/ops/arithmetic.h"

namespace nibble::emulator {

void append_approximate_rows(Rows& rows);  // of f32, f64, f16 and bf16
void append_min_max_rows(Rows& rows);      // of f32, f64, f16 and bf16

}  // namespace nibble::emulator
