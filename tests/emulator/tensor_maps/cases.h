// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls of the tensor map encoders, right and wrong, to be made of a card's driver and of the
// emulator's: both must return the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/driver/cuda_abi.h"

namespace nibble::tensor_maps {

struct Case {
  enum class Call { kTiled, kIm2col, kIm2colWide, kReplaceAddress };
  Call call = Call::kTiled;
  int type = 1;  // u16
  uint32_t rank = 2;
  uint64_t address = 0x10000000000;
  std::vector<uint64_t> dims = {64, 64};
  std::vector<uint64_t> strides = {128};
  std::vector<uint32_t> box = {64, 8};
  std::vector<uint32_t> steps = {1, 1};
  int interleave = 0, swizzle = 0, promotion = 0, fill = 0;
  std::vector<int> lower, upper;  // im2col
  uint32_t channels = 64, pixels = 32;
  int mode = 0;         // im2col wide
  int misaligned = 0;   // bytes, of the result
  char missing = '\0';  // 'r'esult, 'd'ims, 's'trides, 'b'ox, s't'eps: null

  std::string name() const;  // all that differs from the defaults, without spaces
};

std::vector<Case> all_cases();

// The encoders of an opened driver library, ready for calls.
class Encoders {
 public:
  // What is wrong, or nothing.
  std::string open(const char* library);
  CUresult run(const Case& test) const;

 private:
  void* tiled_ = nullptr;
  void* im2col_ = nullptr;
  void* im2col_wide_ = nullptr;  // null in drivers before 12.8
  void* replace_ = nullptr;
};

}  // namespace nibble::tensor_maps
