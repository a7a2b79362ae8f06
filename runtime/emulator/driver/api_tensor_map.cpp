// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: tensor maps. The rules are those of the manual's cuTensorMapEncodeTiled.
#include <algorithm>

#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/tensor_map.h"

namespace nibble::emulator::driver {

namespace {

uint32_t element_bits(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 8;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 16;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
      return 64;
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B:
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B:
      return 4;
    case CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B:
      return 6;
    default:
      return 32;
  }
}

bool is_float(CUtensorMapDataType type) {
  return type >= CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && type <= CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ;
}

bool is_padded(CUtensorMapDataType type) {
  return type == CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B ||
         type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B;
}

uint32_t swizzle_span(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      return 0;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      return 32;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      return 64;
    default:
      return 128;
  }
}

template <class Enum>
bool within(Enum value, Enum last) {
  return value >= 0 && value <= last;
}

const char* broken_enumeration(const TensorMap& map) {
  if (!within(map.type, CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B)) return "the data type is none";
  if (!within(map.interleave, CU_TENSOR_MAP_INTERLEAVE_32B)) return "the interleave is none";
  if (!within(map.swizzle, CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B)) return "the swizzle is none";
  if (!within(map.promotion, CU_TENSOR_MAP_L2_PROMOTION_L2_256B)) return "the L2 promotion is none";
  if (!within(map.fill, CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA)) {
    return "the out-of-bounds fill is none";
  }
  return nullptr;
}

const char* broken_mode(const TensorMap& map) {
  const bool interleaved = map.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE;
  if (interleaved && map.rank < 3) return "an interleaved layout needs rank 3 or more";
  if (map.interleave == CU_TENSOR_MAP_INTERLEAVE_32B && map.swizzle != CU_TENSOR_MAP_SWIZZLE_32B) {
    return "interleave 32B needs swizzle 32B";
  }
  if (map.fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE && !is_float(map.type)) {
    return "NaN fill needs a floating-point type";
  }
  if (!is_padded(map.type)) return nullptr;
  if (interleaved && map.type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B) {
    return "16U6_ALIGN16B cannot be interleaved";
  }
  const bool swizzle_fits = map.swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ||
                            map.swizzle == CU_TENSOR_MAP_SWIZZLE_128B ||
                            map.swizzle == CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B ||
                            (map.type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B &&
                             map.swizzle == CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B);
  return swizzle_fits ? nullptr : "the padded 4-bit and 6-bit types have no such swizzle";
}

}  // namespace

const char* broken_rule(const TensorMap& map) {
  if (const char* rule = broken_enumeration(map)) return rule;
  if (map.rank < 1 || map.rank > 5) return "the rank must be 1 to 5";
  if (const char* rule = broken_mode(map)) return rule;
  const bool padded = is_padded(map.type);
  const uint64_t align = padded || map.interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : 16;
  if (map.address % align != 0) return "the address must be a multiple of 16 bytes, or 32";
  for (size_t i = 0; i < map.rank; ++i) {
    if (map.sizes[i] == 0 || map.sizes[i] > 1ull << 32) return "a size must be 1 to 2^32";
    if (map.box[i] == 0 || map.box[i] > 256) return "a box size must be 1 to 256";
    if (map.element_strides[i] == 0 || map.element_strides[i] > 8) {
      return "an element stride must be 1 to 8";
    }
    if (i + 1 < map.rank && (map.strides[i] % align != 0 || map.strides[i] >= 1ull << 40)) {
      return "a stride must be a multiple of 16 bytes, or 32, and below 2^40";
    }
  }
  if (padded && (map.sizes[0] % 128 != 0 || map.box[0] != 128)) {
    return "the padded 4-bit and 6-bit types need sizes[0] a multiple of 128 and box[0] 128";
  }
  if (map.type == CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B && map.sizes[0] % 2 != 0) {
    return "16U4_ALIGN8B needs an even sizes[0]";
  }
  if (map.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) return nullptr;
  // Padded types take 16 bytes of shared memory for 16 elements.
  const uint32_t row_bits = map.box[0] * (padded ? 8 : element_bits(map.type));
  if (row_bits % 128 != 0) return "a row of the box must be a multiple of 16 bytes";
  const uint32_t span = swizzle_span(map.swizzle);
  if (span != 0 && row_bits > span * 8) return "a row of the box must fit the swizzle's span";
  return nullptr;
}

void encode(const TensorMap& map, cuuint64_t* words) {
  std::fill(words, words + 16, 0);
  words[0] = map.address;
  words[1] = cuuint64_t{static_cast<unsigned>(map.type)} | cuuint64_t{map.rank} << 8 |
             cuuint64_t{static_cast<unsigned>(map.interleave)} << 16 |
             cuuint64_t{static_cast<unsigned>(map.swizzle)} << 22 |
             cuuint64_t{static_cast<unsigned>(map.promotion)} << 26 |
             cuuint64_t{static_cast<unsigned>(map.fill)} << 28;
  for (size_t i = 0; i < map.rank; ++i) {
    words[1] |= cuuint64_t{map.element_strides[i] - 1} << (32 + 4 * i);
    words[2 + i] = map.sizes[i];
    if (i + 1 < map.rank) words[7 + i] = map.strides[i];
    words[11] |= cuuint64_t{map.box[i] - 1} << (8 * i);
  }
  words[15] = kTensorMapMagic;
}

std::optional<TensorMap> decode(const cuuint64_t* words) {
  if (words[15] != kTensorMapMagic) return std::nullopt;
  const auto field = [&](int first, int bits) {
    return static_cast<unsigned>(words[1] >> first & ((1ull << bits) - 1));
  };
  TensorMap map;
  map.address = words[0];
  map.type = static_cast<CUtensorMapDataType>(field(0, 8));
  map.rank = field(8, 3);
  map.interleave = static_cast<CUtensorMapInterleave>(field(16, 2));
  map.swizzle = static_cast<CUtensorMapSwizzle>(field(22, 4));
  map.promotion = static_cast<CUtensorMapL2promotion>(field(26, 2));
  map.fill = static_cast<CUtensorMapFloatOOBfill>(field(28, 1));
  for (size_t i = 0; i < std::min<size_t>(map.rank, 5); ++i) {
    map.element_strides[i] = field(static_cast<int>(32 + 4 * i), 4) + 1;
    map.sizes[i] = words[2 + i];
    if (i + 1 < map.rank) map.strides[i] = words[7 + i];
    map.box[i] = static_cast<cuuint32_t>(words[11] >> (8 * i) & 0xFF) + 1;
  }
  return map;
}

}  // namespace nibble::emulator::driver

using namespace nibble::emulator::driver;

NIBBLE_ENTRY CUresult cuTensorMapEncodeTiled(
    CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
    const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
    const cuuint32_t* element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return with_driver([&](Driver&) {
    const bool aligned = reinterpret_cast<uintptr_t>(result) % 64 == 0;
    if (result == nullptr || !aligned || address == nullptr || sizes == nullptr || box == nullptr ||
        element_strides == nullptr || rank == 0 || rank > 5 || (rank > 1 && strides == nullptr)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    TensorMap map;
    map.type = type;
    map.rank = rank;
    map.address = reinterpret_cast<uint64_t>(address);
    std::copy_n(sizes, rank, map.sizes.begin());
    if (rank > 1) std::copy_n(strides, rank - 1, map.strides.begin());
    std::copy_n(box, rank, map.box.begin());
    std::copy_n(element_strides, rank, map.element_strides.begin());
    map.interleave = interleave;
    map.swizzle = swizzle;
    map.promotion = promotion;
    map.fill = fill;
    if (const char* const rule = broken_rule(map)) {
      say(std::string("cuTensorMapEncodeTiled: ") + rule);
      return CUDA_ERROR_INVALID_VALUE;
    }
    encode(map, reinterpret_cast<cuuint64_t*>(result));
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuTensorMapReplaceAddress(CUtensorMap* result, void* address) {
  return with_driver([&](Driver&) {
    if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto* const words = reinterpret_cast<cuuint64_t*>(result);
    std::optional<TensorMap> map = decode(words);
    if (!map) return CUDA_ERROR_INVALID_VALUE;
    map->address = reinterpret_cast<uint64_t>(address);
    if (broken_rule(*map) != nullptr) return CUDA_ERROR_INVALID_VALUE;
    encode(*map, words);
    return CUDA_SUCCESS;
  });
}
