// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What tensor cores compute: D = A x B^T + C on codes, with the published bit-exact model of each
// generation's accumulation or with exact summation. Knows no instruction, no memory, no layout.
#pragma once

#include <cstdint>

namespace nibble::emulator::tensor {

enum class Format : uint8_t {
  kF64,
  kF32,
  kTf32,  // as a 32-bit word, low 13 bits ignored
  kF16,
  kBf16,
  kE4m3,
  kE5m2,
  kE2m3,
  kE3m2,
  kE2m1,
  kS8,
  kU8,
  kS4,
  kU4,
  kB1,
  kS32,
};

enum class ScaleFormat : uint8_t { kNone, kUe8m0, kUe4m3 };

// Whose rounding. kExact: the exact sum of products and C, rounded once to nearest even.
enum class Arithmetic : uint8_t {
  kMmaHopper,     // mma.sync and wmma of sm_90
  kWgmmaHopper,   // wgmma of sm_90a
  kMmaBlackwell,  // mma.sync of sm_100 and up
  kTcgen05,       // tcgen05.mma, and the block-scaled mma.sync of sm_120
  kExact,
};

struct Multiply {
  uint32_t m = 0, n = 0, k = 0;
  Format a = Format::kF16, b = Format::kF16;
  Format d = Format::kF32;  // of C and D: kF16, kF32, kS32
  ScaleFormat scale = ScaleFormat::kNone;
  uint32_t scale_block = 0;  // elements along k to one scale
  Arithmetic arithmetic = Arithmetic::kTcgen05;
  bool saturates = false;  // integers: clamp instead of wrap
};

// One instruction's product. a: m x k codes, b: n x k codes, row-major, one in the low bits of each
// word. a_scales: m x (k / scale_block), b_scales: n x (k / scale_block), row-major, null without.
// d: m x n words, C on entry (16-bit formats in the low half), D on return.
// k is the instruction's own: the model may depend on it. Thread-safe.
void multiply(const Multiply& shape, const uint32_t* a, const uint32_t* b, const uint8_t* a_scales,
              const uint8_t* b_scales, uint32_t* d);

}  // namespace nibble::emulator::tensor
