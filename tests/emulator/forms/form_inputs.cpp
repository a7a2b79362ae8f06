// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The inputs of forms: special values of each type, crossed, and random bits after them.
#include <algorithm>
#include <cstring>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {
namespace {

using Values = std::vector<uint64_t>;

// Layout of a binary floating-point type.
struct Float {
  uint32_t exponent_bits;
  uint32_t mantissa_bits;
};
constexpr Float kF16 = {5, 10};
constexpr Float kBf16 = {8, 7};
constexpr Float kF32 = {8, 23};
constexpr Float kF64 = {11, 52};

// Integers of `bits` bits: limits, small ones, powers of two, shift counts around every width.
Values special_integers(uint32_t bits) {
  const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const uint64_t top = uint64_t{1} << (bits - 1);
  Values values = {0,
                   1,
                   mask,
                   top,
                   top - 1,
                   2,
                   mask - 1,
                   top + 1,
                   31,
                   32,
                   33,
                   63,
                   64,
                   7,
                   16,
                   15,
                   17,
                   65,
                   8,
                   255,
                   128,
                   3,
                   0x5555,
                   0xAAAA,
                   0x8000,
                   0x7FFF,
                   0xFFFF,
                   0x10000,
                   0xFFFFFFFF,
                   0x80000000,
                   0x7FFFFFFF,
                   0x0F0F0F0F0F0F0F0F,
                   0x8000000080000000,
                   100,
                   127,
                   256,
                   24,
                   0x00FFFFFF,
                   0x00800000,
                   mask - 6,
                   mask - 99,
                   mask / 3,
                   mask / 5};
  Values distinct;
  for (const uint64_t value : values) {
    const uint64_t cut = value & mask;
    if (std::find(distinct.begin(), distinct.end(), cut) == distinct.end()) distinct.push_back(cut);
  }
  return distinct;
}

// Floats: zeros, ones, limits, subnormals, infinities, NaNs with payloads and signs, ties.
Values special_floats(Float format) {
  const uint32_t m = format.mantissa_bits;
  const uint64_t sign = uint64_t{1} << (format.exponent_bits + m);
  const uint64_t infinity = ((uint64_t{1} << format.exponent_bits) - 1) << m;
  const uint64_t bias = (uint64_t{1} << (format.exponent_bits - 1)) - 1;
  const uint64_t quiet = uint64_t{1} << (m - 1);
  const uint64_t one = bias << m;
  const uint64_t full = (uint64_t{1} << m) - 1;
  // 2^power * (1 + numerator / 2^bits)
  const auto number = [&](int64_t power, uint64_t numerator = 0, uint32_t bits = 0) {
    const auto exponent = static_cast<int64_t>(bias) + power;
    return exponent <= 0 || static_cast<uint64_t>(exponent) >= infinity >> m
               ? infinity - 1
               : (static_cast<uint64_t>(exponent) << m) | (numerator << (m - std::min(bits, m)));
  };
  return {0,
          sign,
          one,
          sign | one,
          infinity,
          sign | infinity,
          infinity | quiet,             // a quiet NaN
          sign | infinity | quiet | 5,  // with a sign and a payload
          infinity | 1,                 // a signalling NaN
          1,                            // the least subnormal
          sign | 1,
          full,  // the largest subnormal
          sign | full,
          full + 1,  // the least normal
          sign | (full + 1),
          infinity - 1,  // the largest finite
          sign | (infinity - 1),
          one + 1,
          one - 1,
          number(0, 1, 1),         // 1.5
          sign | number(1, 1, 2),  // -2.5: a tie
          number(-1),
          number(static_cast<int64_t>(m)),
          number(-static_cast<int64_t>(m) - 1),  // half an ulp of 1
          sign | number(-static_cast<int64_t>(m) - 2),
          sign | number(-1),
          number(1, 1, 2),
          number(1, 3, 2),                         // 3.5
          number(static_cast<int64_t>(m) - 1, 1),  // has one fractional bit
          number(7),                               // integer limits: 128, 255.5 ...
          sign | number(7),
          number(7, 255, 8),
          number(15),
          sign | number(15, 1, 10),
          number(16),
          number(31),
          sign | number(31),
          number(32),
          number(63),
          sign | number(63),
          number(64),
          number(2, 1, 2),       // 5: a tie between the e2m1 codes of 4 and 6
          number(2, 3, 2),       // 7
          number(8, 3, 2),       // 448, the largest e4m3
          number(8, 13, 4),      // 464: the tie above it
          number(15, 7, 3),      // 61440
          number(15, 1023, 10),  // 65504, the largest f16
          number(15, 2047, 11),  // 65520: the tie above it
          number(-2),
          number(-2, 1, 1),
          number(-10),
          sign | number(-9, 7, 3),
          number(-14),
          number(-25),
          sign | number(-24, 1, 1),
          sign | (full / 2 + 1),
          full / 3,
          sign | infinity | full,
          number(0, 1, 7),
          number(0, 3, 11),
          number(3, 5, 3),
          sign | number(5, 21, 5),
          number(-6, 1, 3)};
}

uint64_t mix(uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// A fourth of the elements each: uniform bits twice, exponents near 1, and those with few bits set.
uint64_t random_float(Float format, uint64_t bits, uint64_t element) {
  const uint64_t choice = element & 3;
  if (choice < 2) return bits;
  const uint32_t m = format.mantissa_bits;
  const uint64_t bias = (uint64_t{1} << (format.exponent_bits - 1)) - 1;
  const uint64_t exponent = bias - 6 + (bits >> (m + 1)) % 14;
  const uint64_t sign = bits & 1 ? uint64_t{1} << (format.exponent_bits + m) : 0;
  uint64_t mantissa = (bits >> 1) & ((uint64_t{1} << m) - 1);
  if (choice == 3) mantissa &= ~((uint64_t{1} << (m - 4)) - 1);
  return sign | exponent << m | mantissa;
}

// Half uniform bits, a fourth of every length, a fourth of every length and sign.
uint64_t random_integer(uint64_t bits, uint32_t width, uint64_t element) {
  const uint64_t choice = element & 3;
  if (choice < 2) return bits;
  const auto shift = static_cast<uint32_t>(mix(bits) % width);
  const uint64_t aligned = bits << (64 - width);
  const uint64_t shifted = choice == 2
                               ? aligned >> shift
                               : static_cast<uint64_t>(static_cast<int64_t>(aligned) >> shift);
  return shifted >> (64 - width);
}

// How a type is made of parts: f16x2 is two of 16 bits.
struct Kind {
  uint32_t parts;
  uint32_t part_bits;
  const Float* format;  // null for integers
};

Kind kind_of(const std::string& type) {
  const uint32_t parts = type.ends_with("x2") ? 2 : 1;
  const uint32_t bits = size_of_type(type) * 8 / parts;
  const Float* format = nullptr;
  if (type.starts_with("bf16")) format = &kBf16;
  if (type[0] == 'f') format = bits == 16 ? &kF16 : bits == 32 ? &kF32 : &kF64;
  return {parts, bits, format};
}

uint64_t random_value(const Kind& kind, uint64_t seed, uint64_t element) {
  uint64_t value = 0;
  for (uint32_t part = 0; part < kind.parts; ++part) {
    const uint64_t bits = mix(mix(seed * 2 + part + 1) + element * 0x9E3779B97F4A7C15);
    const uint64_t mask = kind.part_bits == 64 ? ~uint64_t{0} : (uint64_t{1} << kind.part_bits) - 1;
    const uint64_t one = kind.format ? random_float(*kind.format, bits, element)
                                     : random_integer(bits & mask, kind.part_bits, element);
    value |= (one & mask) << (part * kind.part_bits);
  }
  return value;
}

Values special_values(const Kind& kind, size_t limit) {
  Values part = kind.format ? special_floats(*kind.format) : special_integers(kind.part_bits);
  if (part.size() > limit) part.resize(limit);
  Values values = part;
  if (kind.parts == 2) {  // the other half goes through the list at another pace
    for (size_t i = 0; i < part.size(); ++i) {
      values[i] |= part[(i * 7 + 3) % part.size()] << kind.part_bits;
    }
  }
  return values;
}

}  // namespace

std::vector<Bytes> make_inputs(const Form& form) {
  constexpr size_t kLimit[] = {0, 64, 64, 25};  // values crossed, by the number of inputs
  const uint64_t threads = form.threads();
  const size_t limit = kLimit[std::min<size_t>(form.inputs.size(), 3)];
  uint64_t crossed = 1;  // combinations of the inputs so far
  std::vector<Values> special(form.inputs.size());
  std::vector<uint64_t> stride(form.inputs.size());
  for (size_t k = 0; k < form.inputs.size(); ++k) {
    if (form.inputs[k].generator != Generator::kSpecial) continue;
    special[k] = special_values(kind_of(form.inputs[k].type), limit);
    stride[k] = crossed;
    crossed *= special[k].size();
  }
  std::vector<Bytes> arrays;
  for (size_t k = 0; k < form.inputs.size(); ++k) {
    const Kind kind = kind_of(form.inputs[k].type);
    const uint32_t size = size_of_type(form.inputs[k].type);
    const uint64_t count = form.inputs[k].count != 0 ? form.inputs[k].count : threads;
    Bytes& array = arrays.emplace_back(count * size);
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t value = i;
      if (!special[k].empty() && i < crossed) {
        value = special[k][i / stride[k] % special[k].size()];
      } else if (form.inputs[k].generator != Generator::kAll) {
        value = random_value(kind, k, i);
      }
      std::memcpy(array.data() + i * size, &value, size);
    }
  }
  return arrays;
}

}  // namespace nibble::forms
