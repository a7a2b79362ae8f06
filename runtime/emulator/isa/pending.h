// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Registers that asynchronous instructions write: reads of them that no wait precedes.
//
// At load, a pass over each function that has such instructions (producers) follows their results
// along all paths, through mov, to the next wait. An instruction that may read one gets a body that
// looks, when executed, whether its warp has executed the producer and no wait since. Functions
// without producers, and instructions that wait as they should, cost nothing.
//
// A read of what wgmma writes is an error. One of what tcgen05.ld writes is legal, since hardware
// keeps the dependency (PTX ISA 9.7.16.6.4.5) and compilers move uses before the wait: it ends the
// load, for the order of accesses to tensor memory. On request it is reported.
#pragma once

#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator {

// Called once a function is decoded.
void check_pending(const Function& source, DecodedFunction& out, Program::Code& code);

// For the bodies of producers, and of waits for them. `opcode`: that of both.
void begin_pending(Warp& warp, const Inst& inst);
void end_pending(Warp& warp, std::string_view opcode);

}  // namespace nibble::emulator
