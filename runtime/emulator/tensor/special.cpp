// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/special.h"

#include <algorithm>
#include <utility>

namespace nibble::emulator::tensor {

SpecialOutputs::SpecialOutputs(const Multiply& shape, const Operands& operands, Kinds rows,
                               Kinds columns)
    : shape_(shape),
      operands_(operands),
      rows_(std::move(rows)),
      columns_(std::move(columns)),
      any_column_(std::any_of(columns_.begin(), columns_.end(),
                              [](Kind kind) { return kind != Kind::kFinite; })),
      addend_(layout_of(shape.d)) {}

void SpecialOutputs::correct(size_t row, size_t first, size_t count, bool addends,
                             const uint32_t* c, uint32_t* d) const {
  if (rows_[row] == Kind::kFinite && !any_column_ && !addends) return;
  for (size_t i = 0; i < count; ++i) {
    const Kind kind = std::max({rows_[row], columns_[first + i], decode(addend_, c[i]).kind});
    if (kind == Kind::kNan) {
      d[i] = nan_of(shape_.d);
    } else if (kind == Kind::kInfinity) {
      d[i] = by_definition(row, first + i, c[i]);
    }
  }
}

uint32_t SpecialOutputs::by_definition(size_t row, size_t column, uint32_t c) const {
  Multiply one = shape_;
  one.m = one.n = 1;
  Operands operands = operands_;
  operands.a += row * shape_.k;
  operands.b += column * shape_.k;
  if (shape_.scale != ScaleFormat::kNone) {
    operands.a_scales += row * (shape_.k / shape_.scale_block);
    operands.b_scales += column * (shape_.k / shape_.scale_block);
  }
  multiply_by_definition(one, operands, &c);
  return c;
}

}  // namespace nibble::emulator::tensor
