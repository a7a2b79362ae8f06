// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// wgmma: asynchronous multiplication by the warps of a warpgroup.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#asynchronous-warpgroup-level-matrix-instructions
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_wgmma_rows(Rows&) {}

}  // namespace nibble::emulator
