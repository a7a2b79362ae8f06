// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: tensor maps. The rules are those of the manual's cuTensorMapEncodeTiled.
#include <algorithm>

#include "runtime/emulator/driver/context.h"
#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/settings.h"
#include "runtime/emulator/machine/tensor_map.h"

namespace nibble::emulator::driver {

namespace {

// What all encoders are told.
struct Arguments {
  CUtensorMap* result;
  CUtensorMapDataType type;
  cuuint32_t rank;
  void* address;
  const cuuint64_t* sizes;
  const cuuint64_t* strides;
  const cuuint32_t* element_strides;
  CUtensorMapInterleave interleave;
  CUtensorMapSwizzle swizzle;
  CUtensorMapL2promotion promotion;
  CUtensorMapFloatOOBfill fill;
};

template <class Enum>
bool within(Enum value, Enum last) {
  return value >= 0 && value <= last;
}

// The device of the calling thread's context, else the first.
const DeviceModel& device_model() {
  const Context* const context = current::get();
  return context != nullptr ? *context->device.model : *settings().devices.front();
}

// What the card refused beyond the manual's rules.
const char* broken_by_device(const Arguments& arguments) {
  if (device_model().target.number >= 100) return nullptr;
  if (arguments.type > CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ) {
    return "4-bit and 6-bit types need sm_100";
  }
  if (arguments.swizzle > CU_TENSOR_MAP_SWIZZLE_128B) {
    return "swizzles of 128B with atoms of their own need sm_100";
  }
  return nullptr;
}

const char* broken_argument(const Arguments& arguments, cuuint32_t lowest_rank) {
  if (arguments.result == nullptr || reinterpret_cast<uintptr_t>(arguments.result) % 64 != 0) {
    return "the tensor map must be at a multiple of 64 bytes";
  }
  if (arguments.rank < lowest_rank || arguments.rank > 5) return "the rank is out of range";
  if (arguments.sizes == nullptr || arguments.element_strides == nullptr ||
      arguments.strides == nullptr) {  // of rank 1 too
    return "an array is missing";
  }
  if (!within(arguments.type, CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B)) {
    return "the data type is none";
  }
  if (!within(arguments.interleave, CU_TENSOR_MAP_INTERLEAVE_32B)) return "the interleave is none";
  if (!within(arguments.swizzle, CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B)) {
    return "the swizzle is none";
  }
  if (!within(arguments.promotion, CU_TENSOR_MAP_L2_PROMOTION_L2_256B)) {
    return "the L2 promotion is none";
  }
  if (!within(arguments.fill, CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA)) {
    return "the out-of-bounds fill is none";
  }
  return broken_by_device(arguments);
}

void set_swizzle(CUtensorMapSwizzle swizzle, TensorMap& map) {
  using Swizzle = TensorMap::Swizzle;
  using Atomicity = TensorMap::Atomicity;
  map.swizzle = static_cast<Swizzle>(std::min<int>(swizzle, CU_TENSOR_MAP_SWIZZLE_128B));
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B:
      map.atomicity = Atomicity::k32B;
      break;
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B_FLIP_8B:
      map.atomicity = Atomicity::k32BFlip8B;
      break;
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B:
      map.atomicity = Atomicity::k64B;
      break;
    default:
      break;
  }
}

TensorMap to_map(const Arguments& arguments) {
  TensorMap map;
  map.type = static_cast<TensorMap::Type>(arguments.type);
  map.rank = arguments.rank;
  map.address = reinterpret_cast<uint64_t>(arguments.address);
  std::copy_n(arguments.sizes, map.rank, map.sizes.begin());
  if (map.rank > 1) std::copy_n(arguments.strides, map.rank - 1, map.strides.begin());
  std::copy_n(arguments.element_strides, map.rank, map.element_strides.begin());
  map.interleave = static_cast<TensorMap::Interleave>(arguments.interleave);
  set_swizzle(arguments.swizzle, map);
  map.promotion = static_cast<uint8_t>(arguments.promotion);
  map.fills_nan = arguments.fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
  return map;
}

CUresult refuse(const char* entry, const char* rule) {
  say(std::string(entry) + ": " + rule);
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult finish(const char* entry, const TensorMap& map, CUtensorMap* result) {
  if (const char* const rule = broken_rule(map)) return refuse(entry, rule);
  encode(map, reinterpret_cast<uint64_t*>(result));
  return CUDA_SUCCESS;
}

// What the three encoders share. `check`: the rule that an argument of its own breaks, or null;
// `fill` enters those into the map.
template <class Check, class Fill>
CUresult encode_map(const char* entry, const Arguments& arguments, cuuint32_t least_rank,
                    const Check& check, const Fill& fill) {
  return with_driver([&](Driver&) {
    const char* rule = broken_argument(arguments, least_rank);
    if (rule == nullptr) rule = check();
    if (rule != nullptr) return refuse(entry, rule);
    TensorMap map = to_map(arguments);
    fill(map);
    return finish(entry, map, arguments.result);
  });
}

const char* missing_array(bool is_missing) { return is_missing ? "an array is missing" : nullptr; }

}  // namespace

}  // namespace nibble::emulator::driver

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

NIBBLE_ENTRY CUresult cuTensorMapEncodeTiled(
    CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
    const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
    const cuuint32_t* element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return encode_map(
      "cuTensorMapEncodeTiled",
      {result, type, rank, address, sizes, strides, element_strides, interleave, swizzle, promotion,
       fill},
      1, [&] { return missing_array(box == nullptr); },
      [&](TensorMap& map) { std::copy_n(box, rank, map.box.begin()); });
}

NIBBLE_ENTRY CUresult cuTensorMapEncodeIm2col(
    CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
    const cuuint64_t* sizes, const cuuint64_t* strides, const int* lower, const int* upper,
    cuuint32_t channels, cuuint32_t pixels, const cuuint32_t* element_strides,
    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
    CUtensorMapFloatOOBfill fill) {
  return encode_map(
      "cuTensorMapEncodeIm2col",
      {result, type, rank, address, sizes, strides, element_strides, interleave, swizzle, promotion,
       fill},
      3, [&] { return missing_array(lower == nullptr || upper == nullptr); },
      [&](TensorMap& map) {
        map.mode = TensorMap::Mode::kIm2col;
        map.box[0] = channels;
        map.pixels = pixels;
        // The first corner is that of W, dimension 1.
        for (cuuint32_t i = 0; i + 2 < rank; ++i) {
          map.lower[i] = lower[i];
          map.upper[i] = upper[i];
        }
      });
}

NIBBLE_ENTRY CUresult cuTensorMapEncodeIm2colWide(
    CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
    const cuuint64_t* sizes, const cuuint64_t* strides, int lower, int upper, cuuint32_t channels,
    cuuint32_t pixels, const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
    CUtensorMapIm2ColWideMode mode, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
    CUtensorMapFloatOOBfill fill) {
  return encode_map(
      "cuTensorMapEncodeIm2colWide",
      {result, type, rank, address, sizes, strides, element_strides, interleave, swizzle, promotion,
       fill},
      3,
      [&] { return within(mode, CU_TENSOR_MAP_IM2COL_WIDE_MODE_W128) ? nullptr : "no such mode"; },
      [&](TensorMap& map) {
        const bool is_fixed = mode == CU_TENSOR_MAP_IM2COL_WIDE_MODE_W128;
        map.mode = is_fixed ? TensorMap::Mode::kIm2colW128 : TensorMap::Mode::kIm2colW;
        map.box[0] = channels;
        map.pixels = is_fixed ? 128 : pixels;
        map.lower[0] = lower;
        map.upper[0] = upper;
      });
}

NIBBLE_ENTRY CUresult cuTensorMapReplaceAddress(CUtensorMap* result, void* address) {
  return with_driver([&](Driver&) {
    static constexpr const char* kEntry = "cuTensorMapReplaceAddress";
    if (result == nullptr || reinterpret_cast<uintptr_t>(result) % 64 != 0) {
      return refuse(kEntry, "the tensor map must be at a multiple of 64 bytes");
    }
    std::optional<TensorMap> map = decode(reinterpret_cast<uint64_t*>(result));
    if (!map) return refuse(kEntry, "there is no tensor map");
    if (address == nullptr) return refuse(kEntry, "the address is null");
    map->address = reinterpret_cast<uint64_t>(address);
    return finish(kEntry, *map, result);
  });
}
