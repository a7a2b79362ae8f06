// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The multifunction unit (MUFU in machine code), bit for bit as an H200's, for every input. It is a
// table-driven quadratic interpolator as of Oberman and Siu, "A High-Performance Area-Efficient
// Multifunction Interpolator", 2005: the upper bits of the mantissa choose a segment, the lower 17
// are x of constant + linear * x + quadratic * x^2, with a truncated square and a truncated result.
// Subnormal operands are zeros to it, and subnormal results become zeros.
//
// A sum has 53 bits at most, so that arithmetic of doubles is exact and loops vectorise.
#pragma once

#include <cmath>

#include "runtime/emulator/ops/arithmetic.h"
#include "runtime/emulator/ops/multifunction_tables.h"

namespace nibble::emulator::multifunction {

constexpr uint32_t kSign32 = 0x80000000;
constexpr uint32_t kInfinity32 = 0x7F800000;
constexpr uint32_t kMantissa32 = 0x007FFFFF;

// x^2 / 2^19 of 17 bits. Bits i and j > i meet once, in column i + j + 1, a bit i with itself in
// column 2 i; the squarer has no columns below 19. Unrolled, as a loop inside of one over lanes
// would not vectorise.
template <int j>
constexpr uint32_t columns_of_bit(uint32_t x) {
  const uint32_t lower = (x & ((1u << j) - 1)) >> (18 - j);
  constexpr uint32_t kItself = 1u << (2 * j - 19);
  return (lower + kItself) & (0u - (x >> j & 1));
}
constexpr int truncated_square(uint32_t x) {
  return [x]<int... i>(std::integer_sequence<int, i...>) {
    return static_cast<int>((columns_of_bit<10 + i>(x) + ...));
  }
  (std::make_integer_sequence<int, 7>{});
}

// A table by columns: three arrays of numbers are gathered by vectors, an array of structures not.
template <int n>
struct Columns {
  int32_t constant[n] = {}, linear[n] = {}, quadratic[n] = {};
  explicit constexpr Columns(const Segment (&segments)[n]) {
    for (int i = 0; i < n; ++i) {
      constant[i] = segments[i].constant;
      linear[i] = segments[i].linear;
      quadratic[i] = segments[i].quadratic;
    }
  }
};
inline constexpr Columns kReciprocal(kReciprocalSegments);
inline constexpr Columns kReciprocalRoot(kReciprocalRootSegments);
inline constexpr Columns kSquareRoot(kSquareRootSegments);
inline constexpr Columns kExponential(kExponentialSegments);
inline constexpr Columns kLogarithm(kLogarithmSegments);
inline constexpr Columns kSine(kSineSegments);
inline constexpr Columns kTangent(kTangentSegments);

// The weights of the two products and the bias, in units of 2^-40.
struct Weights {
  int linear, quadratic, bias;
};

template <Weights weights, int n>
double interpolate(const Columns<n>& table, uint32_t segment, uint32_t x) {
  constexpr double kUnit = 0x1p-40;
  const auto i = static_cast<int>(segment);
  const double constant = static_cast<double>(table.constant[i]) * 0x1p-26 + weights.bias * kUnit;
  const double linear = static_cast<double>(table.linear[i]) * static_cast<int>(x);
  const double quadratic = static_cast<double>(table.quadratic[i]) * truncated_square(x);
  return constant + linear * (weights.linear * kUnit) + quadratic * (weights.quadratic * kUnit);
}

template <class T>
T choose(bool condition, T yes, T no) {
  return std::bit_cast<T>(select(condition, bits_of(yes), bits_of(no)));
}
// The leading 24 digits.
inline double truncated(double x) {
  constexpr uint64_t kKept = ~uint64_t{0} << (Binary64::kMantissaBits - Binary32::kMantissaBits);
  return std::bit_cast<double>(bits_of(x) & kKept);
}
constexpr double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + Binary64::kBias)
                               << Binary64::kMantissaBits);
}
// Bits of x >= 0, which has 24 digits; zero where that is subnormal.
inline uint32_t flushed_bits(double x) {
  return select(x < 0x1p-126, 0u, bits_of(static_cast<float>(x)));
}

struct Parts {
  uint32_t sign, magnitude, mantissa;
  int exponent;  // biased
  explicit Parts(float a)
      : sign(bits_of(a) & kSign32),
        magnitude(magnitude_of(a)),
        mantissa(magnitude & kMantissa32),
        exponent(static_cast<int>(magnitude >> Binary32::kMantissaBits)) {}
  bool zero() const { return exponent == 0; }
  bool nan() const { return magnitude > kInfinity32; }
};

inline float reciprocal(float a) {
  const Parts p(a);
  constexpr Weights kWeights{1, 2, 4046};
  const double value =
      truncated(interpolate<kWeights>(kReciprocal, p.mantissa >> 16, (p.mantissa & 0xFFFF) << 1));
  uint32_t bits = flushed_bits(value * power_of_two(Binary32::kBias - p.exponent));
  bits = select(p.zero(), kInfinity32, bits) | p.sign;
  return std::bit_cast<float>(select(p.nan(), kNan32, bits));
}

// What roots have in common: mantissas of [1, 4) and half of an even exponent.
struct RootParts : Parts {
  uint32_t odd;
  int half;
  explicit RootParts(float a)
      : Parts(a),
        odd(~static_cast<uint32_t>(exponent) & 1),
        half((exponent - static_cast<int>(odd) - Binary32::kBias) / 2) {}
  uint32_t segment() const { return odd << 6 | mantissa >> 17; }
  bool negative() const { return sign != 0 && !zero(); }
  uint32_t special(uint32_t of_zero, uint32_t of_infinity, uint32_t bits) const {
    bits = select(magnitude == kInfinity32, of_infinity, bits);
    bits = select(zero(), of_zero | sign, bits);
    bits = select(negative(), kNan32, bits);
    return select(nan(), kNan32, bits);
  }
};
constexpr uint32_t kLowBits = 0x1FFFF;

inline double root_of_reciprocal(uint32_t odd, uint32_t mantissa) {
  constexpr Weights kWeights{1, 4, -1};
  const double value =
      interpolate<kWeights>(kReciprocalRoot, odd << 6 | mantissa >> 17, mantissa & kLowBits);
  return choose((odd | mantissa) == 0, 1.0, value);
}
inline float reciprocal_root(float a) {
  const RootParts p(a);
  const double value = truncated(root_of_reciprocal(p.odd, p.mantissa));
  const uint32_t bits = flushed_bits(value * power_of_two(-p.half));
  return std::bit_cast<float>(p.special(kInfinity32, 0, bits));
}

inline float square_root(float a) {
  const RootParts p(a);
  constexpr Weights kWeights{1, 2, -1};
  const double value =
      truncated(interpolate<kWeights>(kSquareRoot, p.segment(), p.mantissa & kLowBits));
  const uint32_t bits = flushed_bits(value * power_of_two(p.half));
  return std::bit_cast<float>(p.special(0, kInfinity32, bits));
}

// The operand becomes a multiple of 2^-23, its magnitude truncated. The complement of a negative
// one's magnitude stands for it, but whole numbers are exact.
inline float exponential(float a) {
  const Parts p(a);
  constexpr float kBeyond = 200;
  const float clamped = choose(std::fabs(a) < kBeyond, a, std::copysign(kBeyond, a));
  int fixed = static_cast<int>(static_cast<double>(clamped) * 0x1p23);
  const bool whole = (static_cast<uint32_t>(fixed) & kMantissa32) == 0;
  fixed -= static_cast<int>(p.sign >> 31) & static_cast<int>(!whole);
  const uint32_t fraction = static_cast<uint32_t>(fixed) & kMantissa32;
  constexpr Weights kWeights{4, 4, 8072};
  const double inexact = interpolate<kWeights>(kExponential, fraction >> 17, fraction & kLowBits);
  const double value = choose(whole, 1.0, truncated(inexact));
  const uint32_t bits = flushed_bits(value * power_of_two(fixed >> 23));
  return std::bit_cast<float>(select(p.nan(), kNan32, bits));
}

// exponent + log2(mantissa), a multiple of 2^-36. The complement stands for a negative sum.
inline float logarithm(float a) {
  const Parts p(a);
  constexpr Weights kWeights{4, 8, 3348};
  constexpr double kUnit = 0x1p-36;
  constexpr uint64_t kKept = ~uint64_t{0} << (Binary64::kMantissaBits - 36);
  const double with_one =
      interpolate<kWeights>(kLogarithm, p.mantissa >> 17, p.mantissa & kLowBits) + 1;
  const double sum =
      std::bit_cast<double>(bits_of(with_one) & kKept) + (p.exponent - Binary32::kBias - 1);
  const bool negative = sum < 0;
  const double magnitude = choose(negative, -sum - kUnit, sum);
  uint32_t bits = flushed_bits(truncated(magnitude)) | select(negative, kSign32, 0u);
  bits = select(p.magnitude == bits_of(1.0F), 0u, bits);
  bits = select(p.magnitude == kInfinity32, kInfinity32, bits);
  bits = select(p.sign != 0, kNan32, bits);
  bits = select(p.zero(), kInfinity32 | kSign32, bits);
  return std::bit_cast<float>(select(p.nan(), kNan32, bits));
}

// sin(2 pi (a + quarters / 4)) for quarters of 0, sine, or 1, cosine. The operand's magnitude is
// truncated to a multiple of 2^-25; the complement of the lower 23 bits is used in the second and
// the fourth quarter.
template <uint32_t quarters>
[[gnu::always_inline]] inline float sine_of_turns(float a) {
  const Parts p(a);
  const int shift = p.exponent - (Binary32::kBias - 2);
  const uint32_t significand = p.mantissa | (kMantissa32 + 1);
  const uint32_t fixed = select(shift < 0, significand >> std::clamp(-shift, 0, 31),
                                significand << std::clamp(shift, 0, 31));
  const uint32_t quarter = (fixed >> 23) + quarters;
  const uint32_t fraction = (fixed ^ (0u - (quarter & 1))) & kMantissa32;
  constexpr Weights kWeights{8, 8, 0};
  const double value = truncated(interpolate<kWeights>(kSine, fraction >> 17, fraction & kLowBits));
  const uint32_t sign_of_operand = quarters == 0 ? p.sign : 0;
  const uint32_t bits =
      bits_of(static_cast<float>(value)) | (((quarter << 30) & kSign32) ^ sign_of_operand);
  return std::bit_cast<float>(select(p.magnitude < kInfinity32, bits, kNan32));
}

// The segments of a binade, by its biased exponent: they are equally long.
struct Binade {
  static constexpr int kFirst = Binary32::kBias - 8;
  static constexpr int kLast = Binary32::kBias + 2;
  int log_count[256] = {}, start[256] = {};
  constexpr Binade() {
    constexpr int kLogCounts[] = {0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 3};
    int next = 0;
    for (int i = kFirst; i <= kLast; ++i) {
      log_count[i] = kLogCounts[i - kFirst];
      start[i] = next;
      next += 1 << log_count[i];
    }
  }
};
inline constexpr Binade kTangentBinade;

// The operand itself below 2^-8, 1 from 8.
inline float hyperbolic_tangent(float a) {
  const Parts p(a);
  const int log_count = kTangentBinade.log_count[p.exponent];
  const uint32_t segment = static_cast<uint32_t>(kTangentBinade.start[p.exponent]) +
                           (p.mantissa >> (Binary32::kMantissaBits - log_count));
  constexpr Weights kWeights{1, 1, 0};
  const uint32_t x = p.mantissa >> (Binary32::kMantissaBits - 17 - log_count) & kLowBits;
  const double value = truncated(interpolate<kWeights>(kTangent, segment, x));
  uint32_t bits = bits_of(static_cast<float>(value));
  bits = select(p.exponent < Binade::kFirst, p.magnitude, bits);
  bits = select(p.exponent > Binade::kLast, bits_of(1.0F), bits) | p.sign;
  return std::bit_cast<float>(select(p.nan(), kNan32, bits));
}

// Of f64 the unit sees the upper word and gives the upper word, 20 bits of mantissa. The tables are
// those of f32.
constexpr uint64_t kUpperWord = 0xFFFFFFFF00000000;
constexpr uint64_t kUpperNan = 0x7FFFFFFF00000000;

struct UpperParts {
  uint64_t sign, magnitude;
  uint32_t mantissa;  // as of f32
  int exponent;       // biased
  explicit UpperParts(double a)
      : sign(bits_of(a) & Binary64::kSign),
        magnitude(magnitude_of(a) & kUpperWord),
        mantissa(static_cast<uint32_t>(magnitude >> 29) & kMantissa32),
        exponent(static_cast<int>(magnitude >> Binary64::kMantissaBits)) {}
};
// value * 2^exponent of the upper word's 21 digits; zero where that is subnormal.
inline uint64_t scaled_upper(double value, int exponent) {
  const auto bits = static_cast<int64_t>(bits_of(value) & kUpperWord);
  const int64_t scaled = bits + (static_cast<int64_t>(exponent) * (int64_t{1} << 52));
  return scaled < int64_t{1} << 52 ? 0 : static_cast<uint64_t>(scaled);
}

inline double upper_reciprocal(double a) {
  const UpperParts p(a);
  constexpr Weights kWeights{1, 2, 4046};
  const double value =
      interpolate<kWeights>(kReciprocal, p.mantissa >> 16, (p.mantissa & 0xFFFF) << 1);
  uint64_t bits = scaled_upper(value, Binary64::kBias - p.exponent);
  bits = select(p.magnitude == Binary64::kInfinity, uint64_t{0}, bits);
  bits = select(p.exponent == 0, Binary64::kInfinity, bits) | p.sign;
  return std::bit_cast<double>(select(p.magnitude > Binary64::kInfinity, kUpperNan, bits));
}

inline double upper_reciprocal_root(double a) {
  const UpperParts p(a);
  const uint32_t odd = ~static_cast<uint32_t>(p.exponent) & 1;
  const int half = (p.exponent - static_cast<int>(odd) - Binary64::kBias) / 2;
  uint64_t bits = scaled_upper(root_of_reciprocal(odd, p.mantissa), -half);
  bits = select(p.magnitude == Binary64::kInfinity, uint64_t{0}, bits);
  bits = select(p.sign != 0, kUpperNan, bits);
  bits = select(p.exponent == 0, Binary64::kInfinity | p.sign, bits);
  return std::bit_cast<double>(select(p.magnitude > Binary64::kInfinity, kUpperNan, bits));
}

}  // namespace nibble::emulator::multifunction
