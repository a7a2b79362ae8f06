// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Models in which every product is a term. A product is exact in Real; times a power of two and
// converted to an integer, it is cut towards zero where the model cuts it.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "runtime/emulator/tensor/lanes.h"
#include "runtime/emulator/tensor/model.h"
#include "runtime/emulator/tensor/special.h"

namespace nibble::emulator::tensor {
namespace {

// A term is below 4, so below 2^27 of the units; and (2 - 2^-10)^2 is so far below 4 that 16 terms
// of one sign fit 32 bits.
constexpr size_t kChunk = 16;

template <class Real>
struct Row {
  const Real* values;
  const int16_t* exponents;
  size_t k;
};

template <size_t width>
void raise_highest(const int16_t* a, const int16_t* b, size_t k, Lanes<width>& lanes) {
  // Arrays of the function's own: the compiler need not ask whether they overlap with others.
  alignas(64) int16_t highest[width];
  std::copy_n(lanes.highest, width, highest);
  for (size_t i = 0; i < k; ++i, b += width) {
    for (size_t j = 0; j < width; ++j) {
      highest[j] = std::max(highest[j], static_cast<int16_t>(a[i] + b[j]));
    }
  }
  std::copy_n(highest, width, lanes.highest);
}

template <class Real, size_t width>
void add_products(const Row<Real>& row, const Real* b, const Real* factor, double* sum) {
  const Real* values = row.values;
  for (size_t first = 0; first < row.k; first += kChunk) {
    alignas(64) int32_t part[width] = {};
    const size_t end = std::min(first + kChunk, row.k);
    for (size_t i = first; i < end; ++i, b += width) {
      const Real a = values[i];
      for (size_t j = 0; j < width; ++j) part[j] += static_cast<int32_t>(a * b[j] * factor[j]);
    }
    for (size_t j = 0; j < width; ++j) sum[j] += part[j];
  }
}

template <class Real, size_t width>
void multiply_row(const Model& model, const Row<Real>& row, const Real* b, const int16_t* exponents,
                  Lanes<width>& lanes) {
  raise_highest<width>(row.exponents, exponents, row.k, lanes);
  lanes.align(model.fraction_bits);
  alignas(64) Real factor[width];
  for (size_t j = 0; j < width; ++j) {
    const int exponent = model.fraction_bits - lanes.highest[j];
    if constexpr (std::is_same_v<Real, float>) {
      // Beyond 2^127 all products are zero: others are no less than 2^-48.
      factor[j] = float_power_of_two(std::min(exponent, 127));
    } else {
      factor[j] = power_of_two(exponent);
    }
  }
  add_products<Real, width>(row, b, factor, lanes.sum);
}

template <class Real, size_t width>
void multiply_blocks(const Multiply& shape, const Model& model, const Operands& operands,
                     uint32_t* d) {
  const size_t k = shape.k, n = shape.n;
  const Interleaving rows{shape.m, k, 1}, columns{n, k, width};
  auto a = plane_of<Real>(shape.a, operands.a, rows, operands.a_scales, shape.scale_block);
  auto b = plane_of<Real>(shape.b, operands.b, columns, operands.b_scales, shape.scale_block);
  const SpecialOutputs special(shape, model, operands, std::move(a.kinds), std::move(b.kinds));
  Lanes<width> lanes;
  alignas(64) uint32_t c[width] = {};
  alignas(64) uint32_t results[width];
  for (size_t first = 0; first < n; first += width) {
    const size_t count = std::min(width, n - first);
    for (size_t i = 0; i < shape.m; ++i) {
      uint32_t* out = d + i * n + first;
      std::memcpy(c, out, count * sizeof *c);
      const bool addends = lanes.load(model.d, c);
      multiply_row<Real, width>(model, {&a.values[i * k], &a.exponents[i * k], k},
                                &b.values[first * k], &b.exponents[first * k], lanes);
      lanes.store(model, results);
      std::memcpy(out, results, count * sizeof *c);
      special.correct(i, first, count, addends, c, out);
    }
  }
}

// Whether products and their exponents are within f32.
bool fits_float(const Multiply& shape) {
  auto is_short = [](Format format) { return format == Format::kF16 || format >= Format::kE4m3; };
  return is_short(shape.a) && is_short(shape.b) && shape.scale == ScaleFormat::kNone;
}

}  // namespace

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
  const Model model = model_of(shape);
  const bool wide = shape.n >= kWide;
  if (model.grouped) {
    multiply_grouped(shape, operands, d);
  } else if (fits_float(shape)) {
    (wide ? multiply_blocks<float, kWide> : multiply_blocks<float, kNarrow>)(shape, model, operands,
                                                                             d);
  } else {
    (wide ? multiply_blocks<double, kWide> : multiply_blocks<double, kNarrow>)(shape, model,
                                                                               operands, d);
  }
}

}  // namespace nibble::emulator::tensor
