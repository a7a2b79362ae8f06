// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// cvt between integers, f16, bf16, f32 and f64: PTX ISA 9.7.9.21. Registers may be wider than the
// types. The formats below 16 bits are in convert_packed.cpp.
#include <cmath>

#include "runtime/emulator/ops/convert.h"

namespace nibble::emulator {
namespace {

// Rounds to an integer as {.rni,.rzi,.rmi,.rpi} say, in Rounding's order.
template <class T>
T to_integral(T x, Rounding rounding) {
  switch (rounding) {
    case Rounding::kZero:
      return std::trunc(x);
    case Rounding::kDown:
      return std::floor(x);
    case Rounding::kUp:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

// Exact, in the smallest host type that holds every value of S.
template <class S>
auto widen(S x) {
  if constexpr (std::is_same_v<S, double>) {
    return x;
  } else {
    return to_float(x);
  }
}

// Clamped to D. A NaN gives zero, or the top bit where either side has 64 bits.
template <class D, class S>
D float_to_integer(S source, Rounding rounding) {
  using Limits = std::numeric_limits<D>;
  constexpr bool kWide = sizeof(S) == 8 || sizeof(D) == 8;
  constexpr D kTop = static_cast<D>(D{1} << (8 * sizeof(D) - 1));
  const double x = to_integral(static_cast<double>(widen(source)), rounding);
  const double end = std::ldexp(1.0, Limits::digits);  // one above the largest D
  if (x != x) return kWide ? kTop : D{0};
  if (x >= end) return Limits::max();
  return x <= static_cast<double>(Limits::min()) ? Limits::min() : static_cast<D>(x);
}

// From a 64-bit magnitude, rounded once.
template <class D>
D round_integer(uint64_t magnitude, bool negative, Rounding rounding) {
  using Layout = LayoutOf<D>;
  if (magnitude == 0) return std::bit_cast<D>(BitsOf<D>{0});
  constexpr int kPoint = 63;
  const int zeros = std::countl_zero(magnitude);
  const uint64_t sign = negative ? 1 : 0;
  const RoundTo round{rounding};
  uint64_t code = round_magnitude<Layout, kPoint>(magnitude << zeros, kPoint - zeros, sign, round);
  if (code > Layout::kMaxFinite) {
    code = round.overflows(sign) != 0 ? Layout::kInfinity : Layout::kMaxFinite;
  }
  return std::bit_cast<D>(static_cast<BitsOf<D>>(code | sign << Layout::kSignBit));
}
template <class D, class S>
D integer_to_float(S x, Rounding rounding) {
  if constexpr (std::is_floating_point_v<D>) {
    if (rounding == Rounding::kNearestEven) return static_cast<D>(x);
  }
  const bool negative = x < 0;
  using Wide = std::conditional_t<std::is_signed_v<S>, int64_t, uint64_t>;
  const auto bits = static_cast<uint64_t>(Wide{x});
  return round_integer<D>(negative ? 0 - bits : bits, negative, rounding);
}

// A NaN from or to f64 keeps its sign and what there is room for of its payload, made quiet. All
// others become the NaN of the result's format.
template <class D, class S>
D carry_nan(S x, D number) {
  using From = LayoutOf<S>;
  using To = LayoutOf<D>;
  constexpr int kWider = To::kMantissaBits - From::kMantissaBits;
  const uint64_t sign = uint64_t{bits_of(x)} >> From::kSignBit << To::kSignBit;
  const uint64_t payload = uint64_t{bits_of(x)} & ((uint64_t{1} << From::kMantissaBits) - 1);
  const uint64_t moved = kWider < 0 ? payload >> -kWider : payload << kWider;
  const uint64_t quiet = uint64_t{1} << (To::kMantissaBits - 1);
  const auto nan = static_cast<BitsOf<D>>(sign | To::kInfinity | quiet | moved);
  return std::bit_cast<D>(select(is_nan(x), nan, bits_of(number)));
}

// To a float of fewer digits, or of other range.
template <class D, class S>
D narrow(S x, Rounding rounding, EncodeOptions options) {
  if constexpr (std::is_same_v<D, float>) {
    if (rounding == Rounding::kNearestEven) return carry_nan(x, static_cast<float>(x));
  }
  const auto code = encode<LayoutOf<D>>(widen(x), rounding, options);
  const auto result = std::bit_cast<D>(static_cast<BitsOf<D>>(code));
  if constexpr (std::is_same_v<S, double>) return carry_nan(x, result);
  return result;
}

// Exact. bf16 to f32 is a shift, of a NaN too.
template <class D, class S>
D widen_to(S x) {
  if constexpr (std::is_same_v<D, double>) {
    return carry_nan(x, static_cast<double>(to_float(x)));
  } else if constexpr (std::is_same_v<S, Bfloat>) {
    return std::bit_cast<float>(uint32_t{x.bits} << 16);
  } else {
    return to_float(x);
  }
}

template <class D, class S>
D saturate_integer(S x) {
  using Limits = std::numeric_limits<D>;
  if (std::cmp_less(x, Limits::min())) return Limits::min();
  return std::cmp_greater(x, Limits::max()) ? Limits::max() : static_cast<D>(x);
}

// .ftz is of f32 operands and results alone, and gives a NaN operand the one form of f32.
template <class T>
T flush_operand(T x, bool ftz) {
  if constexpr (std::is_same_v<T, float>) return ftz ? settle(flush(x), x) : x;
  return x;
}
template <class T>
T flush_result(T x, bool ftz) {
  if constexpr (std::is_same_v<T, float>) return ftz ? flush(x) : x;
  return x;
}

enum class Kind { kIntegers, kFromInteger, kToInteger, kNarrow, kWiden, kSame };
template <class D, class S>
constexpr Kind kind_of() {
  if (!kIsFloating<D>) return kIsFloating<S> ? Kind::kToInteger : Kind::kIntegers;
  if (!kIsFloating<S>) return Kind::kFromInteger;
  if (std::is_same_v<D, S>) return Kind::kSame;
  return sizeof(D) > sizeof(S) ? Kind::kWiden : Kind::kNarrow;
}

// Whether programs hold it in registers of its own width: bytes stand in wider ones.
template <class T>
constexpr bool kHasRegisters = sizeof(T) > 1;

// One value, by the rounding and the modifiers of the instruction.
struct Modifiers {
  bool ftz = false;
  bool sat = false;
  EncodeOptions options;
};
template <class D, class S>
D convert_value(S source, Rounding rounding, const Modifiers& modifiers) {
  constexpr Kind kKind = kind_of<D, S>();
  // To f16, .ftz does nothing: neither side is flushed.
  const S x = kKind == Kind::kNarrow ? source : flush_operand(source, modifiers.ftz);
  D result;
  if constexpr (kKind == Kind::kFromInteger) {
    result = integer_to_float<D>(x, rounding);
  } else if constexpr (kKind == Kind::kToInteger) {
    return float_to_integer<D>(x, rounding);
  } else if constexpr (kKind == Kind::kSame && std::is_floating_point_v<D>) {
    result = settle(to_integral(x, rounding), x);
  } else if constexpr (kKind == Kind::kSame) {
    result = narrow<D>(to_integral(to_float(x), rounding), Rounding::kNearestEven, {});
  } else {
    result = flush_result(narrow<D>(x, rounding, modifiers.options), modifiers.ftz);
  }
  if constexpr (kIsFloating<D>) return modifiers.sat ? saturate(result) : result;
}

template <class T, class D, class S>
constexpr bool kEither = std::is_same_v<D, T> || std::is_same_v<S, T>;

// The modifiers that a pair of types has, each a group, in this order: {.ftz} where one is f32,
// {.sat} without bf16, {.relu} and {.satfinite} from f32 to f16 and bf16.
template <class D, class S>
constexpr bool kHasFtz = kEither<float, D, S>;
template <class D, class S>
constexpr bool kHasSat = !kEither<Bfloat, D, S>;
template <class D, class S>
constexpr bool kHasLimits = std::is_same_v<S, float>&& kind_of<D, S>() == Kind::kNarrow;

template <class D, class S>
Modifiers modifiers_of(const Inst& inst, int first_group) {
  int group = first_group;
  Modifiers modifiers;
  if constexpr (kHasFtz<D, S>) modifiers.ftz = chosen(inst, group++);
  if constexpr (kHasSat<D, S>) modifiers.sat = chosen(inst, group++);
  if constexpr (kHasLimits<D, S>) {
    modifiers.options = {.relu = chosen(inst, group), .satfinite = chosen(inst, group + 1)};
  }
  return modifiers;
}
template <class D, class S>
std::string modifier_groups() {
  return joined(kHasFtz<D, S> ? "{.ftz}" : "", kHasSat<D, S> ? "{.sat}" : "",
                kHasLimits<D, S> ? "{.relu}{.satfinite}" : "");
}

// Groups: rounding, then the modifiers. What compilers emit most, without modifiers and in
// registers of the types' widths, has a loop of its own, which vectorises.
template <class D, class S>
void convert_rounded(Warp& warp, const Inst& inst) {
  constexpr Rounding kUsual =
      kind_of<D, S>() == Kind::kToInteger ? Rounding::kZero : Rounding::kNearestEven;
  const Rounding rounding = rounding_of(inst, 0);
  const Modifiers modifiers = modifiers_of<D, S>(inst, 1);
  const bool plain =
      !modifiers.ftz && !modifiers.sat && !modifiers.options.relu && !modifiers.options.satfinite;
  if constexpr (kHasRegisters<D> && kHasRegisters<S>) {
    if (rounding == kUsual && plain && fits<D, S>(inst)) {
      return lanes<D, S>(warp, inst, [](S x) { return convert_value<D>(x, kUsual, Modifiers{}); });
    }
  }
  lane_by_lane<D, S>(warp, inst, [&](S x) { return convert_value<D>(x, rounding, modifiers); });
}

// Without a rounding where f16 and bf16 are converted to each other: assemblers take it for .rn,
// though the manual wants one.
template <class D, class S>
void convert_nearest(Warp& warp, const Inst& inst) {
  converted<D, S>(warp, inst,
                  [](S x) { return convert_value<D>(x, Rounding::kNearestEven, Modifiers{}); });
}

// No rounding happens.
template <class D, class S>
void convert_exactly(Warp& warp, const Inst& inst) {
  const auto [ftz, sat, options] = modifiers_of<D, S>(inst, 0);
  converted<D, S>(warp, inst, [ftz = ftz, sat = sat](S source) {
    const S x = flush_operand(source, ftz);
    D result;
    if constexpr (std::is_same_v<D, Bfloat>) {
      result = settle(x, x);
    } else if constexpr (kind_of<D, S>() == Kind::kSame) {
      result = x;
    } else {
      result = flush_result(widen_to<D>(x), ftz);
    }
    return sat ? saturate(result) : result;
  });
}

// Group {.sat}.
template <class D, class S>
void convert_integers(Warp& warp, const Inst& inst) {
  if (chosen(inst, 0)) return lane_by_lane<D, S>(warp, inst, saturate_integer<D, S>);
  auto cut = [](S x) { return static_cast<D>(x); };
  if constexpr (kHasRegisters<D> && kHasRegisters<S>) {
    converted<D, S>(warp, inst, cut);
  } else {
    lane_by_lane<D, S>(warp, inst, cut);
  }
}

template <class D, class S>
uint32_t lowest_target() {
  if (!kEither<Bfloat, D, S>) return 50;
  return kEither<float, D, S> ? 80 : 90;
}

template <class D, class S>
void append_conversion(Rows& rows) {
  const std::string d(type_name<D>());
  const std::string a(type_name<S>());
  const std::string types = "." + d + "." + a + " d:" + d + ", a";
  const Requires target{lowest_target<D, S>()};
  auto row = [&](const char* rounding, Body body) {
    rows.push_back({joined("cvt", rounding, modifier_groups<D, S>(), types), target, body});
  };
  constexpr Kind kKind = kind_of<D, S>();
  if constexpr (kEither<Bfloat, D, S> && (sizeof(D) == 1 || sizeof(S) == 1)) {
    return;  // the one pair that PTX leaves out
  } else if constexpr (kKind == Kind::kIntegers) {
    row("", convert_integers<D, S>);
  } else if constexpr (kKind == Kind::kFromInteger || kKind == Kind::kNarrow) {
    row(".{rn,rz,rm,rp}", convert_rounded<D, S>);
    if constexpr (kEither<Half, D, S> && kEither<Bfloat, D, S>) row("", convert_nearest<D, S>);
  } else if constexpr (kKind == Kind::kToInteger) {
    row(".{rni,rzi,rmi,rpi}", convert_rounded<D, S>);
  } else {
    if constexpr (kKind == Kind::kSame) row(".{rni,rzi,rmi,rpi}", convert_rounded<D, S>);
    row("", convert_exactly<D, S>);
  }
}

template <class... T>
struct Types {};
using All = Types<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, Half,
                  Bfloat, float, double>;

template <class D, class... S>
void append_to(Rows& rows, Types<S...>) {
  (append_conversion<D, S>(rows), ...);
}
template <class... D>
void append_all(Rows& rows, Types<D...>) {
  (append_to<D>(rows, All{}), ...);
}

}  // namespace

void append_convert_rows(Rows& rows) {
  append_all(rows, All{});
  append_packed_conversions(rows);
}

}  // namespace nibble::emulator
