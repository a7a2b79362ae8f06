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
  alignas(64) int16_t highest[width];
  alignas(64) double addend[width];
  alignas(64) double sum[width];
  alignas(64) double unit[width];

  // C, with infinities and NaN as zero; whether there was any.
  bool load(Format format, const uint32_t* c) {
    return format == Format::kF16 ? load_f16(c) : load_f32(c);
  }

  // Once `highest` is final: the units, and the sum of C alone.
  void align(int fraction_bits) {
    for (size_t i = 0; i < width; ++i) unit[i] = power_of_two(highest[i] - fraction_bits);
    for (size_t i = 0; i < width; ++i) {
      sum[i] = std::trunc(addend[i] * power_of_two(fraction_bits - highest[i]));
    }
  }

  void store(const Model& model, uint32_t* d) const {
    if (model.d == Format::kF16) {
      store_f16(model.fraction_bits, d);
    } else {
      store_f32(model.mantissa_bits, d);
    }
  }

 private:
  bool load_f32(const uint32_t* c) {
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
  bool load_f16(const uint32_t* c) {
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

  void store_f32(int mantissa_bits, uint32_t* d) const {
    const uint64_t kept = ~uint64_t{0} << (52 - mantissa_bits);
    const int subnormal_drop = 23 - mantissa_bits;
    for (size_t i = 0; i < width; ++i) {
      const double value = sum[i] * unit[i];
      const double cut = std::bit_cast<double>(std::bit_cast<uint64_t>(value) & kept);
      const uint32_t normal = std::bit_cast<uint32_t>(static_cast<float>(cut));
      // Below the normal numbers: a multiple of the least subnormal.
      const double small = std::min(std::abs(value), 0x1p-126);
      const auto multiple = static_cast<uint32_t>(static_cast<int32_t>(small * 0x1p149));
      const uint32_t code = multiple >> subnormal_drop << subnormal_drop;
      const uint32_t sign = code == 0 ? 0 : normal & 0x80000000;
      d[i] = std::abs(value) < 0x1p-126 ? code | sign : normal;
    }
  }
  void store_f16(int fraction_bits, uint32_t* d) const {
    for (size_t i = 0; i < width; ++i) {
      d[i] =
          round_to_nearest(Format::kF16, static_cast<int64_t>(sum[i]), highest[i] - fraction_bits);
    }
  }
};

}  // namespace nibble::emulator::tensor
