// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Places that are not those of a whole warp's access: operands in shared memory, what asynchronous
// operations and builtins reach.
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

std::string distance(uint64_t address, uint64_t bytes, uint64_t begin, uint64_t size) {
  if (address >= begin + size) {
    return std::to_string(address - begin - size) + " bytes past its end";
  }
  if (address + bytes <= begin) return std::to_string(begin - address) + " bytes before it";
  return "partly outside of it";
}

SharedPlace shared_place(const Origin& origin, uint64_t address, uint32_t bytes, uint32_t align,
                         bool own) {
  Block& block = origin.warp->block();
  // Instructions with a space use the low half of a generic address, those without take the name of
  // a shared variable for its address in the window.
  const uint64_t in_space = address >= kSharedWindow ? address - kSharedWindow : address;
  const uint64_t reserved = block.grid().model.shared_reserved;
  const uint64_t offset = (in_space & ((1u << kRankShift) - 1)) - reserved;
  const bool is_shared = in_space < kWindowSize;
  Block* const owner =
      is_shared ? block.cluster().block(static_cast<uint32_t>(in_space >> kRankShift)) : nullptr;
  if (owner == nullptr || offset > owner->shared_size() || bytes > owner->shared_size() - offset ||
      (own && owner != &block)) {
    std::string what = "illegal address: " + std::to_string(bytes) + " bytes at " +
                       hexadecimal(address) + " are not in shared memory of the ";
    what += own ? "block" : "cluster";
    what += "; a block has " + std::to_string(block.shared_size()) + " bytes from " +
            hexadecimal(reserved);
    fault_at(origin, Fault::Kind::kIllegalAddress, what);
  }
  if (offset % align != 0) {
    fault_at(origin, Fault::Kind::kMisaligned,
             "misaligned address: " + hexadecimal(address) + " is no multiple of " +
                 std::to_string(align));
  }
  return {owner, static_cast<uint32_t>(offset)};
}

uint64_t address_in(const Warp& warp, const Arg& arg, uint32_t lane) {
  const uint64_t address = warp.integer(arg, lane) + static_cast<uint64_t>(arg.immediate);
  return arg.width == 4 ? static_cast<uint32_t>(address) : address;
}

SharedPlace shared_operand(Warp& warp, const Arg& arg, Space space, uint32_t lane, uint32_t bytes,
                           uint32_t align) {
  const uint64_t address = address_in(warp, arg, lane);
  return shared_place(Origin(warp, lane), address, bytes, align, space == Space::kShared);
}

std::byte* global_place(const Origin& origin, uint64_t address, uint64_t bytes, Access access) {
  Block& block = origin.warp->block();
  if (in_window(address, kParamWindow) && access == Access::kRead) {
    const auto parameters = block.grid().launch.parameters;
    const uint64_t at = address - kParamWindow;
    if (at <= parameters.size() && bytes <= parameters.size() - at) {
      return const_cast<std::byte*>(parameters.data()) + at;  // only read
    }
  }
  const GlobalMemory& memory = block.grid().memory;
  const auto* const found = memory.find(address, bytes);
  if (found != nullptr && (!found->read_only || access == Access::kRead)) {
    const uint64_t offset = address - found->address;
    if (access != Access::kRead && found->written != nullptr) {
      std::memset(found->written + offset, 1, bytes);
    }
    return found->data + offset;
  }
  std::string what = std::string("illegal address: ") +
                     (access == Access::kRead ? "reads " : "writes ") + std::to_string(bytes) +
                     " bytes of global memory at " + hexadecimal(address);
  if (found != nullptr) {
    what += ", which is constant";
  } else if (const auto* const nearest = memory.nearest(address); nearest != nullptr) {
    what += "\n  nearest: " + nearest->label + ", " + std::to_string(nearest->size) + " bytes at " +
            hexadecimal(nearest->address) + "; the access is " +
            distance(address, bytes, nearest->address, nearest->size);
  }
  fault_at(origin, Fault::Kind::kIllegalAddress, what);
}

std::byte* resolve_one(Warp& warp, uint64_t generic, uint64_t bytes, uint32_t lane) {
  Block& block = warp.block();
  if (in_window(generic, kLocalWindow)) {
    const uint64_t at = generic - kLocalWindow;
    const uint64_t size = warp.stack_used();
    return at <= size && bytes <= size - at ? warp.local(lane) + at : nullptr;
  }
  if (in_window(generic, kSharedWindow)) {
    const uint64_t address = generic - kSharedWindow;
    Block* const owner = block.cluster().block(static_cast<uint32_t>(address >> kRankShift));
    const uint64_t at = (address & ((1u << kRankShift) - 1)) - block.grid().model.shared_reserved;
    if (owner == nullptr || at > owner->shared_size()) return nullptr;
    return bytes <= owner->shared_size() - at ? owner->shared() + at : nullptr;
  }
  const auto* const found = block.grid().memory.find(generic, bytes);
  return found != nullptr ? found->data + (generic - found->address) : nullptr;
}

}  // namespace nibble::emulator
