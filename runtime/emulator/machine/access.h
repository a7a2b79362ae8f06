// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// From a warp's addresses to host memory, checked: bounds, alignment, reads of bytes never written,
// writes to constant memory.
//
// Global memory is shared by all workers, and a kernel may race on it as on a GPU. Lanes are read
// and written with relaxed atomics of the access's size, never torn below 8 bytes; the shortcuts
// for whole warps copy memory at once, and are left out of builds with the thread sanitizer, where
// they would be reported as the races of the program that runs.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/origin.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

enum class Access : uint8_t { kRead, kWrite, kAtomic };

// Where the active lanes' bytes are.
struct Places {
  bool is_strided = false;
  int64_t stride = 0;           // bytes from a lane's to the next lane's; 0: all at the same place
  std::byte* origin = nullptr;  // strided: of lane 0, active or not
  std::byte* scattered[kWarpSize];  // otherwise: of each lane

  std::byte* at(int64_t lane) const {
    return is_strided ? origin + lane * stride : scattered[lane];
  }
  // f(lane, place) for each of `lanes`, from the lowest.
  template <class F>
  void visit(uint32_t lanes, F f) const {
    if (lanes != kAllLanes) {
      for (; lanes != 0; lanes &= lanes - 1) {
        const int lane = std::countr_zero(lanes);
        f(lane, at(lane));
      }
    } else if (is_strided) {
      for (int lane = 0; lane < kWarpSize; ++lane) f(lane, origin + lane * stride);
    } else {
      for (int lane = 0; lane < kWarpSize; ++lane) f(lane, scattered[lane]);
    }
  }
};

// Translates and checks `bytes` (a power of two) at the address operand `arg` for all active lanes;
// faults where a lane may not. What is written counts as written from here on.
void resolve(Warp& warp, const Inst& inst, const Arg& arg, uint32_t bytes, Access access,
             Places& places);

// Whether a generic address is in one of the windows below global memory.
inline bool in_window(uint64_t address, uint64_t window) { return address - window < kWindowSize; }
// For reports: how far [address, address + bytes) is from [begin, begin + size).
std::string distance(uint64_t address, uint64_t bytes, uint64_t begin, uint64_t size);

// Bytes of one block's shared memory.
struct SharedPlace {
  Block* block = nullptr;
  uint32_t offset = 0;  // from the block's first byte
  std::byte* data() const { return block->shared() + offset; }
};
// Where [address, address + bytes) lies; `address` is one of the shared window (the block's rank
// above, as kernels compute with) or of the generic space. Faults, blaming `origin`, where it is
// not in shared memory of a block of the cluster or no multiple of `align`.
// `own`: other blocks' memory is refused as well.
SharedPlace shared_place(const Origin& origin, uint64_t address, uint32_t bytes, uint32_t align,
                         bool own);
// Of the address operand of an instruction whose modifier says `space`, in one lane.
SharedPlace shared_operand(Warp& warp, const Arg& arg, Space space, uint32_t lane, uint32_t bytes,
                           uint32_t align);
// The address that an operand has in a lane: register or variable plus constant.
uint64_t address_in(const Warp& warp, const Arg& arg, uint32_t lane);
// Global memory (or constant memory, or kernel parameters, by their generic address) at `address`.
// Faults, blaming `origin`, where it is none; not for kernel-wide checks of alignment.
std::byte* global_place(const Origin& origin, uint64_t address, uint64_t bytes, Access access);

// The same for `bytes` at a generic address in one lane, without alignment: for builtins.
// Null where it is no memory.
std::byte* resolve_one(Warp& warp, uint64_t generic, uint64_t bytes, uint32_t lane);

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#else
constexpr bool kThreadSanitizer = false;
#endif
constexpr bool kCopiesWarps = !kThreadSanitizer;

// Orders all accesses before with all after, for other host threads. The sanitizer knows no fences,
// but sees the order that updates of one variable make.
template <bool kSanitized = kThreadSanitizer>
void full_fence() {
  if constexpr (kSanitized) {
    static std::atomic<uint32_t> point{0};
    point.fetch_add(1, std::memory_order_seq_cst);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
}

struct Bits128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Bits128&) const = default;
};

template <class T>
T load_relaxed(const std::byte* at) {
  if constexpr (sizeof(T) == 16) {
    return {load_relaxed<uint64_t>(at), load_relaxed<uint64_t>(at + 8)};
  } else {
    return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED);
  }
}

template <class T>
void store_relaxed(std::byte* at, T value) {
  if constexpr (sizeof(T) == 16) {
    store_relaxed(at, value.low);
    store_relaxed(at + 8, value.high);
  } else {
    __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELAXED);
  }
}

}  // namespace nibble::emulator
