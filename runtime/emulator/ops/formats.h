// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The number formats narrower than f32, bit for bit: encode with every rounding of PTX, decode, the
// NaN each operation gives. Pure functions, written without branches so that loops over a warp
// vectorise.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace nibble::emulator {

// A choice without a jump, whatever the compiler thinks of jumps.
template <class U>
constexpr U select(bool condition, U yes, U no) {
  return no ^ ((yes ^ no) & (U{0} - static_cast<U>(condition)));
}

// The order of PTX's modifier groups {.rn,.rz,.rm,.rp}; ties away is .rna.
enum class Rounding : uint8_t { kNearestEven, kZero, kDown, kUp, kNearestAway };

// A format: sign, exponent and mantissa fields from the top. The bias is that of IEEE 754.
enum class Specials : uint8_t {
  kIeee,  // the highest exponent: infinity and NaN
  kNan,   // all ones: NaN; no infinity
  kNone,  // every code is a number
};
template <int exponent_bits, int mantissa_bits, Specials specials>
struct Format {
  static constexpr int kExponentBits = exponent_bits;
  static constexpr int kMantissaBits = mantissa_bits;
  static constexpr Specials kSpecials = specials;
  static constexpr int kBias = (1 << (exponent_bits - 1)) - 1;
  static constexpr int kSignBit = exponent_bits + mantissa_bits;
  static constexpr uint64_t kSign = uint64_t{1} << kSignBit;
  static constexpr uint64_t kInfinity = ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits;
  static constexpr uint64_t kMaxFinite = specials == Specials::kIeee  ? kInfinity - 1
                                         : specials == Specials::kNan ? kSign - 2
                                                                      : kSign - 1;
  // What a NaN becomes: all ones without the sign; the largest number where there is no NaN.
  static constexpr uint64_t kNan = kSign - 1;
};
using E2m1 = Format<2, 1, Specials::kNone>;
using E2m3 = Format<2, 3, Specials::kNone>;
using E3m2 = Format<3, 2, Specials::kNone>;
using E4m3 = Format<4, 3, Specials::kNan>;
using E5m2 = Format<5, 2, Specials::kIeee>;
using Binary16 = Format<5, 10, Specials::kIeee>;
using Bfloat16 = Format<8, 7, Specials::kIeee>;
using Tf32 = Format<8, 10, Specials::kIeee>;  // in the upper 19 bits of a 32-bit register
using Binary32 = Format<8, 23, Specials::kIeee>;
using Binary64 = Format<11, 52, Specials::kIeee>;

// Values of f16 and bf16 registers, apart from integers of that width.
struct Half {
  uint16_t bits = 0;
};
struct Bfloat {
  uint16_t bits = 0;
};

// The unsigned integer of T's size, and the layout of a floating type.
template <class T>
using BitsOf =
    std::conditional_t<sizeof(T) == 1, uint8_t,
                       std::conditional_t<sizeof(T) == 2, uint16_t,
                                          std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;
template <class T>
using LayoutOf = std::conditional_t<
    std::is_same_v<T, Half>, Binary16,
    std::conditional_t<std::is_same_v<T, Bfloat>, Bfloat16,
                       std::conditional_t<std::is_same_v<T, float>, Binary32, Binary64>>>;
template <class T>
constexpr bool kIsFloating =
    std::is_same_v<T, Half> || std::is_same_v<T, Bfloat> || std::is_floating_point_v<T>;

// The NaN that an f32 operation gives.
constexpr uint32_t kNan32 = 0x7FFFFFFF;

// One where a magnitude of `kept` units and `rest` / 2^shift of one rounds away from zero, else
// zero.
struct RoundTo {
  Rounding rounding;
  template <class U>
  constexpr U operator()(U kept, U rest, int shift, U negative) const {
    const U half = U{1} << (shift - 1);
    const U inexact = rest != 0;
    switch (rounding) {
      case Rounding::kNearestEven:
        return static_cast<U>(rest + (kept & 1) > half);
      case Rounding::kNearestAway:
        return static_cast<U>(rest >= half);
      case Rounding::kDown:
        return negative & inexact;
      case Rounding::kUp:
        return (negative ^ 1) & inexact;
      case Rounding::kZero:
        break;
    }
    return 0;
  }
  // Whether what is beyond the largest number is infinite.
  template <class U>
  constexpr U overflows(U negative) const {
    switch (rounding) {
      case Rounding::kZero:
        return 0;
      case Rounding::kDown:
        return negative;
      case Rounding::kUp:
        return negative ^ 1;
      default:
        return 1;
    }
  }
};
// Away from zero when the part dropped and `random` / 2^bits carry into the unit. Whatever of the
// part is finer than `bits` is not seen.
struct RoundRandom {
  uint32_t random;
  int bits;
  template <class U>
  constexpr U operator()(U, U rest, int shift, U) const {
    const U part = shift >= bits ? rest >> (shift - bits) : rest << (bits - shift);
    return (part + random) >> bits;
  }
  template <class U>
  constexpr U overflows(U) const {
    return 1;
  }
};

// The code (no sign) of significand * 2^(exponent - point), the significand's leading bit at
// `point` unless the value is subnormal in its own format. It may exceed F::kMaxFinite.
template <class F, int point, class U, class RoundUp>
constexpr U round_magnitude(U significand, int exponent, U negative, RoundUp rounds_up) {
  constexpr int kDrop = point - F::kMantissaBits;
  constexpr int kMostBits = std::numeric_limits<U>::digits - 1;
  static_assert(kDrop >= 1 && point <= kMostBits);
  const int field = exponent + F::kBias;
  const int subnormal = std::max(1 - field, 0);
  const int shift = std::min(kDrop + subnormal, kMostBits);
  const U kept = significand >> shift;
  const U rest = significand - (kept << shift);
  const U up = rounds_up(kept, rest, shift, negative);
  return (static_cast<U>(std::max(field, 1) - 1) << F::kMantissaBits) + kept + up;
}

struct EncodeOptions {
  bool relu = false;       // negative gives +0
  bool satfinite = false;  // beyond the largest finite value gives that value
};

// The code of x, a float or a double.
template <class F, class T, class RoundUp, class U = BitsOf<T>>
constexpr U encode_with(T x, RoundUp rounds_up, EncodeOptions options) {
  using Source = LayoutOf<T>;
  constexpr int kPoint = Source::kMantissaBits;
  constexpr U kSourceInfinity = static_cast<U>(Source::kInfinity);
  const U bits = std::bit_cast<BitsOf<T>>(x);
  const U negative = bits >> Source::kSignBit;
  const U magnitude = bits & static_cast<U>(Source::kSign - 1);
  const U field = magnitude >> kPoint;
  const U mantissa = magnitude & ((U{1} << kPoint) - 1);
  const U normal = field != 0;
  const U significand = mantissa | (normal << kPoint);
  const int exponent = static_cast<int>(field + (normal ^ 1)) - Source::kBias;
  U code = round_magnitude<F, kPoint, U>(significand, exponent, negative, rounds_up);

  constexpr U kMax = static_cast<U>(F::kMaxFinite);
  constexpr U kBeyond = F::kSpecials == Specials::kIeee ? static_cast<U>(F::kInfinity) : kMax;
  const U infinite = static_cast<U>(!options.satfinite) &
                     (rounds_up.overflows(negative) | static_cast<U>(magnitude == kSourceInfinity));
  code = select(code > kMax, select(infinite != 0, kBeyond, kMax), code);
  code |= negative << F::kSignBit;
  code &= ~(U{0} - (static_cast<U>(options.relu) & negative));
  return select(magnitude > kSourceInfinity, static_cast<U>(F::kNan), code);
}

// With one of the roundings of PTX. A NaN gives F::kNan.
template <class F, class T>
constexpr BitsOf<T> encode(T x, Rounding rounding = Rounding::kNearestEven,
                           EncodeOptions options = {}) {
  return encode_with<F, T>(x, RoundTo{rounding}, options);
}

// Stochastically: `random` of `bits` bits is added to as many of the bits dropped.
template <class F>
constexpr uint32_t encode_random(float x, uint32_t random, int bits, EncodeOptions options) {
  // 64 bits have room for the deepest shift of a subnormal and the random bits.
  return static_cast<uint32_t>(
      encode_with<F, float, RoundRandom, uint64_t>(x, RoundRandom{random, bits}, options));
}

// The value of a code, exact in float. A NaN gives the canonical NaN.
template <class F>
constexpr float decode(uint32_t code) {
  constexpr uint32_t kMantissa = (1u << F::kMantissaBits) - 1;
  constexpr int kWiden = Binary32::kMantissaBits - F::kMantissaBits;
  static_assert(F::kExponentBits <= Binary32::kExponentBits && kWiden > 0);
  const uint32_t magnitude = code & static_cast<uint32_t>(F::kSign - 1);
  const uint32_t sign = ((code >> F::kSignBit) & 1) << 31;
  if constexpr (F::kBias == Binary32::kBias) {
    const uint32_t number = (magnitude << kWiden) | sign;
    return std::bit_cast<float>(select(magnitude > F::kInfinity, kNan32, number));
  } else {
    constexpr uint32_t kRebias = static_cast<uint32_t>(Binary32::kBias - F::kBias)
                                 << Binary32::kMantissaBits;
    constexpr uint32_t kSmallest =
        static_cast<uint32_t>(Binary32::kBias + 1 - F::kBias - F::kMantissaBits)
        << Binary32::kMantissaBits;  // the smallest subnormal, in f32
    const auto subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int>(magnitude)) *
                                                   std::bit_cast<float>(kSmallest));
    uint32_t number =
        select(magnitude > kMantissa, (magnitude << kWiden) + kRebias, subnormal) | sign;
    if constexpr (F::kSpecials == Specials::kIeee) {
      number = select(magnitude == F::kInfinity, 0x7F800000u | sign, number);
      number = select(magnitude > F::kInfinity, kNan32, number);
    } else if constexpr (F::kSpecials == Specials::kNan) {
      number = select(magnitude > F::kMaxFinite, kNan32, number);
    }
    return std::bit_cast<float>(number);
  }
}

constexpr float to_float(Half x) { return decode<Binary16>(x.bits); }
constexpr float to_float(Bfloat x) { return decode<Bfloat16>(x.bits); }
constexpr float to_float(float x) { return x; }
// The nearest H, ties to even.
template <class H, class T>
constexpr H to_half(T x) {
  return {static_cast<uint16_t>(encode<LayoutOf<H>>(x))};
}

// UE8M0, 2^(code - 127), 0xFF NaN. The sign of x is ignored; kZero and kUp round its magnitude.
uint8_t encode_ue8m0(float x, Rounding rounding, bool satfinite);
// As bf16 bits; 2^-127 is subnormal there.
uint16_t ue8m0_to_bfloat(uint8_t code);

// The 16 random bits that `cvt.rs` to four e2m1 takes from its 32 for element i, from the lowest
// nibble. Elements 0 and 1 share bits, and 2 and 3: the second of each pair sees them reversed.
uint32_t random_of_e2m1x4(uint32_t random, int element);
// The same for four e4m3, e5m2, e2m3 or e3m2: elements 0 and 1 take the lower half.
uint32_t random_of_fp8x4(uint32_t random, int element);

}  // namespace nibble::emulator
