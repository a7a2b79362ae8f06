// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/kernel_pool.h"

#include <array>
#include <chrono>

#include "cache/digest.h"
#include "runtime/driver/current_context.h"
#include "runtime/jit/user_source.h"
#include "runtime/result.h"

namespace nibble {

namespace {

// Part of every key: raise it when the meaning of an entry changes.
constexpr int kImageFormat = 1;

// What the compiler calls the source. It becomes part of symbols: short.
std::string file_name(const KernelSpec& spec) { return std::string(spec.family->name) + ".cu"; }

std::string with_compiler(const std::string& key_without_compiler, const std::string& compiler) {
  cache::KeyText key;
  key.add("kernel", key_without_compiler).add("compiler", compiler);
  return key.text();
}

// Under this key lies the full key that was last compiled for a source: how a kernel is found where
// there is no NVRTC to tell its identity.
std::string last_compiled_key(const std::string& key_without_compiler) {
  cache::KeyText key;
  key.add("last_compiled", key_without_compiler);
  return key.text();
}

}  // namespace

KernelPool::KernelPool(PoolOptions options)
    : options_(std::move(options)),
      templates_(options_.template_directory),
      store_(options_.store) {}

KernelPool::~KernelPool() {
  if (modules_.empty()) return;
  const CurrentContext current(*options_.driver, options_.cuda_context);
  for (CUmodule module : modules_) options_.driver->cuModuleUnload(module);
}

Result<std::shared_ptr<const Nvrtc>> KernelPool::nvrtc() {
  std::call_once(nvrtc_once_, [this] {
    nvrtc_ = Nvrtc::load(options_.nvrtc_library);
    if (!nvrtc_->ok()) {
      compiler_info_.problem =
          nvrtc_->status().to_string() + "\n" + std::string(nvrtc_->status().detail());
      return;
    }
    const Nvrtc& loaded = *nvrtc_->value();
    compiler_info_ = {true, loaded.major(), loaded.minor(), loaded.path(), loaded.identity(), {}};
  });
  return *nvrtc_;
}

const CompilerInfo& KernelPool::compiler_info() {
  (void)nvrtc();
  return compiler_info_;
}

Result<KernelPool::Source> KernelPool::source(const KernelSpec& spec, ImageKind kind) const {
  const Variant* variant = find_variant(spec);
  if (variant == nullptr) {
    return Status(Code::kUnsupported, "no " + std::string(spec.family->name) +
                                          " kernel exists for " + std::string(spec.arch->name));
  }
  Source source;
  source.text = render(spec);
  NIBBLE_TRY_ASSIGN(source.includes, templates_.closure(variant->include));
  if (spec.source != nullptr) {
    source.includes.push_back({std::string(kUserSourceName), spec.source->text});
  }
  source.options = compile_options(*spec.arch, kind);

  cache::KeyText key;
  key.add("format", kImageFormat).add("source", source.text);
  for (const TemplateText& include : source.includes) key.add(include.name, include.text);
  for (const std::string& option : source.options) key.add("option", option);
  source.key_without_compiler = key.text();
  return source;
}

Result<KernelImage> KernelPool::compile(const KernelSpec& spec, const Source& source) {
  NIBBLE_TRY_ASSIGN(const std::shared_ptr<const Nvrtc> compiler, nvrtc());
  NIBBLE_TRY(compiler->check_target(*spec.arch));
  const auto start = std::chrono::steady_clock::now();
  Result<CompileOutput> output =
      compiler->compile({file_name(spec), source.text, source.includes, source.options});
  const auto elapsed = std::chrono::steady_clock::now() - start;
  compiles_.fetch_add(1, std::memory_order_relaxed);
  compile_nanoseconds_.fetch_add(
      std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count(),
      std::memory_order_relaxed);
  if (!output.ok()) {
    compile_failures_.fetch_add(1, std::memory_order_relaxed);
    return output.status();
  }
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count();
  options_.log(LogLevel::kInfo,
               "compiled " + label(spec) + " in " + std::to_string(milliseconds) + " ms");
  KernelImage image;
  image.kind = output->cubin.empty() ? ImageKind::kPtx : ImageKind::kCubin;
  image.resources = parse_resources(output->log);
  image.log = std::move(output->log);
  image.code = image.kind == ImageKind::kPtx ? std::move(output->ptx) : std::move(output->cubin);
  return image;
}

Result<KernelPool::FoundImage> KernelPool::image_without_compiler(const Source& source,
                                                                  const Status& why) {
  if (const auto key = store_.get(last_compiled_key(source.key_without_compiler))) {
    if (const auto bytes = store_.get(*key)) {
      if (auto image = deserialize(*bytes)) {
        disk_hits_.fetch_add(1, std::memory_order_relaxed);
        return FoundImage{*std::move(image), true};
      }
    }
  }
  return why;
}

Result<KernelPool::FoundImage> KernelPool::image(const KernelSpec& spec, ImageKind kind) {
  NIBBLE_TRY_ASSIGN(const Source source, this->source(spec, kind));
  const Result<std::shared_ptr<const Nvrtc>> compiler = nvrtc();
  if (!compiler.ok()) return image_without_compiler(source, compiler.status());
  const std::string key = with_compiler(source.key_without_compiler, compiler.value()->identity());

  Status failure(Code::kInternal, "the cache returned nothing for " + label(spec));
  auto create = [&]() -> std::optional<std::string> {
    Result<KernelImage> compiled = compile(spec, source);
    if (!compiled.ok()) {
      failure = compiled.status();
      return {};
    }
    return serialize(compiled.value());
  };
  cache::Origin origin{};
  const std::optional<std::string> bytes = store_.get_or_create(key, create, &origin);
  if (!bytes) return failure;
  const bool created = origin == cache::Origin::kCreated;
  if (created) {
    store_.put(last_compiled_key(source.key_without_compiler), key);
  } else {
    disk_hits_.fetch_add(1, std::memory_order_relaxed);
  }
  if (auto image = deserialize(*bytes)) return FoundImage{*std::move(image), !created};
  NIBBLE_TRY_ASSIGN(KernelImage image,
                    recompile(spec, kind));  // an entry of another program under our key
  return FoundImage{std::move(image), false};
}

// Compiles what the disk has an unusable entry of, and replaces that entry.
Result<KernelImage> KernelPool::recompile(const KernelSpec& spec, ImageKind kind) {
  NIBBLE_TRY_ASSIGN(const Source source, this->source(spec, kind));
  NIBBLE_TRY_ASSIGN(KernelImage image, compile(spec, source));
  NIBBLE_TRY_ASSIGN(const std::shared_ptr<const Nvrtc> compiler, nvrtc());
  store_.put(with_compiler(source.key_without_compiler, compiler->identity()), serialize(image));
  return image;
}

// A launch may ask for more than 48 KiB only where the function says so before.
Status KernelPool::allow_dynamic_shared(const Kernel& kernel) const {
  if (kernel.dynamic_shared == 0) return {};
  const CUresult result = options_.driver->cuFuncSetAttribute(
      kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, kernel.dynamic_shared);
  if (result == CUDA_SUCCESS) return {};
  return options_.driver->check(
      result, "cuFuncSetAttribute of " + std::to_string(kernel.dynamic_shared) +
                  " bytes of dynamic shared memory for " + kernel.label + " (the target has " +
                  std::to_string(kernel.spec.arch->shared_per_block) + " for a thread block)");
}

Result<std::unique_ptr<Kernel>> KernelPool::load_on_device(const KernelSpec& spec,
                                                           KernelImage image) {
  const DriverApi& driver = *options_.driver;
  const CurrentContext current(driver, options_.cuda_context);
  std::array<char, 8192> error_log{};
  std::array<CUjit_option, 2> keys{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  std::array<void*, 2> values{error_log.data(),
                              reinterpret_cast<void*>(static_cast<uintptr_t>(error_log.size()))};
  CUmodule module = nullptr;
  Status loaded = driver.check(driver.cuModuleLoadDataEx(&module, image.code.c_str(), keys.size(),
                                                         keys.data(), values.data()),
                               "cuModuleLoadDataEx");
  if (!loaded.ok()) {
    return Status(loaded.code(), label(spec) + ": " + std::string(loaded.message()),
                  std::string(error_log.data()));
  }
  auto kernel = std::make_unique<Kernel>();
  kernel->spec = spec;
  kernel->label = label(spec);
  kernel->dynamic_shared = dynamic_shared_bytes(spec);
  kernel->resources = image.resources;
  kernel->log = std::move(image.log);
  modules_.push_back(module);
  NIBBLE_TRY(driver.check(driver.cuModuleGetFunction(&kernel->function, module, "kernel"),
                          "cuModuleGetFunction"));
  NIBBLE_TRY(allow_dynamic_shared(*kernel));
  return kernel;
}

Result<const Kernel*> KernelPool::load(const KernelSpec& spec, CUstream stream) {
  if (options_.driver == nullptr) {
    return Status(Code::kNoDevice, label(spec) + ": this context only compiles; it has no device");
  }
  {
    const CurrentContext current(*options_.driver, options_.cuda_context);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    const CUresult asked = options_.driver->cuStreamIsCapturing(stream, &status);
    if (asked != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE) {
      return Status(Code::kWouldCompile,
                    label(spec) +
                        " is not loaded, and the stream is being captured: make a plan, "
                        "or run the request once, before the capture");
    }
  }
  NIBBLE_TRY_ASSIGN(FoundImage found, image(spec, options_.image_kind));
  const std::lock_guard lock(load_mutex_);
  if (const Kernel* kernel = table_.find(spec)) return kernel;
  Result<std::unique_ptr<Kernel>> kernel = load_on_device(spec, std::move(found.image));
  if (!kernel.ok() && found.from_disk) {
    options_.log(LogLevel::kWarning,
                 kernel.status().to_string() + ": the cached binary is made anew");
    NIBBLE_TRY_ASSIGN(KernelImage fresh, recompile(spec, options_.image_kind));
    kernel = load_on_device(spec, std::move(fresh));
  }
  if (!kernel.ok()) return kernel.status();
  return table_.insert(std::move(kernel).value());
}

Result<KernelImage> KernelPool::compiled(const KernelSpec& spec, ImageKind kind) {
  NIBBLE_TRY_ASSIGN(FoundImage found, image(spec, kind));
  return std::move(found.image);
}

Result<Inspection> KernelPool::inspect(const KernelSpec& spec) {
  NIBBLE_TRY_ASSIGN(Source source, this->source(spec, ImageKind::kCubin));
  NIBBLE_TRY_ASSIGN(const std::shared_ptr<const Nvrtc> compiler, nvrtc());
  NIBBLE_TRY(compiler->check_target(*spec.arch));
  const auto start = std::chrono::steady_clock::now();
  NIBBLE_TRY_ASSIGN(CompileOutput output, compiler->compile({file_name(spec), source.text,
                                                             source.includes, source.options}));
  Inspection inspection;
  inspection.compile_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  inspection.label = label(spec);
  inspection.target = spec.arch->name;
  inspection.source = std::move(source.text);
  for (TemplateText& include : source.includes) {
    inspection.includes.push_back(std::move(include.name));
  }
  inspection.compiler_options = std::move(source.options);
  inspection.resources = parse_resources(output.log);
  inspection.dynamic_shared_bytes = dynamic_shared_bytes(spec);
  inspection.ptx = std::move(output.ptx);
  inspection.log = std::move(output.log);
  inspection.cubin_bytes = static_cast<int64_t>(output.cubin.size());
  inspection.key =
      cache::hex(cache::digest(with_compiler(source.key_without_compiler, compiler->identity())));
  return inspection;
}

std::string KernelPool::template_digest(const KernelSpec& spec) const {
  const Variant* variant = find_variant(spec);
  if (variant == nullptr) return {};
  const Result<std::vector<TemplateText>> includes = templates_.closure(variant->include);
  if (!includes.ok()) return {};
  cache::KeyText key;
  for (const TemplateText& include : *includes) key.add(include.name, include.text);
  return cache::hex(cache::digest(key.text()));
}

Statistics KernelPool::statistics() const {
  Statistics statistics;
  statistics.memory_hits = memory_hits_.load(std::memory_order_relaxed);
  statistics.disk_hits = disk_hits_.load(std::memory_order_relaxed);
  statistics.compiles = compiles_.load(std::memory_order_relaxed);
  statistics.compile_failures = compile_failures_.load(std::memory_order_relaxed);
  const cache::CounterSnapshot stored = store_.counters().snapshot();
  statistics.damaged_entries = stored.corrupt;
  statistics.failed_writes = stored.put_failures;
  statistics.compile_seconds =
      static_cast<double>(compile_nanoseconds_.load(std::memory_order_relaxed)) * 1e-9;
  return statistics;
}

}  // namespace nibble
