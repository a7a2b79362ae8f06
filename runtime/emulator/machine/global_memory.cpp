// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Device memory: one reserved range of host addresses, made accessible allocation by allocation.
// Addresses are not used again while the range lasts, so that stale pointers are found.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

namespace {

constexpr int kPoison = 0xA5;
constexpr uint64_t kPoisonedBytes = 64ull << 20;
constexpr uint64_t kMinimumAlign = 256;
constexpr uint64_t kGap = 256;  // between allocations: an access off the end hits nothing
constexpr uint64_t kGuardedSize = 1 << 16;  // from here on a page without access follows
constexpr uint64_t kReserve = 64ull << 30;  // beyond twice the capacity

uint64_t page_size() {
  static const auto kSize = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return kSize;
}

uint64_t align_up(uint64_t value, uint64_t align) { return (value + align - 1) / align * align; }

void* map_range(uint64_t size, int protection) {
  void* const at =
      mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

}  // namespace

struct GlobalMemory::State {
  mutable std::shared_mutex mutex;
  uint64_t capacity = 0;
  uint64_t used = 0;
  uint64_t base = 0, size = 0;  // the range
  uint64_t next = 0;            // where the next allocation may begin
  uint8_t* written = nullptr;   // of the byte at `base`
  std::map<uint64_t, std::unique_ptr<Allocation>> live;
  // Kept so that a pointer found before is never dangling.
  std::vector<std::unique_ptr<Allocation>> freed;
};

GlobalMemory::GlobalMemory(uint64_t capacity, bool track_writes)
    : state_(std::make_unique<State>()) {
  state_->capacity = capacity;
  state_->size = align_up(2 * capacity + kReserve, page_size());
  void* const base = map_range(state_->size, PROT_NONE);
  if (base == nullptr) throw std::bad_alloc();
  state_->base = reinterpret_cast<uint64_t>(base);
  state_->next = state_->base + page_size();
  if (track_writes) {
    state_->written = static_cast<uint8_t*>(map_range(state_->size, PROT_READ | PROT_WRITE));
    if (state_->written == nullptr) {
      munmap(base, state_->size);
      throw std::bad_alloc();
    }
  }
}

GlobalMemory::~GlobalMemory() {
  munmap(reinterpret_cast<void*>(state_->base), state_->size);
  if (state_->written != nullptr) munmap(state_->written, state_->size);
}

uint64_t GlobalMemory::allocate(uint64_t size, uint64_t align, std::string_view label,
                                bool read_only) {
  const std::unique_lock lock(state_->mutex);
  if (size == 0 || size > state_->capacity - state_->used) return 0;
  align = std::max(align, kMinimumAlign);
  const bool guarded = size >= kGuardedSize;
  uint64_t address = align_up(state_->next + kGap, align);
  if (guarded) address = align_up(address, std::max(align, page_size()));
  const uint64_t end =
      guarded ? align_up(address + size, page_size()) + page_size() : address + size;
  if (end < address || end + page_size() > state_->base + state_->size) return 0;
  const uint64_t first_page = address / page_size() * page_size();
  const uint64_t last_page = align_up(address + size, page_size());
  if (mprotect(reinterpret_cast<void*>(first_page), last_page - first_page,
               PROT_READ | PROT_WRITE) != 0) {
    return 0;
  }
  auto allocation = std::make_unique<Allocation>();
  allocation->address = address;
  allocation->size = size;
  allocation->data = reinterpret_cast<std::byte*>(address);
  if (state_->written != nullptr) allocation->written = state_->written + (address - state_->base);
  allocation->label = label;
  allocation->read_only = read_only;
  std::memset(allocation->data, kPoison, std::min(size, kPoisonedBytes));
  state_->live.emplace(address, std::move(allocation));
  state_->next = end;
  state_->used += size;
  return address;
}

bool GlobalMemory::free(uint64_t address) {
  const std::unique_lock lock(state_->mutex);
  const auto found = state_->live.find(address);
  if (found == state_->live.end()) return false;
  const Allocation& allocation = *found->second;
  state_->used -= allocation.size;
  // Whole pages go back to the host; neighbours may share the first and the last.
  const uint64_t first_page = align_up(address, page_size());
  const uint64_t last_page = (address + allocation.size) / page_size() * page_size();
  if (last_page > first_page) {
    auto* const pages = reinterpret_cast<void*>(first_page);
    madvise(pages, last_page - first_page, MADV_DONTNEED);
    mprotect(pages, last_page - first_page, PROT_NONE);
  }
  frees_.fetch_add(1, std::memory_order_relaxed);
  state_->freed.push_back(std::move(found->second));
  state_->live.erase(found);
  return true;
}

const GlobalMemory::Allocation* GlobalMemory::find(uint64_t address, uint64_t size) const {
  const std::shared_lock lock(state_->mutex);
  auto after = state_->live.upper_bound(address);
  if (after == state_->live.begin()) return nullptr;
  const Allocation& allocation = *std::prev(after)->second;
  const uint64_t offset = address - allocation.address;
  if (offset > allocation.size || size > allocation.size - offset) return nullptr;
  return &allocation;
}

const GlobalMemory::Allocation* GlobalMemory::nearest(uint64_t address) const {
  const std::shared_lock lock(state_->mutex);
  const auto after = state_->live.upper_bound(address);
  const Allocation* const above = after == state_->live.end() ? nullptr : after->second.get();
  const Allocation* const below =
      after == state_->live.begin() ? nullptr : std::prev(after)->second.get();
  if (above == nullptr || below == nullptr) return above == nullptr ? below : above;
  const uint64_t below_end = below->address + below->size;
  const uint64_t down = address < below_end ? 0 : address - below_end;
  return down <= above->address - address ? below : above;
}

void GlobalMemory::mark_written(uint64_t address, uint64_t size) {
  if (state_->written == nullptr || find(address, size) == nullptr) return;
  std::memset(state_->written + (address - state_->base), 1, size);
}

uint64_t GlobalMemory::used() const {
  const std::shared_lock lock(state_->mutex);
  return state_->used;
}

uint64_t GlobalMemory::capacity() const { return state_->capacity; }

}  // namespace nibble::emulator
