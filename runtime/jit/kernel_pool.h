// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// KernelSpec -> kernel: memory, then disk, then compile.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cache/store.h"
#include "nibble/context.hpp"
#include "nibble/inspect.hpp"
#include "nibble/status.hpp"
#include "runtime/driver/driver_api.h"
#include "runtime/jit/family.h"
#include "runtime/jit/kernel_image.h"
#include "runtime/jit/kernel_table.h"
#include "runtime/jit/nvrtc.h"
#include "runtime/jit/template_library.h"

namespace nibble {

struct PoolOptions {
  std::shared_ptr<const DriverApi> driver;  // null: compile only
  CUcontext cuda_context = nullptr;
  ImageKind image_kind = ImageKind::kCubin;  // what the driver is given
  std::string template_directory;
  std::string nvrtc_library;
  cache::StoreOptions store;
  std::function<void(LogLevel, std::string_view)> log;
};

// Thread-safe.
class KernelPool {
 public:
  explicit KernelPool(PoolOptions options);
  ~KernelPool();
  KernelPool(const KernelPool&) = delete;
  KernelPool& operator=(const KernelPool&) = delete;

  // The loaded kernel. A hit in memory takes no lock and allocates nothing. A miss while `stream`
  // is being captured is kWouldCompile and leaves the capture alone.
  Result<const Kernel*> get(const KernelSpec& spec, CUstream stream) {
    if (const Kernel* kernel = table_.find(spec)) {
      memory_hits_.fetch_add(1, std::memory_order_relaxed);
      return kernel;
    }
    return load(spec, stream);
  }

  // The compiled bytes, from disk or compiled now; nothing is loaded.
  Result<KernelImage> compiled(const KernelSpec& spec, ImageKind kind);
  Result<Inspection> inspect(const KernelSpec& spec);  // always compiles; touches no cache
  // Digest of the templates that a spec's kernel is made of; empty where they cannot be read or
  // the target has none.
  std::string template_digest(const KernelSpec& spec) const;
  const CompilerInfo& compiler_info();
  Statistics statistics() const;
  std::string cache_directory() const { return store_.has_disk() ? store_.directory() : ""; }

 private:
  // What determines the bytes of a kernel, but for the compiler.
  struct Source {
    std::string text;
    std::vector<TemplateText> includes;
    std::vector<std::string> options;
    std::string key_without_compiler;
  };
  Result<Source> source(const KernelSpec& spec, ImageKind kind) const;
  Result<const Kernel*> load(const KernelSpec& spec, CUstream stream);
  struct FoundImage {
    KernelImage image;
    bool from_disk = false;
  };
  Result<FoundImage> image(const KernelSpec& spec, ImageKind kind);
  Result<FoundImage> image_without_compiler(const Source& source, const Status& why);
  Result<KernelImage> recompile(const KernelSpec& spec, ImageKind kind);
  Result<KernelImage> compile(const KernelSpec& spec, const Source& source);
  Status allow_dynamic_shared(const Kernel& kernel) const;
  Result<std::unique_ptr<Kernel>> load_on_device(const KernelSpec& spec, KernelImage image);
  Result<std::shared_ptr<const Nvrtc>> nvrtc();

  PoolOptions options_;
  TemplateLibrary templates_;
  cache::Store store_;
  KernelTable table_;
  std::mutex load_mutex_;  // guards table_.insert and modules_
  std::vector<CUmodule> modules_;

  std::once_flag nvrtc_once_;
  std::optional<Result<std::shared_ptr<const Nvrtc>>> nvrtc_;
  CompilerInfo compiler_info_;

  std::atomic<uint64_t> memory_hits_{0};
  std::atomic<uint64_t> disk_hits_{0};
  std::atomic<uint64_t> compiles_{0};
  std::atomic<uint64_t> compile_failures_{0};
  std::atomic<uint64_t> compile_nanoseconds_{0};
};

}  // namespace nibble
