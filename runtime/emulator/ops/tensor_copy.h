// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What loads, stores and prefetches through tensor maps share: operands to a box.
#pragma once

#include "runtime/emulator/machine/tensor_box.h"
#include "runtime/emulator/ops/async_copy.h"

namespace nibble::emulator {

// Boxes in shared memory begin at multiples of this.
constexpr uint32_t kBoxAlign = 128;

// The map and the coordinates of an instruction: arg[map] is the map's address, behind it
// `coordinates` of them; from arg[offsets] on those of im2col.
struct TensorOperands {
  uint32_t map = 0;
  uint32_t coordinates = 0;
  uint32_t offsets = 0;
  TensorAccess::Mode mode = TensorAccess::Mode::kTile;
};

// The map at a generic address; a fault where there is none.
TensorMap read_map(const Origin& origin, uint64_t address);
// The box that a lane asks for; a fault where a rule is broken.
TensorBox read_box(const Origin& origin, const Inst& inst, const TensorOperands& operands);

// The bytes of shared memory that a box takes.
void list_box(const TensorBox& box, const SharedPlace& place, Access access,
              std::vector<Extent>& extents);
inline uint32_t absolute(const SharedPlace& place) {
  return place.offset + place.block->grid().model.shared_reserved;
}

// Global memory of all of a box, where it is in one allocation whose bytes are not tracked: the
// byte at `address` is at the sum. Null: rows are to be looked up one by one.
std::byte* box_memory(const Origin& origin, const TensorBox& box, bool writes, uint64_t address);

// Targets of what only the architecture-specific targets of sm_100 have.
inline constexpr Requires kTensorCoreTargets{0, "100f 110f"};

}  // namespace nibble::emulator
