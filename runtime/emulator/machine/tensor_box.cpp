// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/tensor_box.h"

#include <algorithm>
#include <cstring>

namespace nibble::emulator {

namespace {

using Type = TensorMap::Type;

// More rows than shared memory can hold.
constexpr uint64_t kMaxRows = 1 << 16;
// Where addresses could leave 64 bits: then they are not looked at as one range.
constexpr uint64_t kMaxReach = uint64_t{1} << 62;

// Adds rows and keeps the range of their addresses.
class Rows {
 public:
  explicit Rows(TensorBox& box) : box_(box) {
    const uint64_t bits = global_bits(box.map.type);
    start_ = box.map.address + static_cast<uint64_t>(column_) * bits / 8;
  }

  // The column of the box's element 0, which may be outside.
  void set_column(int64_t column) {
    const auto size = static_cast<int64_t>(box_.map.sizes[0]);
    const int64_t elements = box_.row_elements;
    box_.first = static_cast<uint32_t>(std::clamp<int64_t>(-column, 0, elements));
    box_.last = static_cast<uint32_t>(std::clamp<int64_t>(size - column, box_.first, elements));
    column_ = column + box_.first;
    start_ = box_.map.address + static_cast<uint64_t>(column_) * global_bits(box_.map.type) / 8;
  }

  void add_outside() { box_.rows.push_back(TensorBox::kOutside); }
  // `offset`: bytes, of the dimensions above 0.
  void add(uint64_t offset) {
    if (box_.first == box_.last) return add_outside();
    const uint64_t address = start_ + offset;
    box_.rows.push_back(address);
    const uint64_t end = address + box_.inside_bytes();
    box_.begin = box_.begin == box_.end ? address : std::min(box_.begin, address);
    box_.end = std::max(box_.end, end);
  }

 private:
  TensorBox& box_;
  int64_t column_ = 0;
  uint64_t start_ = 0;
};

bool is_inside(int64_t index, uint64_t size) {
  return index >= 0 && static_cast<uint64_t>(index) < size;
}

void add_tile(const TensorMap& map, const TensorAccess& access, TensorBox& box, Rows& rows) {
  std::array<uint32_t, TensorMap::kMaxRank> count{}, at{};
  uint64_t total = 1;
  for (uint32_t i = 1; i < map.rank; ++i) {
    count[i] = (map.box[i] + map.element_strides[i] - 1) / map.element_strides[i];
    total *= count[i];
  }
  box.rows.reserve(total);
  for (uint64_t row = 0; row < total; ++row) {
    uint64_t offset = 0;
    bool inside = true;
    for (uint32_t i = 1; i < map.rank; ++i) {
      const int64_t index =
          int64_t{access.coordinates[i]} + int64_t{at[i]} * map.element_strides[i];
      inside = inside && is_inside(index, map.sizes[i]);
      offset += static_cast<uint64_t>(index) * map.strides[i - 1];
    }
    inside ? rows.add(offset) : rows.add_outside();
    for (uint32_t i = 1; i < map.rank && ++at[i] == count[i]; ++i) at[i] = 0;
  }
}

void add_rows(const TensorMap& map, const TensorAccess& access, Rows& rows) {
  for (size_t i = 1; i < 5; ++i) {
    const int64_t index = access.coordinates[i];
    is_inside(index, map.sizes[1]) ? rows.add(static_cast<uint64_t>(index) * map.strides[0])
                                   : rows.add_outside();
  }
}

// Pixels one after another: along W within the bounding box, then H, D, and N without bound.
void add_pixels(const TensorMap& map, const TensorAccess& access, TensorBox& box, Rows& rows) {
  const uint32_t last = map.rank - 1;
  std::array<int64_t, TensorMap::kMaxRank> at{};
  for (uint32_t i = 1; i < map.rank; ++i) at[i] = access.coordinates[i];
  box.rows.reserve(map.pixels);
  for (uint32_t pixel = 0; pixel < map.pixels; ++pixel) {
    uint64_t offset = 0;
    bool inside = true;
    for (uint32_t i = 1; i < map.rank; ++i) {
      const int64_t index = at[i] + (i < last ? int64_t{access.offsets[i - 1]} : 0);
      inside = inside && is_inside(index, map.sizes[i]);
      offset += static_cast<uint64_t>(index) * map.strides[i - 1];
    }
    inside ? rows.add(offset) : rows.add_outside();
    uint32_t i = 1;
    for (; i < last; ++i) {
      at[i] += map.element_strides[i];
      if (at[i] <= static_cast<int64_t>(map.sizes[i]) - 1 + map.upper[i - 1]) break;
      at[i] = map.lower[i - 1];
    }
    if (i == last) ++at[last];
  }
}

std::string wrong_mode(const TensorMap& map, const TensorAccess& access) {
  using Mode = TensorAccess::Mode;
  const bool is_im2col = map.mode != TensorMap::Mode::kTiled;
  if (is_im2col != (access.mode == Mode::kIm2col)) {
    return is_im2col ? "the map is one of im2col mode, the instruction of tile mode"
                     : "the map is one of tile mode, the instruction of im2col mode";
  }
  if (map.mode > TensorMap::Mode::kIm2col) return "the modes im2col::w are not modelled";
  if (map.interleave != TensorMap::Interleave::kNone) {
    return "interleaved layouts are not modelled";
  }
  if (access.mode != Mode::kRows) return {};
  if (map.rank != 2) return "tile::gather4 and tile::scatter4 need a map of rank 2";
  if (map.box[1] != 1) {
    return "tile::gather4 and tile::scatter4 need a box of 1 row, not " +
           std::to_string(map.box[1]);
  }
  return {};
}

// PTX ISA 5.5.3.1: the box begins at 16 bytes; of padded types at 128 elements.
std::string wrong_column(const TensorMap& map, int32_t column) {
  const int32_t multiple =
      is_padded(map.type) ? 128 : static_cast<int32_t>(128 / global_bits(map.type));
  if (column % multiple == 0) return {};
  return "the first coordinate is " + std::to_string(column) + "; of type " + name_of(map.type) +
         " it must be a multiple of " + std::to_string(multiple);
}

// PTX ISA 5.5.4.1: the filter's corner must be within the bounding box, offsets have few bits.
std::string wrong_pixel(const TensorMap& map, const TensorAccess& access) {
  static constexpr uint32_t kOffsetBits[] = {16, 8, 5};
  const uint32_t bits = kOffsetBits[map.rank - 3];
  for (uint32_t i = 1; i + 1 < map.rank; ++i) {
    const int64_t at = access.coordinates[i];
    const int64_t last = static_cast<int64_t>(map.sizes[i]) - 1 + map.upper[i - 1];
    if (at < map.lower[i - 1] || at > last) {
      return "coordinate " + std::to_string(i) + " is " + std::to_string(at) +
             ", outside of the bounding box from " + std::to_string(map.lower[i - 1]) + " to " +
             std::to_string(last);
    }
    if (access.offsets[i - 1] >> bits != 0) {
      return "the im2col offset " + std::to_string(access.offsets[i - 1]) + " has more than " +
             std::to_string(bits) + " bits";
    }
  }
  return {};
}

uint64_t row_count(const TensorMap& map, const TensorAccess& access) {
  if (access.mode == TensorAccess::Mode::kRows) return 4;
  if (access.mode == TensorAccess::Mode::kIm2col) return map.pixels;
  uint64_t total = 1;
  for (uint32_t i = 1; i < map.rank; ++i) {
    total *= (map.box[i] + map.element_strides[i] - 1) / map.element_strides[i];
  }
  return total;
}

// Addresses of far dimensions could wrap around 2^64; each row is looked up then.
void forget_range_where_unsure(const TensorMap& map, TensorBox& box) {
  for (uint32_t i = 1; i < map.rank; ++i) {
    if (map.strides[i - 1] == 0 || map.sizes[i] < kMaxReach / map.strides[i - 1]) continue;
    box.begin = 0;
    box.end = TensorBox::kOutside;
    return;
  }
}

}  // namespace

std::string make_box(const TensorMap& map, const TensorAccess& access, TensorBox& box) {
  if (const char* const rule = broken_rule(map)) return std::string("the tensor map: ") + rule;
  std::string wrong = wrong_mode(map, access);
  if (wrong.empty()) wrong = wrong_column(map, access.coordinates[0]);
  if (wrong.empty() && access.mode == TensorAccess::Mode::kIm2col) wrong = wrong_pixel(map, access);
  if (!wrong.empty()) return wrong;
  const uint64_t total = row_count(map, access);
  if (total > kMaxRows) return "the box has " + std::to_string(total) + " rows";
  box.map = map;
  box.row_elements = map.box[0];
  box.row_bytes = map.box[0] * shared_bits(map.type) / 8;
  box.pitch = std::max(box.row_bytes, swizzle_span(map.swizzle));
  box.rows.clear();
  box.begin = box.end = 0;
  Rows rows(box);
  rows.set_column(access.coordinates[0]);
  switch (access.mode) {
    case TensorAccess::Mode::kTile:
      add_tile(map, access, box, rows);
      break;
    case TensorAccess::Mode::kRows:
      add_rows(map, access, rows);
      break;
    case TensorAccess::Mode::kIm2col:
      add_pixels(map, access, box, rows);
      break;
  }
  forget_range_where_unsure(map, box);
  return {};
}

uint32_t swizzled(const TensorMap& map, uint32_t address) {
  switch (map.swizzle) {
    case TensorMap::Swizzle::kNone:
      return address;
    case TensorMap::Swizzle::k32B:
    case TensorMap::Swizzle::k96B:
      return address ^ (address >> 7 & 1) << 4;
    case TensorMap::Swizzle::k64B:
      return address ^ (address >> 7 & 3) << 4;
    case TensorMap::Swizzle::k128B:
      break;
  }
  switch (map.atomicity) {
    case TensorMap::Atomicity::k16B:
      return address ^ (address >> 7 & 7) << 4;
    case TensorMap::Atomicity::k64B:
      return address ^ (address >> 7 & 1) << 6;
    default:
      return address ^ (address >> 7 & 3) << 5;
  }
}

namespace {

constexpr uint32_t kChunk = 16;

// To 10 bits of mantissa, ties to even; a NaN becomes the one NaN.
uint32_t to_tf32(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return 0x7FFFE000;
  if (magnitude == 0x7F800000) return bits;
  return (bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFu;
}

// The types .ftz differ in reductions alone.
void convert(Type type, std::byte* row, uint32_t bytes) {
  if (type != Type::kTf32 && type != Type::kTf32Ftz) return;
  for (uint32_t i = 0; i < bytes; i += 4) {
    uint32_t bits;
    std::memcpy(&bits, row + i, sizeof bits);
    bits = to_tf32(bits);
    std::memcpy(row + i, &bits, sizeof bits);
  }
}

// The manual's OOB-NaN: these 16 bits, repeated in wider types. Measured, not documented.
constexpr uint16_t kOutsideNan = 0x7FF7;

void fill(const TensorBox& box, std::byte* at, uint32_t bytes) {
  std::memset(at, 0, bytes);
  if (!box.map.fills_nan) return;
  for (uint32_t i = 0; i < bytes; i += sizeof kOutsideNan) {
    std::memcpy(at + i, &kOutsideNan, sizeof kOutsideNan);
  }
}

// Six bits of each of 16 bytes, packed into 12.
void pack_sixes(const std::byte* from, std::byte* to) {
  for (uint32_t i = 0; i < 16; i += 4) {
    uint32_t word = 0;
    for (uint32_t j = 0; j < 4; ++j) {
      word |= (std::to_integer<uint32_t>(from[i + j]) & 0x3F) << (6 * j);
    }
    for (uint32_t j = 0; j < 3; ++j) to[i / 4 * 3 + j] = static_cast<std::byte>(word >> (8 * j));
  }
}

}  // namespace

void load_row(const TensorBox& box, const std::byte* inside, std::byte* row) {
  const Type type = box.map.type;
  if (is_padded(type)) {  // all of the row is inside
    const uint32_t data = type == Type::kU4Padded ? 8 : 12;
    for (uint32_t i = 0; i * kChunk < box.row_bytes; ++i) {
      std::memcpy(row + i * kChunk, inside + i * data, data);
    }
    return;
  }
  const uint32_t bits = global_bits(type);
  const uint32_t begin = box.first * bits / 8, end = box.last * bits / 8;
  if (begin != 0) fill(box, row, begin);
  std::memcpy(row + begin, inside, end - begin);
  convert(type, row + begin, end - begin);
  if (end != box.row_bytes) fill(box, row + end, box.row_bytes - end);
}

void fill_row(const TensorBox& box, std::byte* row) { fill(box, row, box.row_bytes); }

void store_row(const TensorBox& box, const std::byte* row, std::byte* inside) {
  if (box.map.type == Type::kU6Padded) {
    for (uint32_t i = 0; i * kChunk < box.row_bytes; ++i) {
      pack_sixes(row + i * kChunk, inside + i * 12);
    }
    return;
  }
  std::memcpy(inside, row + box.first * global_bits(box.map.type) / 8, box.inside_bytes());
}

void scatter_row(const TensorBox& box, const std::byte* row, std::byte* shared, uint32_t base,
                 uint32_t address) {
  if (box.map.swizzle == TensorMap::Swizzle::kNone && !is_padded(box.map.type)) {
    std::memcpy(shared + (address - base), row, box.row_bytes);
    return;
  }
  const uint32_t data = box.map.type == Type::kU4Padded   ? 8
                        : box.map.type == Type::kU6Padded ? 12
                                                          : kChunk;
  for (uint32_t i = 0; i < box.row_bytes; i += kChunk) {
    const uint32_t to = swizzled(box.map, address + i);
    std::byte* const at = shared + (to - base);
    if (is_flipped(box.map, to)) {
      std::memcpy(at, row + i + 8, 8);
      std::memcpy(at + 8, row + i, 8);
    } else if (data == kChunk) {
      std::memcpy(at, row + i, kChunk);
    } else {
      std::memcpy(at, row + i, data);
    }
  }
}

void gather_row(const TensorBox& box, std::byte* row, const std::byte* shared, uint32_t base,
                uint32_t address) {
  if (box.map.swizzle == TensorMap::Swizzle::kNone) {
    std::memcpy(row, shared + (address - base), box.row_bytes);
    return;
  }
  for (uint32_t i = 0; i < box.row_bytes; i += kChunk) {
    std::memcpy(row + i, shared + (swizzled(box.map, address + i) - base), kChunk);
  }
}

}  // namespace nibble::emulator
