// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: stream-ordered allocation. Every device has the one default pool.
#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

// The handle of a device's default pool: beyond all that are given out.
constexpr uint64_t kPoolBase = 1ull << 62;

CUmemoryPool pool_of(int ordinal) {
  return reinterpret_cast<CUmemoryPool>(kPoolBase + static_cast<uint64_t>(ordinal) * 16);
}

// body(Device&) of a default pool.
template <class Body>
CUresult with_pool(CUmemoryPool pool, Body&& body) {
  const uint64_t index = (reinterpret_cast<uint64_t>(pool) - kPoolBase) / 16;
  return with_driver([&](Driver& driver) {
    if (reinterpret_cast<uint64_t>(pool) < kPoolBase || index >= driver.devices.size()) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    return body(driver, driver.devices[index]);
  });
}

}  // namespace

// An allocation during a capture is made at once and is the same in every launch of the graph.
NIBBLE_ENTRY CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context& context, Stream& stream) {
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t found = 0;
    CUresult result =
        driver.memory.allocate(context, bytes, MemoryKind::kDevice, 0, "cuMemAllocAsync", found);
    if (result != CUDA_SUCCESS) return result;
    result = stream.submit(CU_GRAPH_NODE_TYPE_MEM_ALLOC, [] {});
    if (result == CUDA_SUCCESS) {
      *address = found;
    } else {
      driver.memory.free(found, false);
    }
    return result;
  });
}

// Memory that is freed during a capture stays for the launches of the graph.
NIBBLE_ENTRY CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
  return with_stream(handle, [&](Driver& driver, Context&, Stream& stream) {
    const auto region = driver.memory.find(address);
    if (!region || region->address != address || region->kind == MemoryKind::kHost) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (stream.capture() != nullptr) return stream.submit(CU_GRAPH_NODE_TYPE_MEM_FREE, [] {});
    return stream.submit(CU_GRAPH_NODE_TYPE_MEM_FREE,
                         [&driver, address] { driver.memory.free(address, false); });
  });
}

NIBBLE_ENTRY CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, size_t bytes, CUmemoryPool pool,
                                              CUstream stream) {
  const CUresult found = with_pool(pool, [](Driver&, Device&) { return CUDA_SUCCESS; });
  return found == CUDA_SUCCESS ? cuMemAllocAsync(address, bytes, stream) : found;
}

NIBBLE_ENTRY CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  return with_device(device, [&](Driver&, Device&) {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pool = pool_of(device);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDeviceGetMemPool, cuDeviceGetDefaultMemPool);

NIBBLE_ENTRY CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool) {
  return with_device(device, [&](Driver&, Device&) {
    return pool == pool_of(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

NIBBLE_ENTRY CUresult cuMemPoolCreate(CUmemoryPool*, const CUmemPoolProps*) {
  return with_driver([](Driver&) { return not_supported("cuMemPoolCreate"); });
}

NIBBLE_ENTRY CUresult cuMemPoolDestroy(CUmemoryPool) {
  return with_driver([](Driver&) { return CUDA_ERROR_INVALID_VALUE; });  // default pools stay
}

NIBBLE_ENTRY CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t) {
  return with_pool(pool, [](Driver&, Device&) { return CUDA_SUCCESS; });  // nothing is kept back
}

// What is freed is given back at once: thresholds and reuse settings change nothing.
NIBBLE_ENTRY CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                            void* value) {
  return with_pool(pool, [&](Driver&, Device&) {
    const bool valid = value != nullptr &&
                       attribute >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
                       attribute <= CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

NIBBLE_ENTRY CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
                                            void* value) {
  return with_pool(pool, [&](Driver& driver, Device& device) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
      case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        *static_cast<int*>(value) = 1;
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        *static_cast<cuuint64_t*>(value) = 0;
        return CUDA_SUCCESS;
      case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        *static_cast<cuuint64_t*>(value) = driver.memory.used(device.ordinal);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}
