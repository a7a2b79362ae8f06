// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Fragments of matrices between shared memory and registers: ldmatrix, stmatrix, movmatrix, wmma.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#warp-level-matrix-instructions
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_matrix_rows(Rows&) {}

}  // namespace nibble::emulator
