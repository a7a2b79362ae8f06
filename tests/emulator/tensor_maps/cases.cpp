// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/tensor_maps/cases.h"

#include <dlfcn.h>

#include <functional>

namespace nibble::tensor_maps {
namespace {

constexpr uint64_t kGiga = uint64_t{1} << 32;
constexpr uint64_t kTera = uint64_t{1} << 40;
constexpr int kTypes = 16;
constexpr int kPacked = 13, kPadded4 = 14, kPadded6 = 15;  // sub-byte types

uint32_t bits_of(int type) {
  static constexpr uint8_t kBits[kTypes] = {8,  16, 32, 32, 64, 64, 16, 32,
                                            64, 16, 32, 32, 32, 4,  4,  6};
  return type >= 0 && type < kTypes ? kBits[type] : 8;
}

template <class T>
std::string list(const char* key, const std::vector<T>& values) {
  std::string text = std::string(",") + key + "=";
  for (size_t i = 0; i < values.size(); ++i) {
    text += (i == 0 ? "" : "x") + std::to_string(values[i]);
  }
  return text;
}

// A map of the rank and type that is right in every respect.
Case valid(uint32_t rank, int type = 1) {
  Case test;
  test.rank = rank;
  test.type = type;
  const bool padded = type == kPadded4 || type == kPadded6;
  const uint64_t columns = padded ? 256 : 64;
  test.dims.assign(rank, 16);
  test.dims[0] = columns;
  test.box.assign(rank, 2);
  test.box[0] = padded ? 128 : 32;
  test.steps.assign(rank, 1);
  test.strides.clear();
  uint64_t stride = columns * bits_of(type) / 8;
  for (uint32_t i = 1; i < rank; ++i) {
    test.strides.push_back(stride);
    stride *= 16;
  }
  return test;
}

Case valid_im2col(uint32_t rank, int type = 1) {
  Case test = valid(rank, type);
  test.call = Case::Call::kIm2col;
  test.channels = 32;
  test.lower.assign(rank - 2, -1);
  test.upper.assign(rank - 2, -1);
  return test;
}

class Builder {
 public:
  std::vector<Case> cases;

  void add(Case test, const std::function<void(Case&)>& change) {
    change(test);
    cases.push_back(test);
  }

  void add_types() {
    for (int type = -1; type <= kTypes; ++type) {
      for (uint32_t rank = 1; rank <= 5; ++rank) add(valid(rank, type), [](Case&) {});
      for (int fill = 1; fill < 3; ++fill) {
        add(valid(2, type), [&](Case& test) { test.fill = fill; });
      }
      for (int swizzle = 1; swizzle <= 7; ++swizzle) {
        add(valid(2, type), [&](Case& test) {
          test.swizzle = swizzle;
          if (type != kPadded4 && type != kPadded6) test.box[0] = 32 * 8 / bits_of(type);
        });
      }
    }
  }

  void add_numbers() {
    for (const uint64_t address : {0ull, 8ull, 16ull, 32ull, 48ull, 0x10000000008ull,
                                   0x10000000010ull, 1ull << 47, 1ull << 57, ~15ull}) {
      for (const int type : {1, kPacked, kPadded4, kPadded6}) {
        add(valid(2, type), [&](Case& test) { test.address = address; });
      }
    }
    for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{63}, uint64_t{127},
                                uint64_t{128}, uint64_t{192}, kGiga - 1, kGiga, kGiga + 1}) {
      for (const int type : {0, 2, kPacked, kPadded4, kPadded6}) {
        add(valid(2, type), [&](Case& test) { test.dims[0] = size; });
      }
      add(valid(3), [&](Case& test) { test.dims[1] = size; });
      add(valid(3), [&](Case& test) { test.dims[2] = size; });
    }
    for (const uint64_t stride : {uint64_t{0}, uint64_t{8}, uint64_t{16}, uint64_t{24},
                                  uint64_t{32}, uint64_t{64}, uint64_t{112}, uint64_t{128},
                                  uint64_t{144}, kGiga, kTera - 32, kTera - 16, kTera, 2 * kTera}) {
      add(valid(2), [&](Case& test) { test.strides[0] = stride; });
      add(valid(2, kPadded4), [&](Case& test) { test.strides[0] = stride; });
      add(valid(3), [&](Case& test) { test.strides[1] = stride; });
      add(valid(3), [&](Case& test) {
        test.dims[2] = 1;
        test.strides[1] = stride;
      });
    }
  }

  void add_boxes() {
    for (const uint32_t size :
         {0u, 1u, 2u, 4u, 8u, 12u, 16u, 24u, 64u, 128u, 255u, 256u, 257u, 512u}) {
      for (const int type : {0, 1, 7, 8, kPacked, kPadded4, kPadded6}) {
        add(valid(2, type), [&](Case& test) { test.box[0] = size; });
      }
      add(valid(3), [&](Case& test) { test.box[1] = size; });
      add(valid(3), [&](Case& test) { test.box[2] = size; });
    }
    for (int swizzle = 0; swizzle <= 6; ++swizzle) {
      for (const uint32_t bytes : {16u, 32u, 48u, 64u, 80u, 96u, 112u, 128u, 144u, 192u, 256u}) {
        add(valid(2, 0), [&](Case& test) {
          test.swizzle = swizzle;
          test.box[0] = bytes;
        });
      }
    }
    for (const uint32_t size : {64u, 128u, 200u, 256u}) {  // beyond shared memory in the end
      add(valid(2, 2), [&](Case& test) { test.box = {size, size}; });
      add(valid(3, 0), [&](Case& test) { test.box = {size, size, size}; });
    }
    for (const uint32_t step : {0u, 1u, 2u, 7u, 8u, 9u}) {
      for (size_t i = 0; i < 3; ++i) add(valid(3), [&](Case& test) { test.steps[i] = step; });
    }
  }

  void add_modes() {
    for (int interleave = -1; interleave <= 3; ++interleave) {
      for (uint32_t rank = 1; rank <= 5; ++rank) {
        for (int swizzle = 0; swizzle <= 3; ++swizzle) {
          add(valid(rank), [&](Case& test) {
            test.interleave = interleave;
            test.swizzle = swizzle;
            test.box[0] = 16;
          });
        }
      }
      for (const int type : {kPacked, kPadded4, kPadded6}) {
        add(valid(3, type), [&](Case& test) { test.interleave = interleave; });
      }
    }
    for (int promotion = -1; promotion <= 4; ++promotion) {
      add(valid(2), [&](Case& test) { test.promotion = promotion; });
    }
    for (const uint32_t rank : {0u, 6u, 100u}) {
      add(valid(5), [&](Case& test) { test.rank = rank; });
    }
    for (const char missing : {'r', 'd', 's', 'b', 't'}) {
      add(valid(2), [&](Case& test) { test.missing = missing; });
      add(valid(1), [&](Case& test) { test.missing = missing; });
    }
    for (const int misaligned : {8, 16, 32, 64}) {
      add(valid(2), [&](Case& test) { test.misaligned = misaligned; });
    }
  }

  void add_im2col() {
    for (uint32_t rank = 2; rank <= 5; ++rank) {
      add(valid_im2col(rank), [](Case&) {});
      const int limit = rank == 3 ? 32768 : rank == 4 ? 128 : 16;
      for (size_t i = 0; i + 2 < rank; ++i) {
        for (const int corner : {-limit - 1, -limit, limit - 1, limit, 0, 15, -15, -16}) {
          add(valid_im2col(rank), [&](Case& test) { test.lower[i] = corner; });
          add(valid_im2col(rank), [&](Case& test) { test.upper[i] = corner; });
        }
      }
    }
    for (const uint32_t count : {0u, 1u, 8u, 12u, 16u, 128u, 256u, 257u}) {
      add(valid_im2col(4), [&](Case& test) { test.channels = count; });
      add(valid_im2col(4), [&](Case& test) { test.pixels = count * 4; });
    }
    for (const uint32_t pixels : {1023u, 1024u, 1025u}) {
      add(valid_im2col(4), [&](Case& test) { test.pixels = pixels; });
    }
    for (int swizzle = 0; swizzle <= 6; ++swizzle) {
      for (const uint32_t channels : {16u, 32u, 64u, 128u}) {
        add(valid_im2col(3), [&](Case& test) {
          test.swizzle = swizzle;
          test.channels = channels;
        });
      }
    }
    for (int type = 0; type < kTypes; ++type) {
      add(valid_im2col(4, type), [&](Case& test) {
        if (type == kPadded4 || type == kPadded6) test.channels = 128;
      });
    }
    for (const uint32_t step : {0u, 2u, 8u, 9u}) {
      for (size_t i = 0; i < 4; ++i)
        add(valid_im2col(4), [&](Case& test) { test.steps[i] = step; });
    }
  }

  void add_others() {
    for (int mode = -1; mode <= 2; ++mode) {
      for (int swizzle = 0; swizzle <= 4; ++swizzle) {
        add(valid_im2col(4), [&](Case& test) {
          test.call = Case::Call::kIm2colWide;
          test.mode = mode;
          test.swizzle = swizzle;
        });
      }
    }
    for (const uint64_t address : {0ull, 8ull, 16ull, 0x20000000000ull}) {
      add(valid(2), [&](Case& test) {
        test.call = Case::Call::kReplaceAddress;
        test.address = address;
      });
    }
  }
};

template <class... Args>
CUresult call(void* function, Args... args) {
  if (function == nullptr) return CUDA_ERROR_NOT_FOUND;
  return reinterpret_cast<CUresult (*)(Args...)>(function)(args...);
}

template <class T>
T* unless(bool missing, std::vector<T>& values) {
  return missing ? nullptr : values.data();
}

}  // namespace

std::string Case::name() const {
  static constexpr const char* kCalls[] = {"tiled", "im2col", "im2col_wide", "replace_address"};
  const Case plain;
  std::string text = kCalls[static_cast<int>(call)];
  auto number = [&](const char* key, auto value, auto usual) {
    if (value != usual) text += std::string(",") + key + "=" + std::to_string(value);
  };
  number("type", type, plain.type);
  number("rank", rank, plain.rank);
  number("address", address, plain.address);
  text += list("dims", dims) + list("strides", strides);
  if (call == Call::kIm2col || call == Call::kIm2colWide) {
    text += list("lower", lower) + list("upper", upper);
    number("channels", channels, 0u);
    number("pixels", pixels, 0u);
    number("mode", mode, 0);
  } else {
    text += list("box", box);
  }
  text += list("steps", steps);
  number("interleave", interleave, 0);
  number("swizzle", swizzle, 0);
  number("promotion", promotion, 0);
  number("fill", fill, 0);
  number("misaligned", misaligned, 0);
  if (missing != '\0') text += std::string(",missing=") + missing;
  return text;
}

std::vector<Case> all_cases() {
  Builder builder;
  builder.add_types();
  builder.add_numbers();
  builder.add_boxes();
  builder.add_modes();
  builder.add_im2col();
  builder.add_others();
  return builder.cases;
}

std::string Encoders::open(const char* library) {
  void* const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return dlerror();
  tiled_ = dlsym(handle, "cuTensorMapEncodeTiled");
  im2col_ = dlsym(handle, "cuTensorMapEncodeIm2col");
  im2col_wide_ = dlsym(handle, "cuTensorMapEncodeIm2colWide");
  replace_ = dlsym(handle, "cuTensorMapReplaceAddress");
  void* const init = dlsym(handle, "cuInit");
  void* const retain = dlsym(handle, "cuDevicePrimaryCtxRetain");
  void* const set = dlsym(handle, "cuCtxSetCurrent");
  CUcontext context = nullptr;
  if (call(init, 0u) != CUDA_SUCCESS || call(retain, &context, CUdevice{0}) != CUDA_SUCCESS ||
      call(set, context) != CUDA_SUCCESS) {
    return std::string(library) + ": no device";
  }
  return {};
}

CUresult Encoders::run(const Case& test) const {
  alignas(128) std::byte memory[2 * sizeof(CUtensorMap)] = {};
  Case copy = test;
  auto* const aligned = reinterpret_cast<CUtensorMap*>(memory);
  auto* result = reinterpret_cast<CUtensorMap*>(memory + test.misaligned);
  if (test.missing == 'r') result = nullptr;
  auto* const address = reinterpret_cast<void*>(test.address);
  const auto type = static_cast<CUtensorMapDataType>(test.type);
  const auto interleave = static_cast<CUtensorMapInterleave>(test.interleave);
  const auto swizzle = static_cast<CUtensorMapSwizzle>(test.swizzle);
  const auto promotion = static_cast<CUtensorMapL2promotion>(test.promotion);
  const auto fill = static_cast<CUtensorMapFloatOOBfill>(test.fill);
  cuuint64_t* const dims = unless(test.missing == 'd', copy.dims);
  cuuint64_t* const strides = unless(test.missing == 's', copy.strides);
  cuuint32_t* const steps = unless(test.missing == 't', copy.steps);
  switch (test.call) {
    case Case::Call::kTiled:
      return call(tiled_, result, type, test.rank, address, dims, strides,
                  unless(test.missing == 'b', copy.box), steps, interleave, swizzle, promotion,
                  fill);
    case Case::Call::kIm2col:
      return call(im2col_, result, type, test.rank, address, dims, strides, copy.lower.data(),
                  copy.upper.data(), test.channels, test.pixels, steps, interleave, swizzle,
                  promotion, fill);
    case Case::Call::kIm2colWide:
      return call(im2col_wide_, result, type, test.rank, address, dims, strides, copy.lower[0],
                  copy.upper[0], test.channels, test.pixels, steps, interleave,
                  static_cast<CUtensorMapIm2ColWideMode>(test.mode), swizzle, promotion, fill);
    case Case::Call::kReplaceAddress:
      break;
  }
  const CUresult encoded =
      call(tiled_, aligned, type, test.rank, reinterpret_cast<void*>(uint64_t{1} << 40), dims,
           strides, copy.box.data(), steps, interleave, swizzle, promotion, fill);
  return encoded != CUDA_SUCCESS ? encoded : call(replace_, result, address);
}

}  // namespace nibble::tensor_maps
