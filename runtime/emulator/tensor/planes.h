// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Operands laid out for loops along n: A by rows, B in blocks of columns, each block by k. What is
// infinite or NaN is noted and stands as zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/emulator/tensor/model.h"

namespace nibble::emulator::tensor {

// Of a row or column: the worst kind of its numbers and scales.
using Kinds = std::vector<Kind>;

// Values exact in Real, and the exponents that decide the alignment.
template <class Real>
struct Plane {
  std::vector<Real> values;
  std::vector<int16_t> exponents;
  Kinds kinds;
};

// Lines of k elements, `width` lines interleaved, padded with zeros.
struct Interleaving {
  size_t lines, k, width;
  size_t padded() const { return (lines + width - 1) / width * width; }
  // The place of a line's first element; the next is `width` further.
  size_t at(size_t line) const { return line / width * k * width + line % width; }
};

// Scales (ue8m0), null without, are folded in.
template <class Real>
Plane<Real> plane_of(Format format, const uint32_t* codes, const Interleaving& order,
                     const uint8_t* scales, size_t scale_block);

// e2m1 in halves, -12 to 12.
std::vector<int16_t> halves_of(const uint32_t* codes, const Interleaving& order);

// Scales as a plane of their own; `order.k` counts scales.
Plane<double> scale_plane_of(ScaleFormat format, const uint8_t* codes, const Interleaving& order);

}  // namespace nibble::emulator::tensor
