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
constexpr bool kHasFtz = std::is_same_v<T, float> || std::is_same_v<T, Half>;

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

template <class T>
uint32_t compare_numbers(const T* a, const T* b, Comparison comparison) {
  auto mask = [=](auto f) { return mask_of_lanes([=](int lane) { return f(a[lane], b[lane]); }); };
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
  if constexpr (!kIsFloating<T> || std::is_same_v<T, double>) {
    return compare_numbers(a, b, comparison);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (!ftz) return compare_numbers(a, b, comparison);
    }
    float x[kWarpSize], y[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      x[lane] = to_float(ftz ? flush(a[lane * n]) : a[lane * n]);
      y[lane] = to_float(ftz ? flush(b[lane * n]) : b[lane * n]);
    }
    return compare_numbers(x, y, comparison);
  }
}

// The two spellings of every comparison: `op{.ftz}` and `op.BoolOp{.ftz}`, with a predicate c.
bool has_lane(uint32_t mask, int lane) { return (mask & (1u << lane)) != 0; }

// d = f(lane) for every active lane.
template <class D, class F>
void store_lanes(Warp& warp, const Inst& inst, F f) {
  alignas(64) D result[kWarpSize];
  for (int lane = 0; lane < kWarpSize; ++lane) result[lane] = f(lane);
  D* d = warp.reg<D>(inst.arg[0]);
  if (warp.active == kAllLanes) {
    std::memcpy(d, result, sizeof result);
  } else {
    for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      d[lane] = result[lane];
    }
  }
}

enum class Form { kPlain, kCombined };

template <class T, Form form>
bool flushes(const Inst& inst) {
  if constexpr (!kHasFtz<T>) return false;
  return chosen(inst, form == Form::kPlain ? 1 : 2);
}

// The mask combined with the predicate argument `c` by the operator of group 1.
template <Form form>
uint32_t combine(const Warp& warp, const Inst& inst, uint32_t mask, int c) {
  if constexpr (form == Form::kPlain) return mask;
  const uint32_t other = warp.predicate(inst.arg[c]);
  switch (inst.choice[1]) {
    case 0:
      return mask & other;
    case 1:
      return mask | other;
    default:
      return mask ^ other;
  }
}

// p = a op b combined with c, q = !(a op b) combined with c. Arguments p, q, a, b, c.
template <class T, Form form>
void set_predicates(Warp& warp, const Inst& inst) {
  const uint32_t mask = compare<T>(warp, inst, 2, flushes<T, form>(inst));
  const uint32_t p = combine<form>(warp, inst, mask, 4);
  const uint32_t q = combine<form>(warp, inst, ~mask, 4);
  warp.set_predicate(inst.arg[0], p);
  warp.set_predicate(inst.arg[1], q);
}
// p and q of the lower and the upper element.
template <class H, Form form>
void set_predicates_of_pair(Warp& warp, const Inst& inst) {
  const bool ftz = flushes<H, form>(inst);
  const uint32_t p = combine<form>(warp, inst, compare<H, 2>(warp, inst, 2, ftz, 0), 4);
  const uint32_t q = combine<form>(warp, inst, compare<H, 2>(warp, inst, 2, ftz, 1), 4);
  warp.set_predicate(inst.arg[0], p);
  warp.set_predicate(inst.arg[1], q);
}

// d = yes or zero. Arguments d, a, b, c.
template <class T, class D, D yes, Form form>
void set_value(Warp& warp, const Inst& inst) {
  const uint32_t compared = compare<T>(warp, inst, 1, flushes<T, form>(inst));
  const uint32_t mask = combine<form>(warp, inst, compared, 3);
  store_lanes<D>(warp, inst, [=](int lane) { return select(has_lane(mask, lane), yes, D{0}); });
}
template <class H, uint16_t yes, Form form>
void set_pair(Warp& warp, const Inst& inst) {
  const bool ftz = flushes<H, form>(inst);
  const uint32_t low = combine<form>(warp, inst, compare<H, 2>(warp, inst, 1, ftz, 0), 3);
  const uint32_t high = combine<form>(warp, inst, compare<H, 2>(warp, inst, 1, ftz, 1), 3);
  store_lanes<uint32_t>(warp, inst, [=](int lane) {
    return select(has_lane(high, lane), uint32_t{yes} << 16, 0u) |
           select(has_lane(low, lane), uint32_t{yes}, 0u);
  });
}

constexpr uint16_t kHalfOne = 0x3C00;
constexpr uint16_t kBfloatOne = 0x3F80;
constexpr uint32_t kFloatOne = 0x3F800000;

struct Source {  // a source type of setp and set
  std::string_view type;
  std::string_view operators;
  uint32_t number;  // of the lowest target
};
template <class T, Form form>
std::string head(const char* opcode, const Source& source) {
  return joined(opcode, source.operators, form == Form::kCombined ? ".{and,or,xor}" : "",
                kHasFtz<T> ? "{.ftz}" : "");
}
template <Form form>
constexpr const char* kTail = form == Form::kCombined ? ", c:pred" : "";

template <class T, Form form>
void append_form(Rows& rows, const Source& source) {
  const std::string set = head<T, form>("set", source);
  const std::string setp = head<T, form>("setp", source);
  rows.push_back({joined(setp, ".", source.type, " p:pred|q:pred, a, b", kTail<form>),
                  {source.number},
                  set_predicates<T, form>});
  auto row = [&](const char* d, uint32_t number, Body body) {
    rows.push_back({joined(set, ".", d, ".", source.type, " d:", d, ", a, b", kTail<form>),
                    {std::max(number, source.number)},
                    body});
  };
  row("u32", 50, set_value<T, uint32_t, 0xFFFFFFFF, form>);
  row("s32", 50, set_value<T, uint32_t, 0xFFFFFFFF, form>);
  row("bf16", 90, set_value<T, uint16_t, kBfloatOne, form>);
  if constexpr (!std::is_same_v<T, Bfloat>) {
    row("f16", 53, set_value<T, uint16_t, kHalfOne, form>);
  }
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    row("u16", 53, set_value<T, uint16_t, 0xFFFF, form>);
    row("s16", 53, set_value<T, uint16_t, 0xFFFF, form>);
  } else {
    row("f32", 50, set_value<T, uint32_t, kFloatOne, form>);
  }
}
template <class T>
void append_source(Rows& rows, const Source& source) {
  append_form<T, Form::kPlain>(rows, source);
  append_form<T, Form::kCombined>(rows, source);
}
template <class T>
void append_typed_source(Rows& rows, uint32_t number = 50) {
  append_source<T>(rows, {type_name<T>(), operators_of<T>(), number});
}

template <class H, uint16_t one, Form form>
void append_pair_form(Rows& rows, const Source& source) {
  const Requires target{source.number};
  const std::string set = head<H, form>("set", source);
  const std::string setp = head<H, form>("setp", source);
  const std::string operands = joined(" d:b32, a:b32, b:b32", kTail<form>);
  rows.push_back({joined(setp, ".", source.type, " p:pred|q:pred, a:b32, b:b32", kTail<form>),
                  target, set_predicates_of_pair<H, form>});
  rows.push_back(
      {joined(set, ".", source.type, ".", source.type, operands), target, set_pair<H, one, form>});
  rows.push_back(
      {joined(set, ".{u32,s32}.", source.type, operands), target, set_pair<H, 0xFFFF, form>});
}
template <class H, uint16_t one>
void append_pair_source(Rows& rows, std::string_view type, uint32_t number) {
  const Source source{type, kFloatOperators, number};
  append_pair_form<H, one, Form::kPlain>(rows, source);
  append_pair_form<H, one, Form::kCombined>(rows, source);
}

template <class U>
void select_by_predicate(Warp& warp, const Inst& inst) {
  const uint32_t mask = warp.predicate(inst.arg[3]);
  const U* a = warp.reg<const U>(inst.arg[1]);
  const U* b = warp.reg<const U>(inst.arg[2]);
  store_lanes<U>(warp, inst,
                 [=](int lane) { return select(has_lane(mask, lane), a[lane], b[lane]); });
}

template <class U>
void append_select(Rows& rows, std::string_view types) {
  const std::string bits = joined(":b", std::to_string(8 * sizeof(U)));
  const std::string operands = joined(" d", bits, ", a", bits, ", b", bits, ", c");
  rows.push_back({joined("selp.", types, " d, a, b, c:pred"), {}, select_by_predicate<U>});
  rows.push_back({joined("slct.", types, ".s32", operands), {}, [](Warp& w, const Inst& i) {
                    lanes<U, U, U, int32_t>(w, i,
                                            [](U a, U b, int32_t c) { return c >= 0 ? a : b; });
                  }});
  rows.push_back({joined("slct{.ftz}.", types, ".f32", operands), {}, [](Warp& w, const Inst& i) {
                    const bool ftz = chosen(i, 0);
                    lanes<U, U, U, float>(
                        w, i, [=](U a, U b, float c) { return (ftz ? flush(c) : c) >= 0 ? a : b; });
                  }});
}

}  // namespace

void append_compare_rows(Rows& rows) {
  append_source<uint16_t>(rows, {"b16", kBitOperators, 50});
  append_source<uint32_t>(rows, {"b32", kBitOperators, 50});
  append_source<uint64_t>(rows, {"b64", kBitOperators, 50});
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
