// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Models in which every product is a term. A product is exact in Real; times a power of two and
// converted to an integer, it is cut towards zero where the model cuts it.
#include <algorithm>
#include <type_traits>

#include "runtime/emulator/tensor/blocks.h"

namespace nibble::emulator::tensor {
namespace {

// A term is below 4, so below 2^27 of the units; and (2 - 2^-10)^2 is so far below 4 that 16 terms
// of one sign fit 32 bits.
constexpr size_t kChunk = 16;

template <class Real, size_t width>
void add_products(const Real* a, const Real* b, size_t k, const Real* factor, double* sum) {
  for (size_t first = 0; first < k; first += kChunk) {
    alignas(64) int32_t part[width] = {};
    const size_t end = std::min(first + kChunk, k);
    for (size_t i = first; i < end; ++i, b += width) {
      const Real x = a[i];
      for (size_t j = 0; j < width; ++j) part[j] += static_cast<int32_t>(x * b[j] * factor[j]);
    }
    for (size_t j = 0; j < width; ++j) sum[j] += part[j];
  }
}

template <class Real, size_t width>
void multiply_products(const Multiply& shape, const Model& model, const Operands& operands,
                       uint32_t* d) {
  const Products<Real, width> products(shape, operands);
  const SpecialOutputs special(shape, operands, products.rows(), products.columns());
  for_each_block<width>(shape, special, d,
                        [&](const Block& block, Lanes<width>& lanes, uint32_t* results) {
                          products.raise(block, lanes);
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
                          add_products<Real, width>(products.a(block), products.b(block),
                                                    products.count(), factor, lanes.sum);
                          lanes.store(model, results);
                        });
}

template <size_t width>
void multiply_groups(const Multiply& shape, const Model& model, const Operands& operands,
                     uint32_t* d) {
  const Groups<width> groups(shape, operands);
  const SpecialOutputs special(shape, operands, groups.rows(), groups.columns());
  for_each_block<width>(shape, special, d,
                        [&](const Block& block, Lanes<width>& lanes, uint32_t* results) {
                          groups.raise(block, lanes);
                          lanes.align(model.fraction_bits);
                          alignas(64) double sum[width], factor[width], term[width];
                          std::copy_n(lanes.sum, width, sum);
                          for (size_t j = 0; j < width; ++j) {
                            factor[j] = power_of_two(model.fraction_bits - lanes.highest[j]);
                          }
                          for (size_t g = 0; g < groups.count(); ++g) {
                            groups.term(block, g, term);
                            for (size_t j = 0; j < width; ++j)
                              sum[j] += std::trunc(term[j] * factor[j]);
                          }
                          std::copy_n(sum, width, lanes.sum);
                          lanes.store(model, results);
                        });
}

// Whether products and their exponents are within f32.
bool fits_float(const Multiply& shape) {
  auto is_short = [](Format format) { return format == Format::kF16 || format >= Format::kE4m3; };
  return is_short(shape.a) && is_short(shape.b) && shape.scale == ScaleFormat::kNone;
}

template <size_t width>
void multiply_with(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const Model model = model_of(shape);
  if (model.grouped) {
    multiply_groups<width>(shape, model, operands, d);
  } else if (fits_float(shape)) {
    multiply_products<float, width>(shape, model, operands, d);
  } else {
    multiply_products<double, width>(shape, model, operands, d);
  }
}

}  // namespace

void multiply_fused(const Multiply& shape, const Operands& operands, uint32_t* d) {
  (shape.n >= kWide ? multiply_with<kWide> : multiply_with<kNarrow>)(shape, operands, d);
}

}  // namespace nibble::emulator::tensor
