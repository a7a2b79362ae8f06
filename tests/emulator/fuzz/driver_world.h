// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a sequence of driver calls draws its arguments from: handles of all kinds, live, stale and
// made up; device addresses inside, beside and after allocations; sizes at which code decides.
// Host pointers are valid or null: that is the contract of the interface.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "runtime/driver/cuda_abi.h"
#include "tests/emulator/fuzz/harness.h"
#include "tests/emulator/fuzz/mutator.h"

namespace nibble::fuzz {

enum class Kind {
  kContext,
  kModule,
  kFunction,
  kLibrary,
  kKernel,
  kStream,
  kEvent,
  kGraph,
  kExec,
  kNode,
  kPool,
  kLink,
};
constexpr size_t kKinds = 12;

constexpr size_t kHostBytes = 1 << 16;
constexpr size_t kMostParameters = 4096;

class World {
 public:
  World(Random& random, Tally& tally, const Mutator& mutator);

  Random& random;
  Tally& tally;
  const Mutator& mutator;
  bool wants_good_image = false;

  // A handle that something returned, or null, or none at all.
  template <class Handle>
  Handle handle(Kind kind) {
    return reinterpret_cast<Handle>(any_handle(kind));
  }
  template <class Handle>
  void keep(Kind kind, CUresult result, const Handle* made) {
    if (made != nullptr) keep_value(kind, result, reinterpret_cast<uint64_t>(*made));
  }

  const std::vector<uint64_t>& kept(Kind kind) const { return handles_[static_cast<size_t>(kind)]; }

  uint64_t device_address();
  void keep_memory(CUresult result, uint64_t address, uint64_t size);
  uint64_t unified_address();  // on the device, freed too, or of host()
  uint64_t size();             // bytes; at times no memory has so many
  size_t host_size() { return random.one_in(4) ? random.below(kHostBytes / 2) : random.below(300); }
  // Memory of the program, with at least host_size() bytes behind it.
  std::byte* host() { return host_.data() + 64 * random.below(100); }
  std::byte* host_or_null() { return random.one_in(20) ? nullptr : host(); }

  // Where a call may write a T; seldom null.
  template <class T>
  T* out() {
    if (random.one_in(24)) return nullptr;
    next_out_ = (next_out_ + 64) % outs_.size();
    auto* const place = reinterpret_cast<T*>(outs_.data() + next_out_);
    *place = T{};
    return place;
  }
  // A value of an enumeration, flags: up to `count`, seldom beyond.
  template <class T>
  T any(size_t count) {
    const uint64_t value = random.one_in(12) ? random.number() : random.below(count + 1);
    return static_cast<T>(static_cast<int>(value));
  }
  int device() {
    return random.one_in(12) ? static_cast<int>(random.number())
                             : static_cast<int>(random.below(4));
  }
  const char* name();  // of a kernel, a variable, an entry point, nothing
  // A module: PTX or a fat binary, damaged most of the time; as long as it says.
  const void* image();
  const char* path();  // of a file with such an image, damaged further; or of none
  void** parameters(bool is_extra);

 private:
  uint64_t any_handle(Kind kind);
  void keep_value(Kind kind, CUresult result, uint64_t value);
  std::string fat_binary(const std::string& ptx, bool may_lie);

  struct Allocation {
    uint64_t address = 0, size = 0;
  };
  std::array<std::vector<uint64_t>, kKinds> handles_;
  std::vector<Allocation> memory_;
  alignas(64) std::array<std::byte, 4096> outs_{};
  size_t next_out_ = 0;
  std::vector<std::byte>& host_;
  std::vector<void*>& parameters_;
  std::string image_, name_;
  std::array<void*, 8> extra_{};
  size_t extra_size_ = 0;
};

// An entry point, and a call of it with arguments that the world gives.
struct Call {
  const char* name;
  void (*make)(World&, void* function);
};
std::span<const Call> memory_calls();
std::span<const Call> module_calls();
std::span<const Call> stream_calls();
std::span<const Call> context_calls();

// Calls so far, and those that succeeded.
inline uint64_t calls_made = 0, calls_well = 0;

// The function as what its declaration in cuda.h says.
template <class... Args>
CUresult call(void* function, std::type_identity_t<Args>... arguments) {
  const CUresult result = reinterpret_cast<CUresult (*)(Args...)>(function)(arguments...);
  ++calls_made;
  if (result == CUDA_SUCCESS) ++calls_well;
  return result;
}

}  // namespace nibble::fuzz
