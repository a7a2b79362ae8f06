// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// sm_90 and sm_100 have no fp8 mma.sync: their code is two multiplications of f16 and an addition.
// Thread t of a quad holds k = 4 t to 4 t + 3 in a register; its lower half goes to the first.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "runtime/emulator/tensor/families.h"
#include "runtime/emulator/tensor/number.h"

namespace nibble::emulator::tensor {
namespace {

// Exact. A NaN gives a NaN.
uint32_t half_of_e4m3(uint32_t code) {
  const Layout layout = layout_of(Format::kE4m3);
  const Number x = decode(layout, code);
  if (x.kind == Kind::kNan) return kNan16;
  return round_to_nearest(Format::kF16, x.significand, x.exponent - layout.mantissa_bits) |
         uint32_t{x.negative} << 15;
}

std::array<uint32_t, 256> halves_of_e4m3() {
  std::array<uint32_t, 256> halves{};
  for (uint32_t code = 0; code < halves.size(); ++code) halves[code] = half_of_e4m3(code);
  return halves;
}

uint32_t half_of(Format format, uint32_t code) {
  static const std::array<uint32_t, 256> kHalves = halves_of_e4m3();
  return format == Format::kE5m2 ? (code & 0xFF) << 8 : kHalves[code & 0xFF];
}

// Of rows of k codes, elements 4 i + `first` and the next.
std::vector<uint32_t> pairs_of(Format format, const uint32_t* codes, size_t count, size_t first) {
  std::vector<uint32_t> halves(count / 2);
  for (size_t i = 0; i < halves.size(); ++i) {
    halves[i] = half_of(format, codes[i / 2 * 4 + first + i % 2]);
  }
  return halves;
}

uint32_t add_f32(uint32_t x, uint32_t y) {
  const float sum = std::bit_cast<float>(x) + std::bit_cast<float>(y);
  return sum != sum ? kNan32 : std::bit_cast<uint32_t>(sum);
}
uint32_t add_f16(uint32_t x, uint32_t y) {
  const Layout layout = layout_of(Format::kF16);
  const Number a = decode(layout, x), b = decode(layout, y);
  if (a.kind == Kind::kNan || b.kind == Kind::kNan) return kNan16;
  if (a.kind == Kind::kInfinity || b.kind == Kind::kInfinity) {
    if (a.kind == b.kind && a.negative != b.negative) return kNan16;
    return infinity_of(Format::kF16, a.kind == Kind::kInfinity ? a.negative : b.negative);
  }
  if (a.significand == 0 && b.significand == 0) return x & y & 0x8000;  // -0 of two -0
  constexpr int kLowest = -14;
  auto units = [](const Number& number) {  // of 2^-24
    const int64_t magnitude = int64_t{number.significand} << std::max(number.exponent - kLowest, 0);
    return number.negative ? -magnitude : magnitude;
  };
  return round_to_nearest(Format::kF16, units(a) + units(b), kLowest - layout.mantissa_bits);
}

}  // namespace

void multiply_converted(const Multiply& shape, const Operands& operands, uint32_t* d) {
  Multiply half = shape;
  half.a = half.b = Format::kF16;
  half.k = shape.k / 2;
  std::vector<uint32_t> sums(size_t{shape.m} * shape.n);
  for (const size_t first : {0, 2}) {
    const auto a = pairs_of(shape.a, operands.a, size_t{shape.m} * shape.k, first);
    const auto b = pairs_of(shape.b, operands.b, size_t{shape.n} * shape.k, first);
    multiply_fused(half, {a.data(), b.data(), nullptr, nullptr}, sums.data());
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    d[i] = shape.d == Format::kF16 ? add_f16(d[i] & 0xFFFF, sums[i]) : add_f32(d[i], sums[i]);
  }
}

}  // namespace nibble::emulator::tensor
