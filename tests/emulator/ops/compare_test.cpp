// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Comparisons and selections against a three-way comparison written out.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

enum class Order { kLess, kEqual, kGreater, kUnordered };

const char* const kOrdered[] = {"eq", "ne", "lt", "le", "gt", "ge"};

bool holds(const std::string& name, Order order) {
  if (name == "num") return order != Order::kUnordered;
  if (name == "nan") return order == Order::kUnordered;
  const bool unordered_form = name.size() == 3;
  if (order == Order::kUnordered) return unordered_form;
  const std::string base = name.substr(0, 2);
  if (base == "eq") return order == Order::kEqual;
  if (base == "ne") return order != Order::kEqual;
  if (base == "lt" || base == "lo") return order == Order::kLess;
  if (base == "le" || base == "ls") return order != Order::kGreater;
  if (base == "gt" || base == "hi") return order == Order::kGreater;
  return order != Order::kLess;  // ge, hs
}

template <class T>
Order order_of(T a, T b) {
  if (a < b) return Order::kLess;
  if (a > b) return Order::kGreater;
  return a == b ? Order::kEqual : Order::kUnordered;
}

struct Source {
  std::string type, reg;
  Values values;
  std::vector<std::string> operators;
  std::function<Order(uint64_t, uint64_t)> order;
};

float half_value(uint64_t bits) {
  const auto exponent = static_cast<int>(bits >> 10 & 31);
  const auto mantissa = static_cast<float>(bits & 1023);
  const float sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * std::ldexp(mantissa + (exponent == 0 ? 0 : 1024), std::max(exponent, 1) - 25);
}
float bfloat_value(uint64_t bits) { return as_float(bits << 16); }

std::vector<Source> sources() {
  const std::vector<std::string> ordered(kOrdered, kOrdered + 6);
  std::vector<std::string> lower = ordered, floating = ordered;
  for (const char* name : {"lo", "ls", "hi", "hs"}) lower.emplace_back(name);
  for (const char* name : {"equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}) {
    floating.emplace_back(name);
  }
  auto unsigned_order = [](uint64_t a, uint64_t b) { return order_of(a, b); };
  const Values halves = [] {
    Values values;
    for (uint64_t x = 0; x < 65536; x += 37) values.push_back(x);
    for (const uint64_t x : {0x0000, 0x8000, 0x7C00, 0xFC00, 0x7E00, 0xFF80, 0x7F80, 0x7FC0}) {
      values.push_back(x);
    }
    return values;
  }();
  return {
      {"b16", "b16", special_integers(16, 400), {"eq", "ne"}, unsigned_order},
      {"b64", "b64", special_integers(64, 400), {"eq", "ne"}, unsigned_order},
      {"u16", "b16", special_integers(16, 400), lower, unsigned_order},
      {"u32", "b32", special_integers(32, 400), lower, unsigned_order},
      {"u64", "b64", special_integers(64, 400), lower, unsigned_order},
      {"s16", "b16", special_integers(16, 400), ordered,
       [](uint64_t a, uint64_t b) {
         return order_of(static_cast<int16_t>(a), static_cast<int16_t>(b));
       }},
      {"s32", "b32", special_integers(32, 400), ordered,
       [](uint64_t a, uint64_t b) {
         return order_of(static_cast<int32_t>(a), static_cast<int32_t>(b));
       }},
      {"s64", "b64", special_integers(64, 400), ordered,
       [](uint64_t a, uint64_t b) {
         return order_of(static_cast<int64_t>(a), static_cast<int64_t>(b));
       }},
      {"f32", "b32", special_floats(0), floating,
       [](uint64_t a, uint64_t b) { return order_of(as_float(a), as_float(b)); }},
      {"f64", "b64", special_doubles(0), floating,
       [](uint64_t a, uint64_t b) { return order_of(as_double(a), as_double(b)); }},
      {"f16", "b16", halves, floating,
       [](uint64_t a, uint64_t b) { return order_of(half_value(a), half_value(b)); }},
      {"bf16", "b16", halves, floating,
       [](uint64_t a, uint64_t b) { return order_of(bfloat_value(a), bfloat_value(b)); }},
  };
}

TEST(Compare, SetPredicateOfEveryTypeAndOperator) {
  for (const Source& source : sources()) {
    const auto [a, b] = pairs(source.values, 4000);
    for (const std::string& name : source.operators) {
      const std::string code = "setp." + name + "." + source.type +
                               " %p|%q, %a, %b; selp.b32 %d, 1, 0, %p; @%q or.b32 %d, %d, 2;";
      const Values results = evaluate(code, "b32", {{source.reg, a}, {source.reg, b}});
      for (size_t i = 0; i < a.size(); ++i) {
        const bool expected = holds(name, source.order(a[i], b[i]));
        ASSERT_EQ(results[i], expected ? 1u : 2u) << code << std::hex << a[i] << " " << b[i];
      }
    }
  }
}

TEST(Compare, SetOfEveryType) {
  for (const Source& source : sources()) {
    const auto [a, b] = pairs(source.values, 4000);
    struct Kind {
      std::string name, reg;
      uint64_t yes;
    };
    std::vector<Kind> kinds = {{"u32", "b32", 0xFFFFFFFF}, {"bf16", "b16", 0x3F80}};
    if (source.type == "f16") {
      kinds.push_back({"f16", "b16", 0x3C00});
    } else if (source.type != "bf16") {
      kinds.push_back({"f32", "b32", 0x3F800000});
    }
    for (const auto& [kind, reg, yes] : kinds) {
      const std::string code = "set.ne." + kind + "." + source.type + " %d, %a, %b;";
      const Values results = evaluate(code, reg, {{source.reg, a}, {source.reg, b}});
      for (size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(results[i], holds("ne", source.order(a[i], b[i])) ? yes : 0) << code;
      }
    }
  }
}

TEST(Compare, CombinedWithAPredicate) {
  const Values a = {1, 1, 2, 2}, b = {1, 1, 1, 1}, c = {0, 1, 0, 1};
  const std::vector<Column> columns = {{"b32", a}, {"b32", b}, {"b32", c}};
  auto result = [&](const std::string& operation, const std::string& predicate) {
    return evaluate("setp.ne.b32 %p, %c, 0; setp.eq." + operation + ".s32 %p|%q, %a, %b, " +
                        predicate + "; selp.b32 %d, 1, 0, %p; @%q or.b32 %d, %d, 2;",
                    "b32", columns);
  };
  EXPECT_EQ(result("and", "%p"), (Values{0, 1, 0, 2}));
  EXPECT_EQ(result("or", "%p"), (Values{1, 3, 2, 3}));
  EXPECT_EQ(result("xor", "%p"), (Values{1, 2, 2, 1}));
  EXPECT_EQ(result("and", "!%p"), (Values{1, 0, 2, 0}));
  EXPECT_EQ(evaluate("setp.ne.b32 %p, %c, 0; set.eq.xor.u32.s32 %d, %a, %b, %p;", "b32", columns),
            (Values{0xFFFFFFFF, 0, 0, 0xFFFFFFFF}));
}

TEST(Compare, FlushesSubnormals) {
  const std::vector<Column> columns = {{"b32", {1, 0x80000001}}, {"b32", {0, 0}}};
  EXPECT_EQ(evaluate("set.eq.u32.f32 %d, %a, %b;", "b32", columns), (Values{0, 0}));
  EXPECT_EQ(evaluate("set.eq.ftz.u32.f32 %d, %a, %b;", "b32", columns),
            (Values{0xFFFFFFFF, 0xFFFFFFFF}));
}

TEST(Compare, PairsOfHalves) {
  const std::vector<Column> columns = {{"b32", {0x3C004000, 0x7E003C00}},
                                       {"b32", {0x3C003C00, 0x3C003C00}}};
  EXPECT_EQ(evaluate("setp.gt.f16x2 %p|%q, %a, %b; selp.b32 %d, 1, 0, %p; @%q or.b32 %d, %d, 2;",
                     "b32", columns),
            (Values{1, 0}));
  EXPECT_EQ(evaluate("set.geu.f16x2.f16x2 %d, %a, %b;", "b32", columns),
            (Values{0x3C003C00, 0x3C003C00}));
  EXPECT_EQ(evaluate("set.eq.u32.f16x2 %d, %a, %b;", "b32", columns),
            (Values{0xFFFF0000, 0x0000FFFF}));
  EXPECT_EQ(evaluate("set.eq.bf16x2.bf16x2 %d, %a, %b;", "b32", columns),
            (Values{0x3F800000, 0x00003F80}));
}

TEST(Compare, Selection) {
  const std::vector<Column> columns = {{"b32", {1, 1, 1, 1}},
                                       {"b32", {2, 2, 2, 2}},
                                       {"b32", {0, 0x80000000, 0x80000001, 0x7FC00000}}};
  EXPECT_EQ(evaluate("slct.u32.s32 %d, %a, %b, %c;", "b32", columns), (Values{1, 2, 2, 1}));
  EXPECT_EQ(evaluate("slct.f32.f32 %d, %a, %b, %c;", "b32", columns), (Values{1, 1, 2, 2}));
  EXPECT_EQ(evaluate("slct.ftz.b32.f32 %d, %a, %b, %c;", "b32", columns), (Values{1, 1, 1, 2}));
  EXPECT_EQ(evaluate("setp.eq.s32 %p, %c, 0; selp.u64 %d, 7, -1, %p;", "b64", columns),
            (Values{7, ~0ull, ~0ull, ~0ull}));
}

}  // namespace
}  // namespace nibble::emulator
