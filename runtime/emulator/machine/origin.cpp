// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/origin.h"

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

Origin::Origin(Warp& of, uint32_t first_lane)
    : warp(&of), inst(&of.current()), function(of.frame().function), lane(first_lane) {}

std::string to_text(const Origin& origin) {
  if (origin.warp == nullptr) return "nobody";
  const auto at = static_cast<size_t>(origin.inst - origin.function->body.data());
  return "warp " + std::to_string(origin.warp->index()) + " of block " +
         to_text(origin.warp->block().index()) + ", PTX line " +
         std::to_string(origin.inst->location.line) + ": " + origin.function->text[at];
}

void fault_at(const Origin& origin, Fault::Kind kind, const std::string& what) {
  throw FaultError{
      {kind, what + place_of(*origin.warp, *origin.function, *origin.inst, 1u << origin.lane)}};
}

}  // namespace nibble::emulator
