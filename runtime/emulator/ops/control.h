// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bodies that the loader puts in place of a row's.
#pragma once

#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

// mov from a special register that changes while the warp runs; Inst::extra is the Special.
void read_timer(Warp& warp, const Inst& inst);

}  // namespace nibble::emulator
