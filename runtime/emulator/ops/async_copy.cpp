// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/async_copy.h"

#include <algorithm>
#include <cstring>

#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

std::vector<Destination> multicast(const Origin& origin, const Destination& one, uint32_t mask,
                                   bool pairs) {
  Cluster& cluster = one.to.block->cluster();
  if (mask == 0) refuse(origin, "the mask of destinations is 0");
  if (mask >> cluster.size() != 0) {
    refuse(origin, "the mask of destinations " + hexadecimal(mask) +
                       " names blocks that a cluster of " + std::to_string(cluster.size()) +
                       " does not have");
  }
  std::vector<Destination> destinations;
  const uint32_t parity = one.mbarrier.block->rank() & 1;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto rank = static_cast<uint32_t>(std::countr_zero(rest));
    Destination destination = one;
    destination.to.block = cluster.block(rank);
    destination.mbarrier.block = cluster.block(pairs ? (rank & ~1u) | parity : rank);
    if (destination.mbarrier.block == nullptr) {
      refuse(origin, "block " + std::to_string(rank) + " of the cluster has no peer");
    }
    destinations.push_back(destination);
  }
  return destinations;
}

void check_mbarrier(const Origin& origin, const Destination& destination, bool pairs) {
  const uint32_t to = destination.to.block->rank(), at = destination.mbarrier.block->rank();
  if (to == at || (pairs && to / 2 == at / 2)) return;
  refuse(origin, "the mbarrier is in block " + std::to_string(at) +
                     " of the cluster, the destination in block " + std::to_string(to) +
                     (pairs ? "; they must be in one pair" : "; they must be in the same"));
}

void complete_tx(const Operation& operation, const SharedPlace& mbarrier, uint32_t bytes) {
  Mbarriers& mbarriers = mbarrier.block->mbarriers();
  if (mbarriers.is_over(mbarrier.offset)) return;
  mbarriers.complete_tx(operation.origin(), mbarrier.offset, bytes, operation.hand_on());
}

void mark_shared(const SharedPlace& place, uint32_t bytes) {
  if (uint8_t* const written = place.block->shared_written()) {
    std::memset(written + place.offset, 1, bytes);
  }
}

void check_shared(const Origin& origin, const SharedPlace& place, uint32_t bytes) {
  const uint8_t* const written = place.block->shared_written();
  if (written == nullptr || !place.block->grid().settings.check_uninitialized) return;
  const uint8_t* const begin = written + place.offset;
  const uint8_t* const found = std::find(begin, begin + bytes, uint8_t{0});
  if (found == begin + bytes) return;
  fault_at(origin, Fault::Kind::kUninitialized,
           "uninitialized memory: reads " + std::to_string(bytes) +
               " bytes of shared memory, of which byte " + std::to_string(found - begin) +
               " was never written");
}

const std::byte* read_global(const Origin& origin, uint64_t address, uint64_t bytes) {
  const std::byte* const data = global_place(origin, address, bytes, Access::kRead);
  const Grid& grid = origin.warp->block().grid();
  if (!grid.settings.check_uninitialized || bytes == 0) return data;
  const auto* const allocation = grid.memory.find(address, bytes);
  if (allocation == nullptr || allocation->written == nullptr) return data;
  const uint8_t* const begin = allocation->written + (address - allocation->address);
  const uint8_t* const found = std::find(begin, begin + bytes, uint8_t{0});
  if (found == begin + bytes) return data;
  fault_at(origin, Fault::Kind::kUninitialized,
           "uninitialized memory: reads " + std::to_string(bytes) + " bytes of global memory at " +
               hexadecimal(address) + ", of which byte " + std::to_string(found - begin) +
               " was never written");
}

}  // namespace nibble::emulator
