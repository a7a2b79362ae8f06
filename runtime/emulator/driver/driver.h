// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The driver as a whole: devices, memory, and every live object by its handle.
#pragma once

#include <deque>
#include <mutex>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/driver/context.h"
#include "runtime/emulator/driver/handles.h"
#include "runtime/emulator/driver/memory.h"
#include "runtime/emulator/driver/module.h"
#include "runtime/emulator/driver/stream.h"

namespace nibble::emulator::driver {

constexpr int kVersion = 13000;  // CUDA 13.0

struct Driver {
  Driver();

  std::deque<Device> devices;
  Memory memory;
  Handles<CUcontext, Context> contexts;
  Handles<CUmodule, LoadedModule> modules;
  Handles<CUfunction, LoadedFunction> functions;
  Handles<CUlibrary, Library> libraries;
  Handles<CUkernel, LibraryKernel> kernels;
  Handles<CUstream, Stream> streams;
  Handles<CUevent, Event> events;
  Handles<CUgraph, Graph> graphs;
  Handles<CUgraphExec, GraphExec> graph_execs;

  // A context of `device`; it is kept for good.
  Context& new_context(Device& device, unsigned flags, bool primary);

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<Context>> all_contexts_;
};

// Starts the driver on the first call: CUDA_ERROR_NO_DEVICE where the settings or the CPU are not
// such that it could run, which it says.
CUresult start();
// Null before a start that succeeded.
Driver* started();

}  // namespace nibble::emulator::driver
