// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The formats that are no sign, exponent and mantissa, and the random bits of stochastic rounding.
#include "runtime/emulator/ops/formats.h"

namespace nibble::emulator {
namespace {

uint32_t reverse16(uint32_t x) {
  uint32_t reversed = 0;
  for (int bit = 0; bit < 16; ++bit) reversed |= ((x >> bit) & 1) << (15 - bit);
  return reversed;
}

}  // namespace

uint8_t encode_ue8m0(float x, Rounding rounding, bool satfinite) {
  constexpr uint32_t kSmallest = 0x00400000;  // 2^-127
  const uint32_t magnitude = std::bit_cast<uint32_t>(x) & 0x7FFFFFFF;
  if (magnitude > Binary32::kInfinity) return 0xFF;
  uint32_t code = magnitude >> Binary32::kMantissaBits;
  const bool inexact = (magnitude & 0x007FFFFF) != 0 && magnitude > kSmallest;
  if (rounding == Rounding::kUp && inexact) ++code;
  return static_cast<uint8_t>(satfinite ? std::min(code, 0xFEu) : code);
}

uint16_t ue8m0_to_bfloat(uint8_t code) {
  if (code == 0xFF) return static_cast<uint16_t>(Bfloat16::kNan);
  return code == 0 ? 0x0040 : static_cast<uint16_t>(code << Bfloat16::kMantissaBits);
}

uint32_t random_of_e2m1x4(uint32_t random, int element) {
  const uint32_t low = (random >> (element < 2 ? 0 : 8)) & 0xFF;
  const uint32_t high = (random >> (element < 2 ? 16 : 24)) & 0xFF;
  const uint32_t shared = high << 8 | low;
  return element % 2 == 0 ? shared : reverse16(shared);
}

uint32_t random_of_fp8x4(uint32_t random, int element) {
  const uint32_t shared = (element < 2 ? random : random >> 16) & 0xFFFF;
  return element % 2 == 0 ? shared : reverse16(shared);
}

}  // namespace nibble::emulator
