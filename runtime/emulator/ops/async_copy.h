// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the bulk and the tensor copies share: destinations with their mbarriers, groups, checks.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

[[noreturn]] inline void refuse(const Origin& origin, const std::string& what) {
  fault_at(origin, Fault::Kind::kIllegalInstruction, what);
}

// f(origin) for every active lane: each asks for work of its own.
template <class F>
void for_each_origin(Warp& warp, F f) {
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    f(Origin(warp, static_cast<uint32_t>(std::countr_zero(rest))));
  }
}

// Where one block receives data, and the mbarrier that is told.
struct Destination {
  SharedPlace to, mbarrier;
};

// The blocks of a multicast: the same offsets in every block of `mask`. With `pairs` (cta_group::2)
// the mbarrier is that of the destination or its peer, of the parity of the one given.
std::vector<Destination> multicast(const Origin& origin, const Destination& one, uint32_t mask,
                                   bool pairs);
// cta_group::1: both in one block; ::2: in one pair.
void check_mbarrier(const Origin& origin, const Destination& destination, bool pairs);

// The operation ends: `bytes` of it are told to the mbarrier.
void complete_tx(const Operation& operation, const SharedPlace& mbarrier, uint32_t bytes);

// Shared memory that the operation has written, or is about to read: where bytes never written are
// looked for.
void mark_shared(const SharedPlace& place, uint32_t bytes);
void check_shared(const Origin& origin, const SharedPlace& place, uint32_t bytes);

// Global memory, or constants or parameters, that the operation reads.
const std::byte* read_global(const Origin& origin, uint64_t address, uint64_t bytes);

inline Extent extent_of(const SharedPlace& place, uint32_t bytes, Access access) {
  Extent extent;
  extent.block = place.block;
  extent.access = access;
  extent.offset = place.offset;
  extent.bytes = bytes;
  return extent;
}

// Issues with the mbarrier mechanism, or into the lane's bulk group.
inline void issue(const Origin& origin, std::unique_ptr<Operation> operation) {
  origin.warp->block().cluster().async().issue(std::move(operation));
}
inline void issue_in_group(const Origin& origin, std::unique_ptr<Operation> operation) {
  const Issued issued = origin.warp->block().cluster().async().issue(std::move(operation));
  origin.warp->bulk_copies.add(issued, 1u << origin.lane);
}

// Rows of the parts of tensor_copy.cpp and bulk_copy.cpp.
void append_async_store_rows(Rows& rows);   // st.async, red.async, st.bulk
void append_tensor_map_rows(Rows& rows);    // tensormap.replace and its fences
void append_tensor_store_rows(Rows& rows);  // cp.async.bulk.tensor and cp.reduce to global memory

}  // namespace nibble::emulator
