// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/planes.h"

#include <algorithm>
#include <array>

#include "runtime/emulator/tensor/lanes.h"

namespace nibble::emulator::tensor {
namespace {

template <class Real>
struct Entry {
  Real value = 0;
  int16_t exponent = kZeroExponent;
  Kind kind = Kind::kFinite;
};

// Exact: significands are short, and every format's range is within Real's.
template <class Real>
Entry<Real> entry_of(const Number& number, int mantissa_bits) {
  if (number.kind != Kind::kFinite) return {0, kZeroExponent, number.kind};
  if (number.significand == 0) return {};
  const auto significand = static_cast<double>(static_cast<int32_t>(number.significand));
  const double magnitude = significand * power_of_two(number.exponent - mantissa_bits);
  return {static_cast<Real>(number.negative ? -magnitude : magnitude), number.exponent,
          Kind::kFinite};
}

template <class Real>
using Table = std::array<Entry<Real>, 256>;
template <class Real>
Table<Real> table_of(const Layout& layout) {
  Table<Real> table;
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
    size_t at = order.at(line);
    for (size_t i = 0; i < order.k; ++i, at += order.width) {
      const Entry<Real> entry = decoded(line * order.k + i);
      plane.values[at] = entry.value;
      plane.exponents[at] = entry.exponent;
      worst = std::max(worst, entry.kind);
    }
    plane.kinds[line] = worst;
  }
}

template <Format format, class Real>
void fill_computed(Plane<Real>& plane, const Interleaving& order, const uint32_t* codes) {
  constexpr Layout kLayout = layout_of(format);
  fill(plane, order,
       [=](size_t i) { return entry_of<Real>(decode(kLayout, codes[i]), kLayout.mantissa_bits); });
}

// Formats of up to 8 bits are looked up.
template <Format format, class Real>
void fill_from_table(Plane<Real>& plane, const Interleaving& order, const uint32_t* codes) {
  static const Table<Real> kTable = table_of<Real>(layout_of(format));
  fill(plane, order, [=](size_t i) { return kTable[codes[i] & 0xFF]; });
}

template <class Real>
void fold_scales(Plane<Real>& plane, const Interleaving& order, const uint8_t* scales,
                 size_t scale_block) {
  for (size_t line = 0; line < order.lines; ++line) {
    size_t at = order.at(line);
    for (size_t first = 0; first < order.k; first += scale_block) {
      const Number scale = decode_scale(ScaleFormat::kUe8m0, *scales++);
      const Real factor = static_cast<Real>(power_of_two(scale.exponent));
      for (size_t i = 0; i < scale_block; ++i, at += order.width) {
        plane.values[at] *= factor;
        plane.exponents[at] = static_cast<int16_t>(plane.exponents[at] + scale.exponent);
      }
      plane.kinds[line] = std::max(plane.kinds[line], scale.kind);
    }
  }
}

}  // namespace

template <class Real>
Plane<Real> plane_of(Format format, const uint32_t* codes, const Interleaving& order,
                     const uint8_t* scales, size_t scale_block) {
  Plane<Real> plane = empty<Real>(order);
  switch (format) {
    case Format::kTf32:
      fill_computed<Format::kTf32>(plane, order, codes);
      break;
    case Format::kF16:
      fill_computed<Format::kF16>(plane, order, codes);
      break;
    case Format::kBf16:
      fill_computed<Format::kBf16>(plane, order, codes);
      break;
    case Format::kE4m3:
      fill_from_table<Format::kE4m3>(plane, order, codes);
      break;
    case Format::kE5m2:
      fill_from_table<Format::kE5m2>(plane, order, codes);
      break;
    case Format::kE2m3:
      fill_from_table<Format::kE2m3>(plane, order, codes);
      break;
    case Format::kE3m2:
      fill_from_table<Format::kE3m2>(plane, order, codes);
      break;
    default:
      fill_from_table<Format::kE2m1>(plane, order, codes);
      break;
  }
  if (scales != nullptr) fold_scales(plane, order, scales, scale_block);
  return plane;
}
template Plane<float> plane_of(Format, const uint32_t*, const Interleaving&, const uint8_t*,
                               size_t);
template Plane<double> plane_of(Format, const uint32_t*, const Interleaving&, const uint8_t*,
                                size_t);

std::vector<int16_t> halves_of(const uint32_t* codes, const Interleaving& order) {
  constexpr int16_t kHalves[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  std::vector<int16_t> halves(order.padded() * order.k);
  for (size_t line = 0; line < order.lines; ++line) {
    int16_t* half = halves.data() + order.at(line);
    for (size_t i = 0; i < order.k; ++i, half += order.width) *half = kHalves[*codes++ & 15];
  }
  return halves;
}

Plane<double> scale_plane_of(ScaleFormat format, const uint8_t* codes, const Interleaving& order) {
  Plane<double> plane = empty<double>(order);
  const int mantissa_bits = scale_mantissa_bits(format);
  fill(plane, order,
       [&](size_t i) { return entry_of<double>(decode_scale(format, codes[i]), mantissa_bits); });
  return plane;
}

}  // namespace nibble::emulator::tensor
