// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: contexts.
#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

constexpr int kGreatestPriority = -5;  // numerically lowest; 0 is the least

CUresult create(CUcontext* context, unsigned flags, CUdevice device, unsigned version) {
  return with_device(device, [&](Driver& driver, Device& found) {
    if (context == nullptr || (flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) != 0) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    Context& made = driver.new_context(found, flags, false);
    made.version = version;
    current::push(made);
    *context = made.handle;
    return CUDA_SUCCESS;
  });
}

// body(Context&) of the handle, or of the current context where it is null.
template <class Body>
CUresult with_handle(CUcontext handle, Body&& body) {
  if (handle == nullptr) return with_any_context([&](Driver&, Context& it) { return body(it); });
  return with_driver([&](Driver& driver) {
    const auto context = driver.contexts.find(handle);
    if (context == nullptr || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
    return body(*context);
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  return create(context, flags, device, 3020);
}
NIBBLE_ALIAS(cuCtxCreate, cuCtxCreate_v2);

NIBBLE_ENTRY CUresult cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam*, int affinities,
                                     unsigned flags, CUdevice device) {
  if (affinities != 0) return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  return create(context, flags, device, 3020);
}

NIBBLE_ENTRY CUresult cuCtxCreate_v4(CUcontext* context, CUctxCreateParams* parameters,
                                     unsigned flags, CUdevice device) {
  if (parameters != nullptr && parameters->cigParams != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  if (parameters != nullptr && parameters->numExecAffinityParams != 0) {
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  }
  return create(context, flags, device, 3020);
}

NIBBLE_ENTRY CUresult cuCtxDestroy_v2(CUcontext handle) {
  return with_driver([&](Driver& driver) {
    const auto context = driver.contexts.find(handle);
    if (context == nullptr || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    driver.contexts.remove(handle);
    context->alive = false;
    reset(*context);
    if (current::get() == context.get()) current::pop();
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuCtxDestroy, cuCtxDestroy_v2);

NIBBLE_ENTRY CUresult cuCtxPushCurrent_v2(CUcontext handle) {
  return with_driver([&](Driver& driver) {
    const auto context = driver.contexts.find(handle);
    if (context == nullptr || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
    current::push(*context);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuCtxPushCurrent, cuCtxPushCurrent_v2);

NIBBLE_ENTRY CUresult cuCtxPopCurrent_v2(CUcontext* handle) {
  return with_driver([&](Driver&) {
    Context* const context = current::pop();
    if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (handle != nullptr) *handle = context->handle;
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuCtxPopCurrent, cuCtxPopCurrent_v2);

NIBBLE_ENTRY CUresult cuCtxSetCurrent(CUcontext handle) {
  return with_driver([&](Driver& driver) {
    if (handle == nullptr) {
      current::set(nullptr);
      return CUDA_SUCCESS;
    }
    const auto context = driver.contexts.find(handle);
    if (context == nullptr || !context->alive) return CUDA_ERROR_INVALID_CONTEXT;
    current::set(context.get());
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetCurrent(CUcontext* handle) {
  return with_driver([&](Driver&) {
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Context* const context = current::get();
    *handle = context == nullptr ? nullptr : context->handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext handle) {
  return with_handle(handle, [&](Context& context) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = context.device.ordinal;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetDevice(CUdevice* device) {
  return cuCtxGetDevice_v2(device, nullptr);
}

NIBBLE_ENTRY CUresult cuCtxSynchronize_v2(CUcontext handle) {
  return with_handle(handle, [&](Context& context) {
    const CUresult fault = context.fault;
    return fault != CUDA_SUCCESS ? fault : check_unsafe_call();
  });
}

NIBBLE_ENTRY CUresult cuCtxSynchronize() { return cuCtxSynchronize_v2(nullptr); }

NIBBLE_ENTRY CUresult cuCtxGetFlags(unsigned* flags) {
  return with_any_context([&](Driver&, Context& context) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = context.flags;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxSetFlags(unsigned flags) {
  return with_any_context([&](Driver&, Context& context) {
    if ((flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) != 0) return CUDA_ERROR_INVALID_VALUE;
    context.flags = flags;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  return with_handle(handle, [&](Context& context) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *id = reinterpret_cast<unsigned long long>(context.handle);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetApiVersion(CUcontext handle, unsigned* version) {
  return with_handle(handle, [&](Context& context) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = context.version;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetLimit(size_t* value, CUlimit limit) {
  return with_context([&](Driver&, Context& context) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || limit >= static_cast<int>(kLimits)) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    const std::lock_guard lock(context.mutex);
    *value = context.limits[static_cast<size_t>(limit)];
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  return with_context([&](Driver&, Context& context) {
    if (limit < 0 || limit >= static_cast<int>(kLimits)) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    const std::lock_guard lock(context.mutex);
    context.limits[static_cast<size_t>(limit)] = value;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetCacheConfig(CUfunc_cache* config) {
  return with_context([&](Driver&, Context& context) {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(context.mutex);
    *config = context.cache_config;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
  return with_context([&](Driver&, Context& context) {
    if (config < 0 || config > CU_FUNC_CACHE_PREFER_EQUAL) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(context.mutex);
    context.cache_config = config;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxGetSharedMemConfig(CUsharedconfig* config) {
  return with_context([&](Driver&, Context&) {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
  return with_context([&](Driver&, Context&) {
    const bool valid = config >= 0 && config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE;
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;  // the banks are as they are
  });
}

NIBBLE_ENTRY CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return with_context([&](Driver&, Context&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = kGreatestPriority;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxResetPersistingL2Cache() {
  return with_context([&](Driver&, Context&) { return CUDA_SUCCESS; });
}

NIBBLE_ENTRY CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  return with_context([&](Driver& driver, Context& context) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const auto found = driver.contexts.find(peer);
    if (found == nullptr || !found->alive) return CUDA_ERROR_INVALID_CONTEXT;
    return &found->device == &context.device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  return with_context([&](Driver& driver, Context&) {
    return driver.contexts.find(peer) == nullptr ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
  });
}
