// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator's own form of a tensor map: what cuTensorMapEncodeTiled is told, in 128 bytes.
//   word 0      address
//   word 1      bits 0-7 data type, 8-10 rank, 16-17 interleave, 22-25 swizzle, 26-27 L2 promotion,
//               28 out-of-bounds fill, 32-51 element strides less one (4 bits each); bit 21 is zero
//   words 2-6   sizes in elements
//   words 7-10  strides of dimensions 1 to 4 in bytes
//   word 11     box sizes less one, 8 bits each
//   word 15     kTensorMapMagic
#pragma once

#include <array>
#include <optional>

#include "runtime/driver/cuda_abi.h"

namespace nibble::emulator::driver {

constexpr cuuint64_t kTensorMapMagic = 0x50414D524F534E54;  // "TNSORMAP"

struct TensorMap {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  cuuint32_t rank = 1;
  cuuint64_t address = 0;
  std::array<cuuint64_t, 5> sizes{};            // elements
  std::array<cuuint64_t, 4> strides{};          // bytes, of dimensions 1 to 4
  std::array<cuuint32_t, 5> box{};              // elements
  std::array<cuuint32_t, 5> element_strides{};  // elements
  CUtensorMapInterleave interleave = CU_TENSOR_MAP_INTERLEAVE_NONE;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
  CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_NONE;
  CUtensorMapFloatOOBfill fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
};

// The documented rule that `map` breaks; null when it keeps all.
const char* broken_rule(const TensorMap& map);

void encode(const TensorMap& map, cuuint64_t* words);
// None where the words were not written by encode.
std::optional<TensorMap> decode(const cuuint64_t* words);

}  // namespace nibble::emulator::driver
