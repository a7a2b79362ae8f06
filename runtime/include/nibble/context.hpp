// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The object an engine holds: a device, the compiler, the kernels made so far and their cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

enum class LogLevel { kDebug, kInfo, kWarning };

// Every setting, with the environment variable that sets it in from_environment().
struct Options {
  // NIBBLE_DEVICE. "cuda:N": GPU N. "emulator:sm_100a": that GPU on this CPU. "none:sm_100a":
  // compile only, nothing is launched. Empty: GPU 0, else the emulator as sm_100a with a warning.
  std::string device;
  // Paths of shared libraries; empty: searched for (README.md says where).
  std::string driver_library;    // NIBBLE_DRIVER_LIBRARY
  std::string nvrtc_library;     // NIBBLE_NVRTC_LIBRARY
  std::string emulator_library;  // NIBBLE_EMULATOR_LIBRARY
  // NIBBLE_TEMPLATE_DIR: read templates from this folder instead of the library (for their
  // authors).
  std::string template_directory;
  // NIBBLE_CACHE_DIR; empty: $XDG_CACHE_HOME/nibble, else ~/.cache/nibble, else memory only.
  std::string cache_directory;
  // NIBBLE_CACHE: "readwrite" (default), "readonly" or "off".
  std::string cache_mode;
  // NIBBLE_TUNING: "on" (default), or "off": configurations by the families' rules alone.
  std::string tuning;
  // NIBBLE_TUNING_FILE: the absolute path of a tuning table to read in place of the one in the
  // cache directory. Never written.
  std::string tuning_file;
  // Receives every message; null: warnings to stderr. Called from any thread.
  std::function<void(LogLevel, std::string_view)> log;

  static Options from_environment();
};

struct DeviceInfo {
  std::string name;    // "NVIDIA H200", "nibble emulator (sm_100a)"; empty: compile only
  std::string target;  // "sm_100a": what kernels are compiled for
  bool emulated = false;
  bool available = false;  // false: compile only
  int ordinal = 0;
  int multiprocessors = 0;
  int clock_khz = 0;             // the highest of the multiprocessors
  int memory_clock_khz = 0;      // the highest
  int64_t shared_per_block = 0;  // bytes, opt-in limit
  int64_t l2_bytes = 0;
  int64_t memory_bytes = 0;
  int driver_version = 0;      // 13000 is 13.0
  std::string driver_library;  // the path or name that was loaded
};

struct CompilerInfo {
  bool available = false;
  int major = 0, minor = 0;
  std::string library;   // path
  std::string identity;  // what of it goes into cache keys
  std::string problem;   // why it is not available
};

// Counts since the context was created.
struct Statistics {
  uint64_t memory_hits = 0;
  uint64_t disk_hits = 0;
  uint64_t compiles = 0;
  uint64_t compile_failures = 0;
  uint64_t damaged_entries = 0;
  uint64_t failed_writes = 0;
  double compile_seconds = 0;
};

class Context;

// Device memory, freed on destruction. Movable. Must not outlive the process's driver.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  DevicePointer address() const { return address_; }
  int64_t size() const { return size_; }  // bytes

 private:
  friend class Context;
  struct Owner;
  std::shared_ptr<Owner> owner_;
  DevicePointer address_ = 0;
  int64_t size_ = 0;
};

struct ContextState;  // private to the library

// A handle; copies share one state. All members are safe from any thread.
// The device's primary CUDA context is used; it is made current on threads that have none.
class Context {
 public:
  static Result<Context> create(const Options& options = Options::from_environment());

  const DeviceInfo& device() const;
  const CompilerInfo& compiler() const;  // loads NVRTC on first use
  Statistics statistics() const;
  std::string cache_directory() const;  // empty: memory only

  // Conveniences for programs without their own device memory. Copies wait for the stream.
  Result<Buffer> allocate(int64_t bytes);
  Status copy_to_device(DevicePointer to, const void* from, int64_t bytes, Stream stream = nullptr);
  Status copy_to_host(void* to, DevicePointer from, int64_t bytes, Stream stream = nullptr);
  Status fill(DevicePointer to, uint8_t value, int64_t bytes, Stream stream = nullptr);
  Status synchronize(Stream stream = nullptr);

  ContextState& state() const { return *state_; }

 private:
  explicit Context(std::shared_ptr<ContextState> state) : state_(std::move(state)) {}
  std::shared_ptr<ContextState> state_;
};

}  // namespace nibble
