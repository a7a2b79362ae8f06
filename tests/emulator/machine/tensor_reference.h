// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What tensor copies must do, one element at a time, and cases drawn at random.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "runtime/emulator/machine/tensor_map.h"

namespace nibble::emulator::tensor_reference {

using Type = TensorMap::Type;
using Swizzle = TensorMap::Swizzle;
using Atomicity = TensorMap::Atomicity;
using Bytes = std::vector<uint8_t>;
using Coordinates = std::array<int32_t, 5>;

// Of shared memory before a load.
constexpr uint8_t kPoison = 0xA5;

inline uint32_t bits_of(Type type) {
  switch (type) {
    case Type::kU8:
      return 8;
    case Type::kU16:
    case Type::kF16:
    case Type::kBf16:
      return 16;
    case Type::kU64:
    case Type::kS64:
    case Type::kF64:
      return 64;
    case Type::kU4Packed:
    case Type::kU4Padded:
      return 4;
    case Type::kU6Padded:
      return 6;
    default:
      return 32;
  }
}

// The manual's tables: line l of 128 bytes, 16 bytes at place p, hold what without a swizzle were
// at place kTable[l][p] (5.5.7).
using Table = std::vector<std::array<int, 8>>;
inline const Table& table(Swizzle swizzle, Atomicity atomicity) {
  static const Table kNone = {{0, 1, 2, 3, 4, 5, 6, 7}};
  static const Table k32 = {{0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6}};
  static const Table k64 = {{0, 1, 2, 3, 4, 5, 6, 7},
                            {1, 0, 3, 2, 5, 4, 7, 6},
                            {2, 3, 0, 1, 6, 7, 4, 5},
                            {3, 2, 1, 0, 7, 6, 5, 4}};
  static const Table k128 = {{0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6},
                             {2, 3, 0, 1, 6, 7, 4, 5}, {3, 2, 1, 0, 7, 6, 5, 4},
                             {4, 5, 6, 7, 0, 1, 2, 3}, {5, 4, 7, 6, 1, 0, 3, 2},
                             {6, 7, 4, 5, 2, 3, 0, 1}, {7, 6, 5, 4, 3, 2, 1, 0}};
  static const Table k128By32 = {{0, 1, 2, 3, 4, 5, 6, 7},
                                 {2, 3, 0, 1, 6, 7, 4, 5},
                                 {4, 5, 6, 7, 0, 1, 2, 3},
                                 {6, 7, 4, 5, 2, 3, 0, 1}};
  static const Table k128By64 = {{0, 1, 2, 3, 4, 5, 6, 7}, {4, 5, 6, 7, 0, 1, 2, 3}};
  switch (swizzle) {
    case Swizzle::kNone:
      return kNone;
    case Swizzle::k64B:
      return k64;
    case Swizzle::k128B:
      return atomicity == Atomicity::k16B   ? k128
             : atomicity == Atomicity::k64B ? k128By64
                                            : k128By32;
    default:
      return k32;
  }
}

inline Bytes swizzle(const TensorMap& map, const Bytes& plain) {
  Bytes result(plain.size());
  const Table& rows = table(map.swizzle, map.atomicity);
  for (size_t at = 0; at < plain.size(); ++at) {
    const size_t line = at / 128;
    const auto place = static_cast<size_t>(rows[line % rows.size()][at / 16 % 8]);
    size_t byte = at % 16;
    if (map.atomicity == Atomicity::k32BFlip8B && line % 2 == 1) byte = (byte + 8) % 16;
    result[at] = plain[line * 128 + place * 16 + byte];
  }
  return result;
}

// f(index in the box's order, index in the tensor's memory in bits; -1: outside) for each element.
inline void each_element(const TensorMap& map, const Coordinates& start,
                         const std::function<void(uint64_t, int64_t)>& f) {
  std::array<uint32_t, 5> count{1, 1, 1, 1, 1};
  for (uint32_t i = 0; i < map.rank; ++i) {
    const uint32_t step = i == 0 ? 1 : map.element_strides[i];
    count[i] = static_cast<uint32_t>(std::ceil(static_cast<double>(map.box[i]) / step));
  }
  uint64_t index = 0;
  std::array<uint32_t, 5> k{};
  for (k[4] = 0; k[4] < count[4]; ++k[4])
    for (k[3] = 0; k[3] < count[3]; ++k[3])
      for (k[2] = 0; k[2] < count[2]; ++k[2])
        for (k[1] = 0; k[1] < count[1]; ++k[1])
          for (k[0] = 0; k[0] < count[0]; ++k[0], ++index) {
            int64_t bit = 0;
            bool inside = true;
            for (uint32_t i = 0; i < map.rank; ++i) {
              const uint32_t step = i == 0 ? 1 : map.element_strides[i];
              const int64_t at = int64_t{start[i]} + int64_t{k[i]} * step;
              inside = inside && at >= 0 && at < static_cast<int64_t>(map.sizes[i]);
              bit +=
                  at * (i == 0 ? bits_of(map.type) : static_cast<int64_t>(map.strides[i - 1]) * 8);
            }
            f(index, inside ? bit : -1);
          }
}

inline uint64_t get(const Bytes& bytes, uint64_t bit, uint32_t bits) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < bits; ++i) {
    value |= uint64_t{bytes[(bit + i) / 8]} >> (bit + i) % 8 % 8 << i & uint64_t{1} << i;
  }
  return value;
}
inline void put(Bytes& bytes, uint64_t bit, uint32_t bits, uint64_t value) {
  for (uint32_t i = 0; i < bits; ++i) {
    uint8_t& byte = bytes[(bit + i) / 8];
    const auto mask = static_cast<uint8_t>(1u << (bit + i) % 8);
    byte = static_cast<uint8_t>((value >> i & 1) != 0 ? byte | mask : byte & ~mask);
  }
}

// The bit in shared memory, before swizzling, of an element.
inline uint64_t shared_bit(Type type, uint64_t index) {
  if (type == Type::kU4Padded) return index / 16 * 128 + index % 16 * 4;
  if (type == Type::kU6Padded) return index / 16 * 128 + index % 16 * 6;
  return index * bits_of(type);
}

inline uint64_t nan_of(Type type) {
  constexpr uint64_t kParts = 0x7FF77FF77FF77FF7;
  return kParts >> (64 - bits_of(type));
}

inline uint64_t loaded(Type type, uint64_t value) {
  if (type != Type::kTf32 && type != Type::kTf32Ftz) return value;
  if ((value & 0x7FFFFFFF) > 0x7F800000) return 0x7FFFE000;
  if ((value & 0x7FFFFFFF) == 0x7F800000) return value;
  const double exact = std::bit_cast<float>(static_cast<uint32_t>(value));
  const uint64_t down = value & ~uint64_t{0x1FFF}, up = down + 0x2000;
  auto number = [](uint64_t bits) -> double {
    return std::bit_cast<float>(static_cast<uint32_t>(bits));
  };
  const double below = std::fabs(exact - number(down));
  const double above =
      (up & 0x7F800000) == 0x7F800000 ? 0x1p128 - std::fabs(exact) : std::fabs(number(up) - exact);
  if (below != above) return below < above ? down : up;
  return (down & 0x2000) == 0 ? down : up;
}

struct Case {
  TensorMap map;
  Coordinates start{};
  uint64_t bytes = 0;     // of the tensor in global memory
  uint32_t elements = 0;  // of the box
  uint32_t shared = 0;    // bytes
};

class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  uint32_t below(uint32_t n) { return random_() % n; }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }

  TensorMap map(bool blackwell, bool stores) {
    TensorMap map;
    map.type = static_cast<Type>(below(blackwell ? 16 : 13));
    if (stores && map.type == Type::kU4Padded) map.type = Type::kU4Packed;
    map.rank = between(1, 5);
    draw_swizzle(map, blackwell, stores);
    const bool padded = map.type == Type::kU4Padded || map.type == Type::kU6Padded;
    const uint32_t bits = bits_of(map.type);
    const uint32_t span = map.swizzle == Swizzle::kNone ? 0 : 16u << static_cast<int>(map.swizzle);
    map.box[0] = padded      ? 128
                 : span != 0 ? span * 8 / bits
                             : std::min(16 * between(1, 6) * 8 / bits, 256u);
    for (uint32_t i = 0; i < map.rank; ++i) {
      if (i > 0) map.box[i] = between(1, map.rank > 3 ? 4 : 9);
      map.element_strides[i] = i > 0 && below(3) == 0 ? between(1, 3) : 1;
      map.sizes[i] = i == 0 ? (padded ? 128 * between(1, 3) : 2 * between(4, 80)) : between(1, 9);
    }
    const uint64_t align = padded ? 32 : 16;
    uint64_t stride = (map.sizes[0] * bits / 8 + align - 1) / align * align + align * below(2);
    for (uint32_t i = 1; i < map.rank; ++i) {
      map.strides[i - 1] = stride;
      stride *= map.sizes[i];
    }
    map.fills_nan = map.type >= Type::kF16 && map.type <= Type::kTf32Ftz && below(2) == 0;
    return map;
  }

  Coordinates start(const TensorMap& map, bool stores) {
    Coordinates start{};
    for (uint32_t i = 0; i < map.rank; ++i) {
      const auto size = static_cast<int32_t>(map.sizes[i]), box = static_cast<int32_t>(map.box[i]);
      const int32_t low = stores ? 0 : -box;
      start[i] = low + static_cast<int32_t>(below(static_cast<uint32_t>(size - low) + 2));
    }
    const auto multiple = static_cast<int32_t>(128 / bits_of(map.type));
    start[0] = start[0] / multiple * multiple;
    if (map.type >= Type::kU4Padded) start[0] = start[0] / 128 * 128;
    return start;
  }

  Bytes bytes(size_t count) {
    Bytes result(count);
    for (uint8_t& byte : result) byte = static_cast<uint8_t>(random_() >> 11);
    return result;
  }

 private:
  void draw_swizzle(TensorMap& map, bool blackwell, bool stores) {
    const bool padded = map.type >= Type::kU4Padded;
    map.swizzle = static_cast<Swizzle>(padded ? 3 * below(2) : below(4));
    if (!blackwell || map.swizzle != Swizzle::k128B) return;
    map.atomicity = static_cast<Atomicity>(below(4));
    if (padded && map.atomicity != Atomicity::k16B) map.atomicity = Atomicity::k32B;
    if (stores && map.atomicity == Atomicity::k32BFlip8B) map.atomicity = Atomicity::k64B;
  }

  std::mt19937 random_;
};

inline Case make_case(const TensorMap& map, const Coordinates& start) {
  Case result{map, start, 0, 0, 0};
  result.bytes = map.rank == 1 ? (map.sizes[0] * bits_of(map.type) + 7) / 8
                               : map.strides[map.rank - 2] * map.sizes[map.rank - 1];
  each_element(map, start, [&](uint64_t, int64_t) { ++result.elements; });
  const bool padded = map.type >= Type::kU4Padded;
  result.shared = result.elements * (padded ? 8 : bits_of(map.type)) / 8;
  return result;
}

inline Bytes expected_load(const Case& test, const Bytes& tensor) {
  const uint32_t bits = bits_of(test.map.type);
  Bytes plain(test.shared, kPoison);
  each_element(test.map, test.start, [&](uint64_t index, int64_t bit) {
    const uint64_t value =
        bit >= 0             ? loaded(test.map.type, get(tensor, static_cast<uint64_t>(bit), bits))
        : test.map.fills_nan ? nan_of(test.map.type)
                             : 0;
    put(plain, shared_bit(test.map.type, index), bits, value);
  });
  return swizzle(test.map, plain);
}

}  // namespace nibble::emulator::tensor_reference
