// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Comparison and selection: PTX ISA 9.7.6 and 9.7.7.
#include "runtime/emulator/ops/arithmetic.h"

namespace nibble::emulator {
namespace {

enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqualUnordered,  // the unordered ones: true also where an operand is NaN
  kNotEqualUnordered,
  kLessUnordered,
  kLessEqualUnordered,
  kGreaterUnordered,
  kGreaterEqualUnordered,
  kNumbers,  // no operand is NaN
  kAnyNan,
};
// The spellings, in that order. lo, ls, hi, hs are the unsigned lt, le, gt, ge.
constexpr std::string_view kBitOperators = ".{eq,ne}";
constexpr std::string_view kSignedOperators = ".{eq,ne,lt,le,gt,ge}";
constexpr std::string_view kUnsignedOperators = ".{eq,ne,lt,le,gt,ge,lo,ls,hi,hs}";
constexpr std::string_view kFloatOperators = ".{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}";

template <class T>
constexpr std::string_view operators_of() {
  if constexpr (kIsFloating<T>) return kFloatOperators;
  return std::is_signed_v<T> ? kSignedOperators : kUnsignedOperators;
}
template <class T>
Comparison comparison_of(uint8_t choice) {
  constexpr uint8_t kAliases = 6;  // of an unsigned type: lo is lt, and so on
  constexpr uint8_t kAliased = 4;
  if constexpr (!kIsFloating<T>) {
    if (choice >= kAliases) return static_cast<Comparison>(choice - kAliased);
  }
  return static_cast<Comparison>(choice);
}

// Bit i of the result: f(a[i * stride], b[i * stride]).
template <class T, class F>
uint32_t mask_of(const T* a, const T* b, int stride, F f) {
  uint32_t mask = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    mask |= static_cast<uint32_t>(f(a[lane * stride], b[lane * stride])) << lane;
  }
  return mask;
}

template <class T>
uint32_t compare_numbers(const T* a, const T* b, int stride, Comparison comparison) {
  auto mask = [=](auto f) { return mask_of(a, b, stride, f); };
  switch (comparison) {
    case Comparison::kEqual:
      return mask([](T x, T y) { return x == y; });
    case Comparison::kNotEqual:
      return mask([](T x, T y) { return (x < y) | (x > y); });
    case Comparison::kLess:
      return mask([](T x, T y) { return x < y; });
    case Comparison::kLessEqual:
      return mask([](T x, T y) { return x <= y; });
    case Comparison::kGreater:
      return mask([](T x, T y) { return x > y; });
    case Comparison::kGreaterEqual:
      return mask([](T x, T y) { return x >= y; });
    case Comparison::kEqualUnordered:
      return ~mask([](T x, T y) { return (x < y) | (x > y); });
    case Comparison::kNotEqualUnordered:
      return ~mask([](T x, T y) { return x == y; });
    case Comparison::kLessUnordered:
      return ~mask([](T x, T y) { return x >= y; });
    case Comparison::kLessEqualUnordered:
      return ~mask([](T x, T y) { return x > y; });
    case Comparison::kGreaterUnordered:
      return ~mask([](T x, T y) { return x <= y; });
    case Comparison::kGreaterEqualUnordered:
      return ~mask([](T x, T y) { return x < y; });
    case Comparison::kNumbers:
      return mask([](T x, T y) { return (x == x) & (y == y); });
    case Comparison::kAnyNan:
      return mask([](T x, T y) { return (x != x) | (y != y); });
  }
  return 0;
}

// Element `element` of `n` a lane. f16 and bf16 are compared as f32.
template <class T, int n = 1>
uint32_t compare(Warp& warp, const Inst& inst, int first, bool ftz, int element = 0) {
  const Comparison comparison = comparison_of<T>(inst.choice[0]);
  const T* a = warp.reg<const T>(inst.arg[first]) + element;
  const T* b = warp.reg<const T>(inst.arg[first + 1]) + element;
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat> || std::is_same_v<T, float>) {
    float x[kWarpSize], y[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      x[lane] = to_float(ftz ? flush(a[lane * n]) : a[lane * n]);
      y[lane] = to_float(ftz ? flush(b[lane * n]) : b[lane * n]);
    }
    return compare_numbers(x, y, 1, comparison);
  } else {
    return compare_numbers(a, b, n, comparison);
  }
}

// {.and,.or,.xor} of group 1 with the predicate argument `c`, where they are there.
uint32_t combine(const Warp& warp, const Inst& inst, uint32_t mask, int c) {
  switch (inst.choice[1]) {
    case 0:
      return mask & warp.predicate(inst.arg[c]);
    case 1:
      return mask | warp.predicate(inst.arg[c]);
    case 2:
      return mask ^ warp.predicate(inst.arg[c]);
    default:
      return mask;
  }
}

// p = a op b combined with c, q = !(a op b) combined with c. Arguments p, q, a, b, c.
template <class T>
void set_predicates(Warp& warp, const Inst& inst) {
  const uint32_t mask = compare<T>(warp, inst, 2, chosen(inst, 2));
  warp.set_predicate(inst.arg[0], combine(warp, inst, mask, 4));
  warp.set_predicate(inst.arg[1], combine(warp, inst, ~mask, 4));
}
// p and q of the lower and the upper element.
template <class H>
void set_predicates_of_pair(Warp& warp, const Inst& inst) {
  const uint32_t low = compare<H, 2>(warp, inst, 2, chosen(inst, 2), 0);
  const uint32_t high = compare<H, 2>(warp, inst, 2, chosen(inst, 2), 1);
  const uint32_t p = combine(warp, inst, low, 4);
  const uint32_t q = combine(warp, inst, high, 4);
  warp.set_predicate(inst.arg[0], p);
  warp.set_predicate(inst.arg[1], q);
}

struct Source {  // of setp and set
  std::string type;
  std::string_view operators;
  bool has_ftz;
  uint32_t number;  // of the lowest target
};
std::string head(const std::string& opcode, const Source& source) {
  return opcode + std::string(source.operators) + "{.and,.or,.xor}" +
         (source.has_ftz ? "{.ftz}" : "");
}

// Writes `yes` or zero, by the mask.
template <class D>
void write_choice(Warp& warp, const Inst& inst, uint32_t mask, D yes) {
  D* d = warp.reg<D>(inst.arg[0]);
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    d[lane] = ((mask >> lane) & 1) != 0 ? yes : D{0};
  }
}
template <class T, class D, D yes>
void set_value(Warp& warp, const Inst& inst) {
  const uint32_t mask = compare<T>(warp, inst, 1, chosen(inst, 2) && kIsFloating<T>);
  write_choice<D>(warp, inst, combine(warp, inst, mask, 3), yes);
}
template <class H, uint16_t yes>
void set_pair(Warp& warp, const Inst& inst) {
  const bool ftz = std::is_same_v<H, Half> && chosen(inst, 2);
  const uint32_t low = combine(warp, inst, compare<H, 2>(warp, inst, 1, ftz, 0), 3);
  const uint32_t high = combine(warp, inst, compare<H, 2>(warp, inst, 1, ftz, 1), 3);
  uint32_t* d = warp.reg<uint32_t>(inst.arg[0]);
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint32_t upper = ((high >> lane) & 1) != 0 ? uint32_t{yes} << 16 : 0;
    d[lane] = upper | (((low >> lane) & 1) != 0 ? yes : 0);
  }
}

constexpr uint16_t kHalfOne = 0x3C00;
constexpr uint16_t kBfloatOne = 0x3F80;
constexpr uint32_t kFloatOne = 0x3F800000;

// setp and set of one source type.
template <class T>
void append_source(Rows& rows, const Source& source) {
  const std::string& type = source.type;
  const Requires target{source.number};
  rows.push_back({head("setp", source) + "." + type + " p:pred|q:pred, a, b, c?:pred", target,
                  set_predicates<T>});
  const std::string set = head("set", source);
  auto row = [&](const std::string& d, uint32_t number, Body body) {
    rows.push_back({set + "." + d + "." + type + " d:" + d + ", a, b, c?:pred",
                    {std::max(number, source.number)},
                    body});
  };
  row("u32", 50, set_value<T, uint32_t, 0xFFFFFFFF>);
  row("s32", 50, set_value<T, uint32_t, 0xFFFFFFFF>);
  row("f32", 50, set_value<T, uint32_t, kFloatOne>);
  row("f16", 53, set_value<T, uint16_t, kHalfOne>);
  row("bf16", 90, set_value<T, uint16_t, kBfloatOne>);
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    row("u16", 53, set_value<T, uint16_t, 0xFFFF>);
    row("s16", 53, set_value<T, uint16_t, 0xFFFF>);
  }
}
template <class T>
void append_typed_source(Rows& rows, uint32_t number = 50) {
  constexpr bool kFtz = std::is_same_v<T, float> || std::is_same_v<T, Half>;
  append_source<T>(rows, {std::string(type_name<T>()), operators_of<T>(), kFtz, number});
}

template <class H, uint16_t one>
void append_pair_source(Rows& rows, const std::string& type, uint32_t number) {
  const Source source{type, kFloatOperators, std::is_same_v<H, Half>, number};
  const Requires target{number};
  rows.push_back({head("setp", source) + "." + type + " p:pred|q:pred, a:b32, b:b32, c?:pred",
                  target, set_predicates_of_pair<H>});
  const std::string operands = " d:b32, a:b32, b:b32, c?:pred";
  rows.push_back(
      {head("set", source) + "." + type + "." + type + operands, target, set_pair<H, one>});
  rows.push_back(
      {head("set", source) + ".{u32,s32}." + type + operands, target, set_pair<H, 0xFFFF>});
}

template <class U>
void select_by_predicate(Warp& warp, const Inst& inst) {
  const uint32_t mask = warp.predicate(inst.arg[3]);
  const U* a = warp.reg<const U>(inst.arg[1]);
  const U* b = warp.reg<const U>(inst.arg[2]);
  U result[kWarpSize];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    result[lane] = select(((mask >> lane) & 1) != 0, a[lane], b[lane]);
  }
  U* d = warp.reg<U>(inst.arg[0]);
  if (warp.active == kAllLanes) {
    std::memcpy(d, result, sizeof result);
  } else {
    for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      d[lane] = result[lane];
    }
  }
}

template <class U>
void append_select(Rows& rows, const std::string& types) {
  rows.push_back({"selp." + types + " d, a, b, c:pred", {}, select_by_predicate<U>});
  rows.push_back(
      {"slct." + types + ".s32 d:b" + std::to_string(8 * sizeof(U)) + ", a:b" +
           std::to_string(8 * sizeof(U)) + ", b:b" + std::to_string(8 * sizeof(U)) + ", c",
       {},
       [](Warp& w, const Inst& i) {
         lanes<U, U, U, int32_t>(w, i, [](U a, U b, int32_t c) { return c >= 0 ? a : b; });
       }});
  rows.push_back({"slct{.ftz}." + types + ".f32 d:b" + std::to_string(8 * sizeof(U)) + ", a:b" +
                      std::to_string(8 * sizeof(U)) + ", b:b" + std::to_string(8 * sizeof(U)) +
                      ", c",
                  {},
                  [](Warp& w, const Inst& i) {
                    const bool ftz = chosen(i, 0);
                    lanes<U, U, U, float>(
                        w, i, [=](U a, U b, float c) { return (ftz ? flush(c) : c) >= 0 ? a : b; });
                  }});
}

}  // namespace

void append_compare_rows(Rows& rows) {
  append_source<uint16_t>(rows, {"b16", kBitOperators, false, 50});
  append_source<uint32_t>(rows, {"b32", kBitOperators, false, 50});
  append_source<uint64_t>(rows, {"b64", kBitOperators, false, 50});
  append_typed_source<uint16_t>(rows);
  append_typed_source<uint32_t>(rows);
  append_typed_source<uint64_t>(rows);
  append_typed_source<int16_t>(rows);
  append_typed_source<int32_t>(rows);
  append_typed_source<int64_t>(rows);
  append_typed_source<float>(rows);
  append_typed_source<double>(rows);
  append_typed_source<Half>(rows, 53);
  append_typed_source<Bfloat>(rows, 90);
  append_pair_source<Half, kHalfOne>(rows, "f16x2", 53);
  append_pair_source<Bfloat, kBfloatOne>(rows, "bf16x2", 90);
  append_select<uint16_t>(rows, "{b16,u16,s16}");
  append_select<uint32_t>(rows, "{b32,u32,s32,f32}");
  append_select<uint64_t>(rows, "{b64,u64,s64,f64}");
}

}  // namespace nibble::emulator
