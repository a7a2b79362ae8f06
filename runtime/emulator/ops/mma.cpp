// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mma.sync and wmma.mma: fragments in registers to tensor/.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#warp-level-matrix-instructions-mma
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_mma_rows(Rows&) {}

}  // namespace nibble::emulator
