// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/planes.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace nibble::emulator::tensor {
namespace {

template <class Real>
struct Entry {
  Real value = 0;
  int16_t exponent = kZeroExponent;
  Kind kind = Kind::kFinite;
};

template <class Real>
Entry<Real> entry_of(const Number& number, int mantissa_bits) {
  if (number.kind != Kind::kFinite) return {0, kZeroExponent, number.kind};
  // Exact: significands are short, and every format's range is within Real's.
  const Real magnitude =
      std::ldexp(static_cast<Real>(number.significand), number.exponent - mantissa_bits);
  return {number.negative ? -magnitude : magnitude, number.exponent, Kind::kFinite};
}

// Formats of up to 8 bits are looked up.
template <class Real>
std::array<Entry<Real>, 256> table_of(const Layout& layout) {
  std::array<Entry<Real>, 256> table;
  for (uint32_t code = 0; code < table.size(); ++code) {
    table[code] = entry_of<Real>(decode(layout, code), layout.mantissa_bits);
  }
  return table;
}

template <class Real>
Plane<Real> empty(const Interleaving& order) {
  Plane<Real> plane;
  plane.values.assign(order.padded() * order.k, 0);
  plane.exponents.assign(order.padded() * order.k, kZeroExponent);
  plane.kinds.assign(order.lines, Kind::kFinite);
  return plane;
}

template <class Real, class Decode>
void fill(Plane<Real>& plane, const Interleaving& order, Decode decoded) {
  for (size_t line = 0; line < order.lines; ++line) {
    Kind worst = Kind::kFinite;
    for (size_t i = 0; i < order.k; ++i) {
      const Entry<Real> entry = decoded(line, i);
      const size_t at = order.at(line, i);
      plane.values[at] = entry.value;
      plane.exponents[at] = entry.exponent;
      worst = std::max(worst, entry.kind);
    }
    plane.kinds[line] = worst;
  }
}

}  // namespace

template <class Real>
Plane<Real> plane_of(const Layout& layout, const uint32_t* codes, const Interleaving& order,
                     const uint8_t* scales, size_t scale_block) {
  Plane<Real> plane = empty<Real>(order);
  if (layout.sign_bit() < 8) {
    const auto table = table_of<Real>(layout);
    fill(plane, order,
         [&](size_t line, size_t i) { return table[codes[line * order.k + i] & 0xFF]; });
  } else {
    fill(plane, order, [&](size_t line, size_t i) {
      return entry_of<Real>(decode(layout, codes[line * order.k + i]), layout.mantissa_bits);
    });
  }
  if (scales == nullptr) return plane;
  for (size_t line = 0; line < order.lines; ++line) {
    for (size_t i = 0; i < order.k; ++i) {
      const uint8_t code = scales[line * (order.k / scale_block) + i / scale_block];
      const Number scale = decode_scale(ScaleFormat::kUe8m0, code);
      const size_t at = order.at(line, i);
      plane.values[at] *= std::ldexp(Real{1}, scale.exponent);
      plane.exponents[at] = static_cast<int16_t>(plane.exponents[at] + scale.exponent);
      plane.kinds[line] = std::max(plane.kinds[line], scale.kind);
    }
  }
  return plane;
}
template Plane<float> plane_of(const Layout&, const uint32_t*, const Interleaving&, const uint8_t*,
                               size_t);
template Plane<double> plane_of(const Layout&, const uint32_t*, const Interleaving&, const uint8_t*,
                                size_t);

std::vector<int16_t> halves_of(const uint32_t* codes, const Interleaving& order) {
  constexpr int16_t kHalves[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  std::vector<int16_t> halves(order.padded() * order.k);
  for (size_t line = 0; line < order.lines; ++line) {
    for (size_t i = 0; i < order.k; ++i) {
      halves[order.at(line, i)] = kHalves[codes[line * order.k + i] & 15];
    }
  }
  return halves;
}

Plane<double> scale_plane_of(ScaleFormat format, const uint8_t* codes, const Interleaving& order) {
  Plane<double> plane = empty<double>(order);
  std::array<Entry<double>, 256> table;
  for (uint32_t code = 0; code < table.size(); ++code) {
    table[code] = entry_of<double>(decode_scale(format, static_cast<uint8_t>(code)),
                                   scale_mantissa_bits(format));
  }
  fill(plane, order, [&](size_t line, size_t i) { return table[codes[line * order.k + i]]; });
  return plane;
}

}  // namespace nibble::emulator::tensor
