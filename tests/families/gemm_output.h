// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whether the bytes that a kernel left behind D's address are the reference's values, and all bytes
// between them still poison.
#pragma once

#include <string>

#include "tests/families/gemm_case.h"
#include "tests/reference/gemm_epilogue.h"

namespace nibble::test {

// Where D's values are in its bytes.
struct OutputLayout {
  OutputType type = OutputType::kF32;
  int64_t m = 0, columns = 0, batch = 1;
  int64_t row_stride = 0, batch_stride = 0;  // elements
  int64_t scale_batch_stride = 0;            // bytes

  bool is_fp4() const { return type >= OutputType::kNvfp4; }
  int64_t block() const { return type == OutputType::kNvfp4 ? 16 : 32; }
  int64_t blocks() const { return (columns + block() - 1) / block(); }
  int64_t row_bytes() const;
  int64_t bytes(int64_t elements) const;  // of elements that are whole bytes
  int64_t size() const;                   // of all, to the last byte of the last row
  int64_t scale_size() const;             // FP4
};

// What was stored, and the values that it should be: [batch, m, columns].
struct Output {
  OutputLayout layout;
  std::vector<uint8_t> bytes, scales;
  float tensor_amax = 0;
  std::vector<reference::Interval> expected;
};

// The first difference, with its place; empty: none. `untouched`: the byte at a place of D where
// nothing may have been written.
std::string first_difference(const Output& output,
                             const std::function<uint8_t(int64_t)>& untouched);

// max |D| of what is stored.
reference::Interval stored_amax(const Output& output);

}  // namespace nibble::test
