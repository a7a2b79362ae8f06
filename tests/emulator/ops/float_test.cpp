// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// f32, f64 and half arithmetic against exact integers rounded by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

__extension__ using Wide = unsigned __int128;
constexpr const char* kModes[] = {"rn", "rz", "rm", "rp"};

// magnitude * 2^exponent, a little more when sticky.
struct Exact {
  bool negative = false;
  Wide magnitude = 0;
  int exponent = 0;
  bool sticky = false;
};

struct Precision {
  int digits, least;  // significant bits; exponent of the smallest subnormal
};
constexpr Precision kSingle{24, -149};
constexpr Precision kDouble{53, -1074};
constexpr Precision kHalf{11, -24};
constexpr Precision kBfloat{8, -133};

double round_by_hand(const Exact& x, Precision precision, const std::string& mode) {
  int width = 0;
  while (width < 128 && x.magnitude >> width != 0) ++width;
  const int unit = std::max(x.exponent + width - precision.digits, precision.least);
  const int drop = unit - x.exponent;
  if (drop <= 0) {
    const double value = std::ldexp(static_cast<double>(x.magnitude), x.exponent);
    return x.negative ? -value : value;
  }
  const bool all = drop >= 128;
  Wide kept = all ? 0 : x.magnitude >> drop;
  const Wide rest = all ? x.magnitude : x.magnitude & ((Wide{1} << drop) - 1);
  const Wide half = all ? ~Wide{0} : Wide{1} << (drop - 1);
  const bool inexact = rest != 0 || x.sticky;
  bool up = false;
  if (mode == "rn") up = rest > half || (rest == half && (x.sticky || (kept & 1) != 0));
  if (mode == "rm") up = x.negative && inexact;
  if (mode == "rp") up = !x.negative && inexact;
  if (up) ++kept;
  const double value = std::ldexp(static_cast<double>(kept), unit);
  return x.negative ? -value : value;
}

// A finite double as an exact number.
Exact exact(double x) {
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(x), &exponent);
  return {std::signbit(x), static_cast<Wide>(std::ldexp(fraction, 53)), exponent - 53, false};
}
Exact multiply(const Exact& a, const Exact& b) {
  return {a.negative != b.negative, a.magnitude * b.magnitude, a.exponent + b.exponent, false};
}
Exact trimmed(Exact x) {
  while (x.magnitude != 0 && (x.magnitude & 1) == 0) {
    x.magnitude >>= 1;
    ++x.exponent;
  }
  return x;
}
// Both brought to the lower exponent; they must fit.
Exact add(Exact a, Exact b) {
  a = trimmed(a);
  b = trimmed(b);
  if (a.magnitude == 0) return b;
  if (b.magnitude == 0) return a;
  const int least = std::min(a.exponent, b.exponent);
  a.magnitude <<= a.exponent - least;
  b.magnitude <<= b.exponent - least;
  if (a.negative == b.negative) return {a.negative, a.magnitude + b.magnitude, least, false};
  if (a.magnitude >= b.magnitude) return {a.negative, a.magnitude - b.magnitude, least, false};
  return {b.negative, b.magnitude - a.magnitude, least, false};
}
// Shifted up to 126 or 127 bits, its exponent even.
Exact widened(Exact x) {
  while (x.magnitude >> 126 == 0 || x.exponent % 2 != 0) {
    if (x.magnitude >> 127 != 0) {  // odd: give a bit back, which is zero
      x.magnitude >>= 1;
      ++x.exponent;
      break;
    }
    x.magnitude <<= 1;
    --x.exponent;
  }
  return x;
}
Exact divide(const Exact& a, const Exact& b) {
  const Exact x = widened(a);
  const Exact y = trimmed(b);
  return {a.negative != b.negative, x.magnitude / y.magnitude, x.exponent - y.exponent,
          x.magnitude % y.magnitude != 0};
}
Exact root(const Exact& a) {
  const Exact x = widened(a);
  Wide low = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const Wide next = low | Wide{1} << bit;
    if (next * next <= x.magnitude) low = next;
  }
  return {false, low, x.exponent / 2, low * low != x.magnitude};
}

// Random numbers of `digits` bits with exponents in a small range, so that exact sums fit.
std::vector<double> numbers(int digits, int range, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> values;
  for (size_t i = 0; i < count; ++i) {
    const auto zeros = static_cast<int>(random() % digits);
    const uint64_t significand =
        (uint64_t{1} << (digits - 1) | random() % (uint64_t{1} << (digits - 1))) >> zeros << zeros;
    const int exponent = static_cast<int>(random() % (2 * range + 1)) - range - digits + 1;
    const double value = std::ldexp(static_cast<double>(significand), exponent);
    values.push_back(random() % 2 == 0 ? value : -value);
  }
  return values;
}
Values singles(const std::vector<double>& values) {
  Values bits;
  for (const double x : values) bits.push_back(bits_of_float(static_cast<float>(x)));
  return bits;
}
Values doubles(const std::vector<double>& values) {
  Values bits;
  for (const double x : values) bits.push_back(std::bit_cast<uint64_t>(x));
  return bits;
}

struct Type {
  const char* name;
  const char* reg;
  Precision precision;
  int range;
  Values (*bits)(const std::vector<double>&);
  double (*value)(uint64_t);
};
double single_value(uint64_t bits) { return as_float(bits); }
const Type kTypes[] = {{"f32", "b32", kSingle, 14, singles, single_value},
                       {"f64", "b64", kDouble, 4, doubles, as_double}};

// `opcode` in every rounding against `op` of exact operands.
template <class Op>
void check(const std::string& opcode, int operands, bool positive, Op op) {
  for (const Type& type : kTypes) {
    std::vector<std::vector<double>> inputs;
    std::vector<Column> columns;
    for (int i = 0; i < operands; ++i) {
      inputs.push_back(numbers(type.precision.digits, type.range, 4096, 11 + i));
      for (double& x : inputs.back()) x = positive ? std::fabs(x) : x;
      columns.push_back({type.reg, type.bits(inputs.back())});
    }
    for (const char* mode : kModes) {
      std::string code = opcode + "." + mode + "." + type.name + " %d";
      for (int i = 0; i < operands; ++i) code += std::string(", %") + "abc"[i];
      const Values results = evaluate(code + ";", type.reg, columns);
      for (size_t row = 0; row < results.size(); ++row) {
        Exact e[3];
        for (int i = 0; i < operands; ++i) e[i] = exact(inputs[i][row]);
        const double expected = round_by_hand(op(e), type.precision, mode);
        ASSERT_EQ(type.value(results[row]), expected) << code << " row " << row;
      }
    }
  }
}

TEST(Float, Sum) {
  check("add", 2, false, [](const Exact* e) { return add(e[0], e[1]); });
}
TEST(Float, Product) {
  check("mul", 2, false, [](const Exact* e) { return multiply(e[0], e[1]); });
}
TEST(Float, FusedMultiplyAdd) {
  check("fma", 3, false, [](const Exact* e) { return add(multiply(e[0], e[1]), e[2]); });
}
TEST(Float, Quotient) {
  check("div", 2, false, [](const Exact* e) { return divide(e[0], e[1]); });
}
TEST(Float, Reciprocal) {
  check("rcp", 1, false, [](const Exact* e) { return divide(exact(1), e[0]); });
}
TEST(Float, SquareRoot) {
  check("sqrt", 1, true, [](const Exact* e) { return root(e[0]); });
}

// Products that are subnormal: the unit is fixed.
TEST(Float, SubnormalProducts) {
  std::vector<double> a = numbers(24, 10, 4096, 3);
  std::vector<double> b = numbers(24, 10, 4096, 4);
  for (double& x : a) x = std::ldexp(x, -70);
  for (double& x : b) x = std::ldexp(x, -70);
  for (const char* mode : kModes) {
    const std::string code = std::string("mul.") + mode + ".f32 %d, %a, %b;";
    const Values results = evaluate(code, "b32", {{"b32", singles(a)}, {"b32", singles(b)}});
    const Values flushed = evaluate(std::string("mul.") + mode + ".ftz.f32 %d, %a, %b;", "b32",
                                    {{"b32", singles(a)}, {"b32", singles(b)}});
    for (size_t i = 0; i < a.size(); ++i) {
      const double expected = round_by_hand(multiply(exact(a[i]), exact(b[i])), kSingle, mode);
      ASSERT_EQ(as_float(results[i]), expected) << code;
      ASSERT_EQ(as_float(flushed[i]), std::fabs(expected) < 0x1p-126 ? 0 : expected) << code;
      ASSERT_EQ(std::signbit(as_float(flushed[i])), (a[i] < 0) != (b[i] < 0));
    }
  }
}

struct Case {
  const char* code;
  std::vector<uint64_t> operands;
  uint64_t expected;
};
void check_cases(const char* type, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    std::vector<Column> columns;
    for (const uint64_t operand : c.operands) columns.push_back({type, {operand}});
    EXPECT_EQ(evaluate(c.code, type, columns)[0], c.expected) << c.code;
  }
}

// The exact result is flushed when it is below 2^-126 at 24 digits, whatever the exponent.
TEST(Float, FlushesWhatIsTinyAfterRounding) {
  constexpr uint64_t kLeast = 0x00800000, kBelowOne = 0x3F7FFFFF, kMinus = 0x80000000;
  constexpr uint64_t kAboveOne = 0x3F800001, kAboveLeast = 0x00800001, kTiny = 0x00000001;
  check_cases("b32", {{"mul.f32 %d, %a, %b;", {kBelowOne, kLeast}, kLeast},
                      {"mul.ftz.f32 %d, %a, %b;", {kBelowOne, kLeast}, 0},
                      {"mul.rp.ftz.f32 %d, %a, %b;", {kBelowOne, kLeast}, 0},
                      {"mul.rm.ftz.f32 %d, %a, %b;", {kBelowOne, kLeast | kMinus}, kMinus},
                      {"mul.ftz.f32 %d, %a, %b;", {kBelowOne, kAboveLeast}, kLeast},
                      {"mul.rz.ftz.f32 %d, %a, %b;", {kBelowOne, kAboveLeast}, kLeast},
                      {"div.rm.ftz.f32 %d, %a, %b;", {kLeast | kMinus, kAboveOne}, kMinus},
                      {"div.rp.ftz.f32 %d, %a, %b;", {kLeast, 0x3F800000}, kLeast},
                      {"rcp.rp.ftz.f32 %d, %a;", {0x7E800001}, 0},
                      {"rcp.rp.ftz.f32 %d, %a;", {0x7E800000}, kLeast},
                      {"fma.rn.ftz.f32 %d, %a, %b, %c;", {kBelowOne, kLeast, 0}, 0},
                      // 2^-126 less 2^-151, half a unit, is a tie and goes up; less more does not.
                      {"fma.rn.ftz.f32 %d, %a, %b, %c;", {0xB3000000, kLeast, kLeast}, kLeast},
                      {"fma.rn.ftz.f32 %d, %a, %b, %c;", {0xB3000001, kLeast, kLeast}, 0},
                      {"fma.rz.ftz.f32 %d, %a, %b, %c;", {0xB3000000, kLeast, kLeast}, 0},
                      {"fma.rn.ftz.f32 %d, %a, %b, %c;", {kTiny, kBelowOne, kLeast}, kLeast}});
  check_cases("b16", {{"mul.f16 %d, %a, %b;", {0x3BFF, 0x0400}, 0x0400},
                      {"mul.ftz.f16 %d, %a, %b;", {0x3BFF, 0x8400}, 0x8000},
                      {"mul.ftz.f16 %d, %a, %b;", {0x3BFF, 0x0401}, 0x0400},
                      {"fma.rn.ftz.f16 %d, %a, %b, %c;", {0x3BFF, 0x0400, 0}, 0},
                      // 2^-14 less 2^-26, half a unit, is a tie.
                      {"fma.rn.ftz.f16 %d, %a, %b, %c;", {0x8C00, 0x0400, 0x0400}, 0x0400}});
}

// A NaN of f64 passes through, made quiet: of several the second, the third, then the first.
TEST(Float, NansOfDoubles) {
  constexpr uint64_t kA = 0x7FF0000000000001, kB = 0xFFF0000000000002, kC = 0x7FF8000000000003;
  constexpr uint64_t kQuiet = 0x0008000000000000, kOne = 0x3FF0000000000000;
  constexpr uint64_t kInfinity = 0x7FF0000000000000, kNan = 0xFFF8000000000000;
  check_cases("b64", {{"add.f64 %d, %a, %b;", {kA, kOne}, kA | kQuiet},
                      {"sub.f64 %d, %a, %b;", {kA, kB}, kB | kQuiet},
                      {"mul.rz.f64 %d, %a, %b;", {kA, kB}, kB | kQuiet},
                      {"div.rn.f64 %d, %a, %b;", {kA, kB}, kA | kQuiet},
                      {"div.rn.f64 %d, %a, %b;", {kOne, kB}, kB | kQuiet},
                      {"fma.rn.f64 %d, %a, %b, %c;", {kA, kB, kC}, kB | kQuiet},
                      {"fma.rn.f64 %d, %a, %b, %c;", {kA, kOne, kC}, kC},
                      {"fma.rn.f64 %d, %a, %b, %c;", {kA, kOne, kOne}, kA | kQuiet},
                      {"sub.f64 %d, %a, %b;", {kInfinity, kInfinity}, kNan},
                      {"min.f64 %d, %a, %b;", {kA, kB}, kB | kQuiet},
                      {"max.f64 %d, %a, %b;", {kA, kOne}, kOne},
                      {"neg.f64 %d, %a;", {kB}, kB | kQuiet},
                      {"abs.f64 %d, %a;", {kB}, kB | kQuiet}});
}

TEST(Float, SpecialValues) {
  constexpr uint32_t kInfinity = 0x7F800000, kNan = 0x7FFFFFFF, kOne = 0x3F800000;
  constexpr uint32_t kMinus = 0x80000000, kSubnormal = 0x00000001, kMax = 0x7F7FFFFF;
  check_cases("b32",
              {{"add.f32 %d, %a, %b;", {kInfinity, kInfinity | kMinus}, kNan},
               {"add.f32 %d, %a, %b;", {0xFFC12345, kOne}, kNan},
               {"add.f32 %d, %a, %b;", {0, kMinus}, 0},
               {"add.rm.f32 %d, %a, %b;", {0, kMinus}, kMinus},
               {"add.rz.f32 %d, %a, %b;", {kMax, kMax}, kMax},
               {"add.rp.f32 %d, %a, %b;", {kMax, kMax}, kInfinity},
               {"add.f32 %d, %a, %b;", {kMax, kMax}, kInfinity},
               {"add.f32 %d, %a, %b;", {kSubnormal, kSubnormal}, 2},
               {"add.ftz.f32 %d, %a, %b;", {kSubnormal | kMinus, kSubnormal | kMinus}, kMinus},
               {"add.sat.f32 %d, %a, %b;", {kOne, kOne}, kOne},
               {"add.sat.f32 %d, %a, %b;", {kInfinity, kInfinity | kMinus}, 0},
               {"add.sat.f32 %d, %a, %b;", {kOne | kMinus, kOne | kMinus}, 0},
               {"sqrt.rn.f32 %d, %a;", {kOne | kMinus}, kNan},
               {"sqrt.rn.f32 %d, %a;", {kMinus}, kMinus},
               {"rcp.rn.f32 %d, %a;", {kMinus}, kInfinity | kMinus},
               {"div.rn.f32 %d, %a, %b;", {0, 0}, kNan},
               {"min.f32 %d, %a, %b;", {kNan, kOne}, kOne},
               {"min.NaN.f32 %d, %a, %b;", {0xFFC00000, kOne}, kNan},
               {"min.f32 %d, %a, %b;", {0, kMinus}, kMinus},
               {"max.f32 %d, %a, %b;", {kMinus, 0}, 0},
               {"max.f32 %d, %a, %b;", {0xFFC00000, 0xFFC00001}, kNan},
               {"max.xorsign.abs.f32 %d, %a, %b;", {0xC0000000, kOne}, 0xC0000000},
               {"max.xorsign.abs.f32 %d, %a, %b;", {0xC0000000, kOne | kMinus}, 0x40000000},
               {"min.abs.f32 %d, %a, %b, %c;", {0xC0000000, 0xC0400000, 0x40800000}, 0x40000000},
               {"max.NaN.f32 %d, %a, %b, %c;", {kOne, kNan, kOne}, kNan},
               {"neg.f32 %d, %a;", {0x7FC00000}, kNan},
               {"abs.ftz.f32 %d, %a;", {0xFFC00005}, kNan},
               {"copysign.f32 %d, %a, %b;", {kMinus, 0x7FC00000}, 0xFFC00000},
               {"copysign.f32 %d, %a, %b;", {kMinus, kOne}, kOne | kMinus},
               {"ex2.approx.ftz.f32 %d, %a;", {kSubnormal}, kOne},
               {"ex2.approx.f32 %d, %a;", {0x41200000}, 0x44800000},
               {"lg2.approx.ftz.f32 %d, %a;", {kSubnormal}, kInfinity | kMinus},
               {"lg2.approx.f32 %d, %a;", {kSubnormal}, 0xC3150000},
               {"rcp.approx.ftz.f32 %d, %a;", {kSubnormal | kMinus}, kInfinity | kMinus},
               {"rsqrt.approx.f32 %d, %a;", {0x40800000}, 0x3F000000},
               {"sin.approx.f32 %d, %a;", {kInfinity}, kNan},
               {"div.approx.f32 %d, %a, %b;", {kOne, kMax | kMinus}, kMinus},
               {"div.approx.f32 %d, %a, %b;", {kInfinity, kMax}, kNan},
               {"div.full.f32 %d, %a, %b;", {kMax, kMax}, kOne}});
}

TEST(Float, PropertiesOfNumbers) {
  const Values inputs = {0x7F800000, 0x7FC00000, 0x3F800000, 0x00000001, 0};
  const std::pair<const char*, uint32_t> cases[] = {{"finite", 0b11100}, {"infinite", 0b00001},
                                                    {"number", 0b11101}, {"notanumber", 0b00010},
                                                    {"normal", 0b10100}, {"subnormal", 0b01000}};
  for (const auto& [property, expected] : cases) {
    const std::string code =
        std::string("testp.") + property + ".f32 %p, %a; selp.b32 %d, 1, 0, %p;";
    const Values results = evaluate(code, "b32", {{"b32", inputs}});
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_EQ(results[i], (expected >> i) & 1) << property << " " << inputs[i];
    }
  }
}

TEST(Float, PairsAreTwoSingles) {
  const std::vector<double> a = numbers(24, 14, 1024, 5), b = numbers(24, 14, 1024, 6);
  Values low = singles(a), high = singles(b), packed, swapped;
  for (size_t i = 0; i < low.size(); ++i) {
    packed.push_back(high[i] << 32 | low[i]);
    swapped.push_back(low[i] << 32 | high[i]);
  }
  for (const char* mode : kModes) {
    const std::string code = std::string("fma.") + mode + ".f32x2 %d, %a, %b, %a;";
    const Values results = evaluate(code, "b64", {{"b64", packed}, {"b64", swapped}});
    for (size_t i = 0; i < results.size(); ++i) {
      const Exact product = multiply(exact(a[i]), exact(b[i]));
      const double first = round_by_hand(add(product, exact(a[i])), kSingle, mode);
      const double second = round_by_hand(add(product, exact(b[i])), kSingle, mode);
      ASSERT_EQ(as_float(results[i] & 0xFFFFFFFF), first);
      ASSERT_EQ(as_float(results[i] >> 32), second);
    }
  }
}

// Half precision: bits of a value that the format holds exactly, and back.
uint64_t half_bits(double x, Precision precision) {
  if (x == 0) return std::signbit(x) ? 0x8000 : 0;
  const int mantissa_bits = precision.digits - 1;
  int exponent = 0;
  std::frexp(x, &exponent);
  const int unit = std::max(exponent - precision.digits, precision.least);
  const auto units = static_cast<uint64_t>(std::ldexp(std::fabs(x), -unit));
  const uint64_t field = static_cast<uint64_t>(unit - precision.least) << mantissa_bits;
  return (std::signbit(x) ? 0x8000 : 0) | (field + units);
}

void check_half(const std::string& type, Precision precision) {
  for (const int shift : {0, precision.least + 4}) {  // ordinary numbers; subnormal results
    std::vector<double> x[3];
    Values bits[3];
    for (int i = 0; i < 3; ++i) {
      x[i] = numbers(precision.digits, 5, 8192, 20 + i);
      for (double& value : x[i]) value = std::ldexp(value, i == 2 ? shift : shift / 2);
      for (double& value : x[i]) {  // subnormal ones lose bits
        value = round_by_hand(exact(value), precision, "rz");
        bits[i].push_back(half_bits(value, precision));
      }
    }
    const std::vector<Column> columns = {{"b16", bits[0]}, {"b16", bits[1]}, {"b16", bits[2]}};
    const Values sums = evaluate("add." + type + " %d, %a, %c;", "b16", columns);
    const Values products = evaluate("mul." + type + " %d, %a, %b;", "b16", columns);
    const Values fused = evaluate("fma.rn." + type + " %d, %a, %b, %c;", "b16", columns);
    for (size_t i = 0; i < sums.size(); ++i) {
      const Exact a = exact(x[0][i]), b = exact(x[1][i]), c = exact(x[2][i]);
      if (shift == 0) {
        const double sum = round_by_hand(add(a, c), precision, "rn");
        if (sum != 0) {
          ASSERT_EQ(sums[i], half_bits(sum, precision)) << type;
        }
      }
      const double product = round_by_hand(multiply(a, b), precision, "rn");
      ASSERT_EQ(products[i], half_bits(product, precision)) << type << " " << x[0][i] << x[1][i];
      const double result = round_by_hand(add(multiply(a, b), c), precision, "rn");
      if (result != 0) {
        ASSERT_EQ(fused[i], half_bits(result, precision)) << type;
      }
    }
  }
}
TEST(Half, Arithmetic) { check_half("f16", kHalf); }
TEST(Half, BfloatArithmetic) { check_half("bf16", kBfloat); }

// A product on a tie of bf16, and an addend far below: rounding in double first loses it.
TEST(Half, FusedMultiplyAddRoundsOnce) {
  const Values a = {0x3F81, 0x3F81, 0x3F81};  // 1 + 2^-7, times 1.5: a tie
  const Values b = {0x3FC0, 0x3FC0, 0x3FC0};
  const Values c = {0x0080, 0x8080, 0x0000};  // +-2^-126, 0
  const Values results =
      evaluate("fma.rn.bf16 %d, %a, %b, %c;", "b16", {{"b16", a}, {"b16", b}, {"b16", c}});
  EXPECT_EQ(results, (Values{0x3FC2, 0x3FC1, 0x3FC2}));
}

TEST(Half, SpecialValues) {
  check_cases("b16", {{"add.f16 %d, %a, %b;", {0x7C00, 0xFC00}, 0x7FFF},
                      {"add.bf16 %d, %a, %b;", {0x7F80, 0xFF80}, 0x7FFF},
                      {"add.f16 %d, %a, %b;", {0x7BFF, 0x7BFF}, 0x7C00},
                      {"add.sat.f16 %d, %a, %b;", {0x3C00, 0x3C00}, 0x3C00},
                      {"add.ftz.f16 %d, %a, %b;", {0x0001, 0x8000}, 0x0000},
                      {"fma.rn.relu.f16 %d, %a, %b, %c;", {0xBC00, 0x3C00, 0}, 0},
                      {"fma.rn.relu.bf16 %d, %a, %b, %c;", {0xBF80, 0x3F80, 0x7FC1}, 0x7FFF},
                      {"neg.f16 %d, %a;", {0x3C00}, 0xBC00},
                      {"neg.f16 %d, %a;", {0xFE01}, 0x7FFF},
                      {"abs.bf16 %d, %a;", {0xFF81}, 0x7FFF},
                      {"abs.bf16 %d, %a;", {0xBF80}, 0x3F80},
                      {"max.f16 %d, %a, %b;", {0x8000, 0x0000}, 0x0000},
                      {"max.NaN.bf16 %d, %a, %b;", {0xFFC0, 0x3F80}, 0x7FFF},
                      {"min.f16 %d, %a, %b;", {0x7E00, 0xBC00}, 0xBC00},
                      {"max.xorsign.abs.bf16 %d, %a, %b;", {0xC000, 0x3F80}, 0xC000},
                      {"ex2.approx.f16 %d, %a;", {0x4000}, 0x4400},
                      {"tanh.approx.bf16 %d, %a;", {0x7F80}, 0x3F80}});
  check_cases("b32",
              {{"max.xorsign.abs.bf16x2 %d, %a, %b;", {0xC0003F80, 0x3F80C000}, 0xC000C000},
               {"fma.rn.f16x2 %d, %a, %b, %c;", {0x3C004000, 0x40004200, 0x00003C00}, 0x40004700},
               {"abs.f16x2 %d, %a;", {0xBC00FC00}, 0x3C007C00}});
}

}  // namespace
}  // namespace nibble::emulator
