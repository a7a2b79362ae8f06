// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The common part of the faster ways: `width` outputs of a row side by side, as loops that
// vectorise. Sums are doubles that hold integers, in units of 2^(highest exponent - fraction bits).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "runtime/emulator/tensor/model.h"

namespace nibble::emulator::tensor {

constexpr size_t kWide = 32;
constexpr size_t kNarrow = 8;

// 2^exponent, within the normal numbers.
inline double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(1023 + exponent) << 52);
}
inline float float_power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(127 + exponent) << 23);
}

template <size_t width>
struct Lanes {
  alignas(64) uint32_t c[width] = {};
  alignas(64) int16_t highest[width];
  alignas(64) double addend[width];
  alignas(64) double sum[width];

  // The addends and their exponents from c, infinities and NaN as zero; whether there was any.
  bool load(Format format) { return format == Format::kF16 ? load_f16() : load_f32(); }

  // `highest` to that of the terms: a has an exponent of each, b `width`.
  void raise(const int16_t* a, const int16_t* b, size_t terms) {
    // An array of the function's own: the compiler need not ask whether it overlaps with others.
    alignas(64) int16_t raised[width];
    std::copy_n(highest, width, raised);
    for (size_t i = 0; i < terms; ++i, b += width) {
      for (size_t j = 0; j < width; ++j) {
        raised[j] = std::max(raised[j], static_cast<int16_t>(a[i] + b[j]));
      }
    }
    std::copy_n(raised, width, highest);
  }

  // Once `highest` is final: the sum of C alone.
  void align(int fraction_bits) {
    for (size_t i = 0; i < width; ++i) {
      sum[i] = std::trunc(addend[i] * power_of_two(fraction_bits - highest[i]));
    }
  }

  void store(const Model& model, uint32_t* d) const {
    if (model.d == Format::kF16) {
      store_f16(model.fraction_bits, d);
    } else {
      store_truncated(model, d);
    }
  }
  // Rounded to nearest even.
  void store_nearest(Format format, int fraction_bits, uint32_t* d) const {
    if (format == Format::kF16) {
      store_f16(fraction_bits, d);
    } else {
      for (size_t i = 0; i < width; ++i) {
        // + 0: no -0.
        const float nearest = static_cast<float>(value(i, fraction_bits)) + 0.0F;
        d[i] = std::bit_cast<uint32_t>(nearest);
      }
    }
  }

 private:
  bool load_f32() {
    uint32_t special = 0;
    for (size_t i = 0; i < width; ++i) {
      const uint32_t field = c[i] >> 23 & 0xFF;
      const uint32_t number = c[i] & (field == 0xFF ? 0 : ~0u);
      special |= uint32_t{field == 0xFF};
      addend[i] = static_cast<double>(std::bit_cast<float>(number));
      const int taken = static_cast<int>(number >> 23 & 0xFF);
      highest[i] = static_cast<int16_t>(std::max(taken, 1) - 127);
    }
    return special != 0;
  }
  bool load_f16() {
    uint32_t special = 0;
    for (size_t i = 0; i < width; ++i) {
      const uint32_t field = c[i] >> 10 & 0x1F;
      const uint32_t number = c[i] & (field == 0x1F ? 0 : 0x7FFFu);
      const uint32_t sign = (c[i] & 0x8000) << 16;
      special |= uint32_t{field == 0x1F};
      // As the low bits of an f32 whose bias is 112 more.
      const float scaled = std::bit_cast<float>(number << 13 | sign) * 0x1p112F;
      addend[i] = static_cast<double>(scaled);
      const int taken = std::max(static_cast<int>(number >> 10), 1) - 15;
      highest[i] = static_cast<int16_t>(number == 0 ? kZeroExponent : taken);
    }
    return special != 0;
  }

  double value(size_t i, int fraction_bits) const {
    return sum[i] * power_of_two(highest[i] - fraction_bits);
  }

  void store_truncated(const Model& model, uint32_t* d) const {
    const uint64_t kept = ~uint64_t{0} << (52 - model.mantissa_bits);
    const int subnormal_drop = 23 - model.mantissa_bits;
    for (size_t i = 0; i < width; ++i) {
      const double x = value(i, model.fraction_bits);
      const double cut = std::bit_cast<double>(std::bit_cast<uint64_t>(x) & kept);
      const uint32_t normal = std::bit_cast<uint32_t>(static_cast<float>(cut));
      // Below the normal numbers: a multiple of the least subnormal.
      const double small = std::min(std::abs(x), 0x1p-126);
      const auto multiple = static_cast<uint32_t>(static_cast<int32_t>(small * 0x1p149));
      const uint32_t code = multiple >> subnormal_drop << subnormal_drop;
      const uint32_t sign = code == 0 ? 0 : normal & 0x80000000;
      d[i] = std::abs(x) < 0x1p-126 ? code | sign : normal;
    }
  }
  void store_f16(int fraction_bits, uint32_t* d) const {
    for (size_t i = 0; i < width; ++i) {
      const auto bits = std::bit_cast<uint64_t>(value(i, fraction_bits));
      const auto magnitude = std::bit_cast<double>(bits & ~uint64_t{0} >> 1);
      const auto field = static_cast<int32_t>(bits >> 52 & 0x7FF);
      const int exponent = std::max(field - 1023, -14);
      // Added to this, a number is rounded to 2^(exponent - 10), the last bit of the sum.
      const double rounder = power_of_two(exponent - 10 + 52);
      const auto units = static_cast<uint32_t>(std::bit_cast<uint64_t>(magnitude + rounder) -
                                               std::bit_cast<uint64_t>(rounder));
      const uint32_t rounded = (static_cast<uint32_t>(exponent + 14) << 10) + units;
      const uint32_t code = std::min(rounded, 0x7C00u);
      const uint32_t sign = static_cast<uint32_t>(bits >> 63) << 15;
      d[i] = code == 0 ? 0 : code | sign;
    }
  }
};

}  // namespace nibble::emulator::tensor
