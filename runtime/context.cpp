// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/context.hpp"

#include <cstdio>

#include "cache/location.h"
#include "runtime/context_state.h"
#include "runtime/result.h"

namespace nibble {

namespace {

void warn_on_stderr(LogLevel level, std::string_view message) {
  if (level != LogLevel::kWarning) return;
  std::fprintf(stderr, "nibble: %.*s\n", static_cast<int>(message.size()), message.data());
}

Result<cache::Mode> cache_mode(const std::string& text) {
  if (text.empty()) return cache::Mode::kReadWrite;
  if (const auto mode = cache::parse_mode(text)) return *mode;
  return Status(Code::kInvalidArgument,
                "cache mode '" + text + "' is not 'readwrite', 'readonly' or 'off'");
}

Result<bool> tuning_is_on(const std::string& text) {
  if (text.empty() || text == "on") return true;
  if (text == "off") return false;
  return Status(Code::kInvalidArgument, "tuning '" + text + "' is not 'on' or 'off'");
}

// The table that was asked for, else that of the cache. Without one the families choose.
Tuning read_tuning(const Options& options, const ContextState& state) {
  const std::string& path = options.tuning_file;
  const std::string directory = state.pool.cache_directory();
  if (path.empty() && directory.empty()) return {};
  const cache::TuningFile file =
      path.empty() ? cache::read_tuning_table(directory) : cache::read_tuning_file(path);
  if (!file.problem.empty()) {
    state.log(LogLevel::kWarning,
              "no tuning table is used: " +
                  (path.empty() ? directory + "/" + cache::kTuningFolder : path) + ": " +
                  file.problem);
  }
  if (file.table.damaged > 0) {
    state.log(LogLevel::kInfo, std::to_string(file.table.damaged) + " damaged tuning records");
  }
  return {file.table.records, state.device.info, *state.device.arch,
          [&](const KernelSpec& spec) { return state.pool.template_digest(spec); }};
}

}  // namespace

Result<Context> Context::create(const Options& options) {
  return guarded([&]() -> Result<Context> {
    const Log log = options.log ? options.log : Log(warn_on_stderr);
    NIBBLE_TRY_ASSIGN(const cache::Mode mode, cache_mode(options.cache_mode));
    NIBBLE_TRY_ASSIGN(const bool tuned, tuning_is_on(options.tuning));
    NIBBLE_TRY_ASSIGN(OpenedDevice device, open_device(options, log));
    PoolOptions pool;
    pool.driver = device.driver;
    pool.cuda_context = device.context;
    pool.image_kind = device.info.emulated ? ImageKind::kPtx : ImageKind::kCubin;
    pool.template_directory = options.template_directory;
    pool.nvrtc_library = options.nvrtc_library;
    pool.store.directory =
        options.cache_directory.empty() ? cache::default_directory() : options.cache_directory;
    pool.store.mode = mode;
    pool.store.warn = [log](std::string_view message) { log(LogLevel::kWarning, message); };
    pool.log = log;
    auto state = std::make_shared<ContextState>(std::move(device), std::move(pool), log);
    if (tuned && state->device.driver != nullptr) state->tuning = read_tuning(options, *state);
    return Context(std::move(state));
  });
}

const DeviceInfo& Context::device() const { return state_->device.info; }
const CompilerInfo& Context::compiler() const { return state_->pool.compiler_info(); }
Statistics Context::statistics() const { return state_->pool.statistics(); }
std::string Context::cache_directory() const { return state_->pool.cache_directory(); }

Status ContextState::require_device() const {
  if (device.driver != nullptr) return {};
  return {Code::kNoDevice,
          "this context only compiles for " + device.info.target + "; it has no device"};
}

// Keeps the context alive until its memory is freed.
struct Buffer::Owner {
  std::shared_ptr<ContextState> state;
};

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(address_, other.address_);
  std::swap(size_, other.size_);
  return *this;
}

Buffer::~Buffer() {
  if (address_ == 0) return;
  const ContextState& state = *owner_->state;
  const CurrentContext current(state.driver(), state.device.context);
  state.driver().cuMemFree(address_);
}

Result<Buffer> Context::allocate(int64_t bytes) {
  return guarded([&]() -> Result<Buffer> {
    NIBBLE_TRY(state_->require_device());
    if (bytes < 1) {
      return Status(Code::kInvalidArgument, "bytes = " + std::to_string(bytes) + ": must be >= 1");
    }
    const CurrentContext current(state_->driver(), state_->device.context);
    CUdeviceptr address = 0;
    NIBBLE_TRY(state_->driver().check(
        state_->driver().cuMemAlloc(&address, static_cast<size_t>(bytes)), "cuMemAlloc"));
    Buffer buffer;
    buffer.owner_ = std::make_shared<Buffer::Owner>(Buffer::Owner{state_});
    buffer.address_ = address;
    buffer.size_ = bytes;
    return buffer;
  });
}

namespace {

// Runs one driver call over `bytes` on the stream in the context's CUDA context.
template <class Call>
Status on_stream(const ContextState& state, Stream stream, std::string_view name, int64_t bytes,
                 bool wait, Call call) {
  return guarded([&]() -> Status {
    NIBBLE_TRY(state.require_device());
    if (bytes < 0) {
      return {Code::kInvalidArgument, "bytes = " + std::to_string(bytes) + ": must be >= 0"};
    }
    const CurrentContext current(state.driver(), state.device.context);
    NIBBLE_TRY(state.driver().check(call(state.driver()), name));
    if (!wait) return {};
    return state.driver().check(state.driver().cuStreamSynchronize(stream), "cuStreamSynchronize");
  });
}

}  // namespace

Status Context::copy_to_device(DevicePointer to, const void* from, int64_t bytes, Stream stream) {
  return on_stream(*state_, stream, "cuMemcpyHtoDAsync", bytes, true, [&](const DriverApi& driver) {
    return driver.cuMemcpyHtoDAsync(to, from, static_cast<size_t>(bytes), stream);
  });
}

Status Context::copy_to_host(void* to, DevicePointer from, int64_t bytes, Stream stream) {
  return on_stream(*state_, stream, "cuMemcpyDtoHAsync", bytes, true, [&](const DriverApi& driver) {
    return driver.cuMemcpyDtoHAsync(to, from, static_cast<size_t>(bytes), stream);
  });
}

Status Context::fill(DevicePointer to, uint8_t value, int64_t bytes, Stream stream) {
  return on_stream(*state_, stream, "cuMemsetD8Async", bytes, false, [&](const DriverApi& driver) {
    return driver.cuMemsetD8Async(to, value, static_cast<size_t>(bytes), stream);
  });
}

Status Context::synchronize(Stream stream) {
  return on_stream(*state_, stream, "cuStreamSynchronize", 0, false,
                   [&](const DriverApi& driver) { return driver.cuStreamSynchronize(stream); });
}

}  // namespace nibble
