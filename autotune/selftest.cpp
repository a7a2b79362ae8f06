// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/selftest.h"

#include "autotune/candidates.h"
#include "autotune/device_machine.h"
#include "runtime/result.h"

namespace nibble::autotune {

namespace {

constexpr DataType kTypes[] = {DataType::kBf16, DataType::kF16, DataType::kF32};
constexpr ScaleLayout kLayouts[] = {ScaleLayout::k128x4, ScaleLayout::kRowMajor};
constexpr QuantizedFormat kFormats[] = {QuantizedFormat::kNvfp4, QuantizedFormat::kMxfp4,
                                        QuantizedFormat::kMxfp8};

class Problems {
 public:
  explicit Problems(bool emulated) : emulated_(emulated) {}

  std::vector<Problem> all() {
    for (const char* family : {"amax", "amax_rows"}) {
      for (int i = 0; i < 6; ++i) add({.family = family});
    }
    quantisations();
    for (const QuantizedFormat format : kFormats) {
      for (int i = 0; i < 6; ++i) add({.family = "dequantize", .format = format});
    }
    add({.family = "dequantize", .scaling = BlockScaling::kFourOverSix});
    for (int i = 0; i < 4; ++i) add({.family = "scale_layout"});
    transforms();
    multiplications();
    return std::move(problems_);
  }

 private:
  // Types change with each problem, layouts with every third; shapes are ragged, every other one
  // unaligned; some are large.
  void add(Problem problem) {
    const size_t turn = problems_.size();
    problem.type = kTypes[turn % 3];
    problem.layout = kLayouts[turn / 3 % 2];
    if (problem.rows == 0) {
      const bool large = !emulated_ && turn % 5 == 0;
      problem.rows = large ? 4096 : 261;
      problem.columns = large ? 5120 : turn % 2 == 0 ? 1000 : 513;
    }
    problems_.push_back(problem);
  }

  void quantisations() {
    for (const Copies copies : {Copies::kRowWise, Copies::kTransposed, Copies::kBoth}) {
      for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        Problem problem{.copies = copies, .rounding = rounding};
        for (const QuantizedFormat format : kFormats) {
          problem.format = format;
          for (const bool transform : {false, true}) {
            problem.transform = transform;
            add(problem);
          }
        }
        problem = {.copies = copies, .rounding = rounding};
        problem.scaling = BlockScaling::kFourOverSix;
        add(problem);
        problem.blocks = BlockShape::kSquare;
        add(problem);
        problem.scaling = BlockScaling::kLargest;
        add(problem);
      }
      for (const int64_t size : {32, 64, 128}) {  // whole groups
        add({.rows = 256, .columns = 1152, .size = size, .copies = copies, .transform = true});
      }
    }
  }

  void transforms() {
    for (const int64_t size :
         {2, 16, 64, 128, 256, 1024, 4096, 8192, 32768, 12, 40, 224, 5120, 28672}) {
      if (emulated_ && size > 1024) continue;
      const int64_t groups = size < 1024 ? 3 : 1;
      add({.family = "hadamard",
           .rows = emulated_ ? 5 : 100,
           .columns = groups * size,
           .size = size});
    }
    for (const int64_t size : {2, 4, 8, 16, 32, 64, 128}) {
      add({.family = "hadamard_columns", .rows = 2 * size, .columns = 515, .size = size});
    }
  }

  void multiplications() {
    add({.family = "gemm", .rows = 130, .columns = 72, .depth = 320});
    add({.family = "gemm", .rows = 1, .columns = 264, .depth = 512});
    add({.family = "gemm", .rows = 300, .columns = 520, .depth = 1024});
    if (emulated_) return;
    add({.family = "gemm", .rows = 4096, .columns = 4096, .depth = 4096});
    add({.family = "gemm", .rows = 16, .columns = 8192, .depth = 8192});
    add({.family = "gemm", .rows = 1000, .columns = 5120, .depth = 2048});
  }

  bool emulated_;
  std::vector<Problem> problems_;
};

Outcome check(DeviceMachine& machine, const KernelSpec& spec, const Outputs& right,
              uint8_t poison) {
  Outcome outcome{.spec = spec, .verdict = Verdict::kRight, .reason = {}, .seconds = {}};
  const Status ready = machine.prepare({&spec, 1}).front();
  if (ready.ok()) {
    run_right(machine, right, poison, &outcome);
  } else {
    outcome.verdict = Verdict::kFailed;
    outcome.reason = ready.to_string();
  }
  return outcome;
}

}  // namespace

std::vector<Problem> selftest_problems(const DeviceInfo& device) {
  return Problems(device.emulated).all();
}

Result<Checked> check_problem(const Context& context, const Problem& problem, size_t most,
                              uint64_t seed) {
  return guarded([&]() -> Result<Checked> {
    NIBBLE_TRY_ASSIGN(const std::unique_ptr<DeviceMachine> machine,
                      DeviceMachine::create(context, problem));
    NIBBLE_TRY_ASSIGN(const Outputs right, right_outputs(*machine));
    Checked checked{machine->record(machine->chosen()).problem, {}};
    std::vector<KernelSpec> specs = candidates(machine->chosen(), most, seed);
    if (specs.size() > most) specs.resize(std::max<size_t>(most, 1));
    for (const KernelSpec& spec : specs) {
      checked.outcomes.push_back(
          check(*machine, spec, right, kPoisons[checked.outcomes.size() % 2]));
    }
    return checked;
  });
}

}  // namespace nibble::autotune
