// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/special.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "runtime/emulator/machine/block.h"

namespace nibble::emulator {

namespace {

struct Name {
  std::string_view text;
  Special special;
};

constexpr Name kScalars[] = {
    {"%cluster_ctarank", Special::kClusterCtarank},
    {"%cluster_nctarank", Special::kClusterNctarank},
    {"%is_explicit_cluster", Special::kIsExplicitCluster},
    {"%laneid", Special::kLaneid},
    {"%warpid", Special::kWarpid},
    {"%nwarpid", Special::kNwarpid},
    {"%smid", Special::kSmid},
    {"%nsmid", Special::kNsmid},
    {"%gridid", Special::kGridid},
    {"%lanemask_eq", Special::kLanemaskEq},
    {"%lanemask_le", Special::kLanemaskLe},
    {"%lanemask_lt", Special::kLanemaskLt},
    {"%lanemask_ge", Special::kLanemaskGe},
    {"%lanemask_gt", Special::kLanemaskGt},
    {"%dynamic_smem_size", Special::kDynamicSmemSize},
    {"%total_smem_size", Special::kTotalSmemSize},
    {"%aggr_smem_size", Special::kAggrSmemSize},
    {"%reserved_smem_offset_begin", Special::kReservedSmemOffsetBegin},
    {"%reserved_smem_offset_end", Special::kReservedSmemOffsetEnd},
    {"%reserved_smem_offset_cap", Special::kReservedSmemOffsetCap},
    {"%clock", Special::kClock},
    {"%clock64", Special::kClock64},
    {"%clock_hi", Special::kClockHi},
    {"%globaltimer", Special::kGlobaltimer},
    {"%globaltimer_lo", Special::kGlobaltimerLo},
    {"%globaltimer_hi", Special::kGlobaltimerHi},
};

constexpr Name kVectors[] = {
    {"%tid", Special::kTid},
    {"%ntid", Special::kNtid},
    {"%ctaid", Special::kCtaid},
    {"%nctaid", Special::kNctaid},
    {"%clusterid", Special::kClusterid},
    {"%nclusterid", Special::kNclusterid},
    {"%cluster_ctaid", Special::kClusterCtaid},
    {"%cluster_nctaid", Special::kClusterNctaid},
};

uint32_t clusters(const Launch& launch, uint32_t axis) {
  return launch.grid[axis] / launch.cluster[axis];
}

}  // namespace

std::optional<Special> find_special(std::string_view name) {
  for (const Name& known : kScalars) {
    if (known.text == name) return known.special;
  }
  if (name.starts_with("%envreg")) return Special::kEnvreg;
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot + 2 != name.size()) return std::nullopt;
  const size_t axis = std::string_view("xyz").find(name[dot + 1]);
  if (axis == std::string_view::npos) return std::nullopt;
  for (const Name& known : kVectors) {
    if (known.text == name.substr(0, dot)) {
      return static_cast<Special>(static_cast<size_t>(known.special) + axis);
    }
  }
  return std::nullopt;
}

namespace {

uint64_t vector_value(const Warp& warp, Special special, uint32_t lane) {
  const Block& block = warp.block();
  const Launch& launch = block.grid().launch;
  const uint32_t axis = static_cast<uint32_t>(special) % 3;
  switch (static_cast<Special>(static_cast<uint32_t>(special) - axis)) {
    case Special::kTid:
      return block.thread_index(warp.index() * kWarpSize + lane)[axis];
    case Special::kNtid:
      return launch.block[axis];
    case Special::kCtaid:
      return block.index()[axis];
    case Special::kNctaid:
      return launch.grid[axis];
    case Special::kClusterid:
      return block.cluster().index()[axis];
    case Special::kNclusterid:
      return clusters(launch, axis);
    case Special::kClusterCtaid:
      return block.cluster().position(block.rank())[axis];
    default:
      return launch.cluster[axis];
  }
}

}  // namespace

uint64_t special_value(const Warp& warp, Special special, uint32_t lane) {
  static_assert(static_cast<uint32_t>(Special::kTid) == 0);  // axes are found by remainder
  if (special < Special::kClusterCtarank) return vector_value(warp, special, lane);
  const Block& block = warp.block();
  const Grid& grid = block.grid();
  const uint32_t bit = 1u << lane;
  switch (special) {
    case Special::kClusterCtarank:
      return block.rank();
    case Special::kClusterNctarank:
      return block.cluster().size();
    case Special::kIsExplicitCluster:
      return block.cluster().size() > 1 ? kAllLanes : 0;
    case Special::kLaneid:
      return lane;
    case Special::kWarpid:
      return warp.index();
    case Special::kNwarpid:
      return grid.model.max_threads_per_multiprocessor / kWarpSize;
    case Special::kSmid:
      return block.special_smid();
    case Special::kNsmid:
      return grid.model.multiprocessors;
    case Special::kGridid:
      return grid.id;
    case Special::kLanemaskEq:
      return bit;
    case Special::kLanemaskLe:
      return bit | (bit - 1);
    case Special::kLanemaskLt:
      return bit - 1;
    case Special::kLanemaskGe:
      return ~(bit - 1);
    case Special::kLanemaskGt:
      return ~(bit | (bit - 1));
    case Special::kDynamicSmemSize:
      return grid.launch.dynamic_shared;
    case Special::kTotalSmemSize:
      return grid.layout.static_shared + grid.launch.dynamic_shared;
    case Special::kAggrSmemSize:
      return grid.layout.static_shared + grid.launch.dynamic_shared + grid.model.shared_reserved;
    case Special::kReservedSmemOffsetEnd:
    case Special::kReservedSmemOffsetCap:
      return grid.model.shared_reserved;
    default:
      return 0;
  }
}

namespace {

uint64_t timer_value(Special special) {
  using std::chrono::duration_cast;
  using std::chrono::nanoseconds;
  const auto since = special >= Special::kGlobaltimer
                         ? std::chrono::system_clock::now().time_since_epoch()
                         : std::chrono::steady_clock::now().time_since_epoch();
  const auto value = static_cast<uint64_t>(duration_cast<nanoseconds>(since).count());
  switch (special) {
    case Special::kClockHi:
    case Special::kGlobaltimerHi:
      return value >> 32;
    case Special::kClock:
    case Special::kGlobaltimerLo:
      return value & 0xFFFFFFFF;
    default:
      return value;
  }
}

}  // namespace

void read_timer(Warp& warp, const Inst& inst) {
  const uint64_t value = timer_value(static_cast<Special>(inst.extra));
  const Arg& d = inst.arg[0];
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((warp.active >> lane & 1) == 0) continue;
    std::memcpy(warp.reg<std::byte>(d) + size_t{lane} * d.width, &value, d.width);
  }
}

}  // namespace nibble::emulator
