// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Special registers: their names, and the values of those that are constant while a warp runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nibble::emulator {

class Warp;
struct Inst;

enum class Special : uint8_t {
  kTid,  // the x of three in a row; y and z follow
  kNtid = kTid + 3,
  kCtaid = kNtid + 3,
  kNctaid = kCtaid + 3,
  kClusterid = kNctaid + 3,
  kNclusterid = kClusterid + 3,
  kClusterCtaid = kNclusterid + 3,
  kClusterNctaid = kClusterCtaid + 3,
  kClusterCtarank = kClusterNctaid + 3,
  kClusterNctarank,
  kIsExplicitCluster,
  kLaneid,
  kWarpid,
  kNwarpid,
  kSmid,
  kNsmid,
  kGridid,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kDynamicSmemSize,
  kTotalSmemSize,
  kAggrSmemSize,
  kReservedSmemOffsetBegin,
  kReservedSmemOffsetEnd,
  kReservedSmemOffsetCap,
  kEnvreg,  // zero: none is set by the driver API
  kClock,   // from here on: change while a warp runs
  kClock64,
  kClockHi,
  kGlobaltimer,
  kGlobaltimerLo,
  kGlobaltimerHi,
};

constexpr bool varies(Special special) { return special >= Special::kClock; }

// Empty where the name ("%tid.x") is no special register that the emulator has.
std::optional<Special> find_special(std::string_view name);

// The value in one lane; !varies(special).
uint64_t special_value(const Warp& warp, Special special, uint32_t lane);
// The body, in place of its row's, of a mov from one that varies; Inst::extra is the Special.
void read_timer(Warp& warp, const Inst& inst);

}  // namespace nibble::emulator
