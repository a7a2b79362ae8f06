// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Runs forms through a driver library.
#include "tests/emulator/forms/form_runner.h"

#include <dlfcn.h>

#include <cstdio>
#include <map>

#include "runtime/driver/cuda_abi.h"

namespace nibble::forms {
namespace {

constexpr int kPoison = 0xA5;
constexpr size_t kLogBytes = 8192;

// A driver entry point: the symbol's name for messages, the function once found.
template <class... Args>
struct Entry {
  const char* name;
  CUresult (*function)(Args...) = nullptr;
};

// The first failing call of a run, or none.
struct Failure {
  std::string message;
};

// "sm_90a" is compute capability 9.0, "sm_103a" 10.3.
int capability_of(const std::string& target) {
  int number = 0;
  std::sscanf(target.c_str(), "sm_%d", &number);
  return number;
}

}  // namespace

struct FormRunner::State {
  Entry<unsigned> init{"cuInit"};
  Entry<int*> version{"cuDriverGetVersion"};
  Entry<int*> device_count{"cuDeviceGetCount"};
  Entry<CUdevice*, int> device_get{"cuDeviceGet"};
  Entry<char*, int, CUdevice> device_name{"cuDeviceGetName"};
  Entry<int*, CUdevice_attribute, CUdevice> device_attribute{"cuDeviceGetAttribute"};
  Entry<CUcontext*, CUdevice> retain{"cuDevicePrimaryCtxRetain"};
  Entry<CUdevice> reset{"cuDevicePrimaryCtxReset_v2"};
  Entry<CUcontext> set_current{"cuCtxSetCurrent"};
  Entry<> synchronize{"cuCtxSynchronize"};
  Entry<CUmodule*, const void*, unsigned, CUjit_option*, void**> load{"cuModuleLoadDataEx"};
  Entry<CUmodule> unload{"cuModuleUnload"};
  Entry<CUfunction*, CUmodule, const char*> get_function{"cuModuleGetFunction"};
  Entry<CUdeviceptr*, size_t> allocate{"cuMemAlloc_v2"};
  Entry<CUdeviceptr> free{"cuMemFree_v2"};
  Entry<CUdeviceptr, const void*, size_t> upload{"cuMemcpyHtoD_v2"};
  Entry<void*, CUdeviceptr, size_t> download{"cuMemcpyDtoH_v2"};
  Entry<CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
        void**, void**>
      launch{"cuLaunchKernel"};
  Entry<CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
        const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
        CUtensorMapL2promotion, CUtensorMapFloatOOBfill>
      encode_tiled{"cuTensorMapEncodeTiled"};
  Entry<CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
        const int*, const int*, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,
        CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill>
      encode_im2col{"cuTensorMapEncodeIm2col"};
  Entry<CUresult, const char**> error_string{"cuGetErrorString"};
  std::map<int, CUdevice> devices;  // the first of each compute capability, 90 or 103

  template <class... Args>
  static void find(void* library, Entry<Args...>& entry) {
    entry.function = reinterpret_cast<CUresult (*)(Args...)>(dlsym(library, entry.name));
    if (entry.function == nullptr) throw Failure{std::string("no symbol ") + entry.name};
  }

  template <class... Args, class... Actual>
  void call(const Entry<Args...>& entry, Actual... actual) {
    const CUresult result = entry.function(actual...);
    if (result == CUDA_SUCCESS) return;
    const char* text = nullptr;
    error_string.function(result, &text);
    throw Failure{std::string(entry.name) + ": " + std::to_string(result) + " " +
                  (text ? text : "")};
  }

  void find_all(void* library) {
    find(library, error_string);
    find(library, init);
    find(library, version);
    find(library, device_count);
    find(library, device_get);
    find(library, device_name);
    find(library, device_attribute);
    find(library, retain);
    find(library, reset);
    find(library, set_current);
    find(library, synchronize);
    find(library, load);
    find(library, unload);
    find(library, get_function);
    find(library, allocate);
    find(library, free);
    find(library, upload);
    find(library, download);
    find(library, launch);
    find(library, encode_tiled);
    find(library, encode_im2col);
  }

  void find_devices() {
    call(init, 0U);
    int count = 0;
    call(device_count, &count);
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      CUdevice device = 0;
      int major = 0;
      int minor = 0;
      call(device_get, &device, ordinal);
      call(device_attribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
      call(device_attribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
      devices.emplace(major * 10 + minor, device);
    }
  }

  CUmodule load_module(const std::string& text) {
    std::string log(kLogBytes, '\0');
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log.data(), reinterpret_cast<void*>(kLogBytes)};
    CUmodule module = nullptr;
    try {
      call(load, &module, static_cast<const void*>(text.c_str()), 2U, options, values);
    } catch (Failure& failure) {
      failure.message += "\n" + std::string(log.c_str());
      throw;
    }
    return module;
  }

  CUdeviceptr upload_array(const Bytes& bytes) {
    CUdeviceptr pointer = 0;
    call(allocate, &pointer, bytes.size());
    call(upload, pointer, static_cast<const void*>(bytes.data()), bytes.size());
    return pointer;
  }

  CUtensorMap encode(const Map& map, CUdeviceptr pointer) {
    CUtensorMap result{};
    std::vector<uint64_t> strides = map.strides;
    strides.push_back(0);  // of rank 1 too the array must be there
    const auto type = static_cast<CUtensorMapDataType>(map.type);
    const auto rank = static_cast<cuuint32_t>(map.dims.size());
    auto* const address = reinterpret_cast<void*>(pointer);
    const auto swizzle = static_cast<CUtensorMapSwizzle>(map.swizzle);
    const auto fill = map.fills_nan ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
                                    : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
    if (map.pixels == 0) {
      call(encode_tiled, &result, type, rank, address, map.dims.data(), strides.data(),
           map.box.data(), map.steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
           CU_TENSOR_MAP_L2_PROMOTION_NONE, fill);
    } else {
      call(encode_im2col, &result, type, rank, address, map.dims.data(), strides.data(),
           map.lower.data(), map.upper.data(), map.box[0], map.pixels, map.steps.data(),
           CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE, fill);
    }
    return result;
  }

  Bytes execute(const Form& form, const std::vector<Bytes>& inputs) {
    const CUmodule module = load_module(form.text);
    CUfunction kernel = nullptr;
    call(get_function, &kernel, module, "kernel");
    Bytes output(form.output_bytes(), std::byte{kPoison});
    std::vector<CUdeviceptr> pointers = {upload_array(output)};
    pointers.reserve(1 + inputs.size());
    for (const Bytes& input : inputs) pointers.push_back(upload_array(input));
    std::vector<void*> parameters;
    parameters.reserve(pointers.size());
    for (CUdeviceptr& pointer : pointers) parameters.push_back(&pointer);
    std::vector<CUtensorMap> maps;
    maps.reserve(form.maps.size());
    for (const Map& map : form.maps) {
      parameters.push_back(&maps.emplace_back(encode(map, pointers[map.buffer])));
    }
    call(launch, kernel, form.grid[0], form.grid[1], form.grid[2], form.block[0], form.block[1],
         form.block[2], form.dynamic_shared, CUstream{nullptr}, parameters.data(),
         static_cast<void**>(nullptr));
    call(synchronize);
    call(download, static_cast<void*>(output.data()), pointers[0], output.size());
    for (const CUdeviceptr pointer : pointers) call(free, pointer);
    call(unload, module);
    return output;
  }
};

FormRunner::FormRunner(std::unique_ptr<State> state) : state_(std::move(state)) {}
FormRunner::~FormRunner() = default;

std::unique_ptr<FormRunner> FormRunner::open(const std::string& library, std::string& error) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    error = dlerror();
    return nullptr;
  }
  auto state = std::make_unique<State>();
  try {
    state->find_all(handle);
    state->find_devices();
  } catch (const Failure& failure) {
    error = library + ": " + failure.message;
    return nullptr;
  }
  return std::unique_ptr<FormRunner>(new FormRunner(std::move(state)));
}

Outcome FormRunner::run(const Form& form, const std::vector<Bytes>& inputs) {
  const auto device = state_->devices.find(capability_of(form.target));
  if (device == state_->devices.end()) return {Outcome::Kind::kNoDevice, {}, form.target};
  try {
    CUcontext context = nullptr;
    state_->call(state_->retain, &context, device->second);
    state_->call(state_->set_current, context);
    return {Outcome::Kind::kRan, state_->execute(form, inputs), {}};
  } catch (const Failure& failure) {
    state_->reset.function(device->second);  // a fault leaves a context unusable
    return {Outcome::Kind::kFailed, {}, failure.message};
  }
}

std::string FormRunner::description() {
  std::string text;
  try {
    int version = 0;
    state_->call(state_->version, &version);
    text = "driver " + std::to_string(version);
    for (const auto& [capability, device] : state_->devices) {
      char name[256] = {};
      state_->call(state_->device_name, static_cast<char*>(name), 256, device);
      text += std::string(", ") + name;
    }
  } catch (const Failure& failure) {
    text += ", " + failure.message;
  }
  return text;
}

}  // namespace nibble::forms
