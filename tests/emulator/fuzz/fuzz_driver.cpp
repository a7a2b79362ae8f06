// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Sequences of driver calls, each with arguments that may be wrong in any way but for host
// pointers. An input is a sequence; it begins with a fresh primary context. All calls must return.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tests/emulator/fuzz/driver_world.h"

namespace nibble::fuzz {
namespace {

class DriverTarget {
 public:
  DriverTarget(std::vector<std::string> seeds, bool prints)
      : seeds_(std::move(seeds)), mutator_(seeds_), prints_(prints) {
    setenv("NIBBLE_EMULATOR_QUIET", "1", 0);
    setenv("NIBBLE_EMULATOR_LIMIT", "300", 1);
    setenv("NIBBLE_EMULATOR_THREADS", "1", 1);
    library_ = dlopen(NIBBLE_EMULATOR_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) throw std::runtime_error(dlerror());
    call<unsigned>(find("cuInit"), 0);
    for (const auto calls : {memory_calls(), module_calls(), stream_calls(), context_calls()}) {
      auto& group = groups_.emplace_back();
      for (const Call& one : calls) group.push_back({one, find(one.name)});
    }
    // Code is what most else needs; contexts, what little does.
    weights_ = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3};
  }

  void one_input(Random& random, Tally& tally) {
    World world(random, tally, mutator_);
    const int device = static_cast<int>(random.below(4));
    enter(world, device);
    for (size_t calls = 1 + random.below(random.one_in(4) ? 60 : 12); calls > 0; --calls) {
      const auto& [one, function] = random.pick(groups_[random.pick(weights_)]);
      if (prints_) std::fprintf(stderr, "%s\n", one.name);
      const uint64_t made_before = calls_made, well_before = calls_well;
      one.make(world, function);
      made_ += calls_made - made_before;
      well_ += calls_well - well_before;
    }
    leave(world);
    tally["calls"] = made_;
    tally["calls that succeed"] = well_;
  }

 private:
  void* find(const char* name) const {
    void* const function = dlsym(library_, name);
    if (function == nullptr) throw std::runtime_error(std::string(name) + " is not exported");
    return function;
  }

  // A current context, some of what can be had in it.
  void enter(World& world, int device) {
    CUcontext context = nullptr;
    world.keep(Kind::kContext,
               call<CUcontext*, CUdevice>(find("cuDevicePrimaryCtxRetain"), &context, device),
               &context);
    call<CUcontext>(find("cuCtxSetCurrent"), context);
    for (const char* name : {"cuStreamCreateWithPriority", "cuEventCreate", "cuMemAlloc_v2"}) {
      make(world, name);
    }
    if (!world.random.one_in(3)) return;
    world.wants_good_image = true;
    make(world, "cuModuleLoadData");
    make(world, "cuModuleEnumerateFunctions");
    world.wants_good_image = false;
  }

  void make(World& world, const std::string& name) const {
    for (const auto& group : groups_) {
      for (const auto& [one, function] : group) {
        if (one.name == name) return one.make(world, function);
      }
    }
  }

  template <class Handle>
  void destroy(World& world, Kind kind, const char* name) const {
    void* const function = find(name);
    for (const uint64_t handle : world.kept(kind)) {
      call<Handle>(function, reinterpret_cast<Handle>(handle));
    }
  }

  // Captures end, contexts are reset, nothing is current.
  void leave(World& world) {
    for (const auto stream : {CU_STREAM_PER_THREAD, CU_STREAM_LEGACY}) {
      CUgraph graph = nullptr;
      world.keep(Kind::kGraph, call<CUstream, CUgraph*>(find("cuStreamEndCapture"), stream, &graph),
                 &graph);
    }
    auto mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    call<CUstreamCaptureMode*>(find("cuThreadExchangeStreamCaptureMode"), &mode);
    destroy<CUgraph>(world, Kind::kGraph, "cuGraphDestroy");
    destroy<CUgraphExec>(world, Kind::kExec, "cuGraphExecDestroy");
    destroy<CUlibrary>(world, Kind::kLibrary, "cuLibraryUnload");
    destroy<CUcontext>(world, Kind::kContext, "cuCtxDestroy_v2");
    for (int device = 0; device < 4; ++device) {
      while (call<CUdevice>(find("cuDevicePrimaryCtxRelease_v2"), device) == CUDA_SUCCESS) {
      }
      call<CUdevice>(find("cuDevicePrimaryCtxReset_v2"), device);
    }
    CUcontext context = nullptr;
    while (call<CUcontext*>(find("cuCtxPopCurrent_v2"), &context) == CUDA_SUCCESS) {
    }
  }

  const std::vector<std::string> seeds_;
  const Mutator mutator_;
  const bool prints_;
  void* library_ = nullptr;
  std::vector<std::vector<std::pair<Call, void*>>> groups_;
  std::vector<size_t> weights_;
  uint64_t made_ = 0, well_ = 0;  // calls, those around each input not counted
};

}  // namespace
}  // namespace nibble::fuzz

int main(int argc, char** argv) {
  return nibble::fuzz::run_target<nibble::fuzz::DriverTarget>(argc, argv, "fuzz_driver");
}
