// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/fidelity.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace nibble::cli {
namespace {

// Sign, exponent of `exponent_bits`, mantissa: the value by the definition of such formats, where
// an exponent field of 0 means subnormal. Infinities and NaN are the caller's business.
double decode(unsigned bits, int exponent_bits, int mantissa_bits) {
  const unsigned mantissa = bits & ((1U << mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> mantissa_bits) & ((1U << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return (bits >> (exponent_bits + mantissa_bits)) & 1 ? -magnitude : magnitude;
}

const std::array<double, 256>& e4m3_table() {
  static const std::array<double, 256> kTable = [] {
    std::array<double, 256> table{};
    for (unsigned bits = 0; bits < table.size(); ++bits) {
      table[bits] = decode_e4m3(static_cast<uint8_t>(bits));
    }
    return table;
  }();
  return kTable;
}

const std::array<double, 16>& e2m1_table() {
  static const std::array<double, 16> kTable = [] {
    std::array<double, 16> table{};
    for (unsigned code = 0; code < table.size(); ++code) table[code] = decode_e2m1(code);
    return table;
  }();
  return kTable;
}

double load(const void* data, DataType type, int64_t index) {
  const auto* bytes = static_cast<const uint8_t*>(data) + index * size_of(type);
  if (type == DataType::kF32) {
    float value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return type == DataType::kF16 ? decode_f16(bits) : decode_bf16(bits);
}

void compare_block(const ComparedRows& rows, int64_t row, int64_t block, Fidelity* fidelity) {
  const int64_t blocks = (rows.columns + kBlockSize - 1) / kBlockSize;
  const uint8_t* codes = rows.codes + row * code_row_bytes(rows.columns) + block * kBlockSize / 2;
  const double factor = e4m3_table()[rows.scales[row * blocks + block]] * rows.tensor_scale;
  const int64_t first = block * kBlockSize;
  const int64_t count = std::min(kBlockSize, rows.columns - first);
  for (int64_t i = 0; i < count; ++i) {
    const double x = load(rows.original, rows.type, row * rows.columns + first + i);
    if (!std::isfinite(x)) {
      ++fidelity->not_finite;
      continue;
    }
    const unsigned code = (codes[i / 2] >> (i % 2 * 4)) & 15;
    const double error = x - e2m1_table()[code] * factor;
    fidelity->signal += x * x;
    fidelity->noise += error * error;
    fidelity->largest_error = std::max(fidelity->largest_error, std::abs(error));
  }
}

}  // namespace

double decode_f16(uint16_t bits) {
  if ((bits & 0x7c00) != 0x7c00) {
    // The same fields in an f32, whose bias is 112 larger; exact, subnormals included.
    const auto wide = std::bit_cast<float>(uint32_t{bits & 0x7fffU} << 13) * 0x1p112F;
    return (bits & 0x8000) != 0 ? -wide : wide;
  }
  if ((bits & 0x3ff) != 0) return std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  return (bits & 0x8000) != 0 ? -infinity : infinity;
}

double decode_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

double decode_e4m3(uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<double>::quiet_NaN();
  return decode(bits, 4, 3);
}

double decode_e2m1(unsigned code) { return decode(code & 15, 2, 1); }

double Fidelity::decibels() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

void compare(const ComparedRows& rows, Fidelity* fidelity) {
  const int64_t blocks = (rows.columns + kBlockSize - 1) / kBlockSize;
  for (int64_t row = 0; row < rows.rows; ++row) {
    for (int64_t block = 0; block < blocks; ++block) compare_block(rows, row, block, fidelity);
  }
  fidelity->elements += rows.rows * rows.columns;
}

}  // namespace nibble::cli
