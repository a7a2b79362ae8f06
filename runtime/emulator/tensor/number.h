// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Codes as tensor cores see them: sign, integer significand, exponent. And back: a sum of such
// numbers as the code of a result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "runtime/emulator/tensor/multiply.h"

namespace nibble::emulator::tensor {

// The exponent that hardware takes for a zero of any format, so that it may decide the alignment.
constexpr int kZeroExponent = -126;

constexpr uint32_t kNan32 = 0x7FFFFFFF;
constexpr uint32_t kNan16 = 0x7FFF;

enum class Specials : uint8_t {
  kIeee,     // the highest exponent: infinity and NaN
  kAllOnes,  // all ones: NaN
  kNone,     // every code is a number
};

struct Layout {
  int exponent_bits = 0;
  int mantissa_bits = 0;
  Specials specials = Specials::kNone;
  int ignored_bits = 0;  // below the mantissa

  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int sign_bit() const { return exponent_bits + mantissa_bits; }
};

std::string_view name_of(Format format);
bool is_floating(Format format);
bool is_integer(Format format);
// Of a floating format other than f64.
constexpr Layout layout_of(Format format) {
  switch (format) {
    case Format::kF32:
      return {8, 23, Specials::kIeee};
    case Format::kTf32:
      return {8, 10, Specials::kIeee, 13};
    case Format::kF16:
      return {5, 10, Specials::kIeee};
    case Format::kBf16:
      return {8, 7, Specials::kIeee};
    case Format::kE4m3:
      return {4, 3, Specials::kAllOnes};
    case Format::kE5m2:
      return {5, 2, Specials::kIeee};
    case Format::kE2m3:
      return {2, 3, Specials::kNone};
    case Format::kE3m2:
      return {3, 2, Specials::kNone};
    case Format::kE2m1:
      return {2, 1, Specials::kNone};
    default:
      return {};
  }
}

enum class Kind : uint8_t { kFinite, kInfinity, kNan };

// significand * 2^(exponent - mantissa bits of the format). Subnormals have the lowest exponent of
// their format and a short significand; zero has kZeroExponent.
struct Number {
  uint32_t significand = 0;
  int16_t exponent = kZeroExponent;
  Kind kind = Kind::kFinite;
  bool negative = false;
};

constexpr Number decode(const Layout& layout, uint32_t code) {
  code >>= layout.ignored_bits;
  const uint32_t mantissa = code & ((1u << layout.mantissa_bits) - 1);
  const uint32_t highest = (1u << layout.exponent_bits) - 1;
  const uint32_t field = code >> layout.mantissa_bits & highest;
  Number number;
  number.negative = (code >> layout.sign_bit() & 1) != 0;
  if (layout.specials == Specials::kIeee && field == highest) {
    number.kind = mantissa == 0 ? Kind::kInfinity : Kind::kNan;
    return number;
  }
  if (layout.specials == Specials::kAllOnes && field == highest &&
      mantissa == (1u << layout.mantissa_bits) - 1) {
    number.kind = Kind::kNan;
    return number;
  }
  number.significand = mantissa | uint32_t{field != 0} << layout.mantissa_bits;
  if (number.significand != 0) {
    number.exponent = static_cast<int16_t>(std::max(static_cast<int>(field), 1) - layout.bias());
  }
  return number;
}

// ue8m0: significand 1, no mantissa bits. ue4m3: 3 mantissa bits, the sign ignored. NaN or finite.
Number decode_scale(ScaleFormat format, uint8_t code);
constexpr int scale_mantissa_bits(ScaleFormat format) {
  return format == ScaleFormat::kUe4m3 ? 3 : 0;
}

// The f32 of sum * 2^exponent, cut off after `mantissa_bits` bits. Beyond the largest number it is
// infinite; what is cut to zero is +0.
uint32_t truncate_to_f32(int64_t sum, int exponent, int mantissa_bits);
// The nearest f16 or f32, ties to even; a zero is +0.
uint32_t round_to_nearest(Format d, int64_t sum, int exponent);

constexpr uint32_t nan_of(Format d) { return d == Format::kF16 ? kNan16 : kNan32; }
constexpr uint32_t infinity_of(Format d, bool negative) {
  return d == Format::kF16 ? 0x7C00u | uint32_t{negative} << 15
                           : 0x7F800000u | uint32_t{negative} << 31;
}

}  // namespace nibble::emulator::tensor
