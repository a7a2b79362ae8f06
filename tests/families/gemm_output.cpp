// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/gemm_output.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <sstream>

#include "tests/reference/nvfp4.h"

namespace nibble::test {

namespace {

using reference::Interval;

float rounded(float value, OutputType type) {
  if (type == OutputType::kF16) return reference::decode_f16(reference::encode_f16(value));
  if (type == OutputType::kBf16) return reference::decode_bf16(reference::encode_bf16(value));
  return value;
}

Interval rounded(Interval value, OutputType type) {
  return {rounded(value.low, type), rounded(value.high, type)};
}

bool is_within(float value, Interval expected) {
  if (expected.is_any()) return true;
  if (expected.is_exact()) {
    return std::bit_cast<uint32_t>(value) == std::bit_cast<uint32_t>(expected.low);
  }
  return expected.low <= value && value <= expected.high;
}

std::string text(float value) {
  std::ostringstream out;
  out.precision(9);
  out << value << " (" << std::hex << std::bit_cast<uint32_t>(value) << ")";
  return out.str();
}

std::string text(Interval value) {
  return value.is_exact() ? text(value.low) : text(value.low) + " to " + text(value.high);
}

std::string hex(int value) {
  std::ostringstream out;
  out << std::hex << value;
  return out.str();
}

// E2M1 codes in the order of their values, -0 before 0.
int order(uint8_t code) { return (code & 8) != 0 ? 7 - code : code; }

class Comparison {
 public:
  explicit Comparison(const Output& output)
      : output_(output), layout_(output.layout), is_written_(output.bytes.size()) {}

  std::string run(const std::function<uint8_t(int64_t)>& untouched) {
    const int64_t scales_rows = layout_.is_fp4() ? (layout_.m + 127) / 128 * 128 : 0;
    for (int64_t batch = 0; batch < layout_.batch; ++batch) {
      for (int64_t row = 0; row < layout_.m; ++row) {
        std::string found = layout_.is_fp4() ? fp4_row(batch, row) : row_of(batch, row);
        if (!found.empty()) return found;
      }
      for (int64_t row = 0; row < scales_rows; ++row) {
        std::string found = padding(batch, row);
        if (!found.empty()) return found;
      }
    }
    for (size_t i = 0; i < is_written_.size(); ++i) {
      if (is_written_[i] || output_.bytes[i] == untouched(static_cast<int64_t>(i))) continue;
      return "byte " + std::to_string(i) +
             " of D, which belongs to no element, was written: " + hex(output_.bytes[i]);
    }
    return scale_gaps();
  }

 private:
  std::string place(int64_t batch, int64_t row, int64_t column) const {
    return "D[" + std::to_string(batch) + "][" + std::to_string(row) + "][" +
           std::to_string(column) + "]";
  }
  const Interval& expected(int64_t batch, int64_t row, int64_t column) const {
    return output_
        .expected[static_cast<size_t>((batch * layout_.m + row) * layout_.columns + column)];
  }
  size_t start(int64_t batch, int64_t row) const {
    return static_cast<size_t>(
        layout_.bytes(batch * layout_.batch_stride + row * layout_.row_stride));
  }

  std::string row_of(int64_t batch, int64_t row) {
    const auto from = output_.bytes.begin() + static_cast<std::ptrdiff_t>(start(batch, row));
    const std::vector<float> values =
        decode({from, from + layout_.row_bytes()}, static_cast<DataType>(layout_.type));
    std::fill_n(is_written_.begin() + static_cast<std::ptrdiff_t>(start(batch, row)),
                layout_.row_bytes(), true);
    for (int64_t column = 0; column < layout_.columns; ++column) {
      const float value = values[static_cast<size_t>(column)];
      const Interval wanted = rounded(expected(batch, row, column), layout_.type);
      const bool is_right = std::isnan(value) ? (wanted.is_nan() || wanted.is_any()) &&
                                                    has_nan_bits(start(batch, row), column)
                                              : is_within(value, wanted);
      if (is_right) continue;
      return place(batch, row, column) + " = " + text(value) + ", expected " + text(wanted);
    }
    return {};
  }

  // 0x7FFFFFFF, in 16 bits 0x7FFF.
  bool has_nan_bits(size_t row_start, int64_t column) const {
    const auto size = static_cast<size_t>(layout_.bytes(1));
    const size_t at = row_start + static_cast<size_t>(column) * size;
    for (size_t i = 0; i + 1 < size; ++i) {
      if (output_.bytes[at + i] != 0xFF) return false;
    }
    return output_.bytes[at + size - 1] == 0x7F;
  }

  uint8_t scale_at(int64_t batch, int64_t row, int64_t block) const {
    return output_
        .scales[static_cast<size_t>(batch * layout_.scale_batch_stride +
                                    reference::offset_128x4(row, block, layout_.blocks()))];
  }

  std::string fp4_row(int64_t batch, int64_t row) {
    std::fill_n(is_written_.begin() + static_cast<std::ptrdiff_t>(start(batch, row)),
                layout_.row_bytes(), true);
    const reference::Fp4Block fp4{layout_.type == OutputType::kMxfp4, output_.tensor_amax};
    for (int64_t block = 0; block < layout_.blocks(); ++block) {
      const int64_t first = block * layout_.block();
      std::vector<Interval> values;
      for (int64_t i = first; i < std::min(layout_.columns, first + layout_.block()); ++i) {
        values.push_back(expected(batch, row, i));
      }
      const uint8_t scale = scale_at(batch, row, block);
      const auto [least, most] = fp4.scales(values);
      if (scale < least || scale > most) {
        return "scale of block " + std::to_string(block) + " from " + place(batch, row, first) +
               " on = " + hex(scale) + ", expected " + hex(least) + " to " + hex(most);
      }
      std::string found = codes_of(fp4, batch, row, first, values, scale);
      if (!found.empty()) return found;
    }
    return {};
  }

  // A row has codes for a multiple of 16 columns: those beyond its last are 0.
  std::string codes_of(const reference::Fp4Block& fp4, int64_t batch, int64_t row, int64_t first,
                       const std::vector<Interval>& values, uint8_t scale) const {
    const int64_t end = std::min(first + layout_.block(), layout_.row_bytes() * 2);
    for (int64_t column = first; column < end; ++column) {
      const uint8_t byte = output_.bytes[start(batch, row) + static_cast<size_t>(column / 2)];
      const auto code = static_cast<uint8_t>(column % 2 == 0 ? byte & 15 : byte >> 4);
      const auto i = static_cast<size_t>(column - first);
      const auto [least, most] =
          i < values.size() ? fp4.codes(values[i], scale) : std::pair<uint8_t, uint8_t>{0, 0};
      // An interval of both zeros may have them in either order.
      if (std::min(order(least), order(most)) <= order(code) &&
          order(code) <= std::max(order(least), order(most))) {
        continue;
      }
      return "code of " + place(batch, row, column) + " = " + hex(code) + ", expected " +
             hex(least) + " to " + hex(most) + " with scale " + hex(scale) +
             (i < values.size() ? " of " + text(values[i]) : " of padding");
    }
    return {};
  }

  std::string padding(int64_t batch, int64_t row) const {
    const int64_t blocks = layout_.blocks();
    for (int64_t block = row < layout_.m ? blocks : 0; block < (blocks + 3) / 4 * 4; ++block) {
      const uint8_t scale = scale_at(batch, row, block);
      if (scale != 0) {
        return "scale of row " + std::to_string(row) + ", block " + std::to_string(block) +
               " is padding of batch " + std::to_string(batch) + ", but " + hex(scale);
      }
    }
    return {};
  }

  std::string scale_gaps() const {
    if (!layout_.is_fp4()) return {};
    const auto size = static_cast<size_t>(reference::size_128x4(layout_.m, layout_.blocks()));
    for (size_t i = 0; i < output_.scales.size(); ++i) {
      const bool inside = i % static_cast<size_t>(layout_.scale_batch_stride) < size;
      if (inside || output_.scales[i] == Guarded::kPoison) continue;
      return "byte " + std::to_string(i) + " of D's scales, between two batches, was written";
    }
    return {};
  }

  const Output& output_;
  const OutputLayout& layout_;
  std::vector<bool> is_written_;
};

}  // namespace

int64_t OutputLayout::bytes(int64_t elements) const {
  if (is_fp4()) return elements / 2;
  return elements * (type == OutputType::kF32 ? 4 : 2);
}

int64_t OutputLayout::row_bytes() const {
  return is_fp4() ? (columns + 15) / 16 * 8 : bytes(columns);
}

int64_t OutputLayout::size() const {
  return bytes((batch - 1) * batch_stride + (m - 1) * row_stride) + row_bytes();
}

int64_t OutputLayout::scale_size() const {
  return (batch - 1) * scale_batch_stride + reference::size_128x4(m, blocks());
}

std::string first_difference(const Output& output,
                             const std::function<uint8_t(int64_t)>& untouched) {
  return Comparison(output).run(untouched);
}

reference::Interval stored_amax(const Output& output) {
  std::vector<Interval> values;
  for (const Interval& value : output.expected) {
    values.push_back(rounded(value, output.layout.type));
  }
  return reference::amax(values);
}

}  // namespace nibble::test
