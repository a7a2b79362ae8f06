// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/gemm_operands.h"

#include <cmath>

#include "tests/reference/nvfp4.h"

namespace nibble::test {

namespace {

uint64_t below(uint64_t end, std::mt19937_64& random) { return random() % end; }

bool rarely(std::mt19937_64& random) { return below(400, random) == 0; }

// E5M2 within 2^-6 to 2^6, any that is finite, or one that is not.
uint16_t random_e5m2(const GemmCase& gemm, bool special, std::mt19937_64& random) {
  const uint64_t sign = below(2, random) << 7;
  if (special) return static_cast<uint16_t>(sign | (0x7C + below(4, random)));
  if (gemm.values == GemmValues::kExtreme) return static_cast<uint16_t>(sign | below(0x7C, random));
  return static_cast<uint16_t>(sign | (36 + below(48, random)));
}

uint16_t random_code(const GemmCase& gemm, bool e5m2, std::mt19937_64& random) {
  const bool special = gemm.values == GemmValues::kSpecial && rarely(random);
  switch (gemm.format) {
    case OperandFormat::kNvfp4:
    case OperandFormat::kMxfp4:
      return static_cast<uint16_t>(below(16, random));
    case OperandFormat::kMxfp8:
    case OperandFormat::kFp8: {
      if (e5m2) return random_e5m2(gemm, special, random);
      const uint64_t sign = below(2, random) << 7;
      return static_cast<uint16_t>(sign | (special ? 0x7F : below(0x7F, random)));
    }
    case OperandFormat::kBf16:
      break;
  }
  if (special)
    return below(2, random) == 0 ? 0x7FC0 : static_cast<uint16_t>(0x7F80 | random() << 15);
  if (gemm.values == GemmValues::kExtreme) {
    const auto bits = static_cast<uint16_t>(random());
    return (bits & 0x7F80) == 0x7F80 ? static_cast<uint16_t>(bits & 0xBFFF) : bits;
  }
  // Within 2^-8 to 2^7.
  const uint64_t exponent = 119 + below(16, random);
  return static_cast<uint16_t>(exponent << 7 | below(128, random) | below(2, random) << 15);
}

uint8_t random_scale(const GemmCase& gemm, std::mt19937_64& random) {
  const bool e4m3 = gemm.format == OperandFormat::kNvfp4;
  if (gemm.values == GemmValues::kSpecial && rarely(random)) return e4m3 ? 0x7F : 0xFF;
  if (gemm.values == GemmValues::kExtreme) {
    return static_cast<uint8_t>(below(e4m3 ? 0x7F : 0xFF, random));
  }
  // E4M3 has 8 codes to a power of two around 0x38, UE8M0 one around 127.
  return static_cast<uint8_t>(e4m3 ? 0x28 + below(32, random) : 125 + below(5, random));
}

int bits_of(reference::Format format) {
  switch (format) {
    case reference::Format::kNvfp4:
    case reference::Format::kMxfp4:
      return 4;
    case reference::Format::kBf16:
      return 16;
    default:
      return 8;
  }
}

void put(std::vector<uint8_t>& data, int64_t row_start, int64_t i, int bits, uint16_t code) {
  const auto at = static_cast<size_t>(row_start + i * bits / 8);
  if (bits == 4) {
    // The first of two codes clears the byte's poison.
    data[at] = static_cast<uint8_t>(i % 2 == 0 ? code : data[at] | code << 4);
  } else {
    data[at] = static_cast<uint8_t>(code);
    if (bits == 16) data[at + 1] = static_cast<uint8_t>(code >> 8);
  }
}

}  // namespace

reference::Operand random_operand(const GemmCase& gemm, bool e5m2, int64_t rows,
                                  std::mt19937_64& random) {
  reference::Operand operand;
  operand.format = static_cast<reference::Format>(gemm.format);
  operand.e5m2 = e5m2;
  operand.rows = rows;
  operand.k = gemm.k;
  operand.codes.resize(static_cast<size_t>(rows * gemm.k));
  operand.scales.resize(static_cast<size_t>(rows * operand.blocks()));
  for (uint16_t& code : operand.codes) code = random_code(gemm, e5m2, random);
  for (uint8_t& scale : operand.scales) scale = random_scale(gemm, random);
  return operand;
}

OperandBytes operand_bytes(const std::vector<reference::Operand>& batches, int64_t row_gap,
                           int64_t batch_gap, int64_t scale_batch_gap) {
  const reference::Operand& first = batches.front();
  const int bits = bits_of(first.format);
  const int64_t row_bytes = (first.k * bits + 7) / 8;
  const int64_t blocks = first.blocks();
  const int64_t scales = blocks == 0 ? 0 : reference::size_128x4(first.rows, blocks);
  const auto count = static_cast<int64_t>(batches.size());
  OperandBytes bytes;
  bytes.row_stride = (row_bytes + 15) / 16 * 16 + row_gap;
  bytes.batch_stride = first.rows * bytes.row_stride + batch_gap;
  bytes.scale_batch_stride = scales + scale_batch_gap;
  // Ends with the last byte of the last row: what lies behind is the guard.
  const int64_t size =
      (count - 1) * bytes.batch_stride + (first.rows - 1) * bytes.row_stride + row_bytes;
  bytes.data.assign(static_cast<size_t>(std::max<int64_t>(size, 0)), 0x7F);
  bytes.scales.assign(
      static_cast<size_t>(scales == 0 ? 0 : (count - 1) * bytes.scale_batch_stride + scales), 0x7F);
  for (int64_t batch = 0; batch < count; ++batch) {
    const reference::Operand& operand = batches[static_cast<size_t>(batch)];
    for (int64_t row = 0; row < operand.rows; ++row) {
      const int64_t start = batch * bytes.batch_stride + row * bytes.row_stride;
      for (int64_t i = 0; i < operand.k; ++i) {
        put(bytes.data, start, i, bits, operand.codes[static_cast<size_t>(row * operand.k + i)]);
      }
    }
    if (scales == 0) continue;
    const std::vector<uint8_t> swizzled = reference::to_128x4(operand.scales, operand.rows, blocks);
    std::copy(swizzled.begin(), swizzled.end(),
              bytes.scales.begin() + batch * bytes.scale_batch_stride);
  }
  return bytes;
}

}  // namespace nibble::test
