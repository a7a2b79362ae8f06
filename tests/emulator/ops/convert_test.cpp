// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// cvt: integers against 128-bit numbers, floats against long double's exact integers and against
// the format tests' encoders, packed forms against their golden vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/emulator/ops/formats.h"
#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

__extension__ using Wide = __int128;

struct Integer {
  std::string name;
  int bits;
  bool is_signed;
  Wide least() const { return is_signed ? -(Wide{1} << (bits - 1)) : Wide{0}; }
  Wide most() const { return (Wide{1} << (is_signed ? bits - 1 : bits)) - 1; }
  uint64_t mask() const { return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }
  Wide number(uint64_t pattern) const {
    const Wide value = pattern & mask();
    return value > most() ? value - (Wide{1} << bits) : value;
  }
};
const Integer kIntegers[] = {{"u8", 8, false},   {"u16", 16, false}, {"u32", 32, false},
                             {"u64", 64, false}, {"s8", 8, true},    {"s16", 16, true},
                             {"s32", 32, true},  {"s64", 64, true}};

// Through 64-bit registers on both sides: the source is cut, the result is extended.
TEST(Convert, IntegersInWideRegisters) {
  const Values inputs = special_integers(64, 2000);
  for (const Integer& d : kIntegers) {
    for (const Integer& s : kIntegers) {
      const std::string types = d.name + "." + s.name + " %d, %a;";
      const Values plain = evaluate("cvt." + types, "b64", {{"b64", inputs}});
      const Values clamped = evaluate("cvt.sat." + types, "b64", {{"b64", inputs}});
      for (size_t i = 0; i < inputs.size(); ++i) {
        const Wide x = s.number(inputs[i]);
        const Wide cut = d.number(static_cast<uint64_t>(x));
        ASSERT_EQ(plain[i], static_cast<uint64_t>(cut)) << types << std::hex << inputs[i];
        ASSERT_EQ(clamped[i], static_cast<uint64_t>(std::clamp(x, d.least(), d.most()))) << types;
      }
    }
  }
}

long double rounded(long double x, const std::string& mode) {
  const long double down = std::floor(x);
  if (mode == "rmi" || down == x) return down;
  if (mode == "rpi") return down + 1;
  if (mode == "rzi") return x < 0 ? down + 1 : down;
  const long double part = x - down;
  if (part != 0.5L) return part < 0.5L ? down : down + 1;
  return std::fmod(down, 2) == 0 ? down : down + 1;
}

template <class Value>
void check_to_integers(const std::string& type, const std::string& reg, const Values& inputs,
                       Value value) {
  for (const Integer& d : kIntegers) {
    if (type == "bf16" && d.bits == 8) continue;  // a pair that PTX leaves out
    for (const std::string mode : {"rni", "rzi", "rmi", "rpi"}) {
      const std::string code = "cvt." + mode + "." + d.name + "." + type + " %d, %a;";
      const Values results = evaluate(code, "b64", {{reg, inputs}});
      for (size_t i = 0; i < inputs.size(); ++i) {
        const long double x = value(inputs[i]);
        Wide expected = type == "f64" || d.bits == 64 ? Wide{1} << (d.bits - 1) : Wide{0};
        if (x == x) {
          const long double whole = rounded(x, mode);
          if (whole >= static_cast<long double>(d.most())) {
            expected = d.most();
          } else if (whole <= static_cast<long double>(d.least())) {
            expected = d.least();
          } else {
            expected = static_cast<Wide>(whole);
          }
        }
        ASSERT_EQ(results[i], static_cast<uint64_t>(d.number(static_cast<uint64_t>(expected))))
            << code << std::hex << inputs[i];
      }
    }
  }
}
Values around_integers(Values values, bool is_double) {
  std::mt19937_64 random(1);
  for (int power = -2; power < 66; ++power) {
    for (const double quarter : {0.0, 0.25, 0.5, 0.75, 1.0, 1.5}) {
      for (const double sign : {-1.0, 1.0}) {
        const double x = sign * (std::ldexp(1.0, power) + quarter);
        values.push_back(is_double ? std::bit_cast<uint64_t>(x)
                                   : bits_of_float(static_cast<float>(x)));
      }
    }
  }
  return values;
}

TEST(Convert, FloatsToIntegers) {
  check_to_integers("f32", "b32", around_integers(special_floats(3000), false),
                    [](uint64_t bits) { return as_float(bits); });
  check_to_integers("f64", "b64", around_integers(special_doubles(3000), true),
                    [](uint64_t bits) { return as_double(bits); });
}

TEST(Convert, EveryHalfToIntegers) {
  Values all;
  for (uint64_t x = 0; x < 65536; ++x) all.push_back(x);
  check_to_integers("bf16", "b16", all, [](uint64_t bits) { return as_float(bits << 16); });
  check_to_integers("f16", "b16", all,
                    [](uint64_t bits) { return decode<Binary16>(static_cast<uint32_t>(bits)); });
}

// The integer x on a grid of `digits` significant bits, by the mode.
long double on_grid(Wide x, int digits, const std::string& mode) {
  const bool negative = x < 0;
  const Wide magnitude = negative ? -x : x;
  int width = 0;
  while (magnitude >> width != 0) ++width;
  const int drop = std::max(width - digits, 0);
  const Wide unit = Wide{1} << drop;
  Wide kept = magnitude / unit;
  const Wide rest = magnitude % unit;
  bool up = mode == "rp" ? !negative && rest != 0 : mode == "rm" && negative && rest != 0;
  if (mode == "rn") up = 2 * rest > unit || (2 * rest == unit && kept % 2 != 0);
  kept += up ? 1 : 0;
  const long double result = std::ldexp(static_cast<long double>(kept), drop);
  return negative ? -result : result;
}

TEST(Convert, IntegersToFloats) {
  const Values inputs = special_integers(64, 3000);
  for (const Integer& s : kIntegers) {
    for (const std::string mode : {"rn", "rz", "rm", "rp"}) {
      const std::string head = "cvt." + mode + ".";
      const std::string tail = "." + s.name + " %d, %a;";
      const Values f32 = evaluate(head + "f32" + tail, "b32", {{"b64", inputs}});
      const Values f64 = evaluate(head + "f64" + tail, "b64", {{"b64", inputs}});
      Values bf16(inputs.size());
      if (s.bits != 8) bf16 = evaluate(head + "bf16" + tail, "b16", {{"b64", inputs}});
      for (size_t i = 0; i < inputs.size(); ++i) {
        const Wide x = s.number(inputs[i]);
        ASSERT_EQ(as_float(f32[i]), on_grid(x, 24, mode)) << head << tail << inputs[i];
        ASSERT_EQ(as_double(f64[i]), on_grid(x, 53, mode)) << head << tail << inputs[i];
        if (s.bits != 8) {
          ASSERT_EQ(as_float(bf16[i] << 16), on_grid(x, 8, mode)) << head << tail << inputs[i];
        }
      }
    }
  }
  EXPECT_EQ(evaluate("cvt.rn.f16.u32 %d, %a;", "b16", {{"b32", {65519, 65520, 1u << 31}}}),
            (Values{0x7BFF, 0x7C00, 0x7C00}));
  EXPECT_EQ(evaluate("cvt.rz.f16.s32 %d, %a;", "b16", {{"b32", {0x80000000}}}), (Values{0xFBFF}));
}

TEST(Convert, FloatsToFloats) {
  const Values singles = special_floats(20000);
  const Values doubles = special_doubles(20000);
  const char* modes[] = {"rn", "rz", "rm", "rp"};
  for (int i = 0; i < 4; ++i) {
    const auto rounding = static_cast<Rounding>(i);
    const std::string head = std::string("cvt.") + modes[i] + ".";
    const Values f16 = evaluate(head + "f16.f32 %d, %a;", "b16", {{"b32", singles}});
    const Values bf16 = evaluate(head + "bf16.f32 %d, %a;", "b16", {{"b32", singles}});
    for (size_t k = 0; k < singles.size(); ++k) {
      ASSERT_EQ(f16[k], encode<Binary16>(as_float(singles[k]), rounding));
      ASSERT_EQ(bf16[k], encode<Bfloat16>(as_float(singles[k]), rounding));
    }
    const Values f32 = evaluate(head + "f32.f64 %d, %a;", "b32", {{"b64", doubles}});
    for (size_t k = 0; k < doubles.size(); ++k) {
      const double x = as_double(doubles[k]);
      const float result = as_float(f32[k]);
      if (x != x) {
        ASSERT_EQ(f32[k],
                  (doubles[k] >> 32 & 0x80000000) | 0x7FC00000 | (doubles[k] >> 29 & 0x007FFFFF));
      } else if (static_cast<double>(result) != x) {  // the neighbour on the side asked for
        const float below = result < x ? result : std::nextafter(result, -INFINITY);
        const float above = std::nextafter(below, INFINITY);
        ASSERT_TRUE(below < x && x < above) << x;
        if (rounding == Rounding::kDown) {
          ASSERT_EQ(result, below);
        }
        if (rounding == Rounding::kUp) {
          ASSERT_EQ(result, above);
        }
        if (rounding == Rounding::kZero) {
          ASSERT_EQ(result, x < 0 ? above : below);
        }
        if (rounding == Rounding::kNearestEven) {
          ASSERT_EQ(result, static_cast<float>(x));
        }
      }
    }
  }
}

TEST(Convert, EveryHalfSurvivesWidening) {
  Values all;
  for (uint64_t x = 0; x < 65536; ++x) all.push_back(x);
  const std::vector<Column> columns = {{"b16", all}};
  const Values f16 =
      evaluate("{ .reg .b32 %f; cvt.f32.f16 %f, %a; cvt.rn.f16.f32 %d, %f; }", "b16", columns);
  const Values bf16 =
      evaluate("{ .reg .b32 %f; cvt.f32.bf16 %f, %a; cvt.rn.bf16.f32 %d, %f; }", "b16", columns);
  const Values wide =
      evaluate("{ .reg .b64 %f; cvt.f64.f16 %f, %a; cvt.rn.f16.f64 %d, %f; }", "b16", columns);
  for (uint64_t x = 0; x < 65536; ++x) {
    const bool nan = (x & 0x7FFF) > 0x7C00;
    ASSERT_EQ(f16[x], nan ? 0x7FFF : x);
    ASSERT_EQ(wide[x], nan ? x | 0x0200 : x);
    ASSERT_EQ(bf16[x], (x & 0x7FFF) > 0x7F80 ? 0x7FFF : x);
  }
}

TEST(Convert, ModifiersOfFloats) {
  auto one = [](const std::string& code, const std::string& d, const std::string& a, uint64_t x) {
    return evaluate("cvt." + code + " %d, %a;", d, {{a, {x}}})[0];
  };
  EXPECT_EQ(one("rni.f32.f32", "b32", "b32", 0x40200000), 0x40000000u);  // 2.5
  EXPECT_EQ(one("rpi.f32.f32", "b32", "b32", 0xBF000000), 0x80000000u);  // -0.5
  EXPECT_EQ(one("rpi.f32.f32", "b32", "b32", 1), 0x3F800000u);
  EXPECT_EQ(one("rpi.ftz.f32.f32", "b32", "b32", 1), 0u);
  EXPECT_EQ(one("sat.f32.f32", "b32", "b32", 0x40200000), 0x3F800000u);
  EXPECT_EQ(one("sat.f32.f32", "b32", "b32", 0xFFC00000), 0u);
  EXPECT_EQ(one("rpi.ftz.u32.f32", "b32", "b32", 1), 0u);
  EXPECT_EQ(one("rpi.u32.f32", "b32", "b32", 1), 1u);
  EXPECT_EQ(one("rn.ftz.f32.f64", "b32", "b64", std::bit_cast<uint64_t>(-0x1p-130)), 0x80000000u);
  EXPECT_EQ(one("ftz.f64.f32", "b64", "b32", 1), 0u);
  EXPECT_EQ(one("rp.ftz.f16.f32", "b16", "b32", 1), 1u);
  EXPECT_EQ(one("rn.relu.f16.f32", "b16", "b32", 0xBF800000), 0u);
  EXPECT_EQ(one("rn.satfinite.f16.f32", "b16", "b32", 0xFF800000), 0xFBFFu);
  EXPECT_EQ(one("rn.relu.satfinite.bf16.f32", "b16", "b32", 0x7F800000), 0x7F7Fu);
  EXPECT_EQ(one("rna.tf32.f32", "b32", "b32", 0x3F801000), 0x3F802000u);
  EXPECT_EQ(one("rn.tf32.f32", "b32", "b32", 0x3F801000), 0x3F800000u);
  EXPECT_EQ(one("rz.satfinite.tf32.f32", "b32", "b32", 0x7F800000), 0x7F7FE000u);
}

TEST(Convert, NansOfEveryFormat) {
  auto one = [](const std::string& code, const std::string& d, const std::string& a, uint64_t x) {
    return evaluate("cvt." + code + " %d, %a;", d, {{a, {x}}})[0];
  };
  // Sign and payload pass to and from f64, and from bf16 to f32; all else has one NaN.
  EXPECT_EQ(one("rn.f16.f64", "b16", "b64", 0xFFF6C452FEB689EF), 0xFFB1u);
  EXPECT_EQ(one("rz.bf16.f64", "b16", "b64", 0x7FF6C452FEB689EF), 0x7FF6u);
  EXPECT_EQ(one("rn.sat.f16.f64", "b16", "b64", 0x7FF6C452FEB689EF), 0u);
  EXPECT_EQ(one("f64.f16", "b64", "b16", 0xFC02), 0xFFF8080000000000u);
  EXPECT_EQ(one("f64.bf16", "b64", "b16", 0x7F82), 0x7FF8400000000000u);
  EXPECT_EQ(one("f64.f32", "b64", "b32", 0xFF800001), 0xFFF8000020000000u);
  EXPECT_EQ(one("ftz.f64.f32", "b64", "b32", 0xFF800001), 0x7FFFFFFFE0000000u);
  EXPECT_EQ(one("ftz.f32.f32", "b32", "b32", 0xFF800001), 0x7FFFFFFFu);
  EXPECT_EQ(one("f32.bf16", "b32", "b16", 0xFF81), 0xFF810000u);
  EXPECT_EQ(one("f32.f16", "b32", "b16", 0xFC02), 0x7FFFFFFFu);
  EXPECT_EQ(one("bf16.bf16", "b16", "b16", 0xFF81), 0x7FFFu);
  EXPECT_EQ(one("rn.tf32.f32", "b32", "b32", 0xFFC00005), 0x7FFFE000u);
  EXPECT_EQ(one("rna.tf32.f32", "b32", "b32", 0xFFC00005), 0xFFC00000u);
  EXPECT_EQ(one("rna.satfinite.tf32.f32", "b32", "b32", 0xFFC00005), 0xFFBFE000u);
}

TEST(Convert, PacksPairs) {
  const std::vector<Column> columns = {{"b32", {0x3F800000, 0xC0000000, 0x7F800000}},   // 1 -2 inf
                                       {"b32", {0x40400000, 0x3F000000, 0x7FC00000}}};  // 3 .5 NaN
  auto pack = [&](const std::string& modifiers, const std::string& type) {
    return evaluate("cvt." + modifiers + ".f32 %d, %a, %b;", type, columns);
  };
  EXPECT_EQ(pack("rn.f16x2", "b32"), (Values{0x3C004200, 0xC0003800, 0x7C007FFF}));
  EXPECT_EQ(pack("rz.relu.bf16x2", "b32"), (Values{0x3F804040, 0x00003F00, 0x7F807FFF}));
  EXPECT_EQ(pack("rn.satfinite.e4m3x2", "b16"), (Values{0x3844, 0xC030, 0x7E7F}));
  EXPECT_EQ(pack("rn.satfinite.relu.e5m2x2", "b16"), (Values{0x3C42, 0x0038, 0x7B7F}));
  EXPECT_EQ(pack("rn.satfinite.e2m1x2", "b8"), (Values{0x25, 0xC1, 0x77}));
  EXPECT_EQ(pack("rn.satfinite.relu.e2m1x2", "b8"), (Values{0x25, 0x01, 0x77}));
  EXPECT_EQ(pack("rn.satfinite.e2m3x2", "b16"), (Values{0x0814, 0x3004, 0x1F1F}));
  EXPECT_EQ(pack("rn.satfinite.e3m2x2", "b16"), (Values{0x0C12, 0x3008, 0x1F1F}));
  EXPECT_EQ(pack("rp.satfinite.ue8m0x2", "b16"), (Values{0x7F81, 0x807E, 0xFEFF}));
  EXPECT_EQ(pack("rz.ue8m0x2", "b16"), (Values{0x7F80, 0x807E, 0xFFFF}));
}

template <class F>
void check_unpacking(const std::string& type, const std::string& reg, int field) {
  Values codes;
  for (uint64_t x = 0; x < (field == 4 ? 256u : 65536u); ++x) codes.push_back(x);
  const Values results = evaluate("cvt.rn.f16x2." + type + " %d, %a;", "b32", {{reg, codes}});
  const uint32_t mask = (1u << (F::kSignBit + 1)) - 1;
  for (const uint64_t x : codes) {
    const auto low = static_cast<uint32_t>(x) & mask;
    const auto high = static_cast<uint32_t>(x >> field) & mask;
    const float values[] = {decode<Binary16>(results[x] & 0xFFFF),
                            decode<Binary16>(static_cast<uint32_t>(results[x] >> 16))};
    ASSERT_EQ(bits_of_float(values[0]), bits_of_float(decode<F>(low))) << type << x;
    ASSERT_EQ(bits_of_float(values[1]), bits_of_float(decode<F>(high))) << type << x;
  }
}
TEST(Convert, UnpacksEveryPair) {
  check_unpacking<E4m3>("e4m3x2", "b16", 8);
  check_unpacking<E5m2>("e5m2x2", "b16", 8);
  check_unpacking<E2m3>("e2m3x2", "b16", 8);
  check_unpacking<E3m2>("e3m2x2", "b16", 8);
  check_unpacking<E2m1>("e2m1x2", "b8", 4);
  EXPECT_EQ(evaluate("cvt.rn.bf16x2.ue8m0x2 %d, %a;", "b32", {{"b16", {0x7F00, 0xFF80}}}),
            (Values{0x3F800040, 0x7FFF4000}));
}

// Golden vectors: [0.6, 1.3, -2.6, 5], element 0 in the low nibble, under words of random bits.
TEST(Convert, StochasticRounding) {
  const Values words = {0x00000000, 0x12345678, 0x80808080, 0xDEADBEEF, 0xFFFFFFFF};
  const std::string load =
      "{ .reg .b32 %f<4>; mov.b32 %f0, 0f40A00000; mov.b32 %f1, 0fC0266666;"
      " mov.b32 %f2, 0f3FA66666; mov.b32 %f3, 0f3F19999A; ";
  const std::string operands = ".satfinite.e2m1x4.f32 %d, {%f0, %f1, %f2, %f3}, %a; }";
  EXPECT_EQ(evaluate(load + "cvt.rs" + operands, "b16", {{"b32", words}}),
            (Values{0x6C21, 0x6C21, 0x6D21, 0x6D31, 0x7D32}));
  EXPECT_EQ(evaluate(load + "cvt.rs.relu" + operands, "b16", {{"b32", words}}),
            (Values{0x6021, 0x6021, 0x6021, 0x6031, 0x7032}));
  // 1 + 2^-8 of the step to the next f16 or bf16: up for random bits from that on.
  const Values exact = {0x3F800000, 0x3F801000};
  const Values random = {0x1FFF1FFF, 0x10001000};
  EXPECT_EQ(evaluate("cvt.rs.f16x2.f32 %d, %a, %a, %b;", "b32", {{"b32", exact}, {"b32", random}}),
            (Values{0x3C003C00, 0x3C013C01}));
  EXPECT_EQ(evaluate("cvt.rs.bf16x2.f32 %d, %a, %a, %b;", "b32",
                     {{"b32", {0x3F808000, 0x3F808000}}, {"b32", {0x80007FFF, 0x7FFF8000}}}),
            (Values{0x3F813F80, 0x3F803F81}));
}

TEST(Convert, PacksIntegers) {
  const std::vector<Column> columns = {{"b32", {300, 0xFFFFFF00, 5}},
                                       {"b32", {0xFFFFFFFF, 100000, 6}},
                                       {"b32", {0xABCD, 0x12345678, 0xFFFFFFFF}}};
  EXPECT_EQ(evaluate("cvt.pack.sat.s16.s32 %d, %a, %b;", "b32", columns),
            (Values{0x012CFFFF, 0xFF007FFF, 0x00050006}));
  EXPECT_EQ(evaluate("cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;", "b32", columns),
            (Values{0xABCDFF00, 0x567800FF, 0xFFFF0506}));
  EXPECT_EQ(evaluate("cvt.pack.sat.s4.s32.b32 %d, %a, %b, %c;", "b32", columns),
            (Values{0x00ABCD7F, 0x34567887, 0xFFFFFF56}));
}

}  // namespace
}  // namespace nibble::emulator
