// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/tensor/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace nibble::emulator::tensor::test {
namespace {

constexpr long double kNan = std::numeric_limits<long double>::quiet_NaN();
constexpr long double kInfinity = std::numeric_limits<long double>::infinity();

struct Shape {
  int exponent_bits, mantissa_bits;
  bool has_infinity, has_nan;
  int skipped = 0;
  int lowest() const { return 2 - (1 << (exponent_bits - 1)); }
  int width() const { return 1 + exponent_bits + mantissa_bits; }
};
Shape shape_of(Format format) {
  switch (format) {
    case Format::kTf32:
      return {8, 10, true, true, 13};
    case Format::kF16:
      return {5, 10, true, true};
    case Format::kBf16:
      return {8, 7, true, true};
    case Format::kE4m3:
      return {4, 3, false, true};
    case Format::kE5m2:
      return {5, 2, true, true};
    case Format::kE2m3:
      return {2, 3, false, false};
    case Format::kE3m2:
      return {3, 2, false, false};
    case Format::kE2m1:
      return {2, 1, false, false};
    default:
      return {8, 23, true, true};
  }
}

// The exponent that the alignment sees of a number of a format whose normal numbers begin at
// 2^lowest.
int exponent_of(long double x, int lowest) {
  return x == 0 ? -126 : std::max(std::ilogb(x), lowest);
}

struct Sum {
  std::vector<long double> terms;
  std::vector<int> exponents;
  void add(long double term, int exponent) {
    terms.push_back(term);
    exponents.push_back(exponent);
  }
  long double total(int fraction_bits) const {
    const int highest = *std::max_element(exponents.begin(), exponents.end());
    const long double unit = std::ldexp(1.0L, highest - fraction_bits);
    long double units = 0;
    for (const long double term : terms) units += std::trunc(term / unit);
    return units * unit;
  }
};

uint32_t towards_zero(long double x, int mantissa_bits) {
  if (std::isnan(x)) return 0x7FFFFFFF;
  if (std::isinf(x)) return x < 0 ? 0xFF800000 : 0x7F800000;
  const long double unit = std::ldexp(1.0L, exponent_of(x, -126) - mantissa_bits);
  const long double cut = x == 0 ? 0 : std::trunc(x / unit) * unit;
  return std::bit_cast<uint32_t>(static_cast<float>(cut) + 0.0F);  // no -0
}
uint32_t nearest_half(long double x) {
  if (std::isnan(x)) return 0x7FFF;
  const uint32_t sign = x < 0 ? 0x8000 : 0;
  const long double magnitude = std::fabs(x);
  if (magnitude >= 65520) return sign | 0x7C00;
  const int exponent = std::max(magnitude == 0 ? -14 : std::ilogb(magnitude), -14);
  // 1024 units of a normal number carry into its exponent.
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  const uint32_t code = static_cast<uint32_t>(exponent + 14) * 1024 + units;
  return code == 0 ? 0 : sign | code;
}

uint32_t random_code(Format format, Codes codes, std::mt19937_64& random) {
  const Shape shape = shape_of(format);
  const uint64_t bits = random();
  const uint32_t any = static_cast<uint32_t>(bits) & ((1u << (shape.width() - 1)) * 2 - 1);
  const uint32_t skipped = static_cast<uint32_t>(bits >> 32) & ((1u << shape.skipped) - 1);
  const uint32_t sign_and_mantissa =
      any & ~(((1u << shape.exponent_bits) - 1) << shape.mantissa_bits);
  const uint32_t bias = (1u << (shape.exponent_bits - 1)) - 1;
  uint32_t code = any;
  if (codes == Codes::kSimilar && bias > 3) {
    code = sign_and_mantissa | (bias - 2 + (bits >> 60 & 3)) << shape.mantissa_bits;
  } else if (codes == Codes::kZeroes && bits >> 60 != 0) {
    code = bits >> 62 != 0 ? any & (1u << (shape.width() - 1)) : sign_and_mantissa;
  }
  code = code << shape.skipped | skipped;
  if (codes == Codes::kAny || std::isfinite(value_of(format, code))) return code;
  return random_code(format, codes, random);
}
uint8_t random_scale(ScaleFormat format, Codes codes, std::mt19937_64& random) {
  const auto any = static_cast<uint8_t>(random());
  if (codes == Codes::kAny && random() % 16 != 0) {
    return random_scale(format, Codes::kFinite, random);
  }
  if (codes == Codes::kSimilar) {
    return static_cast<uint8_t>((format == ScaleFormat::kUe4m3 ? 0x38 : 127) + any % 16);
  }
  if (codes == Codes::kAny || !std::isnan(scale_of(format, any))) return any;
  return random_scale(format, codes, random);
}

}  // namespace

long double value_of(Format format, uint32_t code) {
  const Shape shape = shape_of(format);
  code >>= shape.skipped;
  const uint32_t fields = code & ((1u << (shape.width() - 1)) - 1);
  const uint32_t mantissas = 1u << shape.mantissa_bits;
  const auto exponent = static_cast<int>(fields / mantissas);
  const uint32_t mantissa = fields % mantissas;
  const long double sign = code >> (shape.width() - 1) & 1 ? -1 : 1;
  const bool last = exponent == (1 << shape.exponent_bits) - 1;
  if (shape.has_infinity && last) return mantissa == 0 ? sign * kInfinity : kNan;
  if (shape.has_nan && last && mantissa == mantissas - 1) return kNan;
  const long double fraction = static_cast<long double>(mantissa) / mantissas;
  if (exponent == 0) return sign * std::ldexp(fraction, shape.lowest());
  return sign * std::ldexp(1 + fraction, exponent - 1 + shape.lowest());
}

long double scale_of(ScaleFormat format, uint8_t code) {
  if (format == ScaleFormat::kUe4m3) return std::fabs(value_of(Format::kE4m3, code));
  return code == 255 ? kNan : std::ldexp(1.0L, code - 127);
}

Problem problem_of(const Multiply& shape, Codes codes, std::mt19937_64& random) {
  Problem problem{shape, {}, {}, {}, {}, {}};
  // Special values in some rows alone, so that others show something.
  auto fill = [&](std::vector<uint32_t>& list, Format format, size_t lines, size_t k) {
    for (size_t i = 0; i < lines; ++i) {
      const bool tame = codes == Codes::kAny && random() % 4 != 0;
      for (size_t j = 0; j < k; ++j) {
        list.push_back(random_code(format, tame ? Codes::kFinite : codes, random));
      }
    }
  };
  fill(problem.a, shape.a, shape.m, shape.k);
  fill(problem.b, shape.b, shape.n, shape.k);
  fill(problem.c, shape.d, size_t{shape.m} * shape.n, 1);
  if (shape.scale != ScaleFormat::kNone) {
    const size_t blocks = shape.k / shape.scale_block;
    for (size_t i = 0; i < shape.m * blocks; ++i) {
      problem.a_scales.push_back(random_scale(shape.scale, codes, random));
    }
    for (size_t i = 0; i < shape.n * blocks; ++i) {
      problem.b_scales.push_back(random_scale(shape.scale, codes, random));
    }
  }
  return problem;
}

uint32_t expected_output(const Problem& problem, size_t row, size_t column) {
  const Multiply& shape = problem.shape;
  const size_t k = shape.k;
  const bool scaled = shape.scale != ScaleFormat::kNone;
  const bool groups =
      scaled && shape.a == Format::kE2m1 && shape.b == Format::kE2m1 && shape.k != 32;
  const int scale_lowest = shape.scale == ScaleFormat::kUe4m3 ? -6 : -127;
  const long double c = value_of(shape.d, problem.c[row * shape.n + column]);
  long double special = c;  // NaN or infinite if the result is
  Sum sum;
  sum.add(c, exponent_of(c, shape_of(shape.d).lowest()));
  long double group = 0;
  for (size_t i = 0; i < k; ++i) {
    const long double a = value_of(shape.a, problem.a[row * k + i]);
    const long double b = value_of(shape.b, problem.b[column * k + i]);
    long double scale = 1;
    int exponent = 0;
    if (scaled) {
      const size_t blocks = k / shape.scale_block, block = i / shape.scale_block;
      const long double x = scale_of(shape.scale, problem.a_scales[row * blocks + block]);
      const long double y = scale_of(shape.scale, problem.b_scales[column * blocks + block]);
      scale = x * y;
      if (!std::isnan(scale))
        exponent = exponent_of(x, scale_lowest) + exponent_of(y, scale_lowest);
    }
    special += a * b * scale;
    if (!std::isfinite(special)) continue;
    if (groups) {
      group += a * b;
      if (i % 16 == 15) sum.add(std::exchange(group, 0) * scale, exponent);
    } else {
      sum.add(a * b * scale, exponent + exponent_of(a, shape_of(shape.a).lowest()) +
                                 exponent_of(b, shape_of(shape.b).lowest()));
    }
  }
  const bool short_sum = shape.arithmetic == Arithmetic::kWgmmaHopper && shape.k == 32;
  const long double total = std::isfinite(special) ? sum.total(groups      ? 35
                                                               : short_sum ? 13
                                                                           : 25)
                                                   : special;
  if (shape.d == Format::kF16) return nearest_half(total);
  return towards_zero(total, short_sum ? 13 : 23);
}

uint32_t nearest(Format d, long double x) {
  if (d == Format::kF16) return nearest_half(x);
  return std::isnan(x) ? 0x7FFFFFFF : std::bit_cast<uint32_t>(static_cast<float>(x));
}

}  // namespace nibble::emulator::tensor::test
