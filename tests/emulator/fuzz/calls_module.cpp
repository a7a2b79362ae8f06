// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Calls about code: modules, libraries, functions, occupancy, launches.
#include <array>
#include <cstdio>

#include "tests/emulator/fuzz/driver_world.h"

namespace nibble::fuzz {
namespace {

CUfunction function_of(World& world) {
  return world.handle<CUfunction>(world.random.one_in(4) ? Kind::kKernel : Kind::kFunction);
}

struct JitOptions {
  explicit JitOptions(World& world) {
    count = static_cast<unsigned>(world.random.below(4));
    for (size_t i = 0; i < count; ++i) {
      keys[i] = world.any<CUjit_option>(34);
      values[i] = reinterpret_cast<void*>(world.random.below(200));
      if (keys[i] == CU_JIT_INFO_LOG_BUFFER || keys[i] == CU_JIT_ERROR_LOG_BUFFER) {
        values[i] = log.data();
      }
    }
  }
  unsigned count = 0;
  std::array<CUjit_option, 4> keys{};
  std::array<void*, 4> values{};
  std::array<char, 256> log{};
};

void load_data(World& world, void* function) {
  auto* const module = world.out<CUmodule>();
  world.keep(Kind::kModule, call<CUmodule*, const void*>(function, module, world.image()), module);
}
void load_data_ex(World& world, void* function) {
  JitOptions jit(world);
  auto* const module = world.out<CUmodule>();
  world.keep(Kind::kModule,
             call<CUmodule*, const void*, unsigned, CUjit_option*, void**>(
                 function, module, world.image(), jit.count,
                 world.random.one_in(16) ? nullptr : jit.keys.data(), jit.values.data()),
             module);
}
void load_file(World& world, void* function) {
  if (!world.random.one_in(16)) return;  // files are slow
  auto* const module = world.out<CUmodule>();
  const char* const path = world.path();
  world.keep(Kind::kModule, call<CUmodule*, const char*>(function, module, path), module);
  if (path != nullptr) std::remove(path);
}
void get_function(World& world, void* function) {
  auto* const found = world.out<CUfunction>();
  world.keep(Kind::kFunction,
             call<CUfunction*, CUmodule, const char*>(
                 function, found, world.handle<CUmodule>(Kind::kModule), world.name()),
             found);
}
void get_global(World& world, void* function) {
  auto* const address = world.out<CUdeviceptr>();
  auto* const bytes = world.out<size_t>();
  const CUresult result = call<CUdeviceptr*, size_t*, CUmodule, const char*>(
      function, address, bytes, world.handle<CUmodule>(Kind::kModule),
      world.random.one_in(3) ? world.name() : "counter");
  if (address != nullptr) world.keep_memory(result, *address, 4);
}
void enumerate_functions(World& world, void* function) {
  std::array<CUfunction, 8> found{};
  call<CUfunction*, unsigned, CUmodule>(
      function, world.random.one_in(16) ? nullptr : found.data(),
      world.wants_good_image ? 8 : static_cast<unsigned>(world.random.below(9)),
      world.handle<CUmodule>(Kind::kModule));
  for (const auto& one : found) {
    if (one != nullptr) world.keep(Kind::kFunction, CUDA_SUCCESS, &one);
  }
}

void load_library(World& world, void* function) {
  JitOptions jit(world);
  auto* const library = world.out<CUlibrary>();
  world.keep(Kind::kLibrary,
             call<CUlibrary*, const void*, CUjit_option*, void**, unsigned, CUlibraryOption*,
                  void**, unsigned>(function, library, world.image(), jit.keys.data(),
                                    jit.values.data(), jit.count, nullptr, nullptr, 0),
             library);
}
void get_kernel(World& world, void* function) {
  auto* const kernel = world.out<CUkernel>();
  world.keep(Kind::kKernel,
             call<CUkernel*, CUlibrary, const char*>(
                 function, kernel, world.handle<CUlibrary>(Kind::kLibrary), world.name()),
             kernel);
}
void library_module(World& world, void* function) {
  auto* const module = world.out<CUmodule>();
  world.keep(Kind::kModule,
             call<CUmodule*, CUlibrary>(function, module, world.handle<CUlibrary>(Kind::kLibrary)),
             module);
}
void kernel_function(World& world, void* function) {
  auto* const found = world.out<CUfunction>();
  world.keep(Kind::kFunction,
             call<CUfunction*, CUkernel>(function, found, world.handle<CUkernel>(Kind::kKernel)),
             found);
}

unsigned grid_size(World& world) {
  return world.random.one_in(20) ? static_cast<unsigned>(world.random.number())
                                 : 1 + static_cast<unsigned>(world.random.below(2));
}
unsigned block_size(World& world, size_t most) {
  return world.random.one_in(20) ? static_cast<unsigned>(world.random.number())
                                 : 1 + static_cast<unsigned>(world.random.below(most));
}

struct Config {
  explicit Config(World& world) {
    Random& random = world.random;
    config = {grid_size(world),
              grid_size(world),
              grid_size(world),
              random.one_in(2) ? 32 : block_size(world, 64),
              block_size(world, 2),
              block_size(world, 1),
              random.one_in(8) ? static_cast<unsigned>(random.number()) : 0,
              world.handle<CUstream>(Kind::kStream),
              attributes.data(),
              static_cast<unsigned>(random.below(4))};
    for (CUlaunchAttribute& attribute : attributes) {
      attribute.id = world.any<CUlaunchAttributeID>(16);
      for (char& byte : attribute.value.pad) byte = static_cast<char>(random.below(3));
      if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
        attribute.value.clusterDim = {block_size(world, 2), block_size(world, 2), 1};
      } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) {
        attribute.value.programmaticEvent.event = world.handle<CUevent>(Kind::kEvent);
      } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) {
        attribute.value.launchCompletionEvent.event = world.handle<CUevent>(Kind::kEvent);
      }
    }
    if (random.one_in(24)) config.attrs = nullptr;
    if (random.one_in(2)) {  // nothing to refuse
      config = {1 + static_cast<unsigned>(random.below(3)),
                1,
                1,
                32,
                1,
                1,
                0,
                config.hStream,
                nullptr,
                0};
    }
  }
  std::array<CUlaunchAttribute, 4> attributes{};
  CUlaunchConfig config{};
};

void launch(World& world, void* function) {
  const bool is_extra = world.random.one_in(8);
  const Config c(world);
  call<CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
       void**, void**>(function, function_of(world), c.config.gridDimX, c.config.gridDimY,
                       c.config.gridDimZ, c.config.blockDimX, c.config.blockDimY,
                       c.config.blockDimZ, c.config.sharedMemBytes, c.config.hStream,
                       is_extra ? nullptr : world.parameters(false),
                       is_extra ? world.parameters(true) : nullptr);
}
void launch_ex(World& world, void* function) {
  const Config c(world);
  call<const CUlaunchConfig*, CUfunction, void**, void**>(
      function, world.random.one_in(30) ? nullptr : &c.config, function_of(world),
      world.parameters(false), nullptr);
}
void launch_cooperative(World& world, void* function) {
  const Config c(world);
  call<CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
       void**>(function, function_of(world), c.config.gridDimX, c.config.gridDimY,
               c.config.gridDimZ, c.config.blockDimX, c.config.blockDimY, c.config.blockDimZ,
               c.config.sharedMemBytes, c.config.hStream, world.parameters(false));
}

size_t shared_of(int threads) { return static_cast<size_t>(threads) * 16; }

void block_size_call(World& world, void* function) {
  call<int*, int*, CUfunction, CUoccupancyB2DSize, size_t, int>(
      function, world.out<int>(), world.out<int>(), function_of(world),
      world.random.one_in(2) ? shared_of : nullptr, world.size(),
      static_cast<int>(world.random.number()));
}
void occupancy(World& world, void* function) {
  call<int*, CUfunction, int, size_t, unsigned>(
      function, world.out<int>(), function_of(world), static_cast<int>(world.random.number()),
      world.random.one_in(2) ? 0 - world.random.below(4000) : world.size(), world.any<unsigned>(1));
}
void available_shared(World& world, void* function) {
  call<size_t*, CUfunction, int, int>(function, world.out<size_t>(), function_of(world),
                                      static_cast<int>(world.random.number()),
                                      static_cast<int>(world.random.number()));
}
void clusters(World& world, void* function) {
  const Config c(world);
  call<int*, CUfunction, const CUlaunchConfig*>(function, world.out<int>(), function_of(world),
                                                world.random.one_in(30) ? nullptr : &c.config);
}
void attribute(World& world, void* function) {
  call<int*, CUfunction_attribute, CUfunction>(
      function, world.out<int>(), world.any<CUfunction_attribute>(15), function_of(world));
}
void set_attribute(World& world, void* function) {
  call<CUfunction, CUfunction_attribute, int>(
      function, function_of(world), world.any<CUfunction_attribute>(15),
      world.random.one_in(2) ? static_cast<int>(world.random.number()) : world.any<int>(3));
}
void kernel_attribute(World& world, void* function) {
  call<int*, CUfunction_attribute, CUkernel, CUdevice>(
      function, world.out<int>(), world.any<CUfunction_attribute>(15),
      world.handle<CUkernel>(Kind::kKernel), world.device());
}
void set_kernel_attribute(World& world, void* function) {
  call<CUfunction_attribute, int, CUkernel, CUdevice>(
      function, world.any<CUfunction_attribute>(15), world.any<int>(100),
      world.handle<CUkernel>(Kind::kKernel), world.device());
}
void parameter_info(World& world, void* function) {
  call<CUfunction, size_t, size_t*, size_t*>(function, function_of(world), world.random.below(5),
                                             world.out<size_t>(), world.out<size_t>());
}

constexpr Call kCalls[] = {
    {"cuModuleLoadData", load_data},
    {"cuModuleLoadDataEx", load_data_ex},
    {"cuModuleLoad", load_file},
    {"cuModuleUnload",
     [](World& world, void* function) {
       call<CUmodule>(function, world.handle<CUmodule>(Kind::kModule));
     }},
    {"cuModuleGetFunction", get_function},
    {"cuModuleGetFunction", get_function},
    {"cuModuleGetFunction", get_function},
    {"cuModuleGetGlobal_v2", get_global},
    {"cuModuleGetFunctionCount",
     [](World& world, void* function) {
       call<unsigned*, CUmodule>(function, world.out<unsigned>(),
                                 world.handle<CUmodule>(Kind::kModule));
     }},
    {"cuModuleEnumerateFunctions", enumerate_functions},
    {"cuLibraryLoadData", load_library},
    {"cuLibraryUnload",
     [](World& world, void* function) {
       call<CUlibrary>(function, world.handle<CUlibrary>(Kind::kLibrary));
     }},
    {"cuLibraryGetKernel", get_kernel},
    {"cuLibraryGetKernel", get_kernel},
    {"cuLibraryGetModule", library_module},
    {"cuKernelGetFunction", kernel_function},
    {"cuKernelGetAttribute", kernel_attribute},
    {"cuKernelSetAttribute", set_kernel_attribute},
    {"cuKernelGetName",
     [](World& world, void* function) {
       call<const char**, CUkernel>(function, world.out<const char*>(),
                                    world.handle<CUkernel>(Kind::kKernel));
     }},
    {"cuFuncGetAttribute", attribute},
    {"cuFuncSetAttribute", set_attribute},
    {"cuFuncSetAttribute", set_attribute},
    {"cuFuncGetParamInfo", parameter_info},
    {"cuFuncGetModule",
     [](World& world, void* function) {
       call<CUmodule*, CUfunction>(function, world.out<CUmodule>(), function_of(world));
     }},
    {"cuFuncGetName",
     [](World& world, void* function) {
       call<const char**, CUfunction>(function, world.out<const char*>(), function_of(world));
     }},
    {"cuFuncSetCacheConfig",
     [](World& world, void* function) {
       call<CUfunction, CUfunc_cache>(function, function_of(world), world.any<CUfunc_cache>(3));
     }},
    {"cuOccupancyMaxPotentialBlockSize", block_size_call},
    {"cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", occupancy},
    {"cuOccupancyAvailableDynamicSMemPerBlock", available_shared},
    {"cuOccupancyMaxActiveClusters", clusters},
    {"cuOccupancyMaxPotentialClusterSize", clusters},
    {"cuLaunchKernel", launch},
    {"cuLaunchKernel", launch},
    {"cuLaunchKernelEx", launch_ex},
    {"cuLaunchKernelEx", launch_ex},
    {"cuLaunchKernelEx_ptsz", launch_ex},
    {"cuLaunchCooperativeKernel", launch_cooperative},
};

}  // namespace

std::span<const Call> module_calls() { return kCalls; }

}  // namespace nibble::fuzz
