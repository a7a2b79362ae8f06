// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05: tensor memory and the tensor cores of sm_100. What its instructions share.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#tcgen05-instructions
#include "runtime/emulator/ops/tcgen05.h"

#include <bit>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace tcgen05 {

void refuse(const Origin& origin, const std::string& what) {
  fault_at(origin, Fault::Kind::kIllegalInstruction, what);
}

bool gather_warp(Warp& warp) {
  if (!warp.gather(kAllLanes)) return false;
  if (warp.active != kAllLanes) {
    warp.fault(Fault::Kind::kIllegalInstruction,
               "not all 32 threads of the warp execute this: some have exited or never were",
               warp.active);
  }
  return true;
}

namespace {

template <class Read>
uint32_t uniform_value(Warp& warp, const char* what, Read read) {
  const auto first = static_cast<uint32_t>(std::countr_zero(warp.active));
  const uint32_t value = read(first);
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    if (read(lane) == value) continue;
    warp.fault(Fault::Kind::kIllegalInstruction,
               std::string(what) + " is " + hexadecimal(value) + " in lane " +
                   std::to_string(first) + " and " + hexadecimal(read(lane)) + " in lane " +
                   std::to_string(lane) + "; all threads of the warp must have the same",
               1u << lane);
  }
  return value;
}

}  // namespace

uint32_t uniform(Warp& warp, const Arg& arg, const char* what) {
  return uniform_value(
      warp, what, [&](uint32_t lane) { return static_cast<uint32_t>(warp.integer(arg, lane)); });
}

uint32_t uniform_address(Warp& warp, const Arg& arg) {
  return uniform_value(warp, "the tensor memory address", [&](uint32_t lane) {
    return static_cast<uint32_t>(address_in(warp, arg, lane));
  });
}

Blocks blocks_of(const Origin& origin, uint32_t group) {
  Block& own = origin.warp->block();
  own.tensor_memory().use_group(origin, group);
  if (group == 1) return {{&own, nullptr}, 1};
  Block* const peer = own.cluster().block(own.rank() ^ 1);
  if (peer == nullptr) {
    refuse(origin, ".cta_group::2 in a cluster of " + std::to_string(own.cluster().size()) +
                       " blocks: block " + std::to_string(own.rank()) + " has no pair");
  }
  if (peer->is_done()) refuse(origin, ".cta_group::2 after the other block of the pair has exited");
  return own.rank() % 2 == 0 ? Blocks{{&own, peer}, 2} : Blocks{{peer, &own}, 2};
}

}  // namespace tcgen05

void append_tcgen05_rows(Rows& rows) {
  tcgen05::append_allocation_rows(rows);
  tcgen05::append_access_rows(rows);
  tcgen05::append_copy_rows(rows);
  tcgen05::append_mma_rows(rows);
}

}  // namespace nibble::emulator
