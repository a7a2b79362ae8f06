// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: finding entry points; profiling.
#include <dlfcn.h>

#include <cstring>
#include <string>
#include <string_view>

#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

// Which symbol a name means to a program that was compiled for a CUDA version: the last row whose
// version is not above it. Other names with a "_v2" have had it since before 12.0.
struct Versioned {
  std::string_view name;
  int version;
  const char* symbol;
};
constexpr Versioned kVersioned[] = {
    {"cuCtxCreate", 3020, "cuCtxCreate_v2"},
    {"cuCtxCreate", 11040, "cuCtxCreate_v3"},
    {"cuCtxCreate", 12050, "cuCtxCreate_v4"},
    {"cuCtxGetDevice", 2000, "cuCtxGetDevice"},
    {"cuCtxGetDevice", 13000, "cuCtxGetDevice_v2"},
    {"cuCtxSynchronize", 2000, "cuCtxSynchronize"},
    {"cuCtxSynchronize", 13000, "cuCtxSynchronize_v2"},
    {"cuGetProcAddress", 11030, "cuGetProcAddress"},
    {"cuGetProcAddress", 12000, "cuGetProcAddress_v2"},
    {"cuGraphInstantiate", 10000, "cuGraphInstantiate_v2"},
    {"cuGraphInstantiate", 11040, "cuGraphInstantiateWithFlags"},
    {"cuMemAdvise", 8000, "cuMemAdvise"},
    {"cuMemAdvise", 12020, "cuMemAdvise_v2"},
    {"cuMemPrefetchAsync", 8000, "cuMemPrefetchAsync"},
    {"cuMemPrefetchAsync", 12020, "cuMemPrefetchAsync_v2"},
    {"cuStreamBeginCapture", 10000, "cuStreamBeginCapture"},
    {"cuStreamBeginCapture", 10010, "cuStreamBeginCapture_v2"},
    {"cuStreamGetCaptureInfo", 10010, "cuStreamGetCaptureInfo"},
    {"cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2"},
    {"cuStreamGetCaptureInfo", 12030, "cuStreamGetCaptureInfo_v3"},
};

constexpr cuuint64_t kPerThreadStream = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;

// This library, however it was loaded and named.
void* own_library() {
  static void* const kHandle = [] {
    Dl_info info{};
    const auto address = reinterpret_cast<void*>(&started);
    if (dladdr(address, &info) == 0) return static_cast<void*>(nullptr);
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }();
  return kHandle;
}

void* find_symbol(const std::string& name, cuuint64_t flags) {
  void* const library = own_library();
  if (library == nullptr) return nullptr;
  if ((flags & kPerThreadStream) != 0) {
    for (const char* suffix : {"_ptsz", "_ptds"}) {
      if (void* const found = dlsym(library, (name + suffix).c_str())) return found;
    }
  }
  return dlsym(library, name.c_str());
}

CUresult find_entry(const char* name, void** function, int version, cuuint64_t flags,
                    CUdriverProcAddressQueryResult* status) {
  return guard([&] {
    constexpr cuuint64_t kKnown = kPerThreadStream | CU_GET_PROC_ADDRESS_LEGACY_STREAM;
    if (name == nullptr || function == nullptr || version <= 0 || (flags & ~kKnown) != 0 ||
        flags == kKnown) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *function = nullptr;
    bool versioned = false;
    const char* symbol = nullptr;
    for (const Versioned& row : kVersioned) {
      if (row.name != name) continue;
      versioned = true;
      if (row.version <= version) symbol = row.symbol;
    }
    const bool entry = std::strncmp(name, "cu", 2) == 0;
    if (symbol != nullptr) {
      *function = find_symbol(symbol, flags);
    } else if (entry && !versioned) {
      *function = find_symbol(std::string(name) + "_v2", flags);
      if (*function == nullptr) *function = find_symbol(name, flags);
    }
    const bool too_old = versioned && symbol == nullptr;
    if (status != nullptr) {
      *status = *function != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS
                : too_old            ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                                     : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    }
    // The first form reports a missing name as an error, the second in its status.
    return *function != nullptr || status != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuGetProcAddress(const char* name, void** function, int version,
                                       cuuint64_t flags) {
  return find_entry(name, function, version, flags, nullptr);
}

NIBBLE_ENTRY CUresult cuGetProcAddress_v2(const char* name, void** function, int version,
                                          cuuint64_t flags,
                                          CUdriverProcAddressQueryResult* status) {
  return find_entry(name, function, version, flags, status);
}

// Tables of functions that are no public interface: there are none.
NIBBLE_ENTRY CUresult cuGetExportTable(const void** table, const CUuuid* id) {
  if (table == nullptr || id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *table = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}

NIBBLE_ENTRY CUresult cuProfilerStart() {
  return with_context([](Driver&, Context&) { return CUDA_SUCCESS; });
}
NIBBLE_ALIAS(cuProfilerStop, cuProfilerStart);
