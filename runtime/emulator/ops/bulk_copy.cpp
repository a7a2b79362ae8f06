// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bulk asynchronous copies and reductions without a tensor map, st.async, red.async.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-bulk-copy
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_bulk_copy_rows(Rows&) {}

}  // namespace nibble::emulator
