// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A warp's access on its way from addresses to places: between access.cpp, which resolves those of
// whole warps at once, and access_lanes.cpp, which looks at every lane.
#pragma once

#include <bit>
#include <string>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

struct Request {
  Warp& warp;
  const Inst& inst;
  uint32_t bytes;
  Access access;
  Places& places;
  uint64_t address[kWarpSize];  // set by read_addresses()

  Request(Warp& of_warp, const Inst& of_inst, uint32_t size, Access how, Places& result)
      : warp(of_warp), inst(of_inst), bytes(size), access(how), places(result) {}

  const char* verb() const {
    return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "updates";
  }
  std::string what(uint64_t at, const char* space) const {
    return std::string(verb()) + " " + std::to_string(bytes) + " bytes of " + space +
           " memory at " + hexadecimal(at);
  }
};

template <class F>
void for_each_lane(uint32_t lanes, F f) {
  for (; lanes != 0; lanes &= lanes - 1) f(static_cast<uint32_t>(std::countr_zero(lanes)));
}

template <class F>
uint32_t lanes_where(uint32_t lanes, F f) {
  uint32_t found = 0;
  for_each_lane(lanes, [&](uint32_t lane) {
    if (f(lane)) found |= 1u << lane;
  });
  return found;
}

inline uint32_t first(uint32_t lanes) { return static_cast<uint32_t>(std::countr_zero(lanes)); }

// Whether an access to shared memory is one that is to be ordered.
inline bool checks_order(const Request& request) {
  Order& order = request.warp.block().cluster().order();
  if (!order.is_enabled() || request.warp.is_unordered) return false;
  if (request.access != Access::kAtomic && !request.warp.is_ordering) return true;
  if (request.access != Access::kRead) order.note_unseen_write();
  return false;
}

// Lane by lane: several windows, tracked bytes, faults.
void resolve_each(Request& request);

}  // namespace nibble::emulator
