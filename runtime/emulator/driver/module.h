// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Modules and libraries: a PTX image, decoded for the device of a context.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/driver/context.h"
#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator::driver {

struct Driver;

constexpr int kNotSet = -1;

// What cuFuncSetAttribute and cuKernelSetAttribute set.
struct FunctionSettings {
  std::atomic<int> max_dynamic_shared{kNotSet};  // bytes
  std::atomic<int> carveout{-1};
  std::atomic<int> cluster[3] = {0, 0, 0};
  std::atomic<int> non_portable_cluster{0};
  std::atomic<int> scheduling_policy{0};
};

struct LoadedFunction {
  CUfunction handle = nullptr;
  CUmodule module = nullptr;
  Context* context = nullptr;
  std::shared_ptr<const Program> program;
  const Kernel* kernel = nullptr;
  int ptx_target = 0;  // 100 of sm_100a
  FunctionSettings settings;
};

struct LoadedModule {
  CUmodule handle = nullptr;
  Context* context = nullptr;
  std::shared_ptr<const Program> program;
  std::map<std::string, std::shared_ptr<LoadedFunction>, std::less<>> functions;
};

// An error of a load with what the JIT log says.
struct LoadError {
  CUresult code = CUDA_SUCCESS;
  std::string log;
};

// The PTX text of an image: PTX, or a fat binary that holds some. `image` is as long as it says
// itself; text ends with a zero byte.
LoadError read_image(const void* image, std::string& ptx);
LoadError read_image_file(const char* path, std::string& ptx);
// Parses PTX text.
LoadError parse_image(const std::string& ptx, Module& module);
// Decodes for the device of `context`; the module is found by its handle from then on.
LoadError load_module(Driver& driver, Context& context, const Module& parsed,
                      std::shared_ptr<LoadedModule>& loaded);
void unload_module(Driver& driver, LoadedModule& module);

class Library;

struct LibraryKernel {
  CUkernel handle = nullptr;
  std::weak_ptr<Library> library;
  std::string name;
};

// A parsed image that becomes a module in every context that asks for it. Thread-safe.
class Library {
 public:
  explicit Library(Module parsed) : parsed(std::move(parsed)) {}

  CUlibrary handle = nullptr;
  const Module parsed;
  std::vector<std::shared_ptr<LibraryKernel>> kernels;

  LoadError module_in(Driver& driver, Context& context, std::shared_ptr<LoadedModule>& module);
  void unload(Driver& driver);

 private:
  std::mutex mutex_;
  std::map<const Context*, CUmodule> modules_;
};

// The function behind a CUfunction, or behind a CUkernel that is used as one; null for neither.
std::shared_ptr<LoadedFunction> find_function(Driver& driver, Context& context, CUfunction handle);

// Dynamic shared memory that a launch may ask for, in bytes.
uint32_t max_dynamic_shared(const LoadedFunction& function);
CUresult get_attribute(const LoadedFunction& function, CUfunction_attribute attribute, int& value);
CUresult set_attribute(LoadedFunction& function, CUfunction_attribute attribute, int value);

}  // namespace nibble::emulator::driver
