// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whole kernels in PTX that stand beside this file, their operands and what they have to give. Text
// of a kernel may be changed at places that it marks, to plant faults.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/emulator/machine/tensor_map.h"

namespace nibble::emulator {

inline std::string read_program(const std::string& name) {
  std::ifstream file(std::string(NIBBLE_SOURCE_DIR) + "/tests/emulator/programs/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  if (text.str().empty()) throw std::runtime_error("no program " + name);
  return text.str();
}

// Where the line with "// @mark" begins; throws where not exactly one has it.
inline size_t find_mark(const std::string& text, const std::string& mark) {
  const std::string what = "// @" + mark + "\n";
  const size_t at = text.find(what);
  if (at == std::string::npos || text.find(what, at + 1) != std::string::npos) {
    throw std::runtime_error("not one line is marked " + mark);
  }
  return text.rfind('\n', at) + 1;
}

inline uint32_t marked_line(const std::string& text, const std::string& mark) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(find_mark(text, mark));
  return 1 + static_cast<uint32_t>(std::count(text.begin(), end, '\n'));
}

// Other text in place of a marked line, which keeps its mark.
inline void replace_marked(std::string& text, const std::string& mark, const std::string& by) {
  const size_t begin = find_mark(text, mark);
  text.replace(begin, text.find("// @", begin) - begin, by + " ");
}

// A matrix map of 2 dimensions, the rows one after another.
inline TensorMap matrix_map(TensorMap::Type type, uint64_t address, uint64_t columns, uint64_t rows,
                            uint32_t box_columns, uint32_t box_rows, TensorMap::Swizzle swizzle) {
  TensorMap map;
  map.type = type;
  map.rank = 2;
  map.address = address;
  map.sizes = {columns, rows};
  map.strides = {columns * global_bits(type) / 8};
  map.box = {box_columns, box_rows};
  map.element_strides = {1, 1, 1, 1, 1};
  map.swizzle = swizzle;
  return map;
}

inline void append_map(std::vector<uint64_t>& parameters, const TensorMap& map) {
  parameters.resize(parameters.size() + TensorMap::kWords);
  encode(map, parameters.data() + parameters.size() - TensorMap::kWords);
}

// A random NVFP4 matrix, K innermost: values of E2M1, a scale of UE4M3 for 16 of them.
class Nvfp4Matrix {
 public:
  Nvfp4Matrix(uint32_t rows, uint32_t k, uint32_t seed) : rows_(rows), k_(k) {
    std::minstd_rand random(seed);
    codes.resize(size_t{rows} * k / 2);
    scales.resize(size_t{rows} * k / 16);
    for (uint8_t& pair : codes) pair = static_cast<uint8_t>(random() >> 8);
    // Exponents 0 to 2, mantissas 0 to 7: from 1 to 7.5 in steps of 1/8 and more.
    for (uint8_t& scale : scales) scale = static_cast<uint8_t>(7 << 3 | (random() >> 8) % 24);
  }

  // The element with its scale.
  double value(uint32_t row, uint32_t k) const {
    static constexpr double kMagnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    const uint32_t code = codes[(size_t{row} * k_ + k) / 2] >> k % 2 * 4 & 0xF;
    const uint32_t scale = scales[scale_place(row, k)];
    const double factor = std::ldexp(8 + scale % 8, static_cast<int>(scale / 8) - 10);
    return (code >= 8 ? -1 : 1) * kMagnitudes[code % 8] * factor;
  }

  std::vector<double> values() const {
    std::vector<double> all(size_t{rows_} * k_);
    for (uint32_t row = 0; row < rows_; ++row) {
      for (uint32_t k = 0; k < k_; ++k) all[size_t{row} * k_ + k] = value(row, k);
    }
    return all;
  }

  std::vector<uint8_t> codes, scales;

 private:
  // 128 rows of 4 scales are 512 bytes: row r at r % 32 * 16 + r / 32 * 4.
  size_t scale_place(uint32_t row, uint32_t k) const {
    const size_t piece = size_t{row / 128} * (k_ / 64) + k / 64;
    return piece * 512 + row % 32 * 16 + row % 128 / 32 * 4 + k / 16 % 4;
  }
  uint32_t rows_, k_;
};

// A x B^T in doubles, where it is exact.
inline std::vector<float> product_of(const std::vector<double>& a, const std::vector<double>& b,
                                     uint32_t m, uint32_t n, uint32_t k) {
  std::vector<float> result(size_t{m} * n);
  for (uint32_t i = 0; i < m; ++i) {
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0;
      for (uint32_t l = 0; l < k; ++l) sum += a[size_t{i} * k + l] * b[size_t{j} * k + l];
      result[size_t{i} * n + j] = static_cast<float>(sum);
    }
  }
  return result;
}

}  // namespace nibble::emulator
