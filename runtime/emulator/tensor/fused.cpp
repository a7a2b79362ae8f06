// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/model.h"

namespace nibble::emulator::tensor {

void multiply_by_definition(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const Model model = model_of(shape);
  const Decoded decoded(shape, model, operands);
  for (size_t row = 0; row < shape.m; ++row) {
    for (size_t column = 0; column < shape.n; ++column, ++d) {
      *d = fused(model, decoded.terms(row, column), *d);
    }
  }
}

void multiply_fused(const Multiply& shape, const Operands& operands, uint32_t* d) {
  multiply_by_definition(shape, operands, d);
}

}  // namespace nibble::emulator::tensor
