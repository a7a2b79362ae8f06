// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// cvt to and from packed formats, tf32, and with random bits: PTX ISA 9.7.9.21 and cvt.pack.
#include "runtime/emulator/ops/convert.h"

namespace nibble::emulator {
namespace {

constexpr Requires kBlackwell{100, "100a 100f 101a 101f 103a 103f 110a 110f 120a 120f 121a 121f"};
constexpr Requires kStochastic{100, "100a 103a"};

// d = {convert(a), convert(b)}, a above b.
template <class D, int bits, class F>
void pack_two(Warp& warp, const Inst& inst, F convert) {
  converted<D, float, float>(warp, inst, [=](float a, float b) {
    return static_cast<D>(static_cast<uint32_t>(convert(a)) << bits |
                          static_cast<uint32_t>(convert(b)));
  });
}

// f32 pairs to f16x2 and bf16x2. Groups: rounding, {.relu}, {.satfinite}.
template <class F>
void pack_halves(Warp& warp, const Inst& inst) {
  const EncodeOptions options{.relu = chosen(inst, 1), .satfinite = chosen(inst, 2)};
  with_flag(rounding_of(inst, 0) == Rounding::kZero, [&](auto truncates) {
    constexpr Rounding kRounding =
        decltype(truncates)::value ? Rounding::kZero : Rounding::kNearestEven;
    pack_two<uint32_t, 16>(warp, inst, [=](float x) { return encode<F>(x, kRounding, options); });
  });
}
template <class F, int random_bits>
void pack_halves_randomly(Warp& warp, const Inst& inst) {
  constexpr uint32_t kMask = (1u << random_bits) - 1;
  const EncodeOptions options{.relu = chosen(inst, 1), .satfinite = chosen(inst, 2)};
  lanes<uint32_t, float, float, uint32_t>(warp, inst, [=](float a, float b, uint32_t random) {
    return encode_random<F>(a, (random >> 16) & kMask, random_bits, options) << 16 |
           encode_random<F>(b, random & kMask, random_bits, options);
  });
}

// A format of 4, 6 or 8 bits in fields of `field` bits, two to a D.
template <class F, class D, int field>
struct Narrow {
  // Groups: .rn, .satfinite, {.relu}.
  static void from_floats(Warp& warp, const Inst& inst) {
    const EncodeOptions options{.relu = chosen(inst, 2), .satfinite = true};
    pack_two<D, field>(warp, inst,
                       [=](float x) { return encode<F>(x, Rounding::kNearestEven, options); });
  }
  static void from_halves(Warp& warp, const Inst& inst) {
    const EncodeOptions options{.relu = chosen(inst, 2), .satfinite = true};
    converted<D, uint32_t>(warp, inst, [=](uint32_t a) {
      auto convert = [=](uint32_t half) {
        return encode<F>(decode<Binary16>(half), Rounding::kNearestEven, options);
      };
      return static_cast<D>(convert(a >> 16) << field | convert(a & 0xFFFF));
    });
  }
  // Groups: .rn, {.relu}.
  static void to_halves(Warp& warp, const Inst& inst) {
    const EncodeOptions options{.relu = chosen(inst, 1)};
    constexpr uint32_t kMask = (1u << (F::kSignBit + 1)) - 1;
    converted<uint32_t, D>(warp, inst, [=](D a) {
      auto convert = [=](uint32_t code) {
        return encode<Binary16>(decode<F>(code & kMask), Rounding::kNearestEven, options);
      };
      return convert(static_cast<uint32_t>(a) >> field) << 16 | convert(a);
    });
  }
};

template <class F, class D, int field>
void append_narrow(Rows& rows, const std::string& type, const std::string& d, Requires target) {
  using N = Narrow<F, D, field>;
  rows.push_back({"cvt.rn.satfinite{.relu}." + type + ".f32 d:" + d + ", a:f32, b:f32", target,
                  N::from_floats});
  rows.push_back({"cvt.rn{.relu}.f16x2." + type + " d:b32, a:" + d, target, N::to_halves});
}

// Four f32 {a, b, e, f} to the fields of a D, a the highest, with random bits for each. Arguments
// d, a, b, e, f, rbits; groups .rs, {.relu}, .satfinite.
template <class F, class D, int field, uint32_t (*random_of)(uint32_t, int)>
void pack_four_randomly(Warp& warp, const Inst& inst) {
  const EncodeOptions options{.relu = chosen(inst, 1), .satfinite = true};
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint32_t random = load_lane<uint32_t>(warp, inst.arg[5], lane);
    uint32_t result = 0;
    for (int element = 0; element < 4; ++element) {
      const auto x = load_lane<float>(warp, inst.arg[4 - element], lane);
      result |= encode_random<F>(x, random_of(random, element), 16, options) << (field * element);
    }
    store_lane<D>(warp, inst.arg[0], lane, static_cast<D>(result));
  }
}
template <class F, class D, int field, uint32_t (*random_of)(uint32_t, int)>
Body select_four_randomly(const Inst& inst) {
  return inst.arg_count == 6 ? pack_four_randomly<F, D, field, random_of> : nullptr;
}
template <class F>
void append_random8(Rows& rows, const std::string& type) {
  rows.push_back({"cvt.rs{.relu}.satfinite." + type + "x4.f32 d:b32, {a:f32}, rbits:b32",
                  kStochastic, nullptr, select_four_randomly<F, uint32_t, 8, random_of_fp8x4>});
}

// Groups: rounding {rz, rp}, {.satfinite}.
void floats_to_ue8m0(Warp& warp, const Inst& inst) {
  const Rounding rounding = inst.choice[0] == 0 ? Rounding::kZero : Rounding::kUp;
  const bool satfinite = chosen(inst, 1);
  pack_two<uint16_t, 8>(warp, inst, [=](float x) { return encode_ue8m0(x, rounding, satfinite); });
}
void bfloats_to_ue8m0(Warp& warp, const Inst& inst) {
  const Rounding rounding = inst.choice[0] == 0 ? Rounding::kZero : Rounding::kUp;
  const bool satfinite = chosen(inst, 1);
  converted<uint16_t, uint32_t>(warp, inst, [=](uint32_t a) {
    const uint32_t high = encode_ue8m0(decode<Bfloat16>(a >> 16), rounding, satfinite);
    const uint32_t low = encode_ue8m0(decode<Bfloat16>(a & 0xFFFF), rounding, satfinite);
    return static_cast<uint16_t>(high << 8 | low);
  });
}
void ue8m0_to_bfloats(Warp& warp, const Inst& inst) {
  converted<uint32_t, uint16_t>(warp, inst, [](uint16_t a) {
    return uint32_t{ue8m0_to_bfloat(static_cast<uint8_t>(a >> 8))} << 16 |
           ue8m0_to_bfloat(static_cast<uint8_t>(a));
  });
}

// tf32 stands in the upper 19 bits of a register. Its NaN has them all set but the sign; .rna,
// which is integer arithmetic on GPUs, cuts a NaN off, and its .satfinite takes the number before.
template <Rounding rounding>
uint32_t to_tf32(float x, EncodeOptions options) {
  constexpr int kBelow = Binary32::kMantissaBits - Tf32::kMantissaBits;
  uint32_t code = encode<Tf32>(x, rounding, options);
  if constexpr (rounding == Rounding::kNearestAway) {
    const uint32_t cut = (bits_of(x) >> kBelow) - static_cast<uint32_t>(options.satfinite);
    code = select(is_nan(x), cut, code);
  }
  return code << kBelow;
}

// Clamps a and b to `bits` wide integers, b lowest, above them the low bits of c.
uint32_t pack_integers(int32_t a, int32_t b, uint32_t c, int bits, bool is_signed) {
  const int32_t most = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  const int32_t least = is_signed ? -most - 1 : 0;
  const uint32_t mask = (1u << bits) - 1;
  const uint32_t high = static_cast<uint32_t>(std::clamp(a, least, most)) & mask;
  const uint32_t low = static_cast<uint32_t>(std::clamp(b, least, most)) & mask;
  return (bits < 16 ? c << (2 * bits) : 0) | high << bits | low;
}

void append_integer_packs(Rows& rows) {
  rows.push_back(
      {"cvt.pack.sat.{u16,s16}.s32 d:b32, a:s32, b:s32", {72}, [](Warp& w, const Inst& i) {
         const bool is_signed = i.choice[2] == 1;
         lanes<uint32_t, int32_t, int32_t>(
             w, i, [=](int32_t a, int32_t b) { return pack_integers(a, b, 0, 16, is_signed); });
       }});
  auto row = [&](const char* types, uint32_t number, Body body) {
    rows.push_back({"cvt.pack.sat." + std::string(types) + ".s32.b32 d:b32, a:s32, b:s32, c:b32",
                    {number},
                    body});
  };
  auto body = []<int bits>() -> Body {
    return [](Warp& w, const Inst& i) {
      const bool is_signed = i.choice[2] == 1;
      lanes<uint32_t, int32_t, int32_t, uint32_t>(w, i, [=](int32_t a, int32_t b, uint32_t c) {
        return pack_integers(a, b, c, bits, is_signed);
      });
    };
  };
  row("{u8,s8}", 72, body.operator()<8>());
  row("{u4,s4}", 75, body.operator()<4>());
  row("{u2,s2}", 75, body.operator()<2>());
}

void append_half_pairs(Rows& rows) {
  const std::string operands = " d:b32, a:f32, b:f32";
  rows.push_back(
      {"cvt.{rn,rz}{.relu}{.satfinite}.f16x2.f32" + operands, {80}, pack_halves<Binary16>});
  rows.push_back(
      {"cvt.{rn,rz}{.relu}{.satfinite}.bf16x2.f32" + operands, {80}, pack_halves<Bfloat16>});
  rows.push_back({"cvt.rs{.relu}{.satfinite}.f16x2.f32" + operands + ", rbits:b32", kStochastic,
                  pack_halves_randomly<Binary16, 13>});
  rows.push_back({"cvt.rs{.relu}{.satfinite}.bf16x2.f32" + operands + ", rbits:b32", kStochastic,
                  pack_halves_randomly<Bfloat16, 16>});
}

void append_tf32(Rows& rows) {
  rows.push_back({"cvt.rna{.satfinite}.tf32.f32 d:b32, a", {80}, [](Warp& w, const Inst& i) {
                    const EncodeOptions options{.satfinite = chosen(i, 1)};
                    lanes<uint32_t, float>(
                        w, i, [=](float a) { return to_tf32<Rounding::kNearestAway>(a, options); });
                  }});
  auto body = [](Warp& w, const Inst& i) {
    const EncodeOptions options{
        .relu = chosen(i, 1), .satfinite = i.row->spelling.find("satfinite") != std::string::npos};
    with_flag(i.choice[0] == 1, [&](auto truncates) {
      constexpr Rounding kRounding =
          decltype(truncates)::value ? Rounding::kZero : Rounding::kNearestEven;
      lanes<uint32_t, float>(w, i, [=](float a) { return to_tf32<kRounding>(a, options); });
    });
  };
  rows.push_back({"cvt.{rn,rz}{.relu}.tf32.f32 d:b32, a", {90}, body});
  rows.push_back({"cvt.{rn,rz}{.relu}.satfinite.tf32.f32 d:b32, a", {100}, body});
}

}  // namespace

void append_packed_conversions(Rows& rows) {
  append_half_pairs(rows);
  append_tf32(rows);
  append_narrow<E4m3, uint16_t, 8>(rows, "e4m3x2", "b16", {89});
  append_narrow<E5m2, uint16_t, 8>(rows, "e5m2x2", "b16", {89});
  rows.push_back({"cvt.rn.satfinite{.relu}.e4m3x2.f16x2 d:b16, a:b32",
                  {89},
                  Narrow<E4m3, uint16_t, 8>::from_halves});
  rows.push_back({"cvt.rn.satfinite{.relu}.e5m2x2.f16x2 d:b16, a:b32",
                  {89},
                  Narrow<E5m2, uint16_t, 8>::from_halves});
  append_narrow<E2m3, uint16_t, 8>(rows, "e2m3x2", "b16", kBlackwell);
  append_narrow<E3m2, uint16_t, 8>(rows, "e3m2x2", "b16", kBlackwell);
  append_narrow<E2m1, uint8_t, 4>(rows, "e2m1x2", "b8", kBlackwell);
  rows.push_back({"cvt.rs{.relu}.satfinite.e2m1x4.f32 d:b16, {a:f32}, rbits:b32", kStochastic,
                  nullptr, select_four_randomly<E2m1, uint16_t, 4, random_of_e2m1x4>});
  append_random8<E4m3>(rows, "e4m3");
  append_random8<E5m2>(rows, "e5m2");
  append_random8<E2m3>(rows, "e2m3");
  append_random8<E3m2>(rows, "e3m2");
  rows.push_back(
      {"cvt.{rz,rp}{.satfinite}.ue8m0x2.f32 d:b16, a:f32, b:f32", kBlackwell, floats_to_ue8m0});
  rows.push_back(
      {"cvt.{rz,rp}{.satfinite}.ue8m0x2.bf16x2 d:b16, a:b32", kBlackwell, bfloats_to_ue8m0});
  rows.push_back({"cvt.rn.bf16x2.ue8m0x2 d:b32, a:b16", kBlackwell, ue8m0_to_bfloats});
  append_integer_packs(rows);
}

}  // namespace nibble::emulator
