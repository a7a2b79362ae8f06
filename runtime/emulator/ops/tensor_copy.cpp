// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bulk asynchronous copies with a tensor map (TMA), and changes of maps.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cp-async-bulk-tensor
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_tensor_copy_rows(Rows&) {}

}  // namespace nibble::emulator
