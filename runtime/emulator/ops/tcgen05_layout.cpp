// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/tcgen05_layout.h"

#include <algorithm>
#include <cstring>

#include "runtime/emulator/machine/report.h"

namespace nibble::emulator::tcgen05 {

using tensor::Format;
using tensor::MmaShape;
using tensor::MmaVariant;
using tensor::Packing;

namespace {
constexpr uint32_t kQuarters = 4, kQuarterLanes = 32;
}

LaneLayout layout_of(const MmaVariant& variant, const MmaShape& shape) {
  LaneLayout layout;
  layout.rows = shape.m / variant.group;
  if (variant.is_stationary) {
    layout.parts = TensorMemory::kLanes / layout.rows;
  } else if (layout.rows == 64) {
    const bool is_spread = variant.group == 2 && !variant.is_sparse;
    layout.parts = is_spread ? 2 : 1;
    layout.is_half = !is_spread;
  }
  return layout;
}

ColumnSpan result_columns(const LaneLayout& layout, uint32_t column, uint32_t n) {
  return {column, n / layout.parts};
}

void read_result(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                 uint32_t column, uint32_t n, bool is_16_bit, uint32_t* words) {
  const uint32_t width = n / layout.parts;
  for (uint32_t row = 0; row < layout.rows; ++row) {
    for (uint32_t part = 0; part < layout.parts; ++part, words += width) {
      memory.check_written(origin, layout.lane(row, part), column, width, "D");
      std::memcpy(words, memory.row(layout.lane(row, part)) + column, width * sizeof(uint32_t));
      if (!is_16_bit) continue;
      for (uint32_t i = 0; i < width; ++i) words[i] &= 0xFFFF;
    }
  }
}

void write_result(TensorMemory& memory, const LaneLayout& layout, uint32_t column, uint32_t n,
                  bool is_16_bit, const uint32_t* disabled, const uint32_t* words) {
  const uint32_t width = n / layout.parts;
  for (uint32_t row = 0; row < layout.rows; ++row) {
    for (uint32_t part = 0; part < layout.parts; ++part, words += width) {
      const uint32_t lane = layout.lane(row, part);
      if ((disabled[lane / 32] >> lane % 32 & 1) != 0) continue;
      uint32_t* const to = memory.row(lane) + column;
      memory.mark_written(lane, column, width);
      for (uint32_t i = 0; i < width; ++i) to[i] = is_16_bit ? words[i] & 0xFFFF : words[i];
    }
  }
}

namespace {

// In tensor memory the narrow formats of f8f6f4 take a byte each; `is_packed`: mxf4's nibbles.
Packing first_packing(Format format, bool is_packed) {
  switch (tensor::bits_of(format)) {
    case 4:
      return is_packed ? Packing::k4 : Packing::k8;
    case 16:
      return Packing::k16;
    case 32:
      return Packing::k32;
    default:
      return Packing::k8;
  }
}

// E2M1 in the middle four bits of its byte, six-bit formats in the lower six.
void narrow(Format format, bool is_packed, uint32_t* codes, uint32_t k) {
  const uint32_t bits = tensor::bits_of(format);
  if (is_packed || bits > 6) return;
  const uint32_t down = bits == 4 ? 2 : 0, mask = (1u << bits) - 1;
  for (uint32_t i = 0; i < k; ++i) codes[i] = codes[i] >> down & mask;
}

}  // namespace

uint32_t first_columns(Format format, uint32_t k, bool is_packed) {
  return k * 4 / tensor::elements_per_chunk(first_packing(format, is_packed));
}

void read_first(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                uint32_t column, Format format, uint32_t k, bool is_packed, bool shifts,
                uint32_t* codes) {
  const Packing packing = first_packing(format, is_packed);
  const uint32_t per_chunk = tensor::elements_per_chunk(packing);
  const uint32_t columns = first_columns(format, k, is_packed);
  for (uint32_t row = 0; row < layout.rows; ++row, codes += k) {
    const uint32_t from = shifts ? std::min(row + 1, layout.rows - 1) : row;
    const uint32_t* const cells = memory.row(layout.lane(from, 0)) + column;
    memory.check_written(origin, layout.lane(from, 0), column, columns, "A");
    for (uint32_t part = 1; part < layout.parts; ++part) {
      const uint32_t lane = layout.lane(from, part);
      if (std::equal(cells, cells + columns, memory.row(lane) + column)) continue;
      refuse(origin, "row " + std::to_string(from) + " of A differs between lanes " +
                         std::to_string(layout.lane(from, 0)) + " and " + std::to_string(lane) +
                         " of tensor memory: with this M it must be in both");
    }
    for (uint32_t first = 0; first < k; first += per_chunk) {
      tensor::unpack_chunk(packing,
                           reinterpret_cast<const std::byte*>(cells + first / per_chunk * 4),
                           codes + first);
    }
    narrow(format, is_packed, codes, k);
  }
}

namespace {

uint32_t words_a_row(const ScaleLayout& layout) { return (layout.id + layout.count + 3) / 4; }

// Columns from one word of a row to its next: those of 128 or 256 rows.
uint32_t word_step(const ScaleLayout& layout) { return layout.rows > 128 ? 8 : 4; }

}  // namespace

ColumnSpan scale_columns(const ScaleLayout& layout, uint32_t column) {
  const uint32_t rows = layout.rows / layout.parts;
  return {column, (rows + kQuarterLanes - 1) / kQuarterLanes +
                      (words_a_row(layout) - 1) * word_step(layout)};
}

void read_scales(const Origin& origin, TensorMemory& memory, const ScaleLayout& layout,
                 uint32_t column, const char* what, uint8_t* scales) {
  const uint32_t rows = layout.rows / layout.parts;
  const uint32_t quarters = kQuarters / layout.parts;
  const uint32_t words = words_a_row(layout);
  for (uint32_t row = 0; row < layout.rows; ++row, scales += layout.count) {
    const uint32_t first_lane = row / rows * quarters * kQuarterLanes + row % rows % kQuarterLanes;
    for (uint32_t word = 0; word < words; ++word) {
      const uint32_t at = column + row % rows / kQuarterLanes + word * word_step(layout);
      const uint32_t begin = word == 0 ? layout.id : 0;
      const uint32_t end = std::min(layout.id + layout.count - word * 4, 4u);
      const uint32_t bits = memory.at(first_lane, at);
      memory.check_written(origin, first_lane, at, 1, "a scale factor");
      const uint32_t mask = (end == 4 ? ~0u : (1u << end * 8) - 1) & ~0u << begin * 8;
      for (uint32_t copy = 1; copy < quarters; ++copy) {
        const uint32_t lane = first_lane + copy * kQuarterLanes;
        if (((memory.at(lane, at) ^ bits) & mask) == 0) continue;
        refuse(origin,
               std::string("the scale factors of ") + what + " in row " + std::to_string(row) +
                   " differ between lanes " + std::to_string(first_lane) + " and " +
                   std::to_string(lane) + ", column " + std::to_string(at) +
                   " of tensor memory: " + hexadecimal(bits) + " and " +
                   hexadecimal(memory.at(lane, at)) + "; every quarter of the lanes needs a copy");
      }
      for (uint32_t byte = begin; byte < end; ++byte) {
        scales[word * 4 + byte - layout.id] = static_cast<uint8_t>(bits >> byte * 8);
      }
    }
  }
}

namespace {

// Metadata bits to a row for elements of 16 bits and above, which share words: 16 bits of each row,
// for half of its k, in eight lanes; of its other half in the next eight.
constexpr uint32_t kSharedBits = 16;

bool shares_words(const MmaShape& shape) { return tensor::bits_of(shape.a) >= 16; }

// The metadata of a row: 4 bits to a group of 4 elements (of 2 for tf32, of 8 for mxf4).
uint64_t metadata_of(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                     const MmaShape& shape, uint32_t column, uint32_t row) {
  if (!shares_words(shape)) {
    memory.check_written(origin, layout.lane(row, 0), column, 2, "sparsity metadata");
    const uint32_t* const cells = memory.row(layout.lane(row, 0)) + column;
    return cells[0] | uint64_t{cells[1]} << 32;
  }
  const uint32_t group = row / 16 * 16;
  uint64_t bits = 0;
  for (uint32_t half = 0; half < 2; ++half) {
    const uint32_t lane = layout.lane(group + half * 8 + row % 8, 0);
    memory.check_written(origin, lane, column + shape.selector, 1, "sparsity metadata");
    const uint32_t word = memory.at(lane, column + shape.selector);
    bits |= uint64_t{word >> row / 8 % 2 * kSharedBits & 0xFFFF} << half * kSharedBits;
  }
  return bits;
}

}  // namespace

ColumnSpan metadata_columns(const MmaShape& shape, uint32_t column) {
  if (shares_words(shape)) return {column + shape.selector, 1};
  return {column, 2};
}

void read_metadata(const Origin& origin, TensorMemory& memory, const LaneLayout& layout,
                   const MmaShape& shape, uint32_t column, uint16_t* places) {
  const bool is_pairwise = tensor::bits_of(shape.a) == 4 && shape.k == 128;  // 4:8
  const bool is_tf32 = shape.a == Format::kTf32;                             // 1:2
  const uint32_t groups = shape.k / (is_pairwise ? 8 : is_tf32 ? 2 : 4);
  for (uint32_t row = 0; row < layout.rows; ++row) {
    const uint64_t bits = metadata_of(origin, memory, layout, shape, column, row);
    for (uint32_t group = 0; group < groups; ++group) {
      const auto index = static_cast<uint32_t>(bits >> group * 4 & 15);
      const uint32_t low = index & 3, high = index >> 2;
      if (is_tf32 ? index != 0b0100 && index != 0b1110 : low == high) {
        refuse(origin, "sparsity metadata " + std::to_string(index) + " of row " +
                           std::to_string(row) + ", group " + std::to_string(group) +
                           ": it names no two elements");
      }
      if (is_tf32) {
        *places++ = static_cast<uint16_t>(group * 2 + low / 2);
      } else if (is_pairwise) {
        for (const uint32_t pair : {low, high}) {
          *places++ = static_cast<uint16_t>(group * 8 + pair * 2);
          *places++ = static_cast<uint16_t>(group * 8 + pair * 2 + 1);
        }
      } else {
        *places++ = static_cast<uint16_t>(group * 4 + low);
        *places++ = static_cast<uint16_t>(group * 4 + high);
      }
    }
  }
}

}  // namespace nibble::emulator::tcgen05
