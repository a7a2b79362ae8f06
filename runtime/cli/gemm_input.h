// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrices of a multiplication, read whole from files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nibble/status.hpp"

namespace nibble::cli {

// Dense, row-major; f16 and bf16 are widened exactly.
struct HostMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;

  const float* row(int64_t index) const { return values.data() + index * columns; }
};

// `name`: "x.npy", "x.safetensors:TENSOR", or "x.safetensors" of one tensor. The last extent is the
// columns, the others together are the rows. NaN and infinity are refused.
Result<HostMatrix> read_matrix(const std::string& name);

}  // namespace nibble::cli
