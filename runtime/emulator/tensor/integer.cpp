// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Integers: the exact sum, then wrapped or clamped once.
#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "runtime/emulator/tensor/families.h"

namespace nibble::emulator::tensor {
namespace {

int32_t value_of(Format format, uint32_t code) {
  switch (format) {
    case Format::kS8:
      return static_cast<int8_t>(code);
    case Format::kU8:
      return static_cast<uint8_t>(code);
    case Format::kS4:
      return static_cast<int32_t>((code & 15) ^ 8) - 8;
    case Format::kU4:
      return static_cast<int32_t>(code & 15);
    default:
      return static_cast<int32_t>(code & 1);
  }
}

// n x k codes to k rows of n values, so that the inner loop runs along n.
std::vector<int32_t> columns_of(const Multiply& shape, const uint32_t* b) {
  std::vector<int32_t> columns(size_t{shape.k} * shape.n);
  for (uint32_t j = 0; j < shape.n; ++j) {
    for (uint32_t i = 0; i < shape.k; ++i) {
      columns[size_t{i} * shape.n + j] = value_of(shape.b, b[size_t{j} * shape.k + i]);
    }
  }
  return columns;
}

}  // namespace

void multiply_integer(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const std::vector<int32_t> columns = columns_of(shape, operands.b);
  const bool exclusive = shape.a == Format::kB1 && !shape.conjunction;
  std::vector<int32_t> sums(shape.n);
  for (uint32_t row = 0; row < shape.m; ++row, d += shape.n) {
    // 512 products of 8 bits stay below 2^25.
    std::fill(sums.begin(), sums.end(), 0);
    for (uint32_t i = 0; i < shape.k; ++i) {
      const int32_t x = value_of(shape.a, operands.a[size_t{row} * shape.k + i]);
      const int32_t* column = &columns[size_t{i} * shape.n];
      if (exclusive) {
        for (uint32_t j = 0; j < shape.n; ++j) sums[j] += x ^ column[j];
      } else {
        for (uint32_t j = 0; j < shape.n; ++j) sums[j] += x * column[j];
      }
    }
    for (uint32_t j = 0; j < shape.n; ++j) {
      int64_t sum = int64_t{std::bit_cast<int32_t>(d[j])} + sums[j];
      if (shape.saturates) {
        sum = std::clamp<int64_t>(sum, std::numeric_limits<int32_t>::min(),
                                  std::numeric_limits<int32_t>::max());
      }
      d[j] = static_cast<uint32_t>(sum);
    }
  }
}

}  // namespace nibble::emulator::tensor
