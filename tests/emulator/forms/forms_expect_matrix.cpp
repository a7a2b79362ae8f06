// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Element by element, with the manual's formulas for rows and columns (PTX ISA 9.7.14.5, 9.7.14.6).
#include "tests/emulator/forms/forms_expect_matrix.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

namespace nibble::forms {
namespace {

constexpr uint64_t kLanes = 32;

// --- mma ---

struct Text {
  std::string_view all;
  bool has(std::string_view part) const { return all.find(part) != std::string_view::npos; }
};

// The instruction's modifiers, and the selectors of each of the runs.
struct Instruction {
  std::string a, b;  // types
  bool f16 = false;  // C and D
  bool sparse = false;
  bool packed = false;  // 4 bits an element
  int scales = 0;       // to a row
  bool ue4m3 = false;
  std::vector<std::array<unsigned, 4>> selectors;  // byte and thread of A, of B
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// The scales may stand in braces of their own: {%s0}, {0, 1}, {%t0}, {0, 3}.
void read_selectors(const std::string& text, Instruction& instruction) {
  const bool has_braces = text.find("{%s0}, {") != std::string::npos;
  const std::string start = has_braces ? "{%s0}, {" : "%s0, {";
  for (size_t at = text.find(start); at != std::string::npos; at = text.find(start, at + 1)) {
    std::array<unsigned, 4> s{};
    if (has_braces) {
      std::sscanf(text.c_str() + at, "{%%s0}, {%u, %u}, {%%t0}, {%u, %u}", &s[0], &s[1], &s[2],
                  &s[3]);
    } else {
      std::sscanf(text.c_str() + at, "%%s0, {%u, %u}, %%t0, {%u, %u}", &s[0], &s[1], &s[2], &s[3]);
    }
    instruction.selectors.push_back(s);
  }
  if (instruction.selectors.empty()) instruction.selectors.push_back({});
}

Instruction read_instruction(const Form& form) {
  const size_t at = form.text.find("\n  mma.") + 3;
  const std::string_view mnemonic =
      std::string_view(form.text).substr(at, form.text.find('\n', at) - at);
  const Text text{mnemonic};
  Instruction instruction;
  std::vector<std::string> types;
  for (const std::string& part : split(mnemonic)) {
    if (part == "f32" || part == "f16" || part.starts_with("e2m") || part == "e3m2" ||
        part == "e4m3" || part == "e5m2") {
      types.push_back(part);
    }
  }
  instruction.f16 = types.at(0) == "f16";
  instruction.a = types.at(1);
  instruction.b = types.at(2);
  instruction.sparse = text.has(".sp::");
  instruction.packed = text.has("kind::mxf4");
  instruction.ue4m3 = text.has("ue4m3");
  if (text.has("block_scale")) {
    instruction.scales = text.has("4X") ? 4 : instruction.packed ? 2 : 1;
  }
  read_selectors(form.text, instruction);
  return instruction;
}

double small_float(uint32_t code, int exponent_bits, int mantissa_bits, int bias) {
  const auto exponent = static_cast<int>(code >> mantissa_bits & ((1U << exponent_bits) - 1));
  const auto mantissa = static_cast<int>(code & ((1U << mantissa_bits) - 1));
  const int implicit = exponent == 0 ? 0 : 1 << mantissa_bits;
  const double value =
      std::ldexp(implicit + mantissa, std::max(exponent, 1) - bias - mantissa_bits);
  return code >> (exponent_bits + mantissa_bits) & 1 ? -value : value;
}

double decode(const std::string& type, uint32_t code) {
  if (type == "e4m3") return small_float(code, 4, 3, 7);
  if (type == "e5m2") return small_float(code, 5, 2, 15);
  if (type == "e3m2") return small_float(code, 3, 2, 3);
  if (type == "e2m3") return small_float(code, 2, 3, 1);
  return small_float(code, 2, 1, 1);
}

// As the forms mask them, so that sums are exact.
uint32_t masked(const std::string& type, bool packed, uint32_t word) {
  if (packed) return word;
  if (type == "e4m3") return (word & 0x8F8F8F8F) | 0x30303030;
  if (type == "e5m2") return (word & 0x87878787) | 0x38383838;
  return word & (type == "e2m1" ? 0x3C3C3C3C : 0x3F3F3F3F);
}

// One warp of a form.
class Warp {
 public:
  Warp(const Form& form, const std::vector<Bytes>& inputs, uint64_t first)
      : form_(form), inputs_(inputs), first_(first), in_(read_instruction(form)) {
    k_ = (in_.packed ? 64 : 32) * (in_.sparse ? 2 : 1);
    a_.assign(16, std::vector<double>(k_));
    b_.assign(8, std::vector<double>(k_));
    c_.assign(16, std::vector<double>(8));
    for (uint64_t lane = 0; lane < kLanes; ++lane) fill(lane);
  }

  // Of one run: the word of register `r`.
  uint32_t output(size_t run, uint64_t lane, int r) const {
    const uint64_t group = lane >> 2, thread = lane % 4;
    const auto element = [&](int i) {
      const uint64_t row = i < 2 ? group : group + 8;
      const uint64_t column = thread * 2 + static_cast<uint64_t>(i & 1);
      return sum(run, row, column);
    };
    if (!in_.f16) return std::bit_cast<uint32_t>(static_cast<float>(element(r)));
    return half(element(r * 2)) | half(element(r * 2 + 1)) << 16;
  }
  size_t runs() const { return in_.selectors.size(); }
  int registers() const { return in_.f16 ? 2 : 4; }

 private:
  uint32_t word(size_t input, uint64_t lane, int r) const {
    const uint64_t index = (first_ + lane + 32 * static_cast<uint64_t>(r)) % form_.threads();
    return static_cast<uint32_t>(value_at(inputs_[input], index, 4));
  }
  uint32_t code(size_t input, const std::string& type, uint64_t lane, int i) const {
    if (in_.packed) return word(input, lane, i / 8) >> (i % 8 * 4) & 15;
    const uint32_t byte = masked(type, false, word(input, lane, i / 4)) >> (i % 4 * 8) & 255;
    return type == "e2m1" ? byte >> 2 : byte;
  }

  void fill(uint64_t lane) {
    const uint64_t group = lane >> 2, thread = lane % 4;
    const int in_piece = in_.packed ? 8 : 4;  // elements of a register
    for (int i = 0; i < 4 * in_piece; ++i) {
      const bool lower = (i / in_piece) % 2 != 0, far = i >= 2 * in_piece;
      const uint64_t row = lower ? group + 8 : group;
      const auto in_register = static_cast<uint64_t>(i % in_piece);
      const auto piece = static_cast<uint64_t>(in_piece);
      uint64_t column = thread * piece + in_register + (far ? 4 * piece : 0);
      if (in_.sparse) {
        column = sparse_column(row, thread * 2 * piece + (far ? 8 * piece : 0), in_register);
      }
      a_[row][column] = decode(in_.a, code(0, in_.a, lane, i));
    }
    const int registers_b = in_.sparse ? 4 : 2;
    for (int i = 0; i < registers_b * in_piece; ++i) {
      const auto piece = static_cast<uint64_t>(in_piece);
      const uint64_t row = thread * piece + static_cast<uint64_t>(i % in_piece) +
                           static_cast<uint64_t>(i / in_piece) * 4 * piece;
      b_[group][row] = decode(in_.b, code(1, in_.b, lane, i));
    }
    for (int i = 0; i < 4; ++i) {
      const uint64_t row = i < 2 ? group : group + 8;
      const uint64_t column = thread * 2 + static_cast<uint64_t>(i & 1);
      c_[row][column] = in_.f16 ? word(2, lane, i / 2) >> (i % 2 * 8) & 63 : word(2, lane, i) & 255;
    }
  }

  // The metadata of the elements stored in one register: of columns from `first` on, as many again
  // as are stored.
  uint64_t sparse_column(uint64_t row, uint64_t first, uint64_t stored) const {
    const uint64_t chunk_width = in_.packed ? 8 : 4, stored_in_chunk = chunk_width / 2;
    const uint64_t chunk = first / chunk_width + stored / stored_in_chunk;
    // Figures 136 and 137: threads 0 and 1 of a group have the first half of rows g and g + 8.
    const uint64_t thread = (row >= 8 ? 1 : 0) + (chunk >= 8 ? 2 : 0);
    const uint32_t nibble = metadata(row % 8 * 4 + thread) >> (chunk % 8 * 4) & 15;
    const uint64_t at = stored % stored_in_chunk;
    if (!in_.packed) return chunk * 4 + (at == 0 ? nibble & 3 : nibble >> 2);
    return chunk * 8 + (at < 2 ? nibble & 3 : nibble >> 2) * 2 + at % 2;  // pairs
  }
  uint32_t metadata(uint64_t lane) const {
    const uint32_t random = word(in_.scales != 0 ? 5 : 3, lane, 0);
    return (random & 0x00100000) != 0 ? 0x4EE4E44E : (random & 0x55555555) | 0x88888888;
  }

  double scale(size_t input, uint64_t lane, uint64_t byte) const {
    const uint32_t random = word(input, lane, 0) >> (byte * 8);
    if (in_.ue4m3) return small_float((random & 7) + 0x38, 4, 3, 7);
    return std::ldexp(1.0, static_cast<int>(random & 3) + 126 - 127);
  }

  double sum(size_t run, uint64_t row, uint64_t column) const {
    const auto [byte_a, thread_a, byte_b, thread_b] = in_.selectors[run];
    double total = c_[row][column];
    for (uint64_t i = 0; i < k_; ++i) {
      double product = a_[row][i] * b_[column][i];
      if (in_.scales != 0) {
        const uint64_t block = i * static_cast<uint64_t>(in_.scales) / k_;
        product *= scale(3, row % 8 * 4 + thread_a * 2 + (row >= 8 ? 1 : 0), byte_a + block);
        product *= scale(4, column * 4 + thread_b, byte_b + block);
      }
      total += product;
    }
    return total;
  }

  // To nearest, ties to even; none of the forms reaches subnormal numbers or infinity.
  static uint32_t half(double value) {
    if (value == 0) return 0;
    const int exponent = std::ilogb(value);
    const auto steps =
        static_cast<uint32_t>(std::nearbyint(std::ldexp(std::fabs(value), 10 - exponent)));
    return (value < 0 ? 0x8000U : 0U) + (static_cast<uint32_t>(exponent + 15 - 1) << 10) + steps;
  }

  const Form& form_;
  const std::vector<Bytes>& inputs_;
  uint64_t first_;
  Instruction in_;
  uint64_t k_ = 0;
  std::vector<std::vector<double>> a_, b_, c_;  // b_ by columns
};

Bytes expected_mma(const Form& form, const std::vector<Bytes>& inputs) {
  Bytes output(form.output_bytes());
  for (uint64_t first = 0; first < form.threads(); first += kLanes) {
    const Warp warp(form, inputs, first);
    for (uint64_t lane = 0; lane < kLanes; ++lane) {
      uint64_t at = (first + lane) * form.outputs;
      for (size_t run = 0; run < warp.runs(); ++run) {
        for (int r = 0; r < warp.registers(); ++r, ++at) {
          const uint32_t word = warp.output(run, lane, r);
          std::memcpy(output.data() + at * 4, &word, 4);
        }
      }
    }
  }
  return output;
}

// --- ldmatrix and stmatrix. Lane l has row l of 16 bytes: words l + 32 r of the input ---

// Byte `column` of a row, as the destination has it.
uint32_t row_byte(const Form& form, const Bytes& input, uint64_t thread, int bits,
                  uint64_t column) {
  uint32_t value = 0;
  for (int bit = 0; bit < bits; ++bit) {
    const uint64_t at = column * static_cast<uint64_t>(bits) + static_cast<uint64_t>(bit);
    const uint64_t index = (thread + 32 * (at / 32)) % form.threads();
    value |= static_cast<uint32_t>(value_at(input, index, 4) >> at % 32 & 1) << bit;
  }
  return value;
}

// Register r of lane l. Of 8 rows: row l / 4 of matrix r, columns 4 (l % 4) on. Of 16, transposed:
// rows 4 (l % 4) on of column l / 4, or 8 further, of matrix r / 2.
uint32_t loaded(const Form& form, const Bytes& input, uint64_t first, uint64_t lane, uint64_t r,
                bool square, int bits) {
  uint32_t word = 0;
  for (uint64_t i = 0; i < 4; ++i) {
    const uint64_t row = square ? r / 2 * 16 + lane % 4 * 4 + i : r * 8 + lane / 4;
    const uint64_t column = square ? lane / 4 + r % 2 * 8 : lane % 4 * 4 + i;
    word |= row_byte(form, input, first + row, bits, column) << (i * 8);
  }
  return word;
}

Bytes expected_load(const Form& form, const Bytes& input, bool square, int bits) {
  Bytes output(form.output_bytes());
  for (uint64_t thread = 0; thread < form.threads(); ++thread) {
    for (uint64_t r = 0; r < form.outputs; ++r) {
      const uint64_t lane = thread % kLanes;
      const uint32_t word = loaded(form, input, thread - lane, lane, r, square, bits);
      std::memcpy(output.data() + (thread * form.outputs + r) * 4, &word, 4);
    }
  }
  return output;
}

// stmatrix.m16n8: column c of matrix j to row 8 j + c; rows that no matrix goes to keep the lane.
Bytes expected_store(const Form& form, const Bytes& input) {
  Bytes output(form.output_bytes());
  const uint64_t matrices = form.text.find(".x4.") != std::string::npos   ? 4
                            : form.text.find(".x2.") != std::string::npos ? 2
                                                                          : 1;
  for (uint64_t thread = 0; thread < form.threads(); ++thread) {
    const uint64_t row = thread % kLanes, first = thread - row;
    for (uint64_t byte = 0; byte < 16; ++byte) {
      auto value = static_cast<uint8_t>(byte % 4 == 0 ? row : 0);
      if (row / 8 < matrices) {
        // Element (byte, row % 8) of the matrix: e0 and e1 are of row g, e2 and e3 of row g + 8.
        const uint64_t column = row % 8, lane = byte % 8 * 4 + column / 2;
        const uint64_t element = byte / 8 * 2 + column % 2;
        const uint64_t index = (first + lane + 32 * (row / 8)) % form.threads();
        value = static_cast<uint8_t>(value_at(input, index, 4) >> (element * 8));
      }
      std::memcpy(output.data() + thread * 16 + byte, &value, 1);
    }
  }
  return output;
}

}  // namespace

std::optional<Bytes> expected_matrix(const Form& form, const std::vector<Bytes>& inputs) {
  if (form.expect == "mma") return expected_mma(form, inputs);
  if (form.expect == "stmatrix_m16n8") return expected_store(form, inputs[0]);
  if (!form.expect.starts_with("ldmatrix_")) return std::nullopt;
  const bool square = form.expect.find("m16n16") != std::string::npos;
  const bool b4 = form.expect.ends_with("b4x16_p64"), b6 = form.expect.ends_with("b6x16_p32");
  return expected_load(form, inputs[0], square, b4 ? 4 : b6 ? 6 : 8);
}

}  // namespace nibble::forms
