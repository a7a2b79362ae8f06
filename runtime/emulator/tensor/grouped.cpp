// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Block-scaled e2m1 (mxf4, mxf4nvf4): a term is an exact sum of 16 products times two scales.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/emulator/tensor/lanes.h"
#include "runtime/emulator/tensor/model.h"
#include "runtime/emulator/tensor/special.h"

namespace nibble::emulator::tensor {
namespace {

// Quarters of the sums of products, at most 16 * 12 * 12.
template <size_t width>
void sum_group(const int16_t* a, const int16_t* b, int16_t* result) {
  alignas(64) int16_t sums[width] = {};
  for (size_t i = 0; i < kGroup; i += 4, a += 4, b += 4 * width) {
    for (size_t j = 0; j < width; ++j) {
      sums[j] = static_cast<int16_t>(sums[j] + a[0] * b[j] + a[1] * b[j + width] +
                                     a[2] * b[j + 2 * width] + a[3] * b[j + 3 * width]);
    }
  }
  std::copy_n(sums, width, result);
}

struct Scales {
  const double* values;
  const int16_t* exponents;
};

// The exponents of all terms into lanes.highest.
template <size_t width>
void raise_highest(size_t blocks, const int16_t* a, const int16_t* b, Lanes<width>& lanes) {
  // Arrays of the function's own: the compiler need not ask whether they overlap with others.
  alignas(64) int16_t highest[width];
  std::copy_n(lanes.highest, width, highest);
  for (size_t s = 0; s < blocks; ++s, b += width) {
    for (size_t j = 0; j < width; ++j) {
      highest[j] = std::max(highest[j], static_cast<int16_t>(a[s] + b[j]));
    }
  }
  std::copy_n(highest, width, lanes.highest);
}

template <size_t width>
void multiply_row(const Model& model, const int16_t* a, const int16_t* b, const Scales& a_scales,
                  const Scales& b_scales, Lanes<width>& lanes) {
  const size_t groups = model.k / kGroup, per_block = model.scale_block / kGroup;
  raise_highest<width>(groups / per_block, a_scales.exponents, b_scales.exponents, lanes);
  lanes.align(model.fraction_bits);
  alignas(64) double sum[width], factor[width];
  std::copy_n(lanes.sum, width, sum);
  for (size_t j = 0; j < width; ++j) {
    factor[j] = 0.25 * power_of_two(model.fraction_bits - lanes.highest[j]);
  }
  for (size_t g = 0; g < groups; ++g) {
    alignas(64) int16_t quarters[width];
    sum_group<width>(a + g * kGroup, b + g * kGroup * width, quarters);
    const double scale = a_scales.values[g / per_block];
    const double* column = b_scales.values + g / per_block * width;
    for (size_t j = 0; j < width; ++j) {
      sum[j] += std::trunc(quarters[j] * (scale * column[j]) * factor[j]);
    }
  }
  std::copy_n(sum, width, lanes.sum);
}

template <size_t width>
void multiply_blocks(const Multiply& shape, const Model& model, const Operands& operands,
                     uint32_t* d) {
  const size_t k = shape.k, n = shape.n, scales = k / shape.scale_block;
  const auto a = halves_of(operands.a, {shape.m, k, 1});
  const auto b = halves_of(operands.b, {n, k, width});
  auto a_scales = scale_plane_of(shape.scale, operands.a_scales, {shape.m, scales, 1});
  auto b_scales = scale_plane_of(shape.scale, operands.b_scales, {n, scales, width});
  const SpecialOutputs special(shape, model, operands, std::move(a_scales.kinds),
                               std::move(b_scales.kinds));
  Lanes<width> lanes;
  alignas(64) uint32_t c[width] = {};
  alignas(64) uint32_t results[width];
  for (size_t first = 0; first < n; first += width) {
    const size_t count = std::min(width, n - first);
    const Scales columns{&b_scales.values[first * scales], &b_scales.exponents[first * scales]};
    for (size_t i = 0; i < shape.m; ++i) {
      uint32_t* out = d + i * n + first;
      std::memcpy(c, out, count * sizeof *c);
      const bool addends = lanes.load(model.d, c);
      multiply_row<width>(model, &a[i * k], &b[first * k],
                          {&a_scales.values[i * scales], &a_scales.exponents[i * scales]}, columns,
                          lanes);
      lanes.store(model, results);
      std::memcpy(out, results, count * sizeof *c);
      special.correct(i, first, count, addends, c, out);
    }
  }
}

}  // namespace

void multiply_grouped(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const Model model = model_of(shape);
  if (shape.n >= kWide) {
    multiply_blocks<kWide>(shape, model, operands, d);
  } else {
    multiply_blocks<kNarrow>(shape, model, operands, d);
  }
}

}  // namespace nibble::emulator::tensor
