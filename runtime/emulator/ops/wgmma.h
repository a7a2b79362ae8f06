// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A matrix in shared memory as wgmma reads it, through a descriptor.
#pragma once

#include <utility>
#include <vector>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/origin.h"
#include "runtime/emulator/tensor/descriptor.h"

namespace nibble::emulator {

class SharedMatrix {
 public:
  struct Shape {
    uint32_t bits = 16;  // of an element
    bool is_k_major = true;
    uint32_t first = 0, rows = 0;  // the rows wanted, of those that the descriptor has
    uint32_t k = 0;
  };

  SharedMatrix() = default;
  // Checks the descriptor and that all is in the block's shared memory; faults, blaming `origin`.
  SharedMatrix(const Origin& origin, uint64_t descriptor, const Shape& shape);

  // Codes, row-major: rows x k.
  void read(Block& block, uint32_t* codes) const;
  // Offsets in the block's shared memory and bytes, neighbours as one.
  std::vector<std::pair<uint32_t, uint32_t>> ranges() const;

 private:
  Shape shape_;
  // The 16-byte chunks: of each row those along k, or of each k those along the rows.
  std::vector<uint32_t> chunks_;  // offsets in shared memory
};

}  // namespace nibble::emulator
