// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/memory.h"

#include "runtime/emulator/driver/context.h"

namespace nibble::emulator::driver {

namespace {

constexpr uint64_t kAlign = 512;  // what cuMemAlloc gives in practice; 256 is promised

}  // namespace

CUresult Memory::allocate(const Context& context, uint64_t size, MemoryKind kind, unsigned flags,
                          std::string_view label, uint64_t& address) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(mutex_);
  const bool on_device = kind == MemoryKind::kDevice;
  uint64_t& used = used_[context.device.ordinal];
  if (on_device && size > context.device.model->memory_bytes - used) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const uint64_t found = global_.allocate(size, kAlign, label);
  if (found == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  // Bytes that the program may write without a call are not tracked: they count as written.
  if (!on_device) global_.mark_written(found, size);
  if (on_device) used += size;
  regions_[found] = {found, size, kind, &context, context.device.ordinal, flags, next_id_++};
  address = found;
  return CUDA_SUCCESS;
}

void Memory::release(const Region& region) {
  if (region.kind == MemoryKind::kDevice) used_[region.device] -= region.size;
  global_.free(region.address);
}

CUresult Memory::free(uint64_t address, bool host) {
  const std::lock_guard lock(mutex_);
  const auto found = regions_.find(address);
  if (found == regions_.end() || (found->second.kind == MemoryKind::kHost) != host) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  release(found->second);
  regions_.erase(found);
  return CUDA_SUCCESS;
}

void Memory::free_all(const Context& context) {
  const std::lock_guard lock(mutex_);
  for (auto it = regions_.begin(); it != regions_.end();) {
    if (it->second.context == &context) {
      release(it->second);
      it = regions_.erase(it);
    } else {
      ++it;
    }
  }
}

std::optional<Region> Memory::find(uint64_t address) const {
  const std::lock_guard lock(mutex_);
  auto after = regions_.upper_bound(address);
  if (after == regions_.begin()) return std::nullopt;
  const Region& region = std::prev(after)->second;
  if (address - region.address >= region.size) return std::nullopt;
  return region;
}

uint64_t Memory::used(int device) const {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(device);
  return found == used_.end() ? 0 : found->second;
}

}  // namespace nibble::emulator::driver
