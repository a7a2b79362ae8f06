// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/access.h"

#include <algorithm>
#include <bit>

#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

struct Request {
  Warp& warp;
  const Inst& inst;
  uint32_t bytes;
  Access access;
  Places& places;
  uint64_t address[kWarpSize];  // set by read_addresses()

  Request(Warp& of_warp, const Inst& of_inst, uint32_t size, Access how, Places& result)
      : warp(of_warp), inst(of_inst), bytes(size), access(how), places(result) {}

  const char* verb() const {
    return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "updates";
  }
  std::string what(uint64_t at, const char* space) const {
    return std::string(verb()) + " " + std::to_string(bytes) + " bytes of " + space +
           " memory at " + hexadecimal(at);
  }
};

template <class F>
void for_each_lane(uint32_t lanes, F f) {
  for (; lanes != 0; lanes &= lanes - 1) f(static_cast<uint32_t>(std::countr_zero(lanes)));
}

template <class F>
uint32_t lanes_where(uint32_t lanes, F f) {
  uint32_t found = 0;
  for_each_lane(lanes, [&](uint32_t lane) {
    if (f(lane)) found |= 1u << lane;
  });
  return found;
}

uint32_t first(uint32_t lanes) { return static_cast<uint32_t>(std::countr_zero(lanes)); }

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

[[noreturn]] void misaligned(const Request& request, uint32_t lanes) {
  request.warp.fault(Fault::Kind::kMisaligned,
                     std::string("misaligned address: ") + request.verb() + " " +
                         std::to_string(request.bytes) + " bytes at " +
                         hexadecimal(request.address[first(lanes)]) + ", which is no multiple of " +
                         std::to_string(request.bytes),
                     lanes);
}

void check_alignment(const Request& request) {
  uint64_t low_bits = 0;
  for_each_lane(request.warp.active, [&](uint32_t lane) { low_bits |= request.address[lane]; });
  if ((low_bits & (request.bytes - 1)) == 0) return;
  misaligned(request, lanes_where(request.warp.active, [&](uint32_t lane) {
               return (request.address[lane] & (request.bytes - 1)) != 0;
             }));
}

// Reads of, and marks on, the map of written bytes; `written(lane)` is that of the lane's first.
template <class F>
void track(const Request& request, uint32_t lanes, const char* space, F written) {
  if (request.access == Access::kWrite) {
    for_each_lane(lanes, [&](uint32_t lane) {
      for (uint32_t i = 0; i < request.bytes; ++i) {
        __atomic_store_n(written(lane) + i, uint8_t{1}, __ATOMIC_RELAXED);
      }
    });
    return;
  }
  if (!request.warp.block().grid().settings.check_uninitialized) return;
  const uint32_t bad = lanes_where(lanes, [&](uint32_t lane) {
    for (uint32_t i = 0; i < request.bytes; ++i) {
      if (__atomic_load_n(written(lane) + i, __ATOMIC_RELAXED) == 0) return true;
    }
    return false;
  });
  if (bad == 0) return;
  request.warp.fault(Fault::Kind::kUninitialized,
                     "uninitialized memory: " + request.what(request.address[first(bad)], space) +
                         " that were never written",
                     bad);
}

std::string distance(uint64_t address, uint64_t bytes, uint64_t begin, uint64_t size) {
  if (address >= begin + size) {
    return std::to_string(address - begin - size) + " bytes past its end";
  }
  if (address + bytes <= begin) return std::to_string(begin - address) + " bytes before it";
  return "partly outside of it";
}

[[noreturn]] void outside_global(const Request& request, uint32_t lane) {
  const uint64_t at = request.address[lane];
  std::string what = "illegal address: " + request.what(at, "global");
  const auto* const nearest = request.warp.block().grid().memory.nearest(at);
  const auto* const freed = request.warp.block().grid().memory.find_freed(at);
  if (at < 65536) {
    what += " (null pointer?)";
  } else if (freed != nullptr) {
    what += "\n  freed: " + freed->label + ", " + std::to_string(freed->size) + " bytes at " +
            hexadecimal(freed->address) + "; the access is " + std::to_string(at - freed->address) +
            " bytes into it";
  } else if (nearest != nullptr) {
    what += "\n  nearest: " + nearest->label + ", " + std::to_string(nearest->size) + " bytes at " +
            hexadecimal(nearest->address) + "; the access is " +
            distance(at, request.bytes, nearest->address, nearest->size);
  }
  const GlobalMemory& memory = request.warp.block().grid().memory;
  request.warp.fault(
      Fault::Kind::kIllegalAddress, what, lanes_where(request.warp.active, [&](uint32_t other) {
        return other == lane || memory.find(request.address[other], request.bytes) == nullptr;
      }));
}

// Looks the lane's allocation up and keeps it with the instruction.
void visit_allocation(const Request& request, MemorySite& site, uint32_t lane) {
  const GlobalMemory& memory = request.warp.block().grid().memory;
  const auto* const found = memory.find(request.address[lane], request.bytes);
  if (found == nullptr) outside_global(request, lane);
  site.begin = found->address;
  site.end = found->address + found->size;
  site.written = found->written;
  site.read_only = found->read_only;
}

void check_site(const Request& request, const MemorySite& site, uint32_t lanes) {
  if (site.read_only && request.access != Access::kRead) {
    request.warp.fault(
        Fault::Kind::kIllegalAddress,
        "illegal address: " + request.what(request.address[first(lanes)], "constant"), lanes);
  }
  if (site.written == nullptr) return;
  track(request, lanes, "global",
        [&](uint32_t lane) { return site.written + (request.address[lane] - site.begin); });
}

void resolve_global(Request& request, uint32_t lanes) {
  MemorySite& site = request.warp.block().site(request.inst);
  auto inside = [&](uint32_t lane) {
    const uint64_t at = request.address[lane];
    return at >= site.begin && at + request.bytes <= site.end && at + request.bytes > at;
  };
  for (uint32_t rest = lanes; rest != 0;) {
    uint32_t here = lanes_where(rest, inside);
    if (here == 0) {
      visit_allocation(request, site, first(rest));
      here = lanes_where(rest, inside);
    }
    check_site(request, site, here);
    rest &= ~here;
  }
  for_each_lane(lanes, [&](uint32_t lane) {
    request.places.scattered[lane] = reinterpret_cast<std::byte*>(request.address[lane]);
  });
}

[[noreturn]] void outside_shared(const Request& request, uint32_t lanes) {
  const Block& block = request.warp.block();
  const uint64_t at = request.address[first(lanes)];
  const uint64_t reserved = block.grid().model.shared_reserved;
  const auto& layout = block.grid().layout;
  const auto& variables = block.grid().code.shared;
  const uint64_t offset = (at & ((1ull << kRankShift) - 1)) - reserved;
  std::string what = "illegal address: " + request.what(at, "shared") + "; the block has " +
                     std::to_string(layout.dynamic_offset + block.grid().launch.dynamic_shared) +
                     " bytes from " + hexadecimal(reserved);
  const SharedVariable* nearest = nullptr;
  uint64_t begin = 0;
  for (const auto& [index, from] : layout.shared_offset) {
    if (from > offset || (nearest != nullptr && from < begin)) continue;
    nearest = &variables[index];
    begin = from;
  }
  if (nearest != nullptr) {
    const uint64_t size = nearest->is_dynamic ? block.grid().launch.dynamic_shared : nearest->size;
    what += "\n  nearest: " + nearest->name + ", " + std::to_string(size) + " bytes at " +
            hexadecimal(begin + reserved) + "; the access is " +
            distance(offset, request.bytes, begin, size);
  }
  request.warp.fault(Fault::Kind::kIllegalAddress, what, lanes);
}

bool checks_order(const Request& request) {
  return request.access != Access::kAtomic && !request.warp.is_ordering &&
         !request.warp.is_unordered && request.warp.block().cluster().order().is_enabled();
}

// Addresses in the shared window's own 32 bits.
void resolve_shared(Request& request, uint32_t lanes, bool whole_cluster) {
  Block& own = request.warp.block();
  const uint64_t reserved = own.grid().model.shared_reserved;
  const uint64_t size = own.shared_size();
  auto offset_of = [&](uint32_t lane) {
    return (request.address[lane] & ((1u << kRankShift) - 1)) - reserved;
  };
  auto rank_of = [&](uint32_t lane) {
    return static_cast<uint32_t>(request.address[lane] >> kRankShift);
  };
  uint32_t bad = 0;
  for_each_lane(lanes, [&](uint32_t lane) {
    const uint64_t offset = offset_of(lane);
    Block* block = &own;
    if (const uint32_t rank = rank_of(lane); rank != own.rank()) {
      block =
          whole_cluster && (request.address[lane] >> 32) == 0 ? own.cluster().block(rank) : nullptr;
    }
    if (block == nullptr || offset > size || request.bytes > size - offset) {
      bad |= 1u << lane;
    } else {
      request.places.scattered[lane] = block->shared() + offset;
    }
  });
  if (bad != 0) outside_shared(request, bad);
  if (checks_order(request)) {
    for_each_lane(lanes, [&](uint32_t lane) {
      own.cluster().order().access(request.warp, *own.cluster().block(rank_of(lane)),
                                   static_cast<uint32_t>(offset_of(lane)), request.bytes,
                                   request.access);
    });
  }
  if (own.shared_written() == nullptr) return;
  track(request, lanes, "shared", [&](uint32_t lane) {
    return own.cluster().block(rank_of(lane))->shared_written() + offset_of(lane);
  });
}

[[noreturn]] void outside_local(const Request& request, uint32_t lanes) {
  const uint64_t at = request.address[first(lanes)];
  const Frame& frame = request.warp.frame();
  std::string what = "illegal address: " + request.what(at, "local") + "; the thread's stack has " +
                     std::to_string(request.warp.stack_used()) + " bytes here";
  const DecodedFunction::Local* nearest = nullptr;
  for (const auto& local : frame.function->locals) {
    if (frame.local_base + local.offset <= at) nearest = &local;
  }
  if (nearest != nullptr) {
    const uint64_t begin = frame.local_base + nearest->offset;
    what += "\n  nearest: " + nearest->name + ", " + std::to_string(nearest->size) + " bytes at " +
            hexadecimal(begin) + "; the access is " +
            distance(at, request.bytes, begin, nearest->size);
  }
  request.warp.fault(Fault::Kind::kIllegalAddress, what, lanes);
}

void resolve_local(Request& request, uint32_t lanes) {
  const uint64_t size = request.warp.stack_used();
  const uint32_t bad = lanes_where(lanes, [&](uint32_t lane) {
    return request.address[lane] > size || request.bytes > size - request.address[lane];
  });
  if (bad != 0) outside_local(request, bad);
  for_each_lane(lanes, [&](uint32_t lane) {
    request.places.scattered[lane] = request.warp.local(lane) + request.address[lane];
  });
  if (request.warp.local_written(0) == nullptr) return;
  track(request, lanes, "local",
        [&](uint32_t lane) { return request.warp.local_written(lane) + request.address[lane]; });
}

// Offsets in the kernel's parameter block.
void resolve_param(Request& request, uint32_t lanes) {
  const auto parameters = request.warp.block().grid().launch.parameters;
  if (request.access != Access::kRead) {
    request.warp.fault(
        Fault::Kind::kIllegalAddress,
        "illegal address: " + request.what(request.address[first(lanes)], "kernel parameter"),
        lanes);
  }
  const uint32_t bad = lanes_where(lanes, [&](uint32_t lane) {
    const uint64_t at = request.address[lane];
    return at > parameters.size() || request.bytes > parameters.size() - at;
  });
  if (bad != 0) {
    request.warp.fault(
        Fault::Kind::kIllegalAddress,
        "illegal address: " + request.what(request.address[first(bad)], "kernel parameter") +
            "; the block of parameters has " + std::to_string(parameters.size()) + " bytes",
        bad);
  }
  for_each_lane(lanes, [&](uint32_t lane) {
    // Only read, as checked above.
    request.places.scattered[lane] =
        const_cast<std::byte*>(parameters.data()) + request.address[lane];
  });
}

bool in_window(uint64_t address, uint64_t window) { return address - window < kWindowSize; }

// Generic addresses: lanes by window, each window's addresses made its own.
void resolve_generic(Request& request) {
  struct Window {
    uint64_t base;
    void (*resolve)(Request&, uint32_t);
  };
  static constexpr Window kWindows[] = {
      {kSharedWindow, [](Request& r, uint32_t lanes) { resolve_shared(r, lanes, true); }},
      {kLocalWindow, resolve_local},
      {kParamWindow, resolve_param},
  };
  uint32_t rest = request.warp.active;
  for (const Window& window : kWindows) {
    const uint32_t lanes = lanes_where(
        rest, [&](uint32_t lane) { return in_window(request.address[lane], window.base); });
    if (lanes == 0) continue;
    for_each_lane(lanes, [&](uint32_t lane) { request.address[lane] -= window.base; });
    window.resolve(request, lanes);
    rest &= ~lanes;
  }
  if (rest != 0) resolve_global(request, rest);
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

// Lane by lane: several windows, tracked bytes, faults.
void resolve_each(Request& request) {
  const uint32_t lanes = request.warp.active;
  check_alignment(request);
  switch (request.inst.space) {
    case Space::kGeneric:
      return resolve_generic(request);
    case Space::kShared:
    case Space::kSharedCluster:
      return resolve_shared(request, lanes, request.inst.space == Space::kSharedCluster);
    case Space::kLocal:
      return resolve_local(request, lanes);
    case Space::kParam:
      // Variables have their generic address here too.
      for_each_lane(lanes, [&](uint32_t lane) { request.address[lane] -= kParamWindow; });
      return resolve_param(request, lanes);
    default:
      return resolve_global(request, lanes);
  }
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
