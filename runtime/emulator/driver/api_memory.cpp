// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: allocation, pointers.
#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

constexpr size_t kPitch = 512;  // rows of pitched allocations start at multiples
constexpr unsigned kHostFlags =
    CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;

void* host_pointer(uint64_t address) { return reinterpret_cast<void*>(address); }
uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

CUresult allocate_host(void** pointer, size_t bytes, unsigned flags, const char* label) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    if (pointer == nullptr || (flags & ~kHostFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0;
    const CUresult result =
        driver.memory.allocate(context, bytes, MemoryKind::kHost, flags, label, address);
    if (result == CUDA_SUCCESS) *pointer = host_pointer(address);
    return result;
  });
}

// What holds `address`: an allocation, or a variable of a module (then of `context`).
std::optional<Region> region_of(Driver& driver, const Context* context, uint64_t address) {
  if (auto region = driver.memory.find(address)) return region;
  const GlobalMemory::Allocation* const variable = driver.memory.global().find(address, 1);
  if (variable == nullptr) return std::nullopt;
  return Region{variable->address,
                variable->size,
                MemoryKind::kDevice,
                context,
                context == nullptr ? 0 : context->device.ordinal,
                0,
                0};
}

template <class T>
CUresult store(void* data, T value) {
  *static_cast<T*>(data) = value;
  return CUDA_SUCCESS;
}

CUresult pointer_attribute(const Region& region, uint64_t address, CUpointer_attribute attribute,
                           void* data) {
  const bool host = region.kind == MemoryKind::kHost;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return store(data, region.context == nullptr ? nullptr : region.context->handle);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return store<unsigned>(data, host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return store<CUdeviceptr>(data, address);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (region.kind == MemoryKind::kDevice) return CUDA_ERROR_INVALID_VALUE;
      return store(data, host_pointer(address));
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return store<unsigned long long>(data, region.id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return store<unsigned>(data, region.kind == MemoryKind::kManaged ? 1 : 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return store<int>(data, region.device);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return store<CUdeviceptr>(data, region.address);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return store<size_t>(data, region.size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return store<unsigned>(data, 1);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return store<unsigned>(data, 0);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      return store<unsigned long long>(data, 0);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace

NIBBLE_ENTRY CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t found = 0;
    const CUresult result =
        driver.memory.allocate(context, bytes, MemoryKind::kDevice, 0, "cuMemAlloc", found);
    if (result == CUDA_SUCCESS) *address = found;
    return result;
  });
}
NIBBLE_ALIAS(cuMemAlloc, cuMemAlloc_v2);

NIBBLE_ENTRY CUresult cuMemAllocPitch_v2(CUdeviceptr* address, size_t* pitch, size_t width,
                                         size_t height, unsigned element_bytes) {
  if (pitch == nullptr || width == 0 || height == 0 ||
      (element_bytes != 4 && element_bytes != 8 && element_bytes != 16)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const size_t row = (width + kPitch - 1) / kPitch * kPitch;
  size_t bytes = 0;
  if (row < width || __builtin_mul_overflow(row, height, &bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = cuMemAlloc_v2(address, bytes);
  if (result == CUDA_SUCCESS) *pitch = row;
  return result;
}
NIBBLE_ALIAS(cuMemAllocPitch, cuMemAllocPitch_v2);

NIBBLE_ENTRY CUresult cuMemAllocManaged(CUdeviceptr* address, size_t bytes, unsigned flags) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    const bool valid = flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST;
    if (address == nullptr || !valid) return CUDA_ERROR_INVALID_VALUE;
    uint64_t found = 0;
    const CUresult result = driver.memory.allocate(context, bytes, MemoryKind::kManaged, flags,
                                                   "cuMemAllocManaged", found);
    if (result == CUDA_SUCCESS) *address = found;
    return result;
  });
}

NIBBLE_ENTRY CUresult cuMemFree_v2(CUdeviceptr address) {
  return with_context_unsafe([&](Driver& driver, Context&) {
    return address == 0 ? CUDA_SUCCESS : driver.memory.free(address, false);
  });
}
NIBBLE_ALIAS(cuMemFree, cuMemFree_v2);

NIBBLE_ENTRY CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return allocate_host(pointer, bytes, flags, "cuMemHostAlloc");
}

NIBBLE_ENTRY CUresult cuMemAllocHost_v2(void** pointer, size_t bytes) {
  return allocate_host(pointer, bytes, 0, "cuMemAllocHost");
}
NIBBLE_ALIAS(cuMemAllocHost, cuMemAllocHost_v2);

NIBBLE_ENTRY CUresult cuMemFreeHost(void* pointer) {
  return with_context_unsafe([&](Driver& driver, Context&) {
    return pointer == nullptr ? CUDA_SUCCESS : driver.memory.free(address_of(pointer), true);
  });
}

// Kernels reach memory of the emulator alone, so that every access can be checked.
NIBBLE_ENTRY CUresult cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned) {
  return with_context([&](Driver&, Context&) {
    if (pointer == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    return not_supported("cuMemHostRegister (allocate with cuMemHostAlloc instead)");
  });
}
NIBBLE_ALIAS(cuMemHostRegister, cuMemHostRegister_v2);

NIBBLE_ENTRY CUresult cuMemHostUnregister(void* pointer) {
  return with_context([&](Driver&, Context&) {
    return pointer == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  });
}

NIBBLE_ENTRY CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* pointer,
                                                   unsigned flags) {
  return with_context([&](Driver& driver, Context&) {
    const auto region = driver.memory.find(address_of(pointer));
    if (address == nullptr || flags != 0 || !region || region->kind != MemoryKind::kHost) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *address = address_of(pointer);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuMemHostGetDevicePointer, cuMemHostGetDevicePointer_v2);

NIBBLE_ENTRY CUresult cuMemHostGetFlags(unsigned* flags, void* pointer) {
  return with_context([&](Driver& driver, Context&) {
    const auto region = driver.memory.find(address_of(pointer));
    if (flags == nullptr || !region || region->kind != MemoryKind::kHost) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *flags = region->flags | CU_MEMHOSTALLOC_DEVICEMAP;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return with_context([&](Driver& driver, Context& context) {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *total = context.device.model->memory_bytes;
    *free = *total - driver.memory.used(context.device.ordinal);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuMemGetInfo, cuMemGetInfo_v2);

NIBBLE_ENTRY CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes,
                                              CUdeviceptr address) {
  return with_context([&](Driver& driver, Context& context) {
    const auto region = region_of(driver, &context, address);
    if (!region) return CUDA_ERROR_NOT_FOUND;
    if (base != nullptr) *base = region->address;
    if (bytes != nullptr) *bytes = region->size;
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuMemGetAddressRange, cuMemGetAddressRange_v2);

NIBBLE_ENTRY CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute,
                                            CUdeviceptr address) {
  return with_driver([&](Driver& driver) {
    const auto region = region_of(driver, current::get(), address);
    if (data == nullptr || !region) return CUDA_ERROR_INVALID_VALUE;
    return pointer_attribute(*region, address, attribute, data);
  });
}

// Of an address that is none of the driver's, attributes are zero.
NIBBLE_ENTRY CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes,
                                             void** data, CUdeviceptr address) {
  return with_driver([&](Driver& driver) {
    if (attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto region = region_of(driver, current::get(), address);
    for (unsigned i = 0; i < count; ++i) {
      if (data[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
      const bool known = pointer_attribute(region.value_or(Region{}), region ? address : 0,
                                           attributes[i], data[i]) == CUDA_SUCCESS;
      if (!region && (attributes[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE ||
                      attributes[i] == CU_POINTER_ATTRIBUTE_MAPPED)) {
        store<unsigned>(data[i], 0);
      } else if (!region && attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
        store<int>(data[i], -2);
      } else if (!known && attributes[i] == CU_POINTER_ATTRIBUTE_HOST_POINTER) {
        store<void*>(data[i], nullptr);
      } else if (!known) {
        return CUDA_ERROR_INVALID_VALUE;
      }
    }
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute,
                                            CUdeviceptr address) {
  return with_driver([&](Driver& driver) {
    const bool valid = value != nullptr && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS &&
                       driver.memory.find(address).has_value();
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
