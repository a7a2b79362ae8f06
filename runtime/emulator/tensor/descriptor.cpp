// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/descriptor.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace nibble::emulator::tensor {

namespace {

uint32_t field(uint64_t bits, int low, int count) {
  return static_cast<uint32_t>(bits >> low & ((uint64_t{1} << count) - 1));
}

std::string hex(uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return "0x" + text;
}

bool fail(uint64_t bits, const std::string& what, std::string& error) {
  error = "matrix descriptor " + hex(bits) + ": " + what;
  return false;
}

void decode_common(uint64_t bits, MatrixDescriptor& descriptor) {
  descriptor.start = field(bits, 0, 14) * kChunkBytes;
  descriptor.leading = field(bits, 16, 14) * kChunkBytes;
  descriptor.stride = field(bits, 32, 14) * kChunkBytes;
  descriptor.base_offset = field(bits, 49, 3);
}

// Width of the swizzle pattern in chunks.
uint32_t width(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::kNone:
      return 1;
    case Swizzle::k32:
      return 2;
    case Swizzle::k64:
      return 4;
    default:
      return 8;
  }
}

// Lines that the swizzle pattern and SBO step over.
uint32_t group(Swizzle swizzle) { return swizzle == Swizzle::k128Atom32 ? 4 : 8; }

// Swizzle<log2(width), 4, 3>: the chunk's bits are exclusive-ored with those of the 128-byte row,
// counted from where the pattern starts (`base_offset`). With atoms of 32 bytes Swizzle<2, 5, 2>.
uint32_t swizzled(const MatrixDescriptor& at, uint32_t address) {
  const uint32_t row = (address >> 7) - at.base_offset;
  if (at.swizzle == Swizzle::k128Atom32) return address ^ (row & 3) << 5;
  return address ^ (row & (width(at.swizzle) - 1)) << 4;
}

// Of 9.7.16.3.3's canonical layouts, with strides in bytes.
uint32_t k_major(const MatrixDescriptor& at, uint32_t row, uint32_t chunk) {
  const uint32_t rows = (row % 8) * width(at.swizzle) * kChunkBytes + row / 8 * at.stride;
  if (at.swizzle == Swizzle::kNone) return at.start + rows + chunk * at.leading;
  if (at.leading_is_address) {
    const uint32_t first = at.start % 128 / kChunkBytes + chunk;
    if (first >= 8) return at.leading + rows + (first - 8) * kChunkBytes;
  }
  return at.start + rows + chunk * kChunkBytes;
}

uint32_t mn_major(const MatrixDescriptor& at, uint32_t k, uint32_t chunk) {
  const uint32_t wide = width(at.swizzle), deep = group(at.swizzle);
  const uint32_t in_pattern = (chunk % wide + k % deep * wide) * kChunkBytes;
  const uint32_t along_mn = chunk / wide, along_k = k / deep;
  if (at.swizzle == Swizzle::kNone) {
    return at.start + in_pattern + along_mn * at.stride + along_k * at.leading;
  }
  return at.start + in_pattern + along_mn * at.leading + along_k * at.stride;
}

template <uint32_t kBits>
void unpack_bits(const std::byte* chunk, uint32_t count, uint32_t* codes) {
  std::array<uint64_t, 2> words{};
  std::memcpy(words.data(), chunk, sizeof words);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t bit = i * kBits, in = bit % 64;
    uint64_t code = words[bit / 64] >> in;
    if (in + kBits > 64) code |= words[1] << (64 - in);
    codes[i] = static_cast<uint32_t>(code) & ((1u << kBits) - 1);
  }
}

template <class T>
void unpack_as(const std::byte* chunk, uint32_t* codes) {
  std::array<T, kChunkBytes / sizeof(T)> values;
  std::memcpy(values.data(), chunk, sizeof values);
  for (size_t i = 0; i < values.size(); ++i) codes[i] = values[i];
}

void unpack_nibbles(const std::byte* chunk, uint32_t* codes) {
  std::array<uint8_t, kChunkBytes> bytes;
  std::memcpy(bytes.data(), chunk, sizeof bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    codes[2 * i] = bytes[i] & 15u;
    codes[2 * i + 1] = bytes[i] >> 4;
  }
}

}  // namespace

bool decode_tcgen05(uint64_t bits, MatrixDescriptor& descriptor, std::string& error) {
  decode_common(bits, descriptor);
  descriptor.leading_is_address = field(bits, 52, 1) != 0;
  if (field(bits, 46, 3) != 1) {
    return fail(bits, "bits 46-48 are " + std::to_string(field(bits, 46, 3)) + ", not 0b001",
                error);
  }
  if (field(bits, 53, 8) != 0 || field(bits, 14, 2) != 0 || field(bits, 30, 2) != 0) {
    return fail(bits, "bits 14, 15, 30, 31 and 53-60 must be 0", error);
  }
  switch (const uint32_t code = field(bits, 61, 3)) {
    case 0:
      descriptor.swizzle = Swizzle::kNone;
      break;
    case 1:
      descriptor.swizzle = Swizzle::k128Atom32;
      break;
    case 2:
      descriptor.swizzle = Swizzle::k128;
      break;
    case 4:
      descriptor.swizzle = Swizzle::k64;
      break;
    case 6:
      descriptor.swizzle = Swizzle::k32;
      break;
    default:
      return fail(bits, "swizzle " + std::to_string(code) + " (bits 61-63); 0, 1, 2, 4 and 6 exist",
                  error);
  }
  if (descriptor.leading_is_address &&
      (descriptor.swizzle != Swizzle::k128 || descriptor.base_offset != 0)) {
    return fail(bits,
                "an absolute leading address (bit 52) needs 128-byte swizzling with atoms of"
                " 16 bytes and base offset 0",
                error);
  }
  // Where nothing is swizzled there is no pattern to start, and compilers leave any offset there.
  if (descriptor.swizzle == Swizzle::kNone) descriptor.base_offset = 0;
  return true;
}

bool decode_wgmma(uint64_t bits, MatrixDescriptor& descriptor, std::string& error) {
  static constexpr std::array<Swizzle, 4> kSwizzles = {Swizzle::kNone, Swizzle::k128, Swizzle::k64,
                                                       Swizzle::k32};
  decode_common(bits, descriptor);
  descriptor.leading_is_address = false;
  descriptor.swizzle = kSwizzles[field(bits, 62, 2)];
  if (field(bits, 14, 2) != 0 || field(bits, 30, 2) != 0 || field(bits, 46, 3) != 0 ||
      field(bits, 52, 10) != 0) {
    return fail(bits, "bits 14, 15, 30, 31, 46-48 and 52-61 must be 0", error);
  }
  return true;
}

uint32_t chunk_address(const MatrixTile& tile, uint32_t line, uint32_t chunk) {
  const MatrixDescriptor& at = tile.at;
  const uint32_t address = tile.is_k_major ? k_major(at, line, chunk) : mn_major(at, line, chunk);
  return at.swizzle == Swizzle::kNone ? address : swizzled(at, address);
}

bool check_tile(const MatrixTile& tile, uint32_t begin, uint32_t end, std::string& error) {
  const uint32_t span = width(tile.at.swizzle) * kChunkBytes;
  if (tile.is_k_major && tile.at.swizzle != Swizzle::kNone && !tile.at.leading_is_address &&
      tile.at.start % span + tile.chunks * kChunkBytes > span) {
    error = "a row of " + std::to_string(tile.chunks * kChunkBytes) + " bytes along k from " +
            hex(tile.at.start) + " leaves its swizzle row of " + std::to_string(span) + " bytes";
    return false;
  }
  for (uint32_t line = 0; line < tile.lines; ++line) {
    for (uint32_t chunk = 0; chunk < tile.chunks; ++chunk) {
      const uint32_t address = chunk_address(tile, line, chunk);
      if (address >= begin && address + kChunkBytes <= end) continue;
      error = "the matrix at " + hex(tile.at.start) + " reaches " + hex(address) + " with " +
              (tile.is_k_major ? "row " : "k = ") + std::to_string(line) +
              ": outside of the block's shared memory, " + hex(begin) + " to " + hex(end);
      return false;
    }
  }
  return true;
}

std::vector<ByteRange> list_ranges(const MatrixTile& tile) {
  std::vector<ByteRange> ranges;
  std::vector<uint32_t> line_addresses(tile.chunks);
  for (uint32_t line = 0; line < tile.lines; ++line) {
    for (uint32_t chunk = 0; chunk < tile.chunks; ++chunk) {
      line_addresses[chunk] = chunk_address(tile, line, chunk);
    }
    std::sort(line_addresses.begin(), line_addresses.end());
    for (const uint32_t address : line_addresses) {
      if (!ranges.empty() && ranges.back().begin + ranges.back().bytes == address) {
        ranges.back().bytes += kChunkBytes;
      } else {
        ranges.push_back({address, kChunkBytes});
      }
    }
  }
  return ranges;
}

uint32_t elements_per_chunk(Packing packing) {
  switch (packing) {
    case Packing::k4:
      return 32;
    case Packing::k16:
      return 8;
    case Packing::k32:
      return 4;
    default:
      return 16;
  }
}

void unpack_chunk(Packing packing, const std::byte* chunk, uint32_t* codes) {
  switch (packing) {
    case Packing::k4:
      return unpack_nibbles(chunk, codes);
    case Packing::k4Padded:
      return unpack_bits<4>(chunk, 16, codes);
    case Packing::k6Padded:
      return unpack_bits<6>(chunk, 16, codes);
    case Packing::k8:
      return unpack_as<uint8_t>(chunk, codes);
    case Packing::k16:
      return unpack_as<uint16_t>(chunk, codes);
    case Packing::k32:
      return unpack_as<uint32_t>(chunk, codes);
  }
}

void gather(const MatrixTile& tile, Packing packing, const std::byte* window, uint32_t rows,
            uint32_t k, uint32_t* codes) {
  const uint32_t per_chunk = elements_per_chunk(packing);
  std::array<uint32_t, 32> piece;
  for (uint32_t line = 0; line < tile.lines; ++line) {
    for (uint32_t chunk = 0; chunk < tile.chunks; ++chunk) {
      const std::byte* from = window + chunk_address(tile, line, chunk);
      const uint32_t first = chunk * per_chunk;
      if (tile.is_k_major) {
        unpack_chunk(packing, from, codes + size_t{line} * k + first);
      } else {
        unpack_chunk(packing, from, piece.data());
        const uint32_t count = first < rows ? std::min(per_chunk, rows - first) : 0;
        for (uint32_t i = 0; i < count; ++i) codes[size_t{first + i} * k + line] = piece[i];
      }
    }
  }
}

}  // namespace nibble::emulator::tensor
