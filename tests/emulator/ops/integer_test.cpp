// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic, bit fields and logic against 128-bit arithmetic and loops over bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

__extension__ using Wide = __int128;
__extension__ using Unsigned = unsigned __int128;

struct Type {
  std::string name;
  int bits;
  bool is_signed;
  std::string reg() const { return "b" + std::to_string(bits); }
  // The number that a pattern of bits is.
  Wide number(uint64_t pattern) const {
    const Wide value = pattern;
    const Wide top = Wide{1} << (bits - 1);
    return is_signed && (value & top) != 0 ? value - 2 * top : value;
  }
  uint64_t pattern(Wide number) const {
    return static_cast<uint64_t>(number) & (bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1);
  }
};
const Type kTypes[] = {{"u16", 16, false}, {"u32", 32, false}, {"u64", 64, false},
                       {"s16", 16, true},  {"s32", 32, true},  {"s64", 64, true}};
const Type kU32 = kTypes[1], kU64 = kTypes[2], kS32 = kTypes[4], kS64 = kTypes[5];

constexpr size_t kCount = 6000;

using Operation = std::function<Wide(Wide, Wide, Wide)>;

// `code` ("add" makes add.<type> %d, %a, %b) with c = a rotated through the rows.
void check(const Type& type, const std::string& code, const Operation& expected) {
  const auto [a, b] = pairs(special_integers(type.bits, 400), kCount);
  Values c = b;
  std::rotate(c.begin(), c.begin() + 17, c.end());
  const Values results =
      evaluate(code, type.reg(), {{type.reg(), a}, {type.reg(), b}, {type.reg(), c}});
  for (size_t i = 0; i < a.size(); ++i) {
    const Wide result = expected(type.number(a[i]), type.number(b[i]), type.number(c[i]));
    ASSERT_EQ(results[i], type.pattern(result)) << code << std::hex << " " << a[i] << " " << b[i];
  }
}
void check_all(const std::string& opcode, const std::string& operands, const Operation& expected) {
  for (const Type& type : kTypes) check(type, opcode + "." + type.name + operands, expected);
}

Wide clamp32(Wide x) { return std::clamp<Wide>(x, INT32_MIN, INT32_MAX); }
Wide floor_shift(Wide x, int bits) { return x >> bits; }

TEST(Integer, SumsAndProducts) {
  check_all("add", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return a + b; });
  check_all("sub", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return a - b; });
  auto low = [](Wide a, Wide b) { return static_cast<Wide>(Unsigned(a) * Unsigned(b)); };
  check_all("mul.lo", " %d, %a, %b;", [=](Wide a, Wide b, Wide) { return low(a, b); });
  check_all("mad.lo", " %d, %a, %b, %c;", [=](Wide a, Wide b, Wide c) { return low(a, b) + c; });
  for (const Type& type : kTypes) {
    auto high = [&](Wide a, Wide b) {
      if (type.is_signed) return floor_shift(a * b, type.bits);
      return static_cast<Wide>(Unsigned(a) * Unsigned(b) >> type.bits);
    };
    check(type, "mul.hi." + type.name + " %d, %a, %b;",
          [=](Wide a, Wide b, Wide) { return high(a, b); });
    check(type, "mad.hi." + type.name + " %d, %a, %b, %c;",
          [=](Wide a, Wide b, Wide c) { return high(a, b) + c; });
  }
  check(kS32, "add.sat.s32 %d, %a, %b;", [](Wide a, Wide b, Wide) { return clamp32(a + b); });
  check(kS32, "sub.sat.s32 %d, %a, %b;", [](Wide a, Wide b, Wide) { return clamp32(a - b); });
  check(kS32, "mad.hi.sat.s32 %d, %a, %b, %c;",
        [](Wide a, Wide b, Wide c) { return clamp32(floor_shift(a * b, 32) + c); });
}

TEST(Integer, QuotientsAndDistances) {
  check_all("div", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return b == 0 ? Wide{-1} : a / b; });
  check_all("rem", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return b == 0 ? Wide{-1} : a % b; });
  check_all("sad", " %d, %a, %b, %c;",
            [](Wide a, Wide b, Wide c) { return c + (a < b ? b - a : a - b); });
  check_all("min", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return std::min(a, b); });
  check_all("max", " %d, %a, %b;", [](Wide a, Wide b, Wide) { return std::max(a, b); });
  for (const Type& type : kTypes) {
    if (!type.is_signed) continue;
    check(type, "abs." + type.name + " %d, %a;", [](Wide a, Wide, Wide) { return a < 0 ? -a : a; });
    check(type, "neg." + type.name + " %d, %a;", [](Wide a, Wide, Wide) { return -a; });
  }
  check(kS32, "min.relu.s32 %d, %a, %b;",
        [](Wide a, Wide b, Wide) { return std::max<Wide>(std::min(a, b), 0); });
}

TEST(Integer, WideProducts) {
  const auto [a, b] = pairs(special_integers(32, 400), kCount);
  const Values s = evaluate("mul.wide.s32 %d, %a, %b;", "b64", {{"b32", a}, {"b32", b}});
  const Values u = evaluate("mad.wide.u32 %d, %a, %b, 5;", "b64", {{"b32", a}, {"b32", b}});
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(s[i], static_cast<uint64_t>(kS32.number(a[i]) * kS32.number(b[i])));
    ASSERT_EQ(u[i], a[i] * b[i] + 5);
  }
  const Values narrow = evaluate("mul.wide.s16 %d, %a, %b;", "b32",
                                 {{"b16", {0x8000, 0xFFFF}}, {"b16", {0x8000, 2}}});
  EXPECT_EQ(narrow, (Values{0x40000000, 0xFFFFFFFE}));
}

TEST(Integer, Products24) {
  auto cut = [](Wide x, bool is_signed) {
    const Wide low = x & 0xFFFFFF;
    return is_signed && low >= 0x800000 ? low - 0x1000000 : low;
  };
  for (const Type& type : {kU32, kS32}) {
    check(type, "mul24.lo." + type.name + " %d, %a, %b;",
          [=](Wide a, Wide b, Wide) { return cut(a, type.is_signed) * cut(b, type.is_signed); });
    check(type, "mad24.hi." + type.name + " %d, %a, %b, %c;", [=](Wide a, Wide b, Wide c) {
      return (cut(a, type.is_signed) * cut(b, type.is_signed) >> 16) + c;
    });
  }
}

// Chains of carries against sums of 128 and more bits.
TEST(Integer, CarriesChain) {
  const std::string chain = "add.cc.u32 %d, %a, %b; addc.cc.u32 %d, %b, %c; addc.u32 %d, 0, 0;";
  check(kU32, chain, [](Wide a, Wide b, Wide c) { return ((b << 32 | a) + (c << 32 | b)) >> 64; });
  check(kU32, "sub.cc.u32 %d, %a, %b; subc.u32 %d, %c, %b;",
        [](Wide a, Wide b, Wide c) { return ((c << 32 | a) - (b << 32 | b)) >> 32; });
  check(kU64, "add.cc.u64 %d, %a, %b; addc.u64 %d, %c, %c;",
        [](Wide a, Wide b, Wide c) { return 2 * c + ((a + b) >> 64); });
  check(kU32, "mad.lo.cc.u32 %d, %a, %b, %c; madc.hi.u32 %d, %a, %b, %c;",
        [](Wide a, Wide b, Wide c) { return (a * b + (c << 32 | c)) >> 32; });
  check(kS64, "mad.lo.cc.s64 %d, %a, %b, %c; madc.hi.s64 %d, %a, %b, 0;",
        [](Wide a, Wide b, Wide c) {
          const auto low = static_cast<Unsigned>(static_cast<uint64_t>(a * b));
          const Wide carry = (low + static_cast<uint64_t>(c)) >> 64 != 0 ? 1 : 0;
          return ((a * b) >> 64) + carry;
        });
}

uint64_t bit(Wide x, int i) { return static_cast<uint64_t>(x >> i) & 1; }

TEST(BitField, ExtractAndInsert) {
  for (const Type& type : {kU32, kS32, kU64, kS64}) {
    const int bits = type.bits;
    // Positions and lengths: the low bytes of b and c, folded to reach just past the width.
    const std::string start =
        bits == 64 ? "cvt.u32.u64 %s, %b; cvt.u32.u64 %l, %c;" : "mov.b32 %s, %b; mov.b32 %l, %c;";
    const std::string head =
        "{ .reg .b32 %s, %l; " + start + " and.b32 %s, %s, 127; and.b32 %l, %l, 127; ";
    check(type, head + "bfe." + type.name + " %d, %a, %s, %l; }", [&](Wide a, Wide b, Wide c) {
      const int pos = static_cast<int>(b & 127), len = static_cast<int>(c & 127);
      const uint64_t sign =
          type.is_signed && len != 0 ? bit(a, std::min(pos + len - 1, bits - 1)) : 0;
      Wide field = 0;
      for (int i = 0; i < bits; ++i) {
        const uint64_t one = i < len && pos + i < bits ? bit(a, pos + i) : sign;
        field |= Wide{one} << i;
      }
      return field;
    });
    if (type.is_signed) continue;
    check(type, head + "bfi." + type.reg() + " %d, %a, %c, %s, %l; }", [&](Wide a, Wide b, Wide c) {
      const int pos = static_cast<int>(b & 127), len = static_cast<int>(c & 127);
      Wide result = c;
      for (int i = 0; i < len && pos + i < bits; ++i) {
        result &= ~(Wide{1} << (pos + i));
        result |= Wide{bit(a, i)} << (pos + i);
      }
      return result;
    });
  }
}

// Positions and lengths beyond a byte: cut to it in 32 bits, taken whole in 64.
TEST(BitField, WholeOperands) {
  const std::vector<Column> narrow = {{"b32", {0xF0, 0xF0}}, {"b32", {0x104, 0x80000004}}};
  EXPECT_EQ(evaluate("bfe.u32 %d, %a, %b, 4;", "b32", narrow), (Values{0xF, 0xF}));
  EXPECT_EQ(evaluate("bfi.b32 %d, %a, 0, %b, 8;", "b32", narrow), (Values{0xF00, 0xF00}));
  const std::vector<Column> wide = {{"b64", {0x80000000000000F0, 0xF0}}, {"b32", {0x104, 0x104}}};
  EXPECT_EQ(evaluate("bfe.u64 %d, %a, %b, 4;", "b64", wide), (Values{0, 0}));
  EXPECT_EQ(evaluate("bfe.s64 %d, %a, %b, 4;", "b64", wide), (Values{~0ull, 0}));
  EXPECT_EQ(evaluate("bfe.u64 %d, %a, 4, %b;", "b64", wide), (Values{0x080000000000000F, 0xF}));
  EXPECT_EQ(evaluate("bfi.b64 %d, %a, 5, %b, 4;", "b64", wide), (Values{5, 5}));
}

TEST(BitField, Finding) {
  auto highest = [](Wide x, int bits, bool is_signed) {
    const uint64_t sign = is_signed ? bit(x, bits - 1) : 0;
    for (int i = bits - 1; i >= 0; --i) {
      if (bit(x, i) != sign) return i;
    }
    return -1;
  };
  for (const Type& type : {kU32, kS32}) {
    check(type, "bfind." + type.name + " %d, %a;",
          [=](Wide a, Wide, Wide) { return highest(a, 32, type.is_signed); });
    check(type, "bfind.shiftamt." + type.name + " %d, %a;", [=](Wide a, Wide, Wide) {
      const int at = highest(a, 32, type.is_signed);
      return at < 0 ? -1 : 31 - at;
    });
  }
  check(kU32, "clz.b32 %d, %a;", [=](Wide a, Wide, Wide) { return 31 - highest(a, 32, false); });
  check(kU32, "popc.b32 %d, %a;", [](Wide a, Wide, Wide) {
    Wide count = 0;
    for (int i = 0; i < 32; ++i) count += bit(a, i);
    return count;
  });
  check(kU32, "brev.b32 %d, %a;", [](Wide a, Wide, Wide) {
    Wide result = 0;
    for (int i = 0; i < 32; ++i) result |= Wide{bit(a, i)} << (31 - i);
    return result;
  });
  const Values masks(4, 0xAAAAAAAA);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, %b, %c;", "b32",
                     {{"b32", masks}, {"b32", {3, 3, 2, 2}}, {"b32", {1, ~0ull, 1, ~0ull}}}),
            (Values{3, 3, 3, 1}));
}

TEST(BitField, MasksAndExtensions) {
  check(kU32, "and.b32 %b, %b, 63; and.b32 %c, %c, 63; bmsk.clamp.b32 %d, %b, %c;",
        [](Wide, Wide b, Wide c) {
          const int pos = static_cast<int>(b & 63), len = static_cast<int>(c & 63);
          Wide mask = 0;
          for (int i = 0; i < 32; ++i) mask |= i >= pos && i < pos + len ? Wide{1} << i : 0;
          return mask;
        });
  check(kS32, "and.b32 %b, %b, 63; szext.wrap.s32 %d, %a, %b;", [](Wide a, Wide b, Wide) {
    const int bits = static_cast<int>(b & 31);
    if (bits == 0) return Wide{0};
    const Wide low = a & ((Wide{1} << bits) - 1);
    return bit(low, bits - 1) != 0 ? low - (Wide{1} << bits) : low;
  });
  check(kU32, "and.b32 %b, %b, 63; szext.clamp.u32 %d, %a, %b;", [](Wide a, Wide b, Wide) {
    const int bits = static_cast<int>(b & 63);
    return bits >= 32 ? a : a & ((Wide{1} << bits) - 1);
  });
}

TEST(Integer, DotProducts) {
  auto byte = [](Wide x, int i, bool is_signed) {
    const auto value = static_cast<int64_t>(x >> (8 * i)) & 0xFF;
    return is_signed && value >= 128 ? value - 256 : value;
  };
  auto word = [](Wide x, int i, bool is_signed) {
    const auto value = static_cast<int64_t>(x >> (16 * i)) & 0xFFFF;
    return is_signed && value >= 32768 ? value - 65536 : value;
  };
  for (const bool sa : {false, true}) {
    for (const bool sb : {false, true}) {
      const std::string types = std::string(sa ? ".s32" : ".u32") + (sb ? ".s32" : ".u32");
      check(kU32, "dp4a" + types + " %d, %a, %b, %c;", [=](Wide a, Wide b, Wide c) {
        for (int i = 0; i < 4; ++i) c += byte(a, i, sa) * byte(b, i, sb);
        return c;
      });
      check(kU32, "dp2a.hi" + types + " %d, %a, %b, %c;", [=](Wide a, Wide b, Wide c) {
        for (int i = 0; i < 2; ++i) c += word(a, i, sa) * byte(b, 2 + i, sb);
        return c;
      });
    }
  }
}

TEST(Integer, PackedHalves) {
  auto each = [](Wide a, Wide b, auto f) {
    const auto low = static_cast<uint16_t>(f(static_cast<int16_t>(a), static_cast<int16_t>(b)));
    const auto high =
        static_cast<uint16_t>(f(static_cast<int16_t>(a >> 16), static_cast<int16_t>(b >> 16)));
    return Wide{high} << 16 | low;
  };
  check(kU32, "add.s16x2 %d, %a, %b;",
        [=](Wide a, Wide b, Wide) { return each(a, b, [](int x, int y) { return x + y; }); });
  check(kU32, "max.relu.s16x2 %d, %a, %b;", [=](Wide a, Wide b, Wide) {
    return each(a, b, [](int x, int y) { return std::max({x, y, 0}); });
  });
}

TEST(Logic, BitByBit) {
  for (const std::string bits : {"16", "32", "64"}) {
    const Type type{"b" + bits, std::stoi(bits), false};
    check(type, "and.b" + bits + " %d, %a, %b;", [](Wide a, Wide b, Wide) { return a & b; });
    check(type, "or.b" + bits + " %d, %a, %b;", [](Wide a, Wide b, Wide) { return a | b; });
    check(type, "xor.b" + bits + " %d, %a, %b;", [](Wide a, Wide b, Wide) { return a ^ b; });
    check(type, "not.b" + bits + " %d, %a;", [](Wide a, Wide, Wide) { return ~a; });
    check(type, "cnot.b" + bits + " %d, %a;", [](Wide a, Wide, Wide) { return a == 0 ? 1 : 0; });
  }
  for (int table = 0; table < 256; ++table) {
    const std::string code = "lop3.b32 %d, %a, %b, %c, " + std::to_string(table) + ";";
    const Values a = {0xF0F0F0F0}, b = {0xCCCCCCCC}, c = {0xAAAAAAAA};
    const Values result = evaluate(code, "b32", {{"b32", a}, {"b32", b}, {"b32", c}});
    EXPECT_EQ(result[0], static_cast<uint64_t>(table) * 0x01010101u);
  }
}

TEST(Logic, Predicates) {
  const Values a = {0, 0, 1, 1}, b = {0, 1, 0, 1};
  const std::string head = "setp.ne.b32 %p, %a, 0; setp.ne.b32 %q, %b, 0; ";
  auto result = [&](const std::string& code) {
    return evaluate(head + code + " selp.b32 %d, 1, 0, %p;", "b32", {{"b32", a}, {"b32", b}});
  };
  EXPECT_EQ(result("and.pred %p, %p, %q;"), (Values{0, 0, 0, 1}));
  EXPECT_EQ(result("or.pred %p, %p, %q;"), (Values{0, 1, 1, 1}));
  EXPECT_EQ(result("xor.pred %p, %p, %q;"), (Values{0, 1, 1, 0}));
  EXPECT_EQ(result("not.pred %p, %q;"), (Values{1, 0, 1, 0}));
  EXPECT_EQ(result("lop3.or.b32 _|%p, %a, %a, %a, 0xF0, %q;"), (Values{0, 1, 1, 1}));
  EXPECT_EQ(result("lop3.and.b32 %b|%p, %a, %a, %a, 0xF0, %q;"), (Values{0, 0, 0, 1}));
  EXPECT_EQ(result("@%q mov.pred %p, 1;"), (Values{0, 1, 1, 1}));
}

TEST(Logic, Shifts) {
  for (const Type& type : kTypes) {
    const int bits = type.bits;
    // By %b modulo 128, which reaches past every width.
    const std::string amount = bits == 64   ? "{ .reg .b32 %s; cvt.u32.u64 %s, %b;"
                               : bits == 16 ? "{ .reg .b32 %s; cvt.u32.u16 %s, %b;"
                                            : "{ .reg .b32 %s; mov.b32 %s, %b;";
    const std::string head = amount + " and.b32 %s, %s, 127; ";
    check(type, head + "shr." + type.name + " %d, %a, %s; }",
          [](Wide a, Wide b, Wide) { return a >> static_cast<int>(b & 127); });
    check(type, head + "shl." + type.reg() + " %d, %a, %s; }", [=](Wide a, Wide b, Wide) {
      const auto by = static_cast<int>(b & 127);
      return by >= bits ? Wide{0} : static_cast<Wide>(static_cast<Unsigned>(a) << by);
    });
  }
  check(kU32, "shf.l.wrap.b32 %d, %a, %b, %c;",
        [](Wide a, Wide b, Wide c) { return ((b << 32 | a) << static_cast<int>(c & 31)) >> 32; });
  check(kU32, "shf.r.wrap.b32 %d, %a, %b, %c;",
        [](Wide a, Wide b, Wide c) { return (b << 32 | a) >> static_cast<int>(c & 31); });
  check(kU32, "shf.r.clamp.b32 %d, %a, %b, %c;", [](Wide a, Wide b, Wide c) {
    return (b << 32 | a) >> static_cast<int>(std::min<Wide>(c, 32));
  });
}

TEST(Logic, Permutation) {
  const Values a = {0x83828180}, b = {0x07060504};
  auto permute = [&](const std::string& mode, uint64_t c) {
    return evaluate("prmt.b32" + mode + " %d, %a, %b, %c;", "b32",
                    {{"b32", a}, {"b32", b}, {"b32", {c}}})[0];
  };
  EXPECT_EQ(permute("", 0x7531), 0x07058381u);
  EXPECT_EQ(permute("", 0x8F9A), 0xFF00FFFFu);
  EXPECT_EQ(permute(".f4e", 1), 0x04838281u);
  EXPECT_EQ(permute(".f4e", 3), 0x06050483u);
  EXPECT_EQ(permute(".b4e", 0), 0x05060780u);
  EXPECT_EQ(permute(".b4e", 2), 0x07808182u);
  EXPECT_EQ(permute(".rc8", 2), 0x82828282u);
  EXPECT_EQ(permute(".ecl", 1), 0x83828181u);
  EXPECT_EQ(permute(".ecr", 1), 0x81818180u);
  EXPECT_EQ(permute(".rc16", 1), 0x83828382u);
}

}  // namespace
}  // namespace nibble::emulator
