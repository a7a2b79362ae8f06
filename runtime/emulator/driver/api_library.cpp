// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: libraries and their kernels, which need no context until they are used.
#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/jit_log.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

template <class Read>
CUresult load(CUlibrary* handle, JitLog log, Read&& read) {
  return with_driver([&](Driver& driver) {
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::string ptx;
    Module parsed;
    LoadError error = read(ptx);
    if (error.code == CUDA_SUCCESS) error = parse_image(ptx, parsed);
    if (error.code != CUDA_SUCCESS) return log.finish(error);
    auto library = std::make_shared<Library>(std::move(parsed));
    library->handle = new_handle<CUlibrary>();
    for (const Function& function : library->parsed.functions) {
      if (!function.is_entry) continue;
      auto kernel = std::make_shared<LibraryKernel>();
      kernel->handle = new_handle<CUkernel>();
      kernel->library = library;
      kernel->name = function.name;
      driver.kernels.add(kernel->handle, kernel);
      library->kernels.push_back(std::move(kernel));
    }
    driver.libraries.add(library->handle, library);
    *handle = library->handle;
    return log.finish(error);
  });
}

// body(Driver&, Library&)
template <class Body>
CUresult with_library(CUlibrary handle, Body&& body) {
  return with_driver([&](Driver& driver) {
    const auto library = driver.libraries.find(handle);
    return library == nullptr ? CUDA_ERROR_INVALID_HANDLE : body(driver, *library);
  });
}

// body(Driver&, LoadedModule&): the library in the current context.
template <class Body>
CUresult with_loaded(CUlibrary handle, Body&& body) {
  return with_context([&](Driver& driver, Context& context) {
    const auto library = driver.libraries.find(handle);
    if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    std::shared_ptr<LoadedModule> module;
    const LoadError error = library->module_in(driver, context, module);
    if (error.code != CUDA_SUCCESS) say(error.log);
    return error.code != CUDA_SUCCESS ? error.code : body(driver, *module);
  });
}

// body(LoadedFunction&): the kernel on `device`, in its primary context, or in the current one.
template <class Body>
CUresult with_kernel_on(CUkernel handle, CUdevice device, Body&& body) {
  return with_device(device, [&](Driver& driver, Device& found) {
    Context* context = current::get();
    if (context == nullptr || &context->device != &found) context = found.primary;
    const auto function = find_function(driver, *context, reinterpret_cast<CUfunction>(handle));
    return function == nullptr ? CUDA_ERROR_INVALID_HANDLE : body(*function);
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuLibraryLoadData(CUlibrary* library, const void* image,
                                        CUjit_option* jit_options, void** jit_values,
                                        unsigned jit_count, CUlibraryOption*, void**, unsigned) {
  return load(library, JitLog(jit_count, jit_options, jit_values),
              [&](std::string& ptx) { return read_image(image, ptx); });
}

NIBBLE_ENTRY CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path,
                                            CUjit_option* jit_options, void** jit_values,
                                            unsigned jit_count, CUlibraryOption*, void**,
                                            unsigned) {
  return load(library, JitLog(jit_count, jit_options, jit_values),
              [&](std::string& ptx) { return read_image_file(path, ptx); });
}

NIBBLE_ENTRY CUresult cuLibraryUnload(CUlibrary handle) {
  return with_library(handle, [&](Driver& driver, Library& library) {
    library.unload(driver);
    driver.libraries.remove(handle);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary handle, const char* name) {
  return with_library(handle, [&](Driver&, Library& library) {
    if (kernel == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const auto& candidate : library.kernels) {
      if (candidate->name != name) continue;
      *kernel = candidate->handle;
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
  });
}

NIBBLE_ENTRY CUresult cuLibraryGetKernelCount(unsigned* count, CUlibrary handle) {
  return with_library(handle, [&](Driver&, Library& library) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<unsigned>(library.kernels.size());
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned count,
                                                CUlibrary handle) {
  return with_library(handle, [&](Driver&, Library& library) {
    if (kernels == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && i < library.kernels.size(); ++i) {
      kernels[i] = library.kernels[i]->handle;
    }
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLibraryGetModule(CUmodule* module, CUlibrary handle) {
  return with_loaded(handle, [&](Driver&, LoadedModule& loaded) {
    if (module == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *module = loaded.handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLibraryGetGlobal(CUdeviceptr* address, size_t* bytes, CUlibrary handle,
                                         const char* name) {
  return with_loaded(handle, [&](Driver&, LoadedModule& loaded) {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Program::Variable* const variable = loaded.program->find_variable(name);
    if (variable == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (address != nullptr) *address = variable->address;
    if (bytes != nullptr) *bytes = variable->size;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuKernelGetFunction(CUfunction* function, CUkernel handle) {
  return with_context([&](Driver& driver, Context& context) {
    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto found = find_function(driver, context, reinterpret_cast<CUfunction>(handle));
    if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *function = found->handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuKernelGetLibrary(CUlibrary* library, CUkernel handle) {
  return with_driver([&](Driver& driver) {
    const auto kernel = driver.kernels.find(handle);
    const auto owner = kernel == nullptr ? nullptr : kernel->library.lock();
    if (owner == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (library == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *library = owner->handle;
    return CUDA_SUCCESS;
  });
}

// The name lives as long as the library.
NIBBLE_ENTRY CUresult cuKernelGetName(const char** name, CUkernel handle) {
  return with_driver([&](Driver& driver) {
    const auto kernel = driver.kernels.find(handle);
    if (kernel == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *name = kernel->name.c_str();
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute,
                                           CUkernel kernel, CUdevice device) {
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_kernel_on(kernel, device, [&](LoadedFunction& function) {
    return get_attribute(function, attribute, *value);
  });
}

NIBBLE_ENTRY CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value,
                                           CUkernel kernel, CUdevice device) {
  return with_kernel_on(kernel, device, [&](LoadedFunction& function) {
    return set_attribute(function, attribute, value);
  });
}

NIBBLE_ENTRY CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config,
                                             CUdevice device) {
  if (config < 0 || config > CU_FUNC_CACHE_PREFER_EQUAL) return CUDA_ERROR_INVALID_VALUE;
  return with_kernel_on(kernel, device, [](LoadedFunction&) { return CUDA_SUCCESS; });
}

NIBBLE_ENTRY CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset,
                                           size_t* size) {
  return with_context([&](Driver& driver, Context& context) {
    const auto function = find_function(driver, context, reinterpret_cast<CUfunction>(kernel));
    if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    const auto& parameters = function->kernel->parameters;
    if (offset == nullptr || index >= parameters.size()) return CUDA_ERROR_INVALID_VALUE;
    *offset = parameters[index].offset;
    if (size != nullptr) *size = parameters[index].size;
    return CUDA_SUCCESS;
  });
}
