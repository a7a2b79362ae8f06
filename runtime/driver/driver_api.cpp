// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/driver/driver_api.h"

#include <type_traits>
#include <vector>

#include "runtime/driver/shared_library.h"
#include "runtime/result.h"

namespace nibble {

namespace {

constexpr int kOldestDriver = 12000;  // CUDA 12.0: the first that runs sm_90 with all we use

// The first symbol that the library lacks; null when it has all.
const char* bind(DriverApi& api, const SharedLibrary& library) {
  const char* missing = nullptr;
  auto optional = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.find(symbol));
  };
  auto required = [&](auto& function, const char* symbol) {
    optional(function, symbol);
    if (function == nullptr && missing == nullptr) missing = symbol;
  };
  required(api.cuInit, "cuInit");
  required(api.cuDriverGetVersion, "cuDriverGetVersion");
  required(api.cuGetErrorName, "cuGetErrorName");
  required(api.cuGetErrorString, "cuGetErrorString");
  required(api.cuDeviceGetCount, "cuDeviceGetCount");
  required(api.cuDeviceGet, "cuDeviceGet");
  required(api.cuDeviceGetName, "cuDeviceGetName");
  required(api.cuDeviceGetAttribute, "cuDeviceGetAttribute");
  required(api.cuDeviceTotalMem, "cuDeviceTotalMem_v2");
  required(api.cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
  required(api.cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2");
  required(api.cuCtxGetCurrent, "cuCtxGetCurrent");
  required(api.cuCtxSetCurrent, "cuCtxSetCurrent");
  required(api.cuModuleLoadDataEx, "cuModuleLoadDataEx");
  required(api.cuModuleUnload, "cuModuleUnload");
  required(api.cuModuleGetFunction, "cuModuleGetFunction");
  required(api.cuFuncGetAttribute, "cuFuncGetAttribute");
  required(api.cuFuncSetAttribute, "cuFuncSetAttribute");
  required(api.cuOccupancyMaxActiveBlocksPerMultiprocessor,
           "cuOccupancyMaxActiveBlocksPerMultiprocessor");
  optional(api.cuOccupancyMaxActiveClusters, "cuOccupancyMaxActiveClusters");
  required(api.cuLaunchKernel, "cuLaunchKernel");
  optional(api.cuLaunchKernelEx, "cuLaunchKernelEx");
  optional(api.cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled");
  required(api.cuMemAlloc, "cuMemAlloc_v2");
  required(api.cuMemFree, "cuMemFree_v2");
  required(api.cuMemHostAlloc, "cuMemHostAlloc");
  required(api.cuMemFreeHost, "cuMemFreeHost");
  optional(api.cuMemAllocAsync, "cuMemAllocAsync");
  optional(api.cuMemFreeAsync, "cuMemFreeAsync");
  required(api.cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2");
  required(api.cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2");
  required(api.cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2");
  required(api.cuMemsetD8Async, "cuMemsetD8Async");
  required(api.cuMemsetD32Async, "cuMemsetD32Async");
  required(api.cuMemGetInfo, "cuMemGetInfo_v2");
  required(api.cuStreamCreate, "cuStreamCreate");
  required(api.cuStreamDestroy, "cuStreamDestroy_v2");
  required(api.cuStreamSynchronize, "cuStreamSynchronize");
  required(api.cuStreamWaitEvent, "cuStreamWaitEvent");
  required(api.cuStreamIsCapturing, "cuStreamIsCapturing");
  required(api.cuEventCreate, "cuEventCreate");
  required(api.cuEventDestroy, "cuEventDestroy_v2");
  required(api.cuEventRecord, "cuEventRecord");
  required(api.cuEventSynchronize, "cuEventSynchronize");
  required(api.cuEventElapsedTime, "cuEventElapsedTime");
  return missing;
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

Result<std::shared_ptr<const DriverApi>> DriverApi::load(const std::string& path) {
  const std::vector<std::string> candidates =
      path.empty() ? std::vector<std::string>{"libcuda.so.1", "libcuda.so"}
                   : std::vector<std::string>{path};
  NIBBLE_TRY_ASSIGN(const SharedLibrary library,
                    SharedLibrary::open(candidates, "the CUDA driver", "NIBBLE_DRIVER_LIBRARY"));
  auto api = std::make_shared<DriverApi>();
  api->path = library.path();
  const char* missing = bind(*api, library);
  if (api->cuDriverGetVersion != nullptr) api->cuDriverGetVersion(&api->version);
  if (missing != nullptr || api->version < kOldestDriver) {
    return Status(Code::kLibraryTooOld,
                  api->path + " (CUDA " + version_text(api->version) + ")" +
                      (missing ? std::string(" lacks ") + missing : std::string()) +
                      ": a driver of CUDA " + version_text(kOldestDriver) + " or newer is needed");
  }
  NIBBLE_TRY(api->check(api->cuInit(0), "cuInit"));
  return std::shared_ptr<const DriverApi>(std::move(api));
}

Status DriverApi::check(CUresult result, std::string_view call) const {
  if (result == CUDA_SUCCESS) return {};
  const char* name = nullptr;
  const char* text = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &text);
  const Code code = result == CUDA_ERROR_OUT_OF_MEMORY ? Code::kOutOfMemory : Code::kDriverError;
  return Status(code, std::string(call) + ": " + (name ? name : "error") + " (" +
                          std::to_string(static_cast<int>(result)) + ")" +
                          (text ? std::string(", ") + text : std::string()));
}

}  // namespace nibble
