// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/tensor_map.h"

#include <algorithm>

namespace nibble::emulator {

namespace {

using Type = TensorMap::Type;
using Swizzle = TensorMap::Swizzle;
using Atomicity = TensorMap::Atomicity;
using Interleave = TensorMap::Interleave;
using Mode = TensorMap::Mode;

// A field of a map: bits [first, first + count) of a word.
struct Bits {
  uint32_t word, first, count;
};
constexpr Bits kType{1, 0, 8}, kRank{1, 8, 3}, kMode{1, 12, 2}, kInterleave{1, 16, 2},
    kSwizzle{1, 22, 3}, kAtomicity{1, 25, 2}, kFill{1, 28, 1}, kPromotion{1, 29, 2},
    kPixels{12, 0, 16};
constexpr Bits element_stride_bits(uint32_t dimension) { return {1, 32 + 4 * dimension, 4}; }
constexpr Bits box_bits(uint32_t dimension) { return {11, 8 * dimension, 8}; }
constexpr Bits lower_bits(uint32_t i) { return {12, 16 + 16 * i, 16}; }
constexpr Bits upper_bits(uint32_t i) { return {13, 16 * i, 16}; }

uint64_t get(const uint64_t* words, Bits bits) {
  return words[bits.word] >> bits.first & ((uint64_t{1} << bits.count) - 1);
}
int32_t get_signed(const uint64_t* words, Bits bits) {
  return static_cast<int16_t>(get(words, bits));
}
void set(uint64_t* words, Bits bits, uint64_t value) {
  const uint64_t mask = ((uint64_t{1} << bits.count) - 1) << bits.first;
  words[bits.word] = (words[bits.word] & ~mask) | (value << bits.first & mask);
}

bool is_im2col(const TensorMap& map) { return map.mode != Mode::kTiled; }
bool is_wide(const TensorMap& map) {
  return map.mode == Mode::kIm2colW || map.mode == Mode::kIm2colW128;
}

const char* broken_swizzle(const TensorMap& map) {
  if (map.atomicity != Atomicity::k16B && map.swizzle != Swizzle::k128B) {
    return "a swizzle atomicity other than 16B needs the 128B swizzle";
  }
  if (map.swizzle == Swizzle::k96B) {
    if (map.interleave != Interleave::kNone) return "the 96B swizzle has no interleave";
    if (is_padded(map.type)) return "the padded 4-bit and 6-bit types have no 96B swizzle";
    if (map.mode == Mode::kIm2colW128) return "im2col::w::128 has no 96B swizzle";
  }
  if (is_wide(map)) {
    const bool fits = map.swizzle == Swizzle::k64B ||
                      (map.swizzle == Swizzle::k128B && map.atomicity <= Atomicity::k32B);
    if (!fits) return "im2col::w needs the swizzle 64B, 128B or 128B with atoms of 32B";
  }
  if (!is_padded(map.type)) return nullptr;
  if (map.swizzle == Swizzle::kNone) return nullptr;
  if (map.swizzle == Swizzle::k128B && map.atomicity <= Atomicity::k32B) return nullptr;
  const bool stores = map.type == Type::kU6Padded && map.atomicity == Atomicity::k64B;
  return stores ? nullptr : "the padded 4-bit and 6-bit types have no such swizzle";
}

const char* broken_mode(const TensorMap& map) {
  const bool interleaved = map.interleave != Interleave::kNone;
  if (interleaved && map.rank < 3) return "an interleaved layout needs rank 3 or more";
  if (interleaved && is_wide(map)) return "im2col::w has no interleave";
  if (is_im2col(map) && map.rank < 3) return "im2col needs rank 3 or more";
  if (map.interleave == Interleave::k32B && map.swizzle != Swizzle::k32B) {
    return "interleave 32B needs swizzle 32B";
  }
  if (map.fills_nan && (!is_floating(map.type))) return "NaN fill needs a floating-point type";
  if (interleaved && map.type == Type::kU6Padded) return "16U6_ALIGN16B cannot be interleaved";
  return broken_swizzle(map);
}

const char* broken_sizes(const TensorMap& map) {
  const bool wide_align = is_padded(map.type) || map.interleave == Interleave::k32B;
  const uint64_t align = wide_align ? 32 : 16;
  if (map.address % align != 0) return "the address must be a multiple of 16 bytes, or 32";
  // Not in the manual; a card refuses what no virtual address is.
  if (map.address >> 57 != 0) return "the address must be below 2^57";
  for (size_t i = 0; i < map.rank; ++i) {
    if (map.sizes[i] == 0 || map.sizes[i] > uint64_t{1} << 32) return "a size must be 1 to 2^32";
    if (map.element_strides[i] == 0 || map.element_strides[i] > 8) {
      return "an element stride must be 1 to 8";
    }
    if (i + 1 == map.rank) break;
    if (map.strides[i] % align != 0 || map.strides[i] >= uint64_t{1} << 40) {
      return "a stride must be a multiple of 16 bytes, or 32, and below 2^40";
    }
  }
  if (is_padded(map.type) && map.sizes[0] % 128 != 0) {
    return "the padded 4-bit and 6-bit types need sizes[0] a multiple of 128";
  }
  if (map.type == Type::kU4Packed && map.sizes[0] % 2 != 0) {
    return "16U4_ALIGN8B needs an even sizes[0]";
  }
  return nullptr;
}

const char* broken_im2col(const TensorMap& map) {
  const uint32_t spatial = map.rank - 2;
  const int32_t limit = is_wide(map) || spatial == 1 ? 32768 : spatial == 2 ? 128 : 16;
  const uint32_t corners = is_wide(map) ? 1 : spatial;
  for (uint32_t i = 0; i < corners; ++i) {
    for (const int32_t corner : {map.lower[i], map.upper[i]}) {
      if (corner < -limit || corner >= limit) return "a corner of the bounding box is out of range";
    }
    const int64_t last = static_cast<int64_t>(map.sizes[i + 1]) - 1 + map.upper[i];
    if (last < map.lower[i]) return "the bounding box is empty";
  }
  if (map.pixels == 0 || map.pixels > 1024) return "pixelsPerColumn must be 1 to 1024";
  return nullptr;
}

constexpr uint64_t kLargestBox = 227 * 1024;  // bytes

const char* broken_box(const TensorMap& map) {
  const uint32_t boxes = is_im2col(map) ? 1 : map.rank;
  for (uint32_t i = 0; i < boxes; ++i) {
    if (map.box[i] == 0 || map.box[i] > 256) return "a box size must be 1 to 256";
  }
  if (is_padded(map.type) && map.box[0] != 128) {
    return "the padded 4-bit and 6-bit types need box[0] 128";
  }
  if (map.interleave != Interleave::kNone) return nullptr;
  const uint32_t row_bits = map.box[0] * shared_bits(map.type);
  // Not in the manual; a card refuses boxes that no shared memory can hold.
  uint64_t box_bits = row_bits;
  for (uint32_t i = 1; i < boxes; ++i) box_bits *= map.box[i];
  if (box_bits > 8 * kLargestBox) return "the box is larger than a block's shared memory";
  if (row_bits % 128 != 0) return "a row of the box must be a multiple of 16 bytes";
  const uint32_t span = swizzle_span(map.swizzle);
  if (span != 0 && row_bits > span * 8) return "a row of the box must fit the swizzle's span";
  return nullptr;
}

}  // namespace

uint32_t global_bits(Type type) {
  static constexpr uint8_t kBits[] = {8, 16, 32, 32, 64, 64, 16, 32, 64, 16, 32, 32, 32, 4, 4, 6};
  return kBits[static_cast<size_t>(type)];
}

uint32_t shared_bits(Type type) { return is_padded(type) ? 8 : global_bits(type); }

bool is_floating(Type type) { return type >= Type::kF16 && type <= Type::kTf32Ftz; }

const char* name_of(Type type) {
  static constexpr const char* kNames[] = {
      "u8",  "u16",  "u32",     "s32",  "u64",      "s64",   "f16",       "f32",
      "f64", "bf16", "f32.ftz", "tf32", "tf32.ftz", "b4x16", "b4x16_p64", "b6x16_p32"};
  return kNames[static_cast<size_t>(type)];
}

uint32_t swizzle_span(Swizzle swizzle) {
  static constexpr uint8_t kSpans[] = {0, 32, 64, 128, 96};
  return kSpans[static_cast<size_t>(swizzle)];
}

const char* broken_rule(const TensorMap& map) {
  if (map.rank < 1 || map.rank > TensorMap::kMaxRank) return "the rank must be 1 to 5";
  if (const char* rule = broken_mode(map)) return rule;
  if (const char* rule = broken_sizes(map)) return rule;
  if (is_im2col(map)) {
    if (const char* rule = broken_im2col(map)) return rule;
  }
  return broken_box(map);
}

void encode(const TensorMap& map, uint64_t* words) {
  std::fill_n(words, TensorMap::kWords, 0);
  words[0] = map.address;
  set(words, kType, static_cast<uint64_t>(map.type));
  set(words, kRank, map.rank - 1);
  set(words, kMode, static_cast<uint64_t>(map.mode));
  set(words, kInterleave, static_cast<uint64_t>(map.interleave));
  set(words, kSwizzle, static_cast<uint64_t>(map.swizzle));
  set(words, kAtomicity, static_cast<uint64_t>(map.atomicity));
  set(words, kFill, map.fills_nan ? 1 : 0);
  set(words, kPromotion, map.promotion);
  for (uint32_t i = 0; i < map.rank; ++i) {
    set(words, element_stride_bits(i), map.element_strides[i] - 1);
    words[2 + i] = map.sizes[i];
    if (i + 1 < map.rank) words[7 + i] = map.strides[i];
    set(words, box_bits(i), map.box[i] - 1);
  }
  if (is_im2col(map)) {
    set(words, kPixels, map.pixels - 1);
    for (uint32_t i = 0; i < 3; ++i) {
      set(words, lower_bits(i), static_cast<uint64_t>(map.lower[i]));
      set(words, upper_bits(i), static_cast<uint64_t>(map.upper[i]));
    }
  }
  words[15] = TensorMap::kMagic;
}

std::optional<TensorMap> decode(const uint64_t* words) {
  const uint64_t type = get(words, kType), rank = get(words, kRank) + 1;
  const bool known =
      words[15] == TensorMap::kMagic && type <= static_cast<uint64_t>(Type::kU6Padded) &&
      rank <= TensorMap::kMaxRank && get(words, kInterleave) <= 2 && get(words, kSwizzle) <= 4;
  if (!known) return std::nullopt;
  TensorMap map;
  map.address = words[0];
  map.type = static_cast<Type>(type);
  map.rank = static_cast<uint32_t>(rank);
  map.mode = static_cast<Mode>(get(words, kMode));
  map.interleave = static_cast<Interleave>(get(words, kInterleave));
  map.swizzle = static_cast<Swizzle>(get(words, kSwizzle));
  map.atomicity = static_cast<Atomicity>(get(words, kAtomicity));
  map.promotion = static_cast<uint8_t>(get(words, kPromotion));
  map.fills_nan = get(words, kFill) != 0;
  map.pixels = static_cast<uint32_t>(get(words, kPixels)) + 1;
  for (uint32_t i = 0; i < TensorMap::kMaxRank; ++i) {
    map.element_strides[i] = static_cast<uint32_t>(get(words, element_stride_bits(i))) + 1;
    map.sizes[i] = words[2 + i];
    map.box[i] = static_cast<uint32_t>(get(words, box_bits(i))) + 1;
    if (i < 4) map.strides[i] = words[7 + i];
    if (i < 3) map.lower[i] = get_signed(words, lower_bits(i));
    if (i < 3) map.upper[i] = get_signed(words, upper_bits(i));
  }
  return map;
}

namespace {

// tensormap.replace's numbers of element types (table 33 of the manual).
constexpr Type kReplaceTypes[] = {
    Type::kU8,      Type::kU16,      Type::kU32,      Type::kS32,     Type::kU64,  Type::kS64,
    Type::kF16,     Type::kF32,      Type::kF32Ftz,   Type::kF64,     Type::kBf16, Type::kTf32,
    Type::kTf32Ftz, Type::kU4Packed, Type::kU4Padded, Type::kU6Padded};

std::string outside(const char* what, uint64_t value, const char* range) {
  return std::string(what) + " " + std::to_string(value) + ", which must be " + range;
}

std::string replace_dimension(uint64_t* words, TensorMapField field, uint32_t ordinal,
                              uint64_t value) {
  const bool is_stride = field == TensorMapField::kGlobalStride;
  if (ordinal >= TensorMap::kMaxRank - (is_stride ? 1 : 0)) {
    return outside("the ordinal", ordinal, is_stride ? "0 to 3" : "0 to 4");
  }
  switch (field) {
    case TensorMapField::kBoxDim:
      if (value < 1 || value > 256) return outside("a box size of", value, "1 to 256");
      set(words, box_bits(ordinal), value - 1);
      return {};
    case TensorMapField::kGlobalDim:
      words[2 + ordinal] = value;
      return {};
    case TensorMapField::kElementStride:
      if (value < 1 || value > 8) return outside("an element stride of", value, "1 to 8");
      set(words, element_stride_bits(ordinal), value - 1);
      return {};
    default:
      words[7 + ordinal] = value;
      return {};
  }
}

struct Choice {
  Bits bits;
  uint64_t last;
  const char* what;
  const char* range;
};

std::string replace_choice(uint64_t* words, TensorMapField field, uint64_t value) {
  static constexpr Choice kChoices[] = {
      {kRank, 4, "a rank less one of", "0 to 4"},
      {kType, 15, "the element type", "0 to 15"},
      {kInterleave, 2, "the interleave layout", "0 to 2"},
      {kSwizzle, 4, "the swizzle mode", "0 to 4"},
      {kAtomicity, 3, "the swizzle atomicity", "0 to 3"},
      {kFill, 1, "the fill mode", "0 or 1"},
  };
  const auto at =
      field == TensorMapField::kRank
          ? 0
          : static_cast<size_t>(field) - static_cast<size_t>(TensorMapField::kElementType) + 1;
  const Choice& choice = kChoices[at];
  if (value > choice.last) return outside(choice.what, value, choice.range);
  if (field == TensorMapField::kElementType) value = static_cast<uint64_t>(kReplaceTypes[value]);
  set(words, choice.bits, value);
  return {};
}

}  // namespace

std::string replace_field(uint64_t* words, TensorMapField field, uint32_t ordinal, uint64_t value) {
  if (std::all_of(words, words + TensorMap::kWords, [](uint64_t word) { return word == 0; })) {
    words[15] = TensorMap::kMagic;
  }
  if (words[15] != TensorMap::kMagic) return "there is no tensor map";
  switch (field) {
    case TensorMapField::kGlobalAddress:
      words[0] = value;
      return {};
    case TensorMapField::kBoxDim:
    case TensorMapField::kGlobalDim:
    case TensorMapField::kGlobalStride:
    case TensorMapField::kElementStride:
      return replace_dimension(words, field, ordinal, value);
    default:
      return replace_choice(words, field, value);
  }
}

}  // namespace nibble::emulator
