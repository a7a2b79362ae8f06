// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/access.h"

#include <algorithm>
#include <bit>

#include "runtime/emulator/machine/access_request.h"
#include "runtime/emulator/machine/counters.h"

namespace nibble::emulator {

namespace {

// An address of shared memory has 32 bits; wider registers are cut (PTX ISA 6.4.1), so that generic
// addresses work in instructions of that space too.
uint64_t shared_address(uint64_t address) { return static_cast<uint32_t>(address); }

bool is_shared(Space space) { return space == Space::kShared || space == Space::kSharedCluster; }

void read_addresses(Request& request, const Arg& arg) {
  const auto offset = static_cast<uint64_t>(arg.immediate);
  if (arg.width == 8) {
    const uint64_t* const base = request.warp.reg<const uint64_t>(arg);
    for (int lane = 0; lane < kWarpSize; ++lane) request.address[lane] = base[lane] + offset;
    if (is_shared(request.inst.space)) {
      for (uint64_t& address : request.address) address = shared_address(address);
    }
  } else {
    const uint32_t* const base = request.warp.reg<const uint32_t>(arg);
    const auto low = static_cast<uint32_t>(offset);
    for (int lane = 0; lane < kWarpSize; ++lane) request.address[lane] = base[lane] + low;
  }
}

// Memory in one piece: the byte at `address` is lane l's at data + (address - begin) + l * apart.
struct Window {
  uint64_t begin = 0, size = 0;
  std::byte* data = nullptr;
  uint64_t apart = 0;  // bytes; not 0: each lane has its own
  bool is_shared = false;
};

Window shared_window(Block& block, uint64_t base) {
  if (block.shared_written() != nullptr) return {};
  const uint64_t own = uint64_t{block.rank()} << kRankShift;
  return {base + own + block.grid().model.shared_reserved, block.shared_size(), block.shared(), 0,
          true};
}

Window local_window(const Warp& warp, uint64_t base) {
  if (warp.local_written(0) != nullptr) return {};
  const auto apart = static_cast<uint64_t>(warp.local(1) - warp.local(0));
  return {base, warp.stack_used(), warp.local(0), apart};
}

Window param_window(const Request& request) {
  if (request.access != Access::kRead) return {};
  const auto parameters = request.warp.block().grid().launch.parameters;
  return {kParamWindow, parameters.size(), const_cast<std::byte*>(parameters.data())};
}

// The allocation that the instruction touched last.
Window global_window(const Request& request) {
  const MemorySite& site = request.warp.block().site(request.inst);
  if (site.written != nullptr || (site.read_only && request.access != Access::kRead)) return {};
  return {site.begin, site.end - site.begin, reinterpret_cast<std::byte*>(site.begin)};
}

// Where all lanes are expected when one is at `address`. Empty where more than bounds and alignment
// are to be looked at.
Window window_at(const Request& request, uint64_t address) {
  switch (request.inst.space) {
    case Space::kShared:
    case Space::kSharedCluster:
      return shared_window(request.warp.block(), 0);
    case Space::kLocal:
      return local_window(request.warp, 0);
    case Space::kParam:
      return param_window(request);
    case Space::kGeneric:
      if (in_window(address, kSharedWindow)) {
        return shared_window(request.warp.block(), kSharedWindow);
      }
      if (in_window(address, kLocalWindow)) return local_window(request.warp, kLocalWindow);
      if (in_window(address, kParamWindow)) return param_window(request);
      return global_window(request);
    default:
      return global_window(request);
  }
}

// Whether neighbours are `step` apart. Four rows of eight lanes, of which the last two overlap.
template <class Address>
bool has_step(const Address* base, Address step) {
  Address differing = 0;
  for (int lane = 1; lane <= 8; ++lane) {
    for (const int row : {0, 8, 16, 23}) {
      differing |= (base[row + lane] - base[row + lane - 1]) ^ step;
    }
  }
  return differing == 0;
}

// Addresses in equal steps, in one window: the first and the last active lane tell for all. False
// where that is not so, or may be a fault.
template <class Address>
bool resolve_strided(Request& request, const Arg& arg) {
  const Address* const base = request.warp.reg<const Address>(arg);
  const auto stride = static_cast<std::make_signed_t<Address>>(base[1] - base[0]);
  if (!has_step(base, static_cast<Address>(stride))) return false;
  const int low = std::countr_zero(request.warp.active);
  const int high = kWarpSize - 1 - std::countl_zero(request.warp.active);
  const uint64_t from = static_cast<Address>(base[low] + static_cast<Address>(arg.immediate));
  // Computed in 64 bits: where the warp's addresses wrap around, this is far outside.
  const uint64_t to = from + static_cast<uint64_t>(int64_t{stride} * (high - low));
  // A step so long that lanes between the two could leave the window and come back.
  constexpr uint64_t kLongest = uint64_t{1} << 40;
  if (static_cast<uint64_t>(stride) + kLongest > 2 * kLongest) return false;
  if (((from | static_cast<uint64_t>(stride)) & (request.bytes - 1)) != 0) return false;
  const Window window = window_at(request, from);
  if (window.size < request.bytes) return false;
  const uint64_t last = window.size - request.bytes;
  if (from - window.begin > last || to - window.begin > last) return false;
  request.places.is_strided = true;
  request.places.stride = stride + static_cast<int64_t>(window.apart);
  const int64_t first_lane = static_cast<int64_t>(from - window.begin) - low * stride;
  request.places.origin = window.data + first_lane;
  if (window.is_shared && checks_order(request)) {
    Block& block = request.warp.block();
    block.cluster().order().access_strided(request.warp, block, first_lane, stride, request.bytes,
                                           request.access);
  }
  if (request.warp.counters != nullptr) {
    const uint64_t origin = from - static_cast<uint64_t>(low * int64_t{stride});
    count_strided(request.warp, request.inst, origin, stride, request.bytes);
  }
  return true;
}

// Any addresses in one window. Loops that the compiler vectorises, over all lanes: those that are
// not active go where the first active one does.
bool resolve_scattered(Request& request) {
  const uint32_t active = request.warp.active;
  const uint64_t one = request.address[first(active)];
  const Window window = window_at(request, one);
  if (window.size < request.bytes) return false;
  const uint64_t last = window.size - request.bytes;
  const auto data = reinterpret_cast<uint64_t>(window.data);
  // Both differences are below 2^63 for addresses inside; the top bit tells the others.
  uint64_t low_bits = 0, outside = 0;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    const uint64_t chosen = 0 - static_cast<uint64_t>(active >> lane & 1);
    const uint64_t address = (request.address[lane] & chosen) | (one & ~chosen);
    const uint64_t offset = address - window.begin;
    low_bits |= address;
    outside |= offset | (last - offset);
    // In integers: what is outside may not be a pointer.
    request.places.scattered[lane] =
        reinterpret_cast<std::byte*>(data + offset + lane * window.apart);
  }
  if ((outside >> 63) != 0 || (low_bits & (request.bytes - 1)) != 0) return false;
  if (window.is_shared && checks_order(request)) {
    Block& block = request.warp.block();
    for_each_lane(active, [&](uint32_t lane) {
      block.cluster().order().access(request.warp, block,
                                     static_cast<uint32_t>(request.address[lane] - window.begin),
                                     request.bytes, request.access);
    });
  }
  return true;
}

}  // namespace

void resolve(Warp& warp, const Inst& inst, const Arg& arg, uint32_t bytes, Access access,
             Places& places) {
  if (inst.space == Space::kRegister) {  // parameter storage; checked at load
    places.is_strided = true;
    places.stride = arg.width;
    places.origin = warp.reg<std::byte>(arg) + arg.immediate;
    return;
  }
  if (access == Access::kAtomic || warp.is_ordering)
    warp.block().cluster().order().synchronize(warp);
  Request request(warp, inst, bytes, access, places);
  const bool is_wide = arg.width == sizeof(uint64_t);
  if (is_wide ? resolve_strided<uint64_t>(request, arg) : resolve_strided<uint32_t>(request, arg)) {
    return;
  }
  places.is_strided = false;
  read_addresses(request, arg);
  if (warp.counters != nullptr) count_scattered(warp, inst, request.address, bytes);
  if (!resolve_scattered(request)) resolve_each(request);
}

}  // namespace nibble::emulator
