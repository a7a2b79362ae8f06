// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator's own form of a tensor map, 128 bytes, which the driver's entry points encode and
// tensormap.replace edits in place:
//   word 0      address
//   word 1      bits 0-7 element type, 8-10 rank less one, 12-13 mode, 16-17 interleave, 22-24
//               swizzle mode, 25-26 swizzle atomicity, 28 out-of-bounds fill, 29-30 L2 promotion,
//               32-51 element strides less one (4 bits each); bit 21 is zero: CUTLASS clears it
//   words 2-6   sizes in elements
//   words 7-10  strides of dimensions 1 to 4 in bytes
//   word 11     box sizes less one, 8 bits each; of im2col maps channels less one in bits 0-7
//   word 12     im2col: pixels less one in bits 0-15, then three lower corners of 16 bits each
//   word 13     im2col: three upper corners of 16 bits each
//   word 15     kMagic
// All zero but for the magic it is a map of rank 1: kernels may fill zeroed memory with
// tensormap.replace.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace nibble::emulator {

struct TensorMap {
  static constexpr uint32_t kWords = 16;
  static constexpr uint32_t kBytes = 128;
  static constexpr uint32_t kAlign = 64;
  static constexpr uint64_t kMagic = 0x50414D524F534E54;  // "TNSORMAP"
  static constexpr uint32_t kMaxRank = 5;

  // The numbers of CUtensorMapDataType; tensormap.replace has others.
  enum class Type : uint8_t {
    kU8,
    kU16,
    kU32,
    kS32,
    kU64,
    kS64,
    kF16,
    kF32,
    kF64,
    kBf16,
    kF32Ftz,
    kTf32,
    kTf32Ftz,
    kU4Packed,  // 16U4_ALIGN8B: in shared memory as in global
    kU4Padded,  // 16U4_ALIGN16B: 16 elements in 8 bytes, then 8 of padding
    kU6Padded,  // 16U6_ALIGN16B: 16 elements in 12 bytes, then 4; stores take 6 bits of each byte
  };
  enum class Mode : uint8_t { kTiled, kIm2col, kIm2colW, kIm2colW128 };
  enum class Interleave : uint8_t { kNone, k16B, k32B };
  // The numbers of tensormap.replace.
  enum class Swizzle : uint8_t { kNone, k32B, k64B, k128B, k96B };
  enum class Atomicity : uint8_t { k16B, k32B, k32BFlip8B, k64B };

  Type type = Type::kU8;
  Mode mode = Mode::kTiled;
  uint32_t rank = 1;
  uint64_t address = 0;
  std::array<uint64_t, kMaxRank> sizes{};        // elements
  std::array<uint64_t, kMaxRank - 1> strides{};  // bytes, of dimensions 1 to 4
  std::array<uint32_t, kMaxRank> box{};          // elements; im2col: [0] are the channels
  std::array<uint32_t, kMaxRank> element_strides{};
  uint32_t pixels = 1;                      // im2col
  std::array<int32_t, 3> lower{}, upper{};  // im2col: corners, from dimension 1 on
  Interleave interleave = Interleave::kNone;
  Swizzle swizzle = Swizzle::kNone;
  Atomicity atomicity = Atomicity::k16B;
  uint8_t promotion = 0;
  bool fills_nan = false;
};

// Bits of an element in global and in shared memory.
uint32_t global_bits(TensorMap::Type type);
uint32_t shared_bits(TensorMap::Type type);
bool is_floating(TensorMap::Type type);
inline bool is_padded(TensorMap::Type type) { return type >= TensorMap::Type::kU4Padded; }
inline bool is_sub_byte(TensorMap::Type type) { return type >= TensorMap::Type::kU4Packed; }
// "bf16", "b4x16_p64": the manual's name.
const char* name_of(TensorMap::Type type);
// Bytes within which chunks change places; 0: none do.
uint32_t swizzle_span(TensorMap::Swizzle swizzle);

// The documented rule that a map breaks; null when it keeps all. Fields have their ranges.
const char* broken_rule(const TensorMap& map);

// Words of a map, and back. decode: none where there is no magic.
void encode(const TensorMap& map, uint64_t* words);
std::optional<TensorMap> decode(const uint64_t* words);

// Fields that tensormap.replace knows.
enum class TensorMapField : uint8_t {
  kGlobalAddress,
  kRank,
  kBoxDim,
  kGlobalDim,
  kGlobalStride,
  kElementStride,
  kElementType,
  kInterleave,
  kSwizzleMode,
  kSwizzleAtomicity,
  kFillMode,
};
// Edits a map in place; what is wrong with the value or the map, or nothing. Zeroed words become a
// map.
std::string replace_field(uint64_t* words, TensorMapField field, uint32_t ordinal, uint64_t value);

}  // namespace nibble::emulator
