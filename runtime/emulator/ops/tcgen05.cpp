// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05: tensor memory and the tensor cores of sm_100.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#tcgen05-instructions
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_tcgen05_rows(Rows&) {}

}  // namespace nibble::emulator
