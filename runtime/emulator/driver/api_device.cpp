// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: start, version, devices.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "runtime/emulator/driver/entry.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

constexpr unsigned kPciBus = 0x40;  // of device 0; the others follow

// The figures of the first boards of an architecture, for programs that print or scale by them.
struct Board {
  int clock_khz, memory_clock_khz, bus_bits, fp32_to_fp64;
};

Board board_of(const DeviceModel& model) {
  switch (model.target.number) {
    case 90:
      return {1980000, 2619000, 5120, 2};
    case 120:
      return {2407000, 14001000, 512, 64};
    default:
      return {1965000, 3996000, 8192, 2};
  }
}

constexpr int kLastAttribute = 147;  // of CUDA 13.0

int attribute_of(const Device& device, int attribute) {
  const DeviceModel& model = *device.model;
  const Board board = board_of(model);
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
      return 0x7FFFFFFF;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return static_cast<int>(model.shared_per_block);
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return board.clock_khz;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
    case CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT:
      return 512;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
      return 32;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return static_cast<int>(model.multiprocessors);
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return board.memory_clock_khz;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return board.bus_bits;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return static_cast<int>(model.l2_bytes);
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return static_cast<int>(model.max_threads_per_multiprocessor);
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      return static_cast<int>(kPciBus) + device.ordinal;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return static_cast<int>(model.target.number / 10);
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return static_cast<int>(model.target.number % 10);
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return static_cast<int>(model.shared_per_multiprocessor);
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return static_cast<int>(model.shared_per_block_optin);
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
      return static_cast<int>(model.shared_reserved);
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
      return board.fp32_to_fp64;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
      return static_cast<int>(model.max_threads_per_multiprocessor / 64);
    case CU_DEVICE_ATTRIBUTE_NUMA_ID:
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
      return -1;
    case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID:
      return device.ordinal;
    case CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT:
      return 4;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      return 3;
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED:
      return 1;
    // Textures, surfaces, exchange with other processes and APIs: not emulated.
    default:
      return 0;
  }
}

CUuuid uuid_of(const Device& device) {
  CUuuid uuid{};
  const std::string text =
      "nibble-" + std::to_string(device.model->target.number) + device.model->target.suffix;
  std::memcpy(uuid.bytes, text.data(), std::min(text.size(), sizeof uuid.bytes - 1));
  uuid.bytes[15] = static_cast<char>(device.ordinal);
  return uuid;
}

}  // namespace

NIBBLE_ENTRY CUresult cuInit(unsigned flags) {
  return guard([&] { return flags != 0 ? CUDA_ERROR_INVALID_VALUE : start(); });
}

NIBBLE_ENTRY CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = kVersion;
  return CUDA_SUCCESS;
}

NIBBLE_ENTRY CUresult cuDeviceGetCount(int* count) {
  return with_driver([&](Driver& driver) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<int>(driver.devices.size());
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return with_device(ordinal, [&](Driver&, Device& found) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = found.ordinal;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (name == nullptr || size <= 0) return CUDA_ERROR_INVALID_VALUE;
    const size_t length = std::min(found.model->name.size(), static_cast<size_t>(size) - 1);
    std::memcpy(name, found.model->name.data(), length);
    name[length] = '\0';
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *uuid = uuid_of(found);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDeviceGetUuid, cuDeviceGetUuid_v2);

NIBBLE_ENTRY CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = found.model->memory_bytes;
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDeviceTotalMem, cuDeviceTotalMem_v2);

NIBBLE_ENTRY CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute,
                                           CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (value == nullptr || attribute < 1 || attribute > kLastAttribute)
      return CUDA_ERROR_INVALID_VALUE;
    *value = attribute_of(found, attribute);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *major = attribute_of(found, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    *minor = attribute_of(found, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGetProperties(CUdevprop* properties, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto get = [&](CUdevice_attribute attribute) { return attribute_of(found, attribute); };
    *properties = {get(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
                   {1024, 1024, 64},
                   {0x7FFFFFFF, 65535, 65535},
                   get(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
                   get(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
                   get(CU_DEVICE_ATTRIBUTE_WARP_SIZE),
                   get(CU_DEVICE_ATTRIBUTE_MAX_PITCH),
                   get(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
                   get(CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
                   get(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT)};
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGetPCIBusId(char* text, int size, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (text == nullptr || size <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::snprintf(text, static_cast<size_t>(size), "0000:%02X:00.0",
                  kPciBus + static_cast<unsigned>(found.ordinal));
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDeviceGetByPCIBusId(CUdevice* device, const char* text) {
  return with_driver([&](Driver& driver) {
    if (device == nullptr || text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    unsigned domain = 0, bus = 0, slot = 0;
    if (std::sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3 &&
        std::sscanf(text, "%x:%x", &bus, &slot) != 2) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (domain != 0 || slot != 0 || bus < kPciBus || bus - kPciBus >= driver.devices.size()) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
    *device = static_cast<int>(bus - kPciBus);
    return CUDA_SUCCESS;
  });
}

// All devices share one memory, so each reaches the others'.
NIBBLE_ENTRY CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return with_device(device, [&](Driver&, Device&) {
    return with_device(peer, [&](Driver&, Device&) {
      if (can == nullptr) return CUDA_ERROR_INVALID_VALUE;
      *can = device != peer ? 1 : 0;
      return CUDA_SUCCESS;
    });
  });
}

NIBBLE_ENTRY CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(found.mutex);
    if (found.primary_references++ == 0) {
      found.primary->flags = found.primary_flags;
      found.primary->alive = true;
    }
    *context = found.primary->handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    const std::lock_guard lock(found.mutex);
    if (found.primary_references == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--found.primary_references == 0) {
      reset(*found.primary);
      found.primary->alive = false;
    }
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2);

NIBBLE_ENTRY CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return with_device(device, [&](Driver&, Device& found) {
    const std::lock_guard lock(found.mutex);
    reset(*found.primary);
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2);

NIBBLE_ENTRY CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  return with_device(device, [&](Driver&, Device& found) {
    if ((flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) != 0) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(found.mutex);
    found.primary_flags = flags;
    found.primary->flags = flags;
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2);

NIBBLE_ENTRY CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return with_device(device, [&](Driver&, Device& found) {
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(found.mutex);
    *flags = found.primary_flags;
    *active = found.primary_references > 0 ? 1 : 0;
    return CUDA_SUCCESS;
  });
}
