// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrix multiplications and the tuning table: records that are taken, and those that are not.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nibble/nibble.hpp>

#include "runtime/context_state.h"
#include "runtime/families/gemm_spec.h"
#include "runtime/jit/tuning.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

GemmRequest request_of(int64_t m, int64_t n, int64_t k) {
  GemmRequest request;
  request.m = m;
  request.n = n;
  request.k = k;
  return request;
}

// Requests of the class of 1024 x 4096 x 2048 unless said otherwise.
class GemmTuning : public testing::Test {
 protected:
  void SetUp() override {
    file_ = fs::temp_directory_path() / ("nibble-gemm-tuning-" + std::to_string(getpid()));
    // What the model takes.
    model_ = spec_in(open("off"), request());
  }
  void TearDown() override { fs::remove(file_); }

  static GemmRequest request() { return request_of(1024, 4096, 2048); }
  Context open(const char* tuning) const {
    Options options;
    options.device = "emulator:sm_100a";
    options.emulator_library = NIBBLE_EMULATOR_LIBRARY;
    options.cache_mode = "off";
    options.tuning = tuning;
    options.tuning_file = file_.string();
    options.log = [](LogLevel, std::string_view) {};
    Result<Context> context = Context::create(options);
    EXPECT_TRUE(context.ok()) << context.status().to_string();
    return std::move(context).value();
  }
  // By a trial, which is asked in the table's place.
  static KernelSpec spec_in(Context context, const GemmRequest& request) {
    TrialState trial;
    trial.family = &kGemmFamily;
    context.state().tuning.set_trial(&trial);
    EXPECT_TRUE(inspect(context, request).ok());
    context.state().tuning.set_trial(nullptr);
    EXPECT_EQ(trial.extents, (Extents{request.m, request.n, request.k}));
    return trial.asked;
  }
  // With a table of one record, for the class of `sizes`.
  Context with_record(const KernelSpec& answer, const Extents& sizes) const {
    const Context untuned = open("off");
    cache::TuningRecord record;
    record.gpu = gpu_text(untuned.device());
    record.problem = problem_text(model_, sizes);
    record.templates = untuned.state().pool.template_digest(model_);
    record.config = config_text(answer);
    std::ofstream(file_) << cache::encode_tuning_table({record});
    Context context = open("on");
    EXPECT_EQ(context.state().tuning.size(), 1u) << record.config;
    return context;
  }
  static std::string label_in(Context context, const GemmRequest& asked) {
    const Result<Inspection> inspection = inspect(context, asked);
    EXPECT_TRUE(inspection.ok()) << inspection.status().to_string();
    return inspection.ok() ? inspection->label : "";
  }
  std::string label_with(const KernelSpec& answer, const GemmRequest& asked) const {
    return label_in(with_record(answer, {1024, 4096, 2048}), asked);
  }

  fs::path file_;
  KernelSpec model_;
};

TEST_F(GemmTuning, ARecordIsTakenForItsClassOfSizes) {
  KernelSpec answer = model_;
  answer.values[kGemmStages] = 2;
  answer.values[kGemmRaster] = answer.values[kGemmRaster] == 4 ? 2 : 4;
  ASSERT_NE(answer, model_);
  EXPECT_EQ(label_with(answer, request()), label(answer));
  EXPECT_EQ(label_with(answer, request_of(1000, 4000, 2048)), label(answer));
  EXPECT_NE(label_with(answer, request_of(2048, 4096, 2048)), label(answer));
}

TEST_F(GemmTuning, WhatIsAskedForCountsMore) {
  KernelSpec answer = model_;
  answer.values[kGemmStages] = 2;
  GemmRequest asking = request();
  asking.config.stages = 3;
  EXPECT_NE(label_with(answer, asking).find(" stages=3 "), std::string::npos);
}

// A split k sums in another order.
TEST_F(GemmTuning, ARecordThatWouldChangeBitsIsNot) {
  ASSERT_EQ(model_.values[kGemmSplit], 1);
  KernelSpec answer = model_;
  answer.values[kGemmSplit] = 2;
  answer.values[kGemmScheduler] = 0;
  GemmRequest asking = request();
  asking.workspace = 1 << 20;
  asking.workspace_bytes = int64_t{1} << 30;
  EXPECT_EQ(label_with(answer, asking), label(model_));
}

// Sizes of one class are not all alike: a tile of 16 columns must hold all of them.
TEST_F(GemmTuning, ARecordThatIsIllegalForTheseSizesIsNot) {
  const GemmRequest narrow = request_of(16, 16, 2048);
  model_ = spec_in(open("off"), narrow);
  KernelSpec answer = model_;
  answer.values[kGemmTileN] = 16;
  answer.values[kGemmCtaGroup] = answer.values[kGemmClusterM] = 1;
  answer.values[kGemmClusterN] = 1;
  answer.values[kGemmEpilogueColumns] = 16;
  answer.values[kGemmStages] = 3;
  ASSERT_TRUE(is_legal(answer)) << label(answer);
  const Context context = with_record(answer, {16, 16, 2048});
  EXPECT_EQ(label_in(context, narrow), label(answer));
  const GemmRequest wider = request_of(20, 20, 2048);  // also of the class of 16
  EXPECT_EQ(label_in(context, wider), label(spec_in(open("off"), wider)));
}

}  // namespace
}  // namespace nibble
