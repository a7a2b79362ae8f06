// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whose rounding a warp's tensor-core instructions have.
#pragma once

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/warp.h"
#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator {

// The hardware's, or exact sums where the settings ask for them.
inline tensor::Arithmetic arithmetic_of(const Warp& warp, tensor::Arithmetic hardware) {
  return warp.block().grid().settings.exact_tensor ? tensor::Arithmetic::kExact : hardware;
}

}  // namespace nibble::emulator
