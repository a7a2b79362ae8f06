// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tuning table as the runtime sees it: which records hold, and what launches make of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nibble/nibble.hpp>
#include <random>
#include <set>

#include "runtime/context_state.h"
#include "runtime/jit/tuning.h"
#include "tests/runtime/hot_path_counters.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr Extents kShape{4096, 1000, 0};

DeviceInfo a_gpu() {
  DeviceInfo device;
  device.name = "A GPU";
  device.available = true;
  device.multiprocessors = 132;
  device.clock_khz = 1980000;
  device.memory_clock_khz = 3201000;
  device.driver_version = 13010;
  return device;
}

std::string digest_of(const KernelSpec& spec) {
  return "digest of " + std::string(spec.family->name);
}

cache::TuningRecord record_for(const KernelSpec& asked, const KernelSpec& answer,
                               const Extents& extents = kShape) {
  cache::TuningRecord record;
  record.gpu = gpu_text(a_gpu());
  record.problem = problem_text(asked, extents);
  record.templates = digest_of(asked);
  record.config = config_text(answer);
  return record;
}

Tuning tuning_of(const std::vector<cache::TuningRecord>& records, const Arch& arch,
                 const DeviceInfo& device = a_gpu()) {
  return {records, device, arch, digest_of};
}

// Another legal configuration of the same problem; the default where there is only that.
KernelSpec other_config(const KernelSpec& spec) {
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    if (spec.family->constants[i].origin != Constant::Origin::kTuned) continue;
    for (const int value : spec.family->constants[i].values) {
      KernelSpec other = spec;
      other.values[i] = value;
      if (other != spec && is_legal(other)) return other;
    }
  }
  return spec;
}

const Family& family_named(std::string_view name) {
  for (const Family* family : all_families()) {
    if (family->name == name) return *family;
  }
  ADD_FAILURE() << name;
  return *all_families().front();
}

TEST(Tuning, SizesAreOfTheClassOfTheNearestPowerOfTwo) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto size = static_cast<int64_t>((random() >> 1) >> (random() % 62)) | 1;
    const auto expected = std::lround(std::log2(static_cast<long double>(size)));
    EXPECT_EQ(shape_class({size, 0, 0})[0], expected) << size;
  }
  // sqrt(2) 2^13 = 11585.24
  EXPECT_EQ(shape_class({11585, 11586, 1}), (ShapeClass{13, 14, 0}));
  EXPECT_EQ(shape_class({0, 2, 3}), (ShapeClass{-1, 1, 2}));
}

TEST(Tuning, LabelsOfAFamilyAreDistinctWords) {
  for (const Family* family : all_families()) {
    std::set<std::string_view> labels;
    for (const Constant& constant : family->constants) {
      EXPECT_TRUE(labels.insert(constant.label).second) << family->name << ' ' << constant.label;
      EXPECT_EQ(constant.label.find(' '), std::string_view::npos);
      for (const std::string_view name : constant.value_names) {
        EXPECT_EQ(name.find(' '), std::string_view::npos);
      }
    }
  }
}

TEST(Tuning, TextsSayWhatTheyAreOf) {
  KernelSpec spec = default_spec(family_named("quantize"), *find_arch("sm_90a"));
  const std::string problem = problem_text(spec, {16384, 12000, 0});
  EXPECT_TRUE(problem.starts_with("quantize sm_90a input=f32 ")) << problem;
  EXPECT_TRUE(problem.ends_with(" 2^14x2^14")) << problem;
  EXPECT_TRUE(config_text(spec).starts_with("threads=")) << config_text(spec);
  EXPECT_EQ(gpu_text(a_gpu()), "A GPU, 132 SMs, 1980 MHz, memory 3201 MHz, driver 13");
}

TEST(Tuning, RecordsOfEveryFamilyAndTargetAreFound) {
  int found = 0;
  for (const Family* family : all_families()) {
    for (const Arch& arch : all_archs()) {
      const KernelSpec spec = default_spec(*family, arch);
      if (find_variant(spec) == nullptr || !is_legal(spec)) continue;
      const KernelSpec answer = other_config(spec);
      const Tuning tuning = tuning_of({record_for(spec, answer)}, arch);
      EXPECT_EQ(tuning.size(), 1u) << problem_text(spec, kShape) << ": " << config_text(answer);
      EXPECT_EQ(tuning.choose(spec, kShape), answer);
      EXPECT_EQ(tuning.choose(answer, kShape), answer);
      found += answer != spec ? 1 : 0;
    }
  }
  EXPECT_GE(found, 10);
}

TEST(Tuning, OtherProblemsKeepTheirOwnChoice) {
  const Arch& arch = *find_arch("sm_90a");
  const KernelSpec spec = default_spec(family_named("quantize"), arch);
  const KernelSpec answer = other_config(spec);
  const Tuning tuning = tuning_of({record_for(spec, answer)}, arch);
  EXPECT_EQ(tuning.choose(spec, {5000, 1100, 0}), answer);  // of the same class
  EXPECT_EQ(tuning.choose(spec, {8192, 1000, 0}), spec);
  EXPECT_EQ(tuning.choose(spec, {1000, 4096, 0}), spec);
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    if (spec.family->constants[i].origin != Constant::Origin::kProblem) continue;
    KernelSpec other = spec;
    other.values[i] = spec.family->constants[i].values.back();
    if (other == spec) continue;
    EXPECT_EQ(tuning.choose(other, kShape), other);
  }
  const KernelSpec amax = default_spec(family_named("amax"), arch);
  EXPECT_EQ(tuning.choose(amax, kShape), amax);
}

TEST(Tuning, RecordsOfOtherGpusAndTemplatesDoNotHold) {
  const Arch& arch = *find_arch("sm_90a");
  const KernelSpec spec = default_spec(family_named("quantize"), arch);
  const cache::TuningRecord record = record_for(spec, other_config(spec));
  ASSERT_EQ(tuning_of({record}, arch).size(), 1u);
  std::vector<DeviceInfo> others(5, a_gpu());
  others[0].name = "A GPU PCIe";
  others[1].multiprocessors = 114;
  others[2].clock_khz = 1755000;
  others[3].memory_clock_khz = 2619000;
  others[4].driver_version = 12090;
  for (const DeviceInfo& other : others) {
    EXPECT_EQ(tuning_of({record}, arch, other).size(), 0u) << gpu_text(other);
  }
  DeviceInfo newer = a_gpu();
  newer.driver_version = 13020;
  EXPECT_EQ(tuning_of({record}, arch, newer).size(), 1u);
  EXPECT_EQ(tuning_of({record}, *find_arch("sm_100a")).size(), 0u);
  cache::TuningRecord edited = record;
  edited.templates = "another digest";
  EXPECT_EQ(tuning_of({edited}, arch).size(), 0u);
}

// A table may come from elsewhere: only words that this library would write count.
TEST(Tuning, WordsThatMeanNothingAreAMiss) {
  const Arch& arch = *find_arch("sm_90a");
  const KernelSpec spec = default_spec(family_named("quantize"), arch);
  const cache::TuningRecord good = record_for(spec, spec);
  const auto misses = [&](const std::string& problem, const std::string& config) {
    cache::TuningRecord record = good;
    record.problem = problem;
    record.config = config;
    return tuning_of({record}, arch).size() == 0;
  };
  ASSERT_FALSE(misses(good.problem, good.config));
  EXPECT_TRUE(misses(good.problem, ""));
  EXPECT_TRUE(misses(good.problem, good.config + " more=1"));
  EXPECT_TRUE(misses(good.problem, good.config + ' ' + good.config));
  EXPECT_TRUE(misses(good.problem, good.config.substr(0, good.config.rfind(' '))));
  EXPECT_TRUE(misses(good.problem, "threads=-1" + good.config.substr(good.config.find(' '))));
  EXPECT_TRUE(misses(good.problem, "threads=100000" + good.config.substr(good.config.find(' '))));
  EXPECT_TRUE(misses("", good.config));
  EXPECT_TRUE(misses("sort" + good.problem.substr(good.problem.find(' ')), good.config));
  EXPECT_TRUE(misses(good.problem + "x2^1x2^1", good.config));
  EXPECT_TRUE(misses(good.problem + "x", good.config + " "));
  EXPECT_TRUE(misses(good.problem + "x12", good.config));
  EXPECT_TRUE(misses(good.problem + "x2^999", good.config));
  // What the target has no instructions for: 32-byte loads on Hopper.
  KernelSpec wide = spec;
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    if (spec.family->constants[i].label == "vector") wide.values[i] = 32;
  }
  ASSERT_FALSE(is_legal(wide));
  EXPECT_TRUE(misses(problem_text(wide, kShape), good.config));
}

TEST(Tuning, ATrialAnswersForItsFamilyAlone) {
  const Arch& arch = *find_arch("sm_90a");
  const KernelSpec spec = default_spec(family_named("quantize"), arch);
  const KernelSpec amax = default_spec(family_named("amax"), arch);
  Tuning tuning;
  TrialState trial;
  trial.family = spec.family;
  tuning.set_trial(&trial);
  EXPECT_EQ(tuning.choose(spec, kShape), spec);
  EXPECT_EQ(trial.asked, spec);
  EXPECT_EQ(trial.extents, kShape);
  trial.answer = other_config(spec);
  EXPECT_EQ(tuning.choose(spec, kShape), trial.answer);
  EXPECT_EQ(tuning.choose(amax, kShape), amax);
  EXPECT_EQ(trial.asked, spec);
  tuning.set_trial(nullptr);
  EXPECT_EQ(tuning.choose(spec, kShape), spec);
}

// ---- Contexts

class TunedContext : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nibble-tuning-test-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::permissions(folder_, fs::perms::owner_all);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Options options_with(const std::string& device, const std::string& driver = {}) {
    Options options;
    options.device = device;
    options.driver_library = driver;
    options.emulator_library = NIBBLE_EMULATOR_LIBRARY;
    options.cache_directory = (folder_ / "cache").string();
    options.log = [this](LogLevel level, std::string_view message) {
      if (level == LogLevel::kWarning) warnings_ += std::string(message) + "\n";
    };
    return options;
  }
  static Context open(const Options& options) {
    Result<Context> context = Context::create(options);
    EXPECT_TRUE(context.ok()) << context.status().to_string();
    return std::move(context).value();
  }
  static QuantizeRequest request() {
    QuantizeRequest request;
    request.x = {1 << 20, DataType::kBf16, 64, 256};
    request.y = {2 << 20, 3 << 20, 4 << 20};
    request.amax_given = true;
    return request;
  }
  // The record that answers request() in contexts of these options with another configuration.
  cache::TuningRecord record_of_request(const Options& options) {
    Options untuned = options;
    untuned.tuning = "off";
    const Context context = open(untuned);
    TrialState trial;
    trial.family = &family_named("quantize");
    context.state().tuning.set_trial(&trial);
    Context launching = context;
    (void)QuantizePlan::create(launching, request());
    context.state().tuning.set_trial(nullptr);
    answer_ = other_config(trial.asked);
    EXPECT_NE(answer_, trial.asked);
    cache::TuningRecord record;
    record.gpu = gpu_text(context.device());
    record.problem = problem_text(trial.asked, trial.extents);
    record.templates = context.state().pool.template_digest(trial.asked);
    record.config = config_text(answer_);
    return record;
  }
  // Whether a context of these options uses the record.
  bool is_tuned(const Options& options) {
    Context context = open(options);
    const Result<Inspection> inspection = inspect(context, request());
    EXPECT_TRUE(inspection.ok()) << inspection.status().to_string();
    return inspection->label == label(answer_);
  }

  fs::path folder_;
  std::string warnings_;
  KernelSpec answer_;
};

TEST_F(TunedContext, UsesTheTableOfItsCache) {
  const Options options = options_with("emulator:sm_90a");
  const cache::TuningRecord record = record_of_request(options);
  EXPECT_FALSE(is_tuned(options));
  ASSERT_EQ(cache::record_tuning(options.cache_directory, {record}), std::nullopt);
  EXPECT_TRUE(is_tuned(options));
  Options off = options;
  off.tuning = "off";
  EXPECT_FALSE(is_tuned(off));
  Options no_cache = options;
  no_cache.cache_mode = "off";
  EXPECT_FALSE(is_tuned(no_cache));
  Options read_only = options;
  read_only.cache_mode = "readonly";
  EXPECT_TRUE(is_tuned(read_only));
  Options unknown = options;
  unknown.tuning = "maybe";
  const Status status = Context::create(unknown).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("'maybe'"), std::string::npos);
  EXPECT_EQ(warnings_, "");
}

TEST_F(TunedContext, UsesTheFileThatItIsGiven) {
  Options options = options_with("emulator:sm_90a");
  const cache::TuningRecord record = record_of_request(options);
  const fs::path table = folder_ / "shipped.tsv";
  std::ofstream(table) << cache::encode_tuning_table({record});
  options.tuning_file = table.string();
  EXPECT_TRUE(is_tuned(options));
  options.cache_mode = "off";
  EXPECT_TRUE(is_tuned(options));
  EXPECT_EQ(warnings_, "");
  // In place of the cache's, not beside it.
  options.cache_mode.clear();
  std::ofstream(table) << cache::encode_tuning_table({});
  ASSERT_EQ(cache::record_tuning(options.cache_directory, {record}), std::nullopt);
  EXPECT_FALSE(is_tuned(options));
  options.tuning_file = (folder_ / "absent.tsv").string();
  EXPECT_FALSE(is_tuned(options));
  EXPECT_NE(warnings_.find("absent.tsv"), std::string::npos) << warnings_;
}

TEST_F(TunedContext, EditedTemplatesLoseTheirRecords) {
  Options options = options_with("emulator:sm_90a");
  const fs::path templates = folder_ / "templates";
  fs::copy(fs::path(NIBBLE_SOURCE_DIR) / "templates", templates, fs::copy_options::recursive);
  options.template_directory = templates.string();
  const cache::TuningRecord record = record_of_request(options);
  ASSERT_EQ(cache::record_tuning(options.cache_directory, {record}), std::nullopt);
  EXPECT_TRUE(is_tuned(options));
  std::ofstream(templates / "params/quantize.h", std::ios::app) << "// edited\n";
  EXPECT_FALSE(is_tuned(options));
}

TEST_F(TunedContext, HotPathAllocatesNothingAndTakesNoLock) {
  const Options options = options_with("cuda:0", NIBBLE_STUB_DRIVER);
  const cache::TuningRecord record = record_of_request(options);
  ASSERT_EQ(cache::record_tuning(options.cache_directory, {record}), std::nullopt);
  Context context = open(options);
  ASSERT_EQ(context.state().tuning.size(), 1u);
  const QuantizeRequest hot = request();
  ASSERT_TRUE(quantize(context, hot).ok());
  const Result<QuantizePlan> plan = QuantizePlan::create(context, hot);
  ASSERT_TRUE(plan.ok());
  bool ok = true;
  test::HotPathCounter counter;
  for (int i = 0; i < 100; ++i) {
    ok = ok && quantize(context, hot).ok();
    ok = ok && plan->launch(hot).ok();
  }
  const test::HotPathCounts counts = counter.stop();
  EXPECT_TRUE(ok);
  EXPECT_EQ(counts.allocations, 0u);
  EXPECT_EQ(counts.locks, 0u);
}

}  // namespace
}  // namespace nibble
