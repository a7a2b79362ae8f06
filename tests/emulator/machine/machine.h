// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// PTX text to results, for the tests of the machine: a device with memory, buffers, a launch.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator {

class Machine {
 public:
  explicit Machine(std::string_view target = "sm_90a", Settings settings = {})
      : model(*find_model(target)),
        memory(1ull << 30, settings.check_uninitialized),
        settings(settings) {}

  // The body of `.entry test` with the given declarations before it, loaded.
  bool load(const std::string& text) {
    ParseError parse_error;
    const auto module = parse_ptx(text, parse_error);
    if (!module) {
      error = "line " + std::to_string(parse_error.line) + ": " + parse_error.message;
      return false;
    }
    program = Program::load(*module, model, memory, error);
    return program != nullptr;
  }

  template <class T>
  uint64_t buffer(const std::vector<T>& values) {
    const uint64_t address = memory.allocate(values.size() * sizeof(T), 256, "buffer");
    std::memcpy(reinterpret_cast<void*>(address), values.data(), values.size() * sizeof(T));
    memory.mark_written(address, values.size() * sizeof(T));
    return address;
  }

  template <class T>
  std::vector<T> read(uint64_t address, size_t count) const {
    std::vector<T> values(count);
    std::memcpy(values.data(), reinterpret_cast<const void*>(address), count * sizeof(T));
    return values;
  }

  // Runs the kernel `name` with 64-bit parameters.
  std::optional<Fault> run(const std::string& name, Dim3 grid, Dim3 block,
                           std::vector<uint64_t> parameters, Dim3 cluster = {1, 1, 1},
                           uint32_t dynamic_shared = 0, bool cooperative = false) {
    Launch launch;
    launch.program = program.get();
    launch.kernel = program->find_kernel(name);
    EXPECT_NE(launch.kernel, nullptr);
    launch.grid = grid;
    launch.block = block;
    launch.cluster = cluster;
    launch.dynamic_shared = dynamic_shared;
    launch.cooperative = cooperative;
    launch.parameters = std::as_bytes(std::span(parameters));
    return emulator::run(launch, model, memory, settings);
  }

  const DeviceModel& model;
  GlobalMemory memory;
  Settings settings;
  std::unique_ptr<Program> program;
  std::string error;
};

// A module of one kernel `test(u64 a, u64 b)`: registers %r, %rd, %f, %p are declared, %rd1 = a,
// %rd2 = b, %r1 = thread's x in the grid. The body's first line is line kBodyLine of the text.
constexpr uint32_t kBodyLine = 17;
inline std::string kernel(const std::string& body, const std::string& before = "",
                          const std::string& target = "sm_90a") {
  return ".version 8.7\n.target " + target + "\n.address_size 64\n" + before + "\n" + R"(
.visible .entry test(.param .u64 a, .param .u64 b)
{
.reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .b64 %rd<40>; .reg .b128 %q<4>;
.reg .f32 %f<20>; .reg .f64 %fd<9>;
ld.param.u64 %rd1, [a];
ld.param.u64 %rd2, [b];
mov.u32 %r2, %ctaid.x;
mov.u32 %r3, %ntid.x;
mov.u32 %r4, %tid.x;
mad.lo.u32 %r1, %r2, %r3, %r4;

)" + body +
         "\n}\n";
}

}  // namespace nibble::emulator
