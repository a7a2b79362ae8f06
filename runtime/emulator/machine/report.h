// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Words of fault reports.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

class Warp;
struct DecodedFunction;
struct Inst;

std::string to_text(const Dim3& position);  // "(1,0,0)"
std::string lane_list(uint32_t lanes);      // "0-7,9"
std::string hexadecimal(uint64_t address);  // "0x7f00"

// The lines of a report that say where: PTX line, source line, kernel, block, thread, lanes.
std::string place_of(const Warp& warp, const DecodedFunction& function, const Inst& inst,
                     uint32_t lanes);

}  // namespace nibble::emulator
