// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The parts of multiply(): one function for each way to add. The shape has been checked.
#pragma once

#include <cstdint>

#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator::tensor {

struct Operands {
  const uint32_t* a = nullptr;
  const uint32_t* b = nullptr;
  const uint8_t* a_scales = nullptr;
  const uint8_t* b_scales = nullptr;
};

void multiply_fused(const Multiply& shape, const Operands& operands, uint32_t* d);
void multiply_integer(const Multiply& shape, const Operands& operands, uint32_t* d);
void multiply_exact(const Multiply& shape, const Operands& operands, uint32_t* d);
// fp8 by way of f16, as mma.sync of sm_90 and sm_100.
void multiply_converted(const Multiply& shape, const Operands& operands, uint32_t* d);

// multiply_fused() and multiply_exact(), output by output: what the faster ways must equal.
void multiply_by_definition(const Multiply& shape, const Operands& operands, uint32_t* d);

}  // namespace nibble::emulator::tensor
