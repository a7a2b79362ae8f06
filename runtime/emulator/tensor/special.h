// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The outputs that infinities and NaN decide, after the loops have passed over them.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/emulator/tensor/planes.h"

namespace nibble::emulator::tensor {

class SpecialOutputs {
 public:
  SpecialOutputs(const Multiply& shape, const Operands& operands, Kinds rows, Kinds columns);

  // Corrects columns [first, first + count) of a row. c: as they were; `addends`: whether any of
  // them is infinite or NaN.
  void correct(size_t row, size_t first, size_t count, bool addends, const uint32_t* c,
               uint32_t* d) const;

  // One output; c: as it was.
  uint32_t by_definition(size_t row, size_t column, uint32_t c) const;

 private:
  const Multiply& shape_;
  Operands operands_;
  Kinds rows_, columns_;
  bool any_column_ = false;
  Layout addend_;
};

}  // namespace nibble::emulator::tensor
