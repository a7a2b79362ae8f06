// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Random operands for the reference, and their bytes in device memory.
#pragma once

#include "tests/families/gemm_case.h"
#include "tests/reference/gemm.h"

namespace nibble::test {

reference::Operand random_operand(const GemmCase& gemm, bool e5m2, int64_t rows,
                                  std::mt19937_64& random);

// All batches of an operand as a GemmOperand describes them; gaps are poisoned.
struct OperandBytes {
  std::vector<uint8_t> data, scales;
  int64_t row_stride = 0, batch_stride = 0, scale_batch_stride = 0;
};
OperandBytes operand_bytes(const std::vector<reference::Operand>& batches, int64_t row_gap,
                           int64_t batch_gap, int64_t scale_batch_gap);

}  // namespace nibble::test
