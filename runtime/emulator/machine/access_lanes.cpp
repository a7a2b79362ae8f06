// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/access_request.h"

namespace nibble::emulator {

namespace {

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

}  // namespace

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

}  // namespace nibble::emulator
