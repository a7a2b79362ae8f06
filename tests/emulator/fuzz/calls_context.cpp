// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls about devices and contexts, and the rest.
#include <array>

#include "tests/emulator/fuzz/driver_world.h"

namespace nibble::fuzz {
namespace {

CUcontext context_of(World& world) { return world.handle<CUcontext>(Kind::kContext); }

void create_context(World& world, void* function) {
  if (!world.random.one_in(64)) return;  // contexts are kept to the end of the process
  auto* const context = world.out<CUcontext>();
  world.keep(Kind::kContext,
             call<CUcontext*, unsigned, CUdevice>(function, context, world.any<unsigned>(31),
                                                  world.device()),
             context);
}
void retain(World& world, void* function) {
  auto* const context = world.out<CUcontext>();
  world.keep(Kind::kContext, call<CUcontext*, CUdevice>(function, context, world.device()),
             context);
}
void get_context(World& world, void* function) {
  auto* const context = world.out<CUcontext>();
  world.keep(Kind::kContext, call<CUcontext*>(function, context), context);
}
void context_call(World& world, void* function) { call<CUcontext>(function, context_of(world)); }

void device_attribute(World& world, void* function) {
  call<int*, CUdevice_attribute, CUdevice>(function, world.out<int>(),
                                           world.any<CUdevice_attribute>(150), world.device());
}
void device_name(World& world, void* function) {
  std::array<char, 64> text{};
  call<char*, int, CUdevice>(function, world.random.one_in(16) ? nullptr : text.data(),
                             static_cast<int>(world.random.below(66)) - 1, world.device());
}
void device_by_bus(World& world, void* function) {
  static constexpr const char* kTexts[] = {
      "0000:40:00.0", "41:0", "FFFFFFFF:0:0",   "80000000:0", "",
      "0:80000000:0", "x",    "99999999999:1:2"};
  call<CUdevice*, const char*>(function, world.out<CUdevice>(),
                               world.random.one_in(16) ? nullptr : world.random.pick(kTexts));
}
void get_entry(World& world, void* function) {
  call<const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*>(
      function, world.name(), world.out<void*>(),
      world.random.one_in(2) ? 12000 : static_cast<int>(world.random.number()),
      world.any<cuuint64_t>(3), world.out<CUdriverProcAddressQueryResult>());
}
void limit(World& world, void* function) {
  call<size_t*, CUlimit>(function, world.out<size_t>(), world.any<CUlimit>(10));
}
void error_name(World& world, void* function) {
  call<CUresult, const char**>(function, world.any<CUresult>(999), world.out<const char*>());
}

constexpr Call kCalls[] = {
    {"cuCtxCreate_v2", create_context},
    {"cuCtxDestroy_v2", context_call},
    {"cuCtxPushCurrent_v2", context_call},
    {"cuCtxSetCurrent",
     [](World& world, void* function) {
       if (!world.random.one_in(4)) call<CUcontext>(function, context_of(world));
     }},
    {"cuCtxPopCurrent_v2", get_context},
    {"cuCtxGetCurrent", get_context},
    {"cuCtxSynchronize_v2", context_call},
    {"cuCtxGetDevice_v2",
     [](World& world, void* function) {
       call<CUdevice*, CUcontext>(function, world.out<CUdevice>(), context_of(world));
     }},
    {"cuCtxGetLimit", limit},
    {"cuCtxSetLimit",
     [](World& world, void* function) {
       call<CUlimit, size_t>(function, world.any<CUlimit>(10), world.random.number());
     }},
    {"cuCtxSetCacheConfig",
     [](World& world, void* function) {
       call<CUfunc_cache>(function, world.any<CUfunc_cache>(3));
     }},
    {"cuCtxEnablePeerAccess",
     [](World& world, void* function) {
       call<CUcontext, unsigned>(function, context_of(world), world.any<unsigned>(1));
     }},
    {"cuDevicePrimaryCtxRetain", retain},
    {"cuDevicePrimaryCtxRelease_v2",
     [](World& world, void* function) { call<CUdevice>(function, world.device()); }},
    {"cuDevicePrimaryCtxReset_v2",
     [](World& world, void* function) {
       if (world.random.one_in(4)) call<CUdevice>(function, world.device());
     }},
    {"cuDevicePrimaryCtxSetFlags_v2",
     [](World& world, void* function) {
       call<CUdevice, unsigned>(function, world.device(), world.any<unsigned>(31));
     }},
    {"cuDevicePrimaryCtxGetState",
     [](World& world, void* function) {
       call<CUdevice, unsigned*, int*>(function, world.device(), world.out<unsigned>(),
                                       world.out<int>());
     }},
    {"cuDeviceGetAttribute", device_attribute},
    {"cuDeviceGetName", device_name},
    {"cuDeviceGetPCIBusId", device_name},
    {"cuDeviceGetByPCIBusId", device_by_bus},
    {"cuDeviceCanAccessPeer",
     [](World& world, void* function) {
       call<int*, CUdevice, CUdevice>(function, world.out<int>(), world.device(), world.device());
     }},
    {"cuDeviceTotalMem_v2",
     [](World& world, void* function) {
       call<size_t*, CUdevice>(function, world.out<size_t>(), world.device());
     }},
    {"cuGetProcAddress_v2", get_entry},
    {"cuGetErrorName", error_name},
    {"cuGetErrorString", error_name},
};

}  // namespace

std::span<const Call> context_calls() { return kCalls; }

}  // namespace nibble::fuzz
