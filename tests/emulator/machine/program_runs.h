// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The programs of tests/emulator/programs on a machine, with everything checked.
#pragma once

#include <array>
#include <bit>
#include <string>
#include <vector>

#include "tests/emulator/machine/machine.h"
#include "tests/emulator/programs/programs.h"

namespace nibble::emulator {

struct ProgramRun {
  std::optional<Fault> fault;
  bool is_right = false;
};

class GemmProgram {
 public:
  virtual ~GemmProgram() = default;
  virtual ProgramRun run(const std::string& text, uint64_t seed) const = 0;

  bool checks_uninitialized = true;

 protected:
  Settings settings_of(uint64_t seed) const {
    Settings settings;
    settings.check_init_fences = true;
    settings.check_tensor_fences = true;
    settings.check_tensor_waits = true;
    settings.check_uninitialized = checks_uninitialized;
    settings.seed = seed;
    settings.threads = 1;
    return settings;
  }
};

// nvfp4_gemm.ptx.
class Nvfp4Gemm : public GemmProgram {
 public:
  Nvfp4Gemm(uint32_t m, uint32_t n, uint32_t k)
      : m_(m),
        n_(n),
        k_(k),
        a_(m, k, 1),
        b_(n, k, 2),
        want_(product_of(a_.values(), b_.values(), m, n, k)) {}

  // Rows that the map of A claims beyond those that there are.
  uint32_t rows_too_many = 0;

  ProgramRun run(const std::string& text, uint64_t seed) const override {
    Machine machine("sm_100a", settings_of(seed));
    if (!machine.load(text)) return {Fault{Fault::Kind::kLaunchConfig, machine.error}, false};
    const uint64_t a = machine.buffer(a_.codes), b = machine.buffer(b_.codes);
    const uint64_t d = machine.buffer(std::vector<float>(want_.size(), -1));
    using Type = TensorMap::Type;
    using Swizzle = TensorMap::Swizzle;
    std::vector<uint64_t> parameters;
    append_map(parameters,
               matrix_map(Type::kU8, a, k_ / 2, m_ + rows_too_many, 128, 128, Swizzle::k128B));
    append_map(parameters, matrix_map(Type::kU8, b, k_ / 2, n_, 128, 128, Swizzle::k128B));
    append_map(parameters, matrix_map(Type::kF32, d, n_, m_, 32, 128, Swizzle::kNone));
    std::vector<uint8_t> scales = a_.scales;
    scales.resize(size_t{m_ + rows_too_many} * k_ / 16, 0x38);
    parameters.push_back(machine.buffer(scales));
    parameters.push_back(machine.buffer(b_.scales));
    parameters.push_back(k_ / 256);
    ProgramRun result;
    result.fault = machine.run("nvfp4_gemm", {n_ / 128, (m_ + rows_too_many) / 128, 1}, {192, 1, 1},
                               parameters, {1, 1, 1}, kShared);
    result.is_right = machine.read<float>(d, want_.size()) == want_;
    return result;
  }

 private:
  static constexpr uint32_t kShared = 3 * 36864 + 16384;
  uint32_t m_, n_, k_;
  Nvfp4Matrix a_, b_;
  std::vector<float> want_;
};

// A and B of small integers in f16, which the programs below multiply.
class F16Program : public GemmProgram {
 public:
  F16Program(uint32_t m, uint32_t n, uint32_t k)
      : m_(m), n_(n), k_(k), a_(integers(size_t{m} * k, 1)), b_(integers(size_t{n} * k, 2)) {
    want_ = product_of(a_, b_, m, n, k);
  }

 protected:
  // Boxes of 64 columns and so many rows; the launch takes the parameters.
  template <class F>
  ProgramRun run_on(Machine& machine, const std::string& text, uint32_t box_a, uint32_t box_b,
                    const F& launch) const {
    if (!machine.load(text)) return {Fault{Fault::Kind::kLaunchConfig, machine.error}, false};
    const uint64_t a = machine.buffer(halves(a_)), b = machine.buffer(halves(b_));
    const uint64_t d = machine.buffer(std::vector<float>(want_.size(), -1));
    constexpr auto kSwizzle = TensorMap::Swizzle::k128B;
    std::vector<uint64_t> parameters;
    append_map(parameters, matrix_map(TensorMap::Type::kF16, a, k_, m_, 64, box_a, kSwizzle));
    append_map(parameters, matrix_map(TensorMap::Type::kF16, b, k_, n_, 64, box_b, kSwizzle));
    for (const uint64_t value : {d, uint64_t{n_}, uint64_t{k_ / 64}}) parameters.push_back(value);
    ProgramRun result;
    result.fault = launch(parameters);
    result.is_right = machine.read<float>(d, want_.size()) == want_;
    return result;
  }

  uint32_t m_, n_, k_;

 private:
  static std::vector<double> integers(size_t count, uint32_t seed) {
    std::minstd_rand random(seed);
    std::vector<double> values(count);
    for (double& value : values) value = static_cast<int>((random() >> 8) % 9) - 4;
    return values;
  }
  static std::vector<uint16_t> halves(const std::vector<double>& values) {
    static constexpr std::array<uint16_t, 5> kCodes = {0, 0x3C00, 0x4000, 0x4200, 0x4400};
    std::vector<uint16_t> codes;
    codes.reserve(values.size());
    for (const double value : values) {
      const uint16_t code = kCodes[static_cast<size_t>(std::fabs(value))];
      codes.push_back(static_cast<uint16_t>(code | (value < 0 ? 0x8000 : 0)));
    }
    return codes;
  }
  std::vector<double> a_, b_;
  std::vector<float> want_;
};

// f16_wgmma.ptx.
class F16Gemm : public F16Program {
 public:
  using F16Program::F16Program;
  ProgramRun run(const std::string& text, uint64_t seed) const override {
    Machine machine("sm_90a", settings_of(seed));
    return run_on(machine, text, 64, 64, [&](const std::vector<uint64_t>& parameters) {
      return machine.run("f16_wgmma", {n_ / 64, m_ / 64, 1}, {160, 1, 1}, parameters, {1, 1, 1},
                         3 * 16384);
    });
  }
};

// f16_pair.ptx; 256 rows.
class F16Pair : public F16Program {
 public:
  using F16Program::F16Program;
  ProgramRun run(const std::string& text, uint64_t seed) const override {
    Machine machine("sm_100a", settings_of(seed));
    return run_on(machine, text, 128, 64, [&](const std::vector<uint64_t>& parameters) {
      return machine.run("f16_pair", {2, n_ / 128, 1}, {192, 1, 1}, parameters, {2, 1, 1},
                         3 * 24576);
    });
  }
};

}  // namespace nibble::emulator
