// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Device memory: one reserved range of host addresses, made accessible allocation by allocation.
// Addresses of freed memory are not used again for a while, so that stale pointers are found.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <utility>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

namespace {

constexpr int kPoison = 0xA5;
constexpr uint64_t kPoisonedBytes = 64ull << 20;
constexpr uint64_t kMinimumAlign = 256;
constexpr uint64_t kGap = 256;  // between allocations: an access off the end hits nothing
constexpr uint64_t kGuardedSize = 1 << 16;  // from here on a page without access follows
constexpr uint64_t kReserve = 64ull << 30;  // beyond twice the capacity
constexpr uint64_t kSmallestRange = 1ull << 30;
// Freed memory whose addresses wait: at most that many pieces and bytes of address space, at least
// that many pieces. Page tables of what has been touched stay with the process, so that not all of
// the range may be gone through.
constexpr size_t kMostWaiting = 1 << 14;
constexpr size_t kLeastWaiting = 64;
constexpr uint64_t kMostBytesWaiting = 8ull << 30;

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

// Zeros in private anonymous memory; whole pages of it go back to the host.
void clear_bytes(uint8_t* bytes, uint64_t size) {
  const auto begin = reinterpret_cast<uint64_t>(bytes);
  const uint64_t first_page = align_up(begin, page_size());
  const uint64_t last_page = (begin + size) / page_size() * page_size();
  if (last_page <= first_page) {
    std::memset(bytes, 0, size);
    return;
  }
  std::memset(bytes, 0, first_page - begin);
  madvise(reinterpret_cast<void*>(first_page), last_page - first_page, MADV_DONTNEED);
  std::memset(reinterpret_cast<void*>(last_page), 0, begin + size - last_page);
}

}  // namespace

struct GlobalMemory::State {
  // An allocation and the addresses that are its own, gaps included.
  struct Piece {
    uint64_t begin = 0, end = 0;
    std::unique_ptr<Allocation> allocation;
  };

  mutable std::shared_mutex mutex;
  uint64_t capacity = 0;
  uint64_t used = 0;
  uint64_t base = 0, size = 0;     // the range
  uint64_t next = 0;               // from here to the range's end nothing was ever allocated
  uint8_t* written = nullptr;      // of the byte at `base`
  std::map<uint64_t, Piece> live;  // by the allocation's address
  std::deque<Piece> waiting;       // freed, the oldest first; what was found is not dangling yet
  uint64_t waiting_bytes = 0;
  std::map<uint64_t, uint64_t> open;  // begin to end of addresses to be used again

  Piece take(uint64_t size, uint64_t align);
  void reopen_oldest();
};

namespace {

// Where an allocation may lie in [begin, end); address 0 where it has no room.
struct Place {
  uint64_t address = 0, end = 0;
};

Place place_in(uint64_t begin, uint64_t end, uint64_t size, uint64_t align) {
  const bool guarded = size >= kGuardedSize;
  if (guarded) align = std::max(align, page_size());
  const uint64_t address = align_up(begin + kGap, align);
  const uint64_t after =
      guarded ? align_up(address + size, page_size()) + page_size() : address + size;
  if (address < begin || after < address || after > end) return {};
  return {address, after};
}

}  // namespace

// Addresses for `size` bytes, no longer open; end 0 where there are none.
GlobalMemory::State::Piece GlobalMemory::State::take(uint64_t size, uint64_t align) {
  Piece piece;
  piece.allocation = std::make_unique<Allocation>();
  for (auto it = open.begin(); it != open.end(); ++it) {
    const auto [begin, end] = *it;
    const Place place = place_in(begin, end, size, align);
    if (place.address == 0) continue;
    open.erase(it);
    if (place.end < end) open.emplace(place.end, end);
    piece.begin = begin;
    piece.end = place.end;
    piece.allocation->address = place.address;
    return piece;
  }
  const Place place = place_in(next, base + this->size - page_size(), size, align);
  if (place.address == 0) return piece;
  piece.begin = next;
  piece.end = next = place.end;
  piece.allocation->address = place.address;
  return piece;
}

void GlobalMemory::State::reopen_oldest() {
  uint64_t begin = waiting.front().begin, end = waiting.front().end;
  waiting_bytes -= end - begin;
  waiting.pop_front();
  const auto after = open.lower_bound(begin);
  if (after != open.begin() && std::prev(after)->second == begin) {
    begin = std::prev(after)->first;
    open.erase(begin);
  }
  if (after != open.end() && after->first == end) {
    end = after->second;
    open.erase(after);
  }
  open[begin] = end;
}

GlobalMemory::GlobalMemory(uint64_t capacity, bool track_writes)
    : state_(std::make_unique<State>()) {
  state_->capacity = capacity;
  // As much as the process may have: limits on it and sanitizers leave less than a GPU has.
  void* base = nullptr;
  for (uint64_t size = 2 * capacity + kReserve; base == nullptr && size >= kSmallestRange;
       size /= 2) {
    state_->size = align_up(size, page_size());
    base = map_range(state_->size, PROT_NONE);
  }
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
  State::Piece piece = state_->take(size, align);
  while (piece.end == 0 && !state_->waiting.empty()) {
    state_->reopen_oldest();
    piece = state_->take(size, align);
  }
  if (piece.end == 0) return 0;
  Allocation& allocation = *piece.allocation;
  const uint64_t address = allocation.address;
  const uint64_t first_page = address / page_size() * page_size();
  const uint64_t last_page = align_up(address + size, page_size());
  if (mprotect(reinterpret_cast<void*>(first_page), last_page - first_page,
               PROT_READ | PROT_WRITE) != 0) {
    state_->open.emplace(piece.begin, piece.end);
    return 0;
  }
  allocation.size = size;
  allocation.data = reinterpret_cast<std::byte*>(address);
  if (state_->written != nullptr) allocation.written = state_->written + (address - state_->base);
  allocation.label = label;
  allocation.read_only = read_only;
  std::memset(allocation.data, kPoison, std::min(size, kPoisonedBytes));
  state_->live.emplace(address, std::move(piece));
  state_->used += size;
  return address;
}

bool GlobalMemory::free(uint64_t address) {
  const std::unique_lock lock(state_->mutex);
  const auto found = state_->live.find(address);
  if (found == state_->live.end()) return false;
  const Allocation& allocation = *found->second.allocation;
  state_->used -= allocation.size;
  // Whole pages go back to the host; neighbours may share the first and the last.
  const uint64_t first_page = align_up(address, page_size());
  const uint64_t last_page = (address + allocation.size) / page_size() * page_size();
  if (last_page > first_page) {
    auto* const pages = reinterpret_cast<void*>(first_page);
    madvise(pages, last_page - first_page, MADV_DONTNEED);
    mprotect(pages, last_page - first_page, PROT_NONE);
  }
  if (allocation.written != nullptr) clear_bytes(allocation.written, allocation.size);
  frees_.fetch_add(1, std::memory_order_relaxed);
  state_->waiting_bytes += found->second.end - found->second.begin;
  state_->waiting.push_back(std::move(found->second));
  state_->live.erase(found);
  while (state_->waiting.size() > kMostWaiting ||
         (state_->waiting.size() > kLeastWaiting && state_->waiting_bytes > kMostBytesWaiting)) {
    state_->reopen_oldest();
  }
  return true;
}

const GlobalMemory::Allocation* GlobalMemory::find_freed(uint64_t address) const {
  const std::shared_lock lock(state_->mutex);
  for (const State::Piece& piece : state_->waiting) {
    const Allocation& allocation = *piece.allocation;
    if (address - allocation.address < allocation.size) return &allocation;
  }
  return nullptr;
}

const GlobalMemory::Allocation* GlobalMemory::find(uint64_t address, uint64_t size) const {
  const std::shared_lock lock(state_->mutex);
  auto after = state_->live.upper_bound(address);
  if (after == state_->live.begin()) return nullptr;
  const Allocation& allocation = *std::prev(after)->second.allocation;
  const uint64_t offset = address - allocation.address;
  if (offset > allocation.size || size > allocation.size - offset) return nullptr;
  return &allocation;
}

bool GlobalMemory::is_inside(uint64_t address) const {
  return address - state_->base < state_->size;
}

const GlobalMemory::Allocation* GlobalMemory::nearest(uint64_t address) const {
  const std::shared_lock lock(state_->mutex);
  const auto after = state_->live.upper_bound(address);
  const Allocation* const above =
      after == state_->live.end() ? nullptr : after->second.allocation.get();
  const Allocation* const below =
      after == state_->live.begin() ? nullptr : std::prev(after)->second.allocation.get();
  if (above == nullptr || below == nullptr) return above == nullptr ? below : above;
  const uint64_t below_end = below->address + below->size;
  const uint64_t down = address < below_end ? 0 : address - below_end;
  return down <= above->address - address ? below : above;
}

void GlobalMemory::clear(uint64_t address) {
  const Allocation* const allocation = find(address, 1);
  if (allocation == nullptr || allocation->address != address) return;
  clear_bytes(reinterpret_cast<uint8_t*>(address), allocation->size);
}

void GlobalMemory::mark_written(uint64_t address, uint64_t size) {
  if (state_->written == nullptr || find(address, size) == nullptr) return;
  std::memset(state_->written + (address - state_->base), 1, size);
}

GlobalMemory::Contents GlobalMemory::save() const {
  const std::shared_lock lock(state_->mutex);
  Contents contents;
  for (const auto& [address, piece] : state_->live) {
    const Allocation& allocation = *piece.allocation;
    if (allocation.read_only) continue;
    contents.allocations.emplace_back(
        address, std::vector<std::byte>(allocation.data, allocation.data + allocation.size));
  }
  return contents;
}

void GlobalMemory::restore(const Contents& contents) {
  for (const auto& [address, bytes] : contents.allocations) {
    const Allocation* const allocation = find(address, bytes.size());
    if (allocation != nullptr) std::memcpy(allocation->data, bytes.data(), bytes.size());
  }
}

uint64_t GlobalMemory::first_difference(const Contents& contents) const {
  for (const auto& [address, bytes] : contents.allocations) {
    const Allocation* const allocation = find(address, bytes.size());
    if (allocation == nullptr) continue;
    const auto [mine, other] = std::mismatch(bytes.begin(), bytes.end(), allocation->data);
    if (mine != bytes.end()) return address + static_cast<uint64_t>(mine - bytes.begin());
  }
  return 0;
}

uint64_t GlobalMemory::used() const {
  const std::shared_lock lock(state_->mutex);
  return state_->used;
}

uint64_t GlobalMemory::capacity() const { return state_->capacity; }

}  // namespace nibble::emulator
