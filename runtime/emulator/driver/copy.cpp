// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/copy.h"

#include <cstring>
#include <limits>
#include <string>

namespace nibble::emulator::driver {

namespace {

bool is_empty(const Extent& extent) {
  return extent.width == 0 || extent.height == 0 || extent.depth == 0;
}

// From the first byte to the last that is touched; none where that is beyond an address space.
std::optional<uint64_t> span_of(const Place& place, const Extent& extent) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(extent.depth - 1, place.height, &bytes) ||
      __builtin_add_overflow(bytes, extent.height - 1, &bytes) ||
      __builtin_mul_overflow(bytes, place.pitch, &bytes) ||
      __builtin_add_overflow(bytes, extent.width, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

uint64_t row_address(const Place& place, size_t row, size_t slice) {
  return place.address + (slice * place.height + row) * place.pitch;
}

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

// Copies which bytes count as written where both sides know, else marks them.
void copy_written(GlobalMemory& memory, uint64_t to, uint64_t from, size_t bytes) {
  const GlobalMemory::Allocation* const target = memory.find(to, bytes);
  if (target == nullptr || target->written == nullptr) return;
  const GlobalMemory::Allocation* const source = memory.find(from, bytes);
  if (source == nullptr) {
    memory.mark_written(to, bytes);
  } else {
    std::memmove(target->written + (to - target->address),
                 source->written + (from - source->address), bytes);
  }
}

}  // namespace

CUresult check_place(Driver& driver, const Place& place, const Extent& extent) {
  if (is_empty(extent)) return CUDA_SUCCESS;
  if (extent.height > 1 && place.pitch < extent.width) return CUDA_ERROR_INVALID_VALUE;
  if (extent.depth > 1 && place.height < extent.height) return CUDA_ERROR_INVALID_VALUE;
  const std::optional<uint64_t> bytes = span_of(place, extent);
  if (!bytes || place.address == 0) return CUDA_ERROR_INVALID_VALUE;
  GlobalMemory& memory = driver.memory.global();
  if (memory.find(place.address, *bytes) != nullptr) return CUDA_SUCCESS;
  if (place.where == Where::kDevice) return CUDA_ERROR_INVALID_VALUE;
  return memory.is_inside(place.address) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

namespace {

// Graphs are launched when what they name may be freed.
bool is_still_there(Driver& driver, Context& context, const Place& place, const Extent& extent) {
  if (check_place(driver, place, extent) == CUDA_SUCCESS) return true;
  context.fail(
      CUDA_ERROR_ILLEGAL_ADDRESS,
      "a graph's copy or fill of memory that was freed since: " + std::to_string(place.address));
  return false;
}

}  // namespace

CUresult copy(Driver& driver, Stream& stream, const Place& to, const Place& from,
              const Extent& extent) {
  CUresult result = check_place(driver, to, extent);
  if (result == CUDA_SUCCESS) result = check_place(driver, from, extent);
  if (result != CUDA_SUCCESS || is_empty(extent)) return result;
  return stream.submit(CU_GRAPH_NODE_TYPE_MEMCPY,
                       [&driver, &context = stream.context, to, from, extent] {
                         if (!is_still_there(driver, context, to, extent) ||
                             !is_still_there(driver, context, from, extent)) {
                           return;
                         }
                         GlobalMemory& memory = driver.memory.global();
                         for (size_t slice = 0; slice < extent.depth; ++slice) {
                           for (size_t row = 0; row < extent.height; ++row) {
                             const uint64_t target = row_address(to, row, slice);
                             const uint64_t source = row_address(from, row, slice);
                             std::memmove(pointer(target), pointer(source), extent.width);
                             copy_written(memory, target, source, extent.width);
                           }
                         }
                       });
}

CUresult fill(Driver& driver, Stream& stream, const Place& to, size_t width, size_t height,
              uint32_t value, size_t element_size) {
  if (to.address % element_size != 0) return CUDA_ERROR_INVALID_VALUE;
  if (height > 1 && to.pitch % element_size != 0) return CUDA_ERROR_INVALID_VALUE;
  if (width > std::numeric_limits<size_t>::max() / element_size) return CUDA_ERROR_INVALID_VALUE;
  const Extent extent{width * element_size, height, 1};
  const CUresult result = check_place(driver, to, extent);
  if (result != CUDA_SUCCESS || is_empty(extent)) return result;
  return stream.submit(CU_GRAPH_NODE_TYPE_MEMSET,
                       [&driver, &context = stream.context, to, extent, value, element_size] {
                         if (!is_still_there(driver, context, to, extent)) return;
                         for (size_t row = 0; row < extent.height; ++row) {
                           const uint64_t target = row_address(to, row, 0);
                           auto* const bytes = static_cast<std::byte*>(pointer(target));
                           if (element_size == 1) {
                             std::memset(bytes, static_cast<int>(value & 0xFF), extent.width);
                           } else {
                             // Little-endian: the low bytes of `value` come first.
                             for (size_t i = 0; i < extent.width; i += element_size) {
                               std::memcpy(bytes + i, &value, element_size);
                             }
                           }
                           driver.memory.global().mark_written(target, extent.width);
                         }
                       });
}

}  // namespace nibble::emulator::driver
