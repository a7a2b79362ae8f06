// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tuner on emulated GPUs: real kernels, and kernels that were made wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "autotune/candidates.h"
#include "autotune/device_machine.h"
#include "runtime/context_state.h"

namespace nibble::autotune {
namespace {

namespace fs = std::filesystem;

Options emulator_options(const char* target = "sm_90a") {
  Options options = Options::from_environment();
  options.device = std::string("emulator:") + target;
  options.emulator_library = NIBBLE_EMULATOR_LIBRARY;
  options.tuning = "off";
  return options;
}

Context open(const Options& options) {
  Result<Context> context = Context::create(options);
  EXPECT_TRUE(context.ok()) << context.status().to_string();
  return std::move(context).value();
}

std::unique_ptr<DeviceMachine> machine_for(const Context& context, const Problem& problem) {
  auto machine = DeviceMachine::create(context, problem);
  EXPECT_TRUE(machine.ok()) << machine.status().to_string() << "\n" << machine.status().detail();
  return std::move(machine).value();
}

Report tuned(DeviceMachine& machine, size_t most) {
  Limits limits;
  limits.budget = 300;
  const auto report = tune(machine, candidates(machine.chosen(), most, 1), limits, {});
  EXPECT_TRUE(report.ok()) << report.status().to_string();
  return *report;
}

void expect_all_right(const Context& context, const Problem& problem, size_t most) {
  const auto machine = machine_for(context, problem);
  EXPECT_FALSE(machine->has_times());
  const Report report = tuned(*machine, most);
  EXPECT_FALSE(report.timed);
  EXPECT_GE(report.outcomes.size(), std::min<size_t>(most, 3));
  for (const Outcome& outcome : report.outcomes) {
    EXPECT_EQ(outcome.verdict, Verdict::kRight) << label(outcome.spec) << ": " << outcome.reason;
  }
}

TEST(DeviceMachine, CandidatesOfEveryFamilyGiveTheTrustedBytes) {
  for (const char* target : {"sm_90a", "sm_100a"}) {
    const Context context = open(emulator_options(target));
    for (const char* family : {"amax", "amax_rows", "quantize", "dequantize"}) {
      for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBf16}) {
        expect_all_right(context, {family, 37, 200, type, ScaleLayout::k128x4}, 4);
      }
    }
    for (const ScaleLayout layout : {ScaleLayout::kRowMajor, ScaleLayout::k128x4}) {
      expect_all_right(context, {"scale_layout", 200, 80, {}, layout}, 4);
    }
  }
}

TEST(DeviceMachine, CandidatesOfHadamardTransformsGiveTheTrustedBytes) {
  const Context context = open(emulator_options());
  expect_all_right(context, {"hadamard", 16, 512, DataType::kBf16, {}, 16}, 12);
  expect_all_right(context, {"hadamard", 5, 4096, DataType::kBf16, {}, 2048}, 24);
  expect_all_right(context, {"hadamard", 3, 3072, DataType::kF32, {}, 3072}, 12);
  expect_all_right(context, {"hadamard_columns", 64, 512, DataType::kBf16, {}, 16}, 12);
}

TEST(DeviceMachine, EveryWayToQuantizeCanBeTuned) {
  const Context context = open(emulator_options());
  const Problem rows{"quantize", 40, 300, DataType::kBf16, {}};
  std::vector<Problem> problems(8, rows);
  problems[0].format = QuantizedFormat::kMxfp4;
  problems[1].format = QuantizedFormat::kMxfp8;
  problems[2].rounding = Rounding::kStochastic;
  problems[3].copies = Copies::kBoth;
  problems[3].transform = true;
  problems[4].copies = Copies::kTransposed;
  problems[5].blocks = BlockShape::kSquare;
  problems[6].scaling = BlockScaling::kFourOverSix;
  problems[7].transform = true;
  problems[7].columns = 320;
  problems[7].size = 64;
  for (const Problem& problem : problems) expect_all_right(context, problem, 4);
  // What makes no sense is refused by the library, by name.
  Problem square = problems[5];
  square.format = QuantizedFormat::kMxfp4;
  EXPECT_EQ(DeviceMachine::create(context, square).status().code(), Code::kInvalidArgument);
  Problem dequantize{"dequantize", 40, 320, DataType::kBf16, ScaleLayout::kRowMajor};
  dequantize.format = QuantizedFormat::kMxfp8;
  expect_all_right(context, dequantize, 1);
  dequantize.format = QuantizedFormat::kNvfp4;
  dequantize.scaling = BlockScaling::kFourOverSix;
  expect_all_right(context, dequantize, 1);
}

// That a candidate's own kernel runs: each is in the pool's memory once it was launched.
TEST(DeviceMachine, LaunchesUseTheCandidate) {
  const Context context = open(emulator_options());
  const auto machine = machine_for(context, {"quantize", 64, 256, DataType::kBf16, {}});
  for (const KernelSpec& spec : candidates(machine->chosen(), 1, 1)) {
    ASSERT_TRUE(machine->prepare({&spec, 1}).front().ok());
    const Statistics before = context.statistics();
    ASSERT_TRUE(machine->outputs(spec, 0xA5).ok());
    const Statistics after = context.statistics();
    EXPECT_EQ(after.memory_hits, before.memory_hits + 1);
    EXPECT_EQ(after.compiles + after.disk_hits, before.compiles + before.disk_hits);
  }
}

TEST(DeviceMachine, TheRecordNamesTheProblemAndTheCandidate) {
  const Context context = open(emulator_options());
  const auto machine = machine_for(context, {"quantize", 64, 256, DataType::kBf16, {}});
  const cache::TuningRecord record = machine->record(machine->chosen());
  EXPECT_TRUE(record.problem.starts_with("quantize sm_90a input=bf16")) << record.problem;
  EXPECT_TRUE(record.problem.ends_with(" 2^6x2^8")) << record.problem;
  EXPECT_EQ(record.config, config_text(machine->chosen()));
  EXPECT_EQ(record.templates.size(), 32u);
  EXPECT_NE(record.gpu.find("SMs"), std::string::npos);
}

// Configurations that the sizes rule out fail with the rule; the others give the same bytes.
TEST(DeviceMachine, MultiplicationsAreChecked) {
  const Context context = open(emulator_options("sm_100a"));
  Problem problem{"gemm", 130, 72, DataType::kBf16, {}};
  problem.depth = 96;
  const auto machine = machine_for(context, problem);
  const Report report = tuned(*machine, 1);
  int right = 0;
  for (const Outcome& outcome : report.outcomes) {
    right += outcome.verdict == Verdict::kRight ? 1 : 0;
    if (outcome.verdict == Verdict::kRight) continue;
    EXPECT_EQ(outcome.verdict, Verdict::kFailed) << label(outcome.spec) << ": " << outcome.reason;
    EXPECT_TRUE(outcome.reason.starts_with("invalid argument: ")) << outcome.reason;
  }
  EXPECT_GE(right, 5);
}

TEST(DeviceMachine, WhatCannotBeTunedIsNamed) {
  const Context context = open(emulator_options());
  const Status none = DeviceMachine::create(context, {"sort", 64, 64, {}, {}}).status();
  EXPECT_EQ(none.code(), Code::kInvalidArgument);
  EXPECT_NE(none.message().find("'sort'"), std::string::npos);
  const Status batch = DeviceMachine::create(context, {"amax_batch", 64, 64, {}, {}}).status();
  EXPECT_EQ(batch.code(), Code::kInvalidArgument);
  EXPECT_NE(batch.message().find("amax, amax_rows, quantize"), std::string::npos);
  Problem flat{"gemm", 64, 64, {}, {}};
  EXPECT_NE(DeviceMachine::create(context, flat).status().message().find("depth = 0"),
            std::string::npos);
  flat.depth = 64;  // no tensor cores for it
  EXPECT_EQ(DeviceMachine::create(context, flat).status().code(), Code::kUnsupported);
  Problem deep{"amax", 64, 64, {}, {}};
  deep.depth = 4;
  EXPECT_NE(DeviceMachine::create(context, deep).status().message().find("depth = 4"),
            std::string::npos);
  Options compiling = emulator_options();
  compiling.device = "none:sm_90a";
  EXPECT_EQ(DeviceMachine::create(open(compiling), {"amax", 4, 4, {}, {}}).status().code(),
            Code::kNoDevice);
}

// A folder of templates in which amax is replaced by `body`, a kernel that need not be right: what
// counts is what the tuner makes of kernels that differ.
class WrongTemplates : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nibble-wrong-templates-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::copy(fs::path(NIBBLE_SOURCE_DIR) / "templates", folder_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Of 16 x 64 numbers, by one thread.
  const std::string right_ =
      "if (threadIdx.x != 0 || blockIdx.x != 0 || blockIdx.y != 0) return;\n"
      "*params.amax = 0.0f;\n"
      "for (int i = 0; i < 1024; ++i)\n"
      "  *params.amax = fmaxf(*params.amax, fabsf(static_cast<const float*>(params.x)[i]));\n";

  Context with_amax(const std::string& body) {
    std::ofstream(folder_ / "quantize/amax.cuh")
        << "#pragma once\n#include \"params/quantize.h\"\nnamespace nibble {\n"
           "template <class Config>\n__device__ void amax(const AmaxParams& params) {\n"
        << body << "\n}\n}  // namespace nibble\n";
    Options options = emulator_options();
    options.template_directory = folder_.string();
    options.cache_directory.clear();
    options.cache_mode = "off";
    return open(options);
  }
  static Report report_for(const Context& context) {
    const auto machine = machine_for(context, {"amax", 16, 64, DataType::kF32, {}});
    return tuned(*machine, 1);
  }
  // The places of the tuned constants that a candidate and the default do not agree in.
  static int value_of(const KernelSpec& spec, std::string_view label) {
    for (size_t i = 0; i < spec.family->constants.size(); ++i) {
      if (spec.family->constants[i].label == label) return spec.values[i];
    }
    ADD_FAILURE() << "amax has no constant " << label;
    return 0;
  }

  fs::path folder_;
};

TEST_F(WrongTemplates, OtherBytesAreRejected) {
  const Context context = with_amax(right_ + "if (Config::kThreads == 128) *params.amax = 1.0f;");
  int wrong = 0;
  for (const Outcome& outcome : report_for(context).outcomes) {
    const bool expected = value_of(outcome.spec, "threads") == 128;
    EXPECT_EQ(outcome.verdict, expected ? Verdict::kWrong : Verdict::kRight) << label(outcome.spec);
    wrong += expected ? 1 : 0;
  }
  EXPECT_GT(wrong, 0);
}

TEST_F(WrongTemplates, WhatAllCandidatesGetWrongIsAFailure) {
  const Context context = with_amax(right_ + "*params.amax = 1.0f;");
  const auto machine = machine_for(context, {"amax", 16, 64, DataType::kF32, {}});
  const Status status = tune(*machine, candidates(machine->chosen(), 1, 1), {}, {}).status();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("trusted kernel's"), std::string::npos) << status.message();
}

TEST_F(WrongTemplates, WritesBesideTheOutputAreRejected) {
  const Context context = with_amax(right_ + "if (Config::kThreads == 128) params.amax[1] = 2.0f;");
  for (const Outcome& outcome : report_for(context).outcomes) {
    if (value_of(outcome.spec, "threads") != 128) continue;
    EXPECT_EQ(outcome.verdict, Verdict::kWrong);
    EXPECT_EQ(outcome.reason, "it writes beside its output");
  }
}

TEST_F(WrongTemplates, WhatDoesNotCompileIsReported) {
  const Context context =
      with_amax("static_assert(Config::kThreads != 128, \"kThreads: not 128\");\n" + right_);
  int failed = 0;
  for (const Outcome& outcome : report_for(context).outcomes) {
    if (value_of(outcome.spec, "threads") != 128) continue;
    EXPECT_EQ(outcome.verdict, Verdict::kFailed);
    EXPECT_NE(outcome.reason.find("compile"), std::string::npos) << outcome.reason;
    ++failed;
  }
  EXPECT_GT(failed, 0);
}

}  // namespace
}  // namespace nibble::autotune
