// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the faster ways have in common: `width` outputs of a row at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/emulator/tensor/lanes.h"
#include "runtime/emulator/tensor/special.h"

namespace nibble::emulator::tensor {

// Outputs [first, first + count) of a row.
struct Block {
  size_t row, first, count;
};

// Calls compute(block, lanes, d), which has C in `lanes` and stores `width` outputs in d, for each
// block; then corrects special outputs.
template <size_t width, class Compute>
void for_each_block(const Multiply& shape, const SpecialOutputs& special, uint32_t* d,
                    Compute compute) {
  Lanes<width> lanes;
  alignas(64) uint32_t results[width];
  for (size_t first = 0; first < shape.n; first += width) {
    for (size_t row = 0; row < shape.m; ++row) {
      const Block block{row, first, std::min<size_t>(width, shape.n - first)};
      uint32_t* out = d + row * shape.n + first;
      std::copy_n(out, block.count, lanes.c);
      const bool addends = lanes.load(shape.d);
      compute(block, lanes, results);
      std::copy_n(results, block.count, out);
      special.correct(block.row, first, block.count, addends, lanes.c, out);
    }
  }
}

// The terms of a block are products.
template <class Real, size_t width>
class Products {
 public:
  Products(const Multiply& shape, const Operands& operands)
      : k_(shape.k),
        a_(plane_of<Real>(shape.a, operands.a, {shape.m, k_, 1}, operands.a_scales,
                          shape.scale_block)),
        b_(plane_of<Real>(shape.b, operands.b, {shape.n, k_, width}, operands.b_scales,
                          shape.scale_block)) {}

  const Kinds& rows() const { return a_.kinds; }
  const Kinds& columns() const { return b_.kinds; }
  size_t count() const { return k_; }
  const Real* a(const Block& block) const { return &a_.values[block.row * k_]; }
  const Real* b(const Block& block) const { return &b_.values[block.first * k_]; }

  void raise(const Block& block, Lanes<width>& lanes) const {
    lanes.raise(&a_.exponents[block.row * k_], &b_.exponents[block.first * k_], k_);
  }
  void term(const Block& block, size_t index, double* term) const {
    const double x = a(block)[index];
    const Real* y = b(block) + index * width;
    for (size_t j = 0; j < width; ++j) term[j] = x * y[j];
  }

 private:
  size_t k_;
  Plane<Real> a_, b_;
};

// The terms of a block are sums of kGroup products of e2m1, scaled.
template <size_t width>
class Groups {
 public:
  Groups(const Multiply& shape, const Operands& operands)
      : k_(shape.k),
        scales_(shape.k / shape.scale_block),
        per_scale_(shape.scale_block / kGroup),
        a_(halves_of(operands.a, {shape.m, k_, 1})),
        b_(halves_of(operands.b, {shape.n, k_, width})),
        a_scales_(scale_plane_of(shape.scale, operands.a_scales, {shape.m, scales_, 1})),
        b_scales_(scale_plane_of(shape.scale, operands.b_scales, {shape.n, scales_, width})) {}

  const Kinds& rows() const { return a_scales_.kinds; }
  const Kinds& columns() const { return b_scales_.kinds; }
  size_t count() const { return k_ / kGroup; }

  void raise(const Block& block, Lanes<width>& lanes) const {
    lanes.raise(&a_scales_.exponents[block.row * scales_],
                &b_scales_.exponents[block.first * scales_], scales_);
  }
  void term(const Block& block, size_t index, double* term) const {
    const int16_t* a = &a_[block.row * k_ + index * kGroup];
    const int16_t* b = &b_[block.first * k_ + index * kGroup * width];
    alignas(64) int16_t quarters[width] = {};  // at most 16 * 12 * 12
    for (size_t i = 0; i < kGroup; i += 4, a += 4, b += 4 * width) {
      for (size_t j = 0; j < width; ++j) {
        quarters[j] = static_cast<int16_t>(quarters[j] + a[0] * b[j] + a[1] * b[j + width] +
                                           a[2] * b[j + 2 * width] + a[3] * b[j + 3 * width]);
      }
    }
    const size_t scale = index / per_scale_;
    const double x = a_scales_.values[block.row * scales_ + scale] * 0.25;
    const double* y = &b_scales_.values[block.first * scales_ + scale * width];
    for (size_t j = 0; j < width; ++j) term[j] = quarters[j] * (x * y[j]);
  }

 private:
  size_t k_, scales_, per_scale_;
  std::vector<int16_t> a_, b_;
  Plane<double> a_scales_, b_scales_;
};

}  // namespace nibble::emulator::tensor
