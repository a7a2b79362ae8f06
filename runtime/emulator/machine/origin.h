// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Who asked for asynchronous work, for reports about it that come later.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

class Warp;
struct Inst;
struct DecodedFunction;

struct Origin {
  Warp* warp = nullptr;
  const Inst* inst = nullptr;
  const DecodedFunction* function = nullptr;
  uint32_t lane = 0;

  Origin() = default;
  // The current instruction of a running warp.
  Origin(Warp& of, uint32_t first_lane);
};

// "warp 3 of block (0,0,0), PTX line 57: mbarrier.arrive...".
std::string to_text(const Origin& origin);

// Ends the launch with a report that blames `origin`.
[[noreturn]] void fault_at(const Origin& origin, Fault::Kind kind, const std::string& what);

}  // namespace nibble::emulator
