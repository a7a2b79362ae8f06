// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensor memory of a block: 128 lanes of 512 columns of 32 bits, allocated by columns.
#pragma once

#include <cstdint>
#include <vector>

namespace nibble::emulator {

class TensorMemory {
 public:
  static constexpr uint32_t kLanes = 128;
  static constexpr uint32_t kColumns = 512;

  // A block begins: nothing is allocated, contents are undefined.
  void start() {}

  // The cell; columns run fastest.
  uint32_t& at(uint32_t lane, uint32_t column) {
    if (cells_.empty()) cells_.assign(size_t{kLanes} * kColumns, kPoison);
    return cells_[size_t{lane} * kColumns + column];
  }

 private:
  static constexpr uint32_t kPoison = 0x7FA5A5A5;  // a NaN as f32
  std::vector<uint32_t> cells_;                    // none until touched
};

}  // namespace nibble::emulator
