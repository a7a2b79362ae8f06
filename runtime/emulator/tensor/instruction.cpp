// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/tensor/instruction.h"

#include <array>
#include <cstdio>

namespace nibble::emulator::tensor {

namespace {

// Thrown and caught in this file: what is wrong with a descriptor.
struct Refusal {
  std::string why;
};

struct Fields {
  uint32_t bits = 0;

  uint32_t of(int low, int count) const { return bits >> low & ((1u << count) - 1); }
  bool flag(int at) const { return of(at, 1) != 0; }
  void reserved(int low, int count) const {
    if (of(low, count) == 0) return;
    const std::string range =
        count == 1 ? "bit " + std::to_string(low)
                   : "bits " + std::to_string(low) + "-" + std::to_string(low + count - 1);
    throw Refusal{range + " must be 0"};
  }
};

constexpr uint32_t kMostColumns = 256;

std::string type_text(const char* matrix, uint32_t code, const MmaVariant& variant) {
  return "type " + std::to_string(code) + " of " + matrix + ", which " + name_of(variant.kind) +
         " does not have";
}

Format narrow_format(uint32_t code, const char* matrix, const MmaVariant& variant) {
  switch (code) {
    case 0:
      return Format::kE4m3;
    case 1:
      return Format::kE5m2;
    case 3:
      return Format::kE2m3;
    case 4:
      return Format::kE3m2;
    case 5:
      return Format::kE2m1;
    default:
      throw Refusal{type_text(matrix, code, variant)};
  }
}

Format element_format(uint32_t code, const char* matrix, const MmaVariant& variant) {
  switch (variant.kind) {
    case MmaKind::kF16:
      if (code <= 1) return code == 0 ? Format::kF16 : Format::kBf16;
      break;
    case MmaKind::kTf32:
      if (code == 2) return Format::kTf32;
      break;
    case MmaKind::kI8:
      if (code <= 1) return code == 0 ? Format::kU8 : Format::kS8;
      break;
    case MmaKind::kF8f6f4:
    case MmaKind::kMxf8f6f4:
      return narrow_format(code, matrix, variant);
    case MmaKind::kMxf4:
    case MmaKind::kMxf4nvf4:
      if (code == 1) return Format::kE2m1;
      break;
  }
  throw Refusal{type_text(matrix, code, variant)};
}

void decode_result(const Fields& fields, const MmaVariant& variant, MmaShape& shape) {
  const uint32_t code = fields.of(4, 2);
  const bool is_integer = variant.kind == MmaKind::kI8;
  bool fits = is_integer ? code == 2 : code == 1;
  if (variant.kind == MmaKind::kF8f6f4) fits |= code == 0;
  if (variant.kind == MmaKind::kF16 && code == 0) {
    if (shape.a != Format::kF16 || shape.b != Format::kF16) {
      throw Refusal{"an f16 result (bits 4-5) of bf16 matrices"};
    }
    fits = true;
  }
  if (!fits) throw Refusal{type_text("D", code, variant)};
  shape.d = code == 0 ? Format::kF16 : code == 1 ? Format::kF32 : Format::kS32;
}

void decode_scales(const Fields& fields, const MmaVariant& variant, MmaShape& shape) {
  const bool is_wide = fields.flag(23);
  if (!is_wide && (variant.kind != MmaKind::kMxf4nvf4 || variant.scale_block == 32)) {
    throw Refusal{"ue4m3 scales (bit 23 is 0), which only mxf4nvf4 with blocks of 16 has"};
  }
  shape.scale = is_wide ? ScaleFormat::kUe8m0 : ScaleFormat::kUe4m3;
  shape.a_scale_id = fields.of(29, 2);
  shape.b_scale_id = fields.of(4, 2);
  // Scales of one row that an instruction takes: one begins at any byte of a word, two at a
  // half-word, four at the word; of K = 96, three at any byte, six at a half-word.
  uint32_t step = 1;
  if (!(variant.kind == MmaKind::kMxf8f6f4) && shape.k != 96) {
    step = variant.scale_block == 32 ? 2 : 4;
  } else if (shape.k == 96 && variant.scale_block == 16) {
    step = 2;
  }
  for (const uint32_t id : {shape.a_scale_id, shape.b_scale_id}) {
    if (id % step == 0) continue;
    throw Refusal{"scale factor id " + std::to_string(id) + "; a multiple of " +
                  std::to_string(step) + " is needed"};
  }
}

void check_rows(const MmaVariant& variant, uint32_t m) {
  bool fits = false;
  if (variant.is_stationary) {
    fits = m == 32 || m == 64 || m == 128;
  } else if (variant.group == 1) {
    fits = m == 128 || (m == 64 && !is_scaled(variant.kind));
  } else {
    fits = m == 256 || (m == 128 && !(is_scaled(variant.kind) && variant.is_sparse));
  }
  if (!fits) {
    throw Refusal{"M = " + std::to_string(m) + ", which " + name_of(variant.kind) +
                  (variant.is_stationary ? " with .ws" : "") +
                  (variant.is_sparse ? " with .sp" : "") +
                  " and .cta_group::" + std::to_string(variant.group) + " does not have"};
  }
}

void check_columns(const MmaVariant& variant, uint32_t n) {
  uint32_t step = 8 * variant.group;
  bool fits = n >= step && n <= kMostColumns;
  if (variant.is_stationary) {
    fits = n == 64 || n == 128 || (n == 256 && !variant.is_sparse);
  } else if (variant.kind == MmaKind::kI8) {
    step = variant.group == 2 ? 32 : n > 32 ? 16 : 8;
    fits = n >= 8 && n <= kMostColumns && n % step == 0;
  }
  if (!fits || n % step != 0) {
    throw Refusal{"N = " + std::to_string(n) + ", which " + name_of(variant.kind) +
                  (variant.is_stationary ? " with .ws" : "") +
                  " and .cta_group::" + std::to_string(variant.group) + " does not have"};
  }
}

void check_transposed(const MmaVariant& variant, const MmaShape& shape) {
  auto check = [&](bool is_transposed, Format format, const char* matrix) {
    if (!is_transposed || bits_of(format) >= 8) return;
    throw Refusal{std::string("a transposed ") + matrix + " of elements below 8 bits"};
  };
  check(shape.transposes_a, shape.a, "A");
  check(shape.transposes_b, shape.b, "B");
  const uint32_t step = 16 * variant.group;
  if (shape.transposes_b && bits_of(shape.b) == 8 && shape.n % step != 0) {
    throw Refusal{"N = " + std::to_string(shape.n) +
                  " with a transposed B of 8 bits; a multiple of " + std::to_string(step) +
                  " is needed"};
  }
}

uint32_t dense_k(MmaKind kind) {
  switch (kind) {
    case MmaKind::kTf32:
      return 8;
    case MmaKind::kF16:
      return 16;
    case MmaKind::kMxf4:
    case MmaKind::kMxf4nvf4:
      return 64;
    default:
      return 32;
  }
}

void decode_plain(const Fields& fields, const MmaVariant& variant, MmaShape& shape) {
  fields.reserved(6, 1);
  fields.reserved(23, 1);
  fields.reserved(29, 1);
  shape.m = fields.of(24, 5) * 16;
  shape.selector = variant.is_sparse ? fields.of(0, 2) : 0;
  shape.a = element_format(fields.of(7, 3), "A", variant);
  shape.b = element_format(fields.of(10, 3), "B", variant);
  decode_result(fields, variant, shape);
  if (variant.kind == MmaKind::kI8) {
    shape.saturates = fields.flag(3);
    fields.reserved(13, 2);
  } else {
    fields.reserved(3, 1);
  }
  if (!variant.is_stationary) fields.reserved(30, 2);
  shape.most_shift = fields.of(30, 2) == 0 ? 0 : 4u << fields.of(30, 2);
}

void decode_scaled(const Fields& fields, const MmaVariant& variant, MmaShape& shape) {
  const bool is_wide = variant.kind == MmaKind::kMxf8f6f4;
  fields.reserved(0, 2);
  fields.reserved(3, 1);
  fields.reserved(6, 1);
  fields.reserved(24, 3);
  shape.m = fields.of(27, 2) * 128;
  shape.a = element_format(fields.of(7, 3), "A", variant);
  shape.b = element_format(fields.of(10, 3), "B", variant);
  if (is_wide) {
    fields.reserved(31, 1);
  } else {
    fields.reserved(15, 2);
    if (fields.flag(31)) {
      if (!variant.has_k96) throw Refusal{"K = 96 (bit 31), which sm_103a alone has"};
      if (variant.is_sparse) throw Refusal{"K = 96 (bit 31) with .sp"};
      if (shape.m != 128 * variant.group) {
        throw Refusal{"K = 96 (bit 31) with M = " + std::to_string(shape.m) +
                      "; 128 a block is needed"};
      }
      shape.k = 96;
    }
  }
  decode_scales(fields, variant, shape);
}

void decode(const Fields& fields, const MmaVariant& variant, MmaShape& shape) {
  if (fields.flag(2) != variant.is_sparse) {
    throw Refusal{std::string("bit 2 is ") + (variant.is_sparse ? "0 with" : "1 without") + " .sp"};
  }
  shape.k = dense_k(variant.kind) * (variant.is_sparse ? 2 : 1);
  shape.n = fields.of(17, 6) * 8;
  shape.negates_a = fields.flag(13);
  shape.negates_b = fields.flag(14);
  shape.transposes_a = fields.flag(15);
  shape.transposes_b = fields.flag(16);
  if (is_scaled(variant.kind)) {
    decode_scaled(fields, variant, shape);
  } else {
    decode_plain(fields, variant, shape);
  }
  check_rows(variant, shape.m);
  check_columns(variant, shape.n);
  check_transposed(variant, shape);
  const bool is_wide_kind = variant.kind == MmaKind::kF16 || variant.kind == MmaKind::kTf32;
  if (shape.selector != 0 && !is_wide_kind) throw Refusal{"a sparsity selector (bits 0-1)"};
}

}  // namespace

const char* name_of(MmaKind kind) {
  static constexpr std::array kNames = {".kind::f16",     ".kind::tf32",     ".kind::f8f6f4",
                                        ".kind::i8",      ".kind::mxf8f6f4", ".kind::mxf4",
                                        ".kind::mxf4nvf4"};
  return kNames[static_cast<size_t>(kind)];
}

uint32_t bits_of(Format format) {
  switch (format) {
    case Format::kE2m1:
      return 4;
    case Format::kE2m3:
    case Format::kE3m2:
      return 6;
    case Format::kF16:
    case Format::kBf16:
      return 16;
    case Format::kF32:
    case Format::kTf32:
    case Format::kS32:
      return 32;
    default:
      return 8;
  }
}

uint32_t sign_bit(Format format) { return 1u << (bits_of(format) - 1); }

bool decode_instruction(uint32_t bits, const MmaVariant& variant, MmaShape& shape,
                        std::string& error) {
  shape = {};
  try {
    decode({bits}, variant, shape);
    return true;
  } catch (const Refusal& refusal) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", bits);
    error = std::string("instruction descriptor ") + text + ": " + refusal.why;
    return false;
  }
}

// Runs of columns taken and of columns made zero take turns, in each of the parts into which M
// divides the columns (the manual's examples; its table has the two spans the other way round).
bool decode_column_mask(uint64_t bits, const MmaShape& shape, ColumnMask& mask,
                        std::string& error) {
  auto field = [&](int low, int count) {
    return static_cast<uint32_t>(bits >> low & ((1u << count) - 1));
  };
  mask.is_zero.assign(shape.n, false);
  mask.shift = field(56, 6);
  if (field(36, 3) != 0 || field(62, 2) != 0) {
    error = "zero-column mask: bits 36-38, 62 and 63 must be 0";
    return false;
  }
  if (mask.shift > shape.most_shift || (shape.m == 32 && mask.shift > 16)) {
    error = "zero-column mask: a shift of " + std::to_string(mask.shift) +
            " where the instruction descriptor (bits 30-31) and M allow " +
            std::to_string(shape.m == 32 && shape.most_shift > 16 ? 16 : shape.most_shift);
    return false;
  }
  if (field(39, 1) == 0) return true;
  const uint32_t zeros = field(40, 8) + 1, used = field(48, 8) + 1;
  const uint32_t parts = 128 / shape.m, columns = shape.n / parts;
  for (uint32_t part = 0; part < parts; ++part) {
    const bool begins_zero = field(32 + static_cast<int>(part), 1) != 0;
    const uint32_t skipped = field(static_cast<int>(part) * 8, 8);
    for (uint32_t i = 0; i < columns; ++i) {
      const uint32_t at = (i + skipped) % (zeros + used);
      const bool is_zero = begins_zero ? at < zeros : at >= used;
      mask.is_zero[part * columns + i] = is_zero;
    }
  }
  return true;
}

}  // namespace nibble::emulator::tensor
