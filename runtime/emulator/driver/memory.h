// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Allocations as the driver knows them: what kind, whose, of which device. The bytes are in one
// GlobalMemory for all devices, where an address is a host pointer: that is unified addressing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/machine/device.h"

namespace nibble::emulator::driver {

struct Context;

enum class MemoryKind : uint8_t { kDevice, kManaged, kHost };

struct Region {
  uint64_t address = 0;
  uint64_t size = 0;
  MemoryKind kind = MemoryKind::kDevice;
  const Context* context = nullptr;
  int device = 0;
  unsigned flags = 0;  // of cuMemHostAlloc
  uint64_t id = 0;     // never used again
};

class Memory {
 public:
  explicit Memory(uint64_t capacity, bool track_writes) : global_(capacity, track_writes) {}

  GlobalMemory& global() { return global_; }

  // CUDA_ERROR_INVALID_VALUE for no bytes, CUDA_ERROR_OUT_OF_MEMORY beyond the device's memory.
  CUresult allocate(const Context& context, uint64_t size, MemoryKind kind, unsigned flags,
                    std::string_view label, uint64_t& address);
  // CUDA_ERROR_INVALID_VALUE unless `address` starts an allocation of device or managed memory
  // (host: of host memory).
  CUresult free(uint64_t address, bool host);
  void free_all(const Context& context);
  // The allocation that contains `address`.
  std::optional<Region> find(uint64_t address) const;
  uint64_t used(int device) const;  // bytes

 private:
  GlobalMemory global_;
  mutable std::mutex mutex_;
  std::map<uint64_t, Region> regions_;
  std::map<int, uint64_t> used_;
  uint64_t next_id_ = 1;

  void release(const Region& region);
};

}  // namespace nibble::emulator::driver
