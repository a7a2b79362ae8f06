// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/number.h"

#include <algorithm>
#include <bit>
#include <iterator>

namespace nibble::emulator::tensor {
namespace {

constexpr std::string_view kNames[] = {"f64",  "f32",  "tf32", "f16",  "bf16", "e4m3",
                                       "e5m2", "e2m3", "e3m2", "e2m1", "s8",   "u8",
                                       "s4",   "u4",   "b1",   "s32"};
static_assert(std::size(kNames) == static_cast<size_t>(Format::kS32) + 1);

// |sum| * 2^exponent in units of 2^unit: whole ones, and what is below.
struct Scaled {
  uint64_t whole = 0;
  uint64_t rest = 0;  // in 2^-64 of a unit; less than that is one of them
};
Scaled scale(uint64_t magnitude, int exponent, int unit) {
  const int drop = unit - exponent;
  if (drop <= 0) return {magnitude << -drop, 0};
  if (drop < 64) return {magnitude >> drop, magnitude << (64 - drop)};
  if (drop == 64) return {0, magnitude};
  return {0, uint64_t{magnitude != 0}};
}

uint64_t magnitude_of(int64_t sum) {
  return sum < 0 ? uint64_t{0} - static_cast<uint64_t>(sum) : static_cast<uint64_t>(sum);
}

int highest_bit(uint64_t magnitude) { return 63 - std::countl_zero(magnitude); }

}  // namespace

std::string_view name_of(Format format) { return kNames[static_cast<size_t>(format)]; }

bool is_floating(Format format) { return format <= Format::kE2m1; }
bool is_integer(Format format) { return !is_floating(format); }

Number decode_scale(ScaleFormat format, uint8_t code) {
  if (format == ScaleFormat::kUe4m3) return decode(layout_of(Format::kE4m3), code & 0x7Fu);
  Number number;
  number.significand = 1;
  number.exponent = static_cast<int16_t>(code - 127);
  if (code == 0xFF) number.kind = Kind::kNan;
  return number;
}

uint32_t truncate_to_f32(int64_t sum, int exponent, int mantissa_bits) {
  const uint64_t magnitude = magnitude_of(sum);
  if (magnitude == 0) return 0;
  const int top = std::max(exponent + highest_bit(magnitude), -126);
  const bool negative = sum < 0;
  if (top > 127) return infinity_of(Format::kF32, negative);
  const uint64_t whole = scale(magnitude, exponent, top - mantissa_bits).whole;
  if (whole == 0) return 0;
  const auto field = static_cast<uint32_t>(top + 126);  // the leading bit of `whole` adds one
  return (field << 23) + (static_cast<uint32_t>(whole) << (23 - mantissa_bits)) +
         (uint32_t{negative} << 31);
}

uint32_t round_to_nearest(Format d, int64_t sum, int exponent) {
  const Layout layout = layout_of(d);
  const uint64_t magnitude = magnitude_of(sum);
  if (magnitude == 0) return 0;
  const int lowest = 1 - layout.bias();
  const int top = std::max(exponent + highest_bit(magnitude), lowest);
  const bool negative = sum < 0;
  if (top > layout.bias()) return infinity_of(d, negative);
  const Scaled scaled = scale(magnitude, exponent, top - layout.mantissa_bits);
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  const bool up = scaled.rest > kHalf || (scaled.rest == kHalf && (scaled.whole & 1) != 0);
  // The leading bit of `whole` adds one to the exponent; a carry beyond the largest number makes
  // the code of infinity.
  const uint32_t code = (static_cast<uint32_t>(top - lowest) << layout.mantissa_bits) +
                        static_cast<uint32_t>(scaled.whole) + uint32_t{up};
  return code == 0 ? 0 : code | uint32_t{negative} << layout.sign_bit();
}

}  // namespace nibble::emulator::tensor
