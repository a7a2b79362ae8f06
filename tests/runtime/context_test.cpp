// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Contexts: devices, missing and old libraries, memory, disk and compile, capture, the hot path.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nibble/nibble.hpp>
#include <thread>

#include "tests/runtime/hot_path_counters.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

class ContextTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nibble-context-test-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::permissions(folder_, fs::perms::owner_all);
    for (const char* name :
         {"NIBBLE_STUB_CAPTURING", "NIBBLE_STUB_REFUSE_MODULES", "NIBBLE_STUB_REFUSE_NEXT"})
      unsetenv(name);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Options for the stub driver with a cache of this test's own.
  Options stub_options() {
    Options options;
    options.device = "cuda:0";
    options.driver_library = NIBBLE_STUB_DRIVER;
    options.cache_directory = (folder_ / "cache").string();
    options.log = [this](LogLevel level, std::string_view message) {
      if (level == LogLevel::kWarning) warnings_ += std::string(message) + "\n";
    };
    return options;
  }
  static Context create(const Options& options) {
    Result<Context> context = Context::create(options);
    EXPECT_TRUE(context.ok()) << context.status().to_string() << "\n" << context.status().detail();
    return std::move(context).value();
  }
  static QuantizeRequest request() {
    QuantizeRequest request;
    request.x = {1 << 20, DataType::kBf16, 64, 64};
    request.y = {2 << 20, 3 << 20, 4 << 20};
    request.amax_given = true;
    return request;
  }
  static std::vector<fs::path> files_below(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file() && entry.file_size() > 1000) files.push_back(entry.path());
    }
    return files;
  }

  fs::path folder_;
  std::string warnings_;
};

TEST_F(ContextTest, DeviceStringsThatAreNone) {
  for (const char* device : {"gpu", "cuda:x", "cuda:1x", "emulator:sm_77", "none:", "none:sm_100",
                             "emulator:sm_100a:1", ":"}) {
    Options options;
    options.device = device;
    const Status status = Context::create(options).status();
    if (std::string_view(device) == "none:") {
      EXPECT_TRUE(status.ok());  // the default target
      continue;
    }
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << device << ": " << status.to_string();
  }
}

TEST_F(ContextTest, MissingLibrariesAreNamedWithTheirSetting) {
  Options options = stub_options();
  options.driver_library = "/nonexistent/libcuda.so.1";
  Status status = Context::create(options).status();
  EXPECT_EQ(status.code(), Code::kLibraryMissing);
  EXPECT_NE(status.message().find("NIBBLE_DRIVER_LIBRARY"), std::string::npos);
  EXPECT_NE(status.detail().find("/nonexistent/libcuda.so.1"), std::string::npos);

  options = stub_options();
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  Context context = create(options);  // not needed before a kernel is
  EXPECT_FALSE(context.compiler().available);
  status = quantize(context, request());
  EXPECT_EQ(status.code(), Code::kLibraryMissing);
  EXPECT_NE(status.message().find("NIBBLE_NVRTC_LIBRARY"), std::string::npos);

  options = stub_options();
  options.device = "emulator:sm_100a";
  options.emulator_library = "/nonexistent/emulator.so";
  EXPECT_EQ(Context::create(options).status().code(), Code::kLibraryMissing);
}

TEST_F(ContextTest, OldAndForeignLibrariesAreRefused) {
  Options options = stub_options();
  options.driver_library = NIBBLE_OLD_DRIVER;
  Status status = Context::create(options).status();
  EXPECT_EQ(status.code(), Code::kLibraryTooOld);
  EXPECT_NE(status.message().find("CUDA 11.4"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("cuEventElapsedTime"), std::string::npos) << status.message();

  options = stub_options();
  options.nvrtc_library = NIBBLE_STUB_DRIVER;  // a library, but not NVRTC
  Context context = create(options);
  status = quantize(context, request());
  EXPECT_EQ(status.code(), Code::kLibraryTooOld);
  EXPECT_NE(status.message().find("lacks nvrtcVersion"), std::string::npos) << status.message();
}

TEST_F(ContextTest, GpuThatIsNotThere) {
  Options options = stub_options();
  options.device = "cuda:3";
  const Status status = Context::create(options).status();
  EXPECT_EQ(status.code(), Code::kNoDevice);
  EXPECT_NE(status.message().find("GPU 3"), std::string::npos) << status.message();
}

TEST_F(ContextTest, WithoutAGpuTheEmulatorIsUsedAndSaid) {
  Options options = stub_options();
  options.device.clear();
  options.driver_library = "/nonexistent/libcuda.so.1";
  options.emulator_library = NIBBLE_EMULATOR_LIBRARY;
  Context context = create(options);
  EXPECT_TRUE(context.device().emulated);
  EXPECT_EQ(context.device().target, "sm_100a");
  EXPECT_NE(warnings_.find("emulating sm_100a"), std::string::npos) << warnings_;
}

TEST_F(ContextTest, CompileOnlyContextLaunchesNothing) {
  Options options = stub_options();
  options.device = "none:sm_120a";
  Context context = create(options);
  EXPECT_FALSE(context.device().available);
  EXPECT_EQ(quantize(context, request()).code(), Code::kNoDevice);
  EXPECT_EQ(context.allocate(16).status().code(), Code::kNoDevice);
  const Result<Inspection> inspection = inspect(context, request());
  ASSERT_TRUE(inspection.ok()) << inspection.status().to_string();
  EXPECT_EQ(inspection->target, "sm_120a");
  EXPECT_GT(inspection->resources.registers, 0);
  EXPECT_GT(inspection->cubin_bytes, 1000);
  EXPECT_EQ(inspection->key.size(), 32u);
}

TEST_F(ContextTest, MemoryThenDiskThenCompile) {
  {
    Context context = create(stub_options());
    ASSERT_TRUE(quantize(context, request()).ok());
    ASSERT_TRUE(quantize(context, request()).ok());
    const Statistics statistics = context.statistics();
    EXPECT_EQ(statistics.compiles, 1u);
    EXPECT_EQ(statistics.disk_hits, 0u);
    EXPECT_EQ(statistics.memory_hits, 1u);
    EXPECT_GT(statistics.compile_seconds, 0);
  }
  Context context = create(stub_options());
  ASSERT_TRUE(quantize(context, request()).ok());
  EXPECT_EQ(context.statistics().compiles, 0u);
  EXPECT_EQ(context.statistics().disk_hits, 1u);
}

TEST_F(ContextTest, DamagedEntryIsCompiledAgainAndHeals) {
  { ASSERT_TRUE(quantize(*std::make_unique<Context>(create(stub_options())), request()).ok()); }
  for (const fs::path& file : files_below(folder_)) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(600);
    stream.put('\x5a');
  }
  {
    Context context = create(stub_options());
    ASSERT_TRUE(quantize(context, request()).ok());
    EXPECT_EQ(context.statistics().compiles, 1u);
    EXPECT_GE(context.statistics().damaged_entries, 1u);
  }
  Context context = create(stub_options());
  ASSERT_TRUE(quantize(context, request()).ok());
  EXPECT_EQ(context.statistics().compiles, 0u);
}

TEST_F(ContextTest, WarmCacheWorksWithoutNvrtc) {
  { ASSERT_TRUE(quantize(*std::make_unique<Context>(create(stub_options())), request()).ok()); }
  Options options = stub_options();
  options.nvrtc_library = "/nonexistent/libnvrtc.so.13";
  options.cache_mode = "readonly";
  Context context = create(options);
  const Status status = quantize(context, request());
  EXPECT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(context.statistics().disk_hits, 1u);

  QuantizeRequest cold = request();
  cold.x.type = DataType::kF16;
  EXPECT_EQ(quantize(context, cold).code(), Code::kLibraryMissing);
}

TEST_F(ContextTest, CacheModes) {
  Options options = stub_options();
  options.cache_mode = "off";
  {
    Context context = create(options);
    ASSERT_TRUE(quantize(context, request()).ok());
    EXPECT_EQ(context.cache_directory(), "");
  }
  EXPECT_TRUE(!fs::exists(folder_ / "cache") || files_below(folder_ / "cache").empty());
  options.cache_mode = "readonly";
  {
    Context context = create(options);
    ASSERT_TRUE(quantize(context, request()).ok());
  }
  EXPECT_TRUE(!fs::exists(folder_ / "cache") || files_below(folder_ / "cache").empty());
  options.cache_mode = "sometimes";
  const Status status = Context::create(options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("sometimes"), std::string::npos);
}

TEST_F(ContextTest, UnusableCacheNeverFailsALaunch) {
  std::ofstream(folder_ / "cache") << "a file where the folder should be";
  Context context = create(stub_options());
  EXPECT_TRUE(quantize(context, request()).ok());
  EXPECT_EQ(std::count(warnings_.begin(), warnings_.end(), '\n'), 1) << warnings_;
}

TEST_F(ContextTest, ColdKernelDuringCaptureIsATypedError) {
  setenv("NIBBLE_STUB_CAPTURING", "1", 1);
  Context context = create(stub_options());
  const Status status = quantize(context, request());
  EXPECT_EQ(status.code(), Code::kWouldCompile) << status.to_string();
  EXPECT_EQ(context.statistics().compiles, 0u);
  unsetenv("NIBBLE_STUB_CAPTURING");
  ASSERT_TRUE(quantize(context, request()).ok());
  setenv("NIBBLE_STUB_CAPTURING", "1", 1);
  EXPECT_TRUE(quantize(context, request()).ok());  // warm: nothing to compile
}

TEST_F(ContextTest, ThreadsThatStartColdCompileOnce) {
  Context context = create(stub_options());
  std::atomic<int> failures{0};
  std::vector<std::thread> threads(16);
  for (std::thread& thread : threads) {
    thread = std::thread([&] { failures += !quantize(context, request()).ok(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(context.statistics().compiles, 1u);
}

TEST_F(ContextTest, ModuleThatTheDriverRefusesIsReportedWithItsLabel) {
  setenv("NIBBLE_STUB_REFUSE_MODULES", "1", 1);
  Context context = create(stub_options());
  const Status status = quantize(context, request());
  EXPECT_EQ(status.code(), Code::kDriverError);
  EXPECT_NE(status.message().find("quantize sm_100a"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("cuModuleLoadDataEx"), std::string::npos) << status.message();
}

TEST_F(ContextTest, CachedBinaryThatTheDriverRefusesIsMadeAnew) {
  { ASSERT_TRUE(quantize(*std::make_unique<Context>(create(stub_options())), request()).ok()); }
  // The driver of this process has loaded one module; it refuses the next.
  setenv("NIBBLE_STUB_REFUSE_NEXT", "1", 1);
  Context context = create(stub_options());
  EXPECT_TRUE(quantize(context, request()).ok());
  EXPECT_EQ(context.statistics().disk_hits, 1u);
  EXPECT_EQ(context.statistics().compiles, 1u);
  EXPECT_NE(warnings_.find("made anew"), std::string::npos) << warnings_;
}

TEST_F(ContextTest, NegativeSizesAreRefused) {
  Context context = create(stub_options());
  char byte = 0;
  EXPECT_EQ(context.copy_to_device(1, &byte, -1).code(), Code::kInvalidArgument);
  EXPECT_EQ(context.copy_to_host(&byte, 1, -1).code(), Code::kInvalidArgument);
  EXPECT_EQ(context.fill(1, 0, -1).code(), Code::kInvalidArgument);
}

TEST_F(ContextTest, TemplatesFromAFolderMakeOtherKernels) {
  Options options = stub_options();
  options.template_directory = (folder_ / "templates").string();
  fs::copy(fs::path(NIBBLE_SOURCE_DIR) / "templates", options.template_directory,
           fs::copy_options::recursive);
  Context embedded = create(stub_options());
  Context edited = create(options);
  ASSERT_TRUE(quantize(embedded, request()).ok());
  ASSERT_TRUE(quantize(edited, request()).ok());
  EXPECT_EQ(edited.statistics().compiles, 0u);  // the same texts: the same key

  std::ofstream(options.template_directory + "/quantize/quantize.cuh", std::ios::app)
      << "// edited\n";
  Context again = create(options);
  ASSERT_TRUE(quantize(again, request()).ok());
  EXPECT_EQ(again.statistics().compiles, 1u);

  std::ofstream(options.template_directory + "/quantize/quantize.cuh", std::ios::app) << "oops;\n";
  Context broken = create(options);
  const Status status = quantize(broken, request());
  EXPECT_EQ(status.code(), Code::kCompileFailed);
  EXPECT_NE(status.message().find("// quantize sm_100a"), std::string::npos) << status.message();
  EXPECT_NE(status.detail().find("quantize/quantize.cuh"), std::string::npos);
}

TEST_F(ContextTest, HotPathOfMultiplicationsToo) {
  Context context = create(stub_options());
  GemmRequest hot;
  hot.m = hot.n = hot.k = 512;
  hot.a = {.data = 0x10000, .scales = 0x100000, .amax = 0x200000};
  hot.b = {.data = 0x300000, .scales = 0x400000, .amax = 0x200100};
  hot.d = {.data = 0x500000};
  const Result<GemmPlan> plan = GemmPlan::create(context, hot);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const Status first = gemm(context, hot);
  ASSERT_TRUE(first.ok()) << first.to_string();
  bool ok = true;
  test::HotPathCounter counter;
  for (int i = 0; i < 1000; ++i) {
    ok = ok && gemm(context, hot).ok();
    ok = ok && plan->launch(hot).ok();
  }
  const test::HotPathCounts counts = counter.stop();
  EXPECT_TRUE(ok);
  EXPECT_EQ(counts.allocations, 0u);
  EXPECT_EQ(counts.locks, 0u);
}

TEST_F(ContextTest, HotPathOfBatchesToo) {
  Context context = create(stub_options());
  QuantizeRequest other = request();
  other.amax_given = false;
  other.copies = Copies::kBoth;
  other.y_transposed = other.y;
  other.transposed_transform.enabled = true;
  const QuantizeRequest requests[] = {request(), other};
  const Result<Batch> batch = Batch::quantize(context, requests);
  ASSERT_TRUE(batch.ok()) << batch.status().to_string();
  EXPECT_EQ(batch->kernels(), 3);  // one finds amaxes
  bool ok = true;
  test::HotPathCounter counter;
  for (int i = 0; i < 1000; ++i) ok = ok && batch->launch().ok();
  const test::HotPathCounts counts = counter.stop();
  EXPECT_TRUE(ok);
  EXPECT_EQ(counts.allocations, 0u);
  EXPECT_EQ(counts.locks, 0u);
}

TEST_F(ContextTest, HotPathAllocatesNothingAndTakesNoLock) {
  Context context = create(stub_options());
  const Result<QuantizePlan> plan = QuantizePlan::create(context, request());
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(quantize(context, request()).ok());
  const QuantizeRequest hot = request();
  bool ok = true;
  test::HotPathCounter counter;
  for (int i = 0; i < 1000; ++i) {
    ok = ok && quantize(context, hot).ok();
    ok = ok && plan->launch(hot).ok();
  }
  const test::HotPathCounts counts = counter.stop();
  EXPECT_TRUE(ok);
  EXPECT_EQ(counts.allocations, 0u);
  EXPECT_EQ(counts.locks, 0u);
}

TEST(HotPathCounter, Counts) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  test::HotPathCounter counter;
  const std::string text(1000, 'x');
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  const test::HotPathCounts counts = counter.stop();
  EXPECT_EQ(counts.allocations, 1u) << text;
  EXPECT_EQ(counts.locks, 1u);
}

TEST_F(ContextTest, BuffersAndCopies) {
  Context context = create(stub_options());
  EXPECT_EQ(context.allocate(0).status().code(), Code::kInvalidArgument);
  Result<Buffer> buffer = context.allocate(100);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(buffer->size(), 100);
  Buffer moved = std::move(*buffer);
  EXPECT_NE(moved.address(), 0u);
  EXPECT_EQ(buffer->address(), 0u);
  const std::string text = "bytes";
  char back[6] = {};
  EXPECT_TRUE(context.copy_to_device(moved.address(), text.data(), 5).ok());
  EXPECT_TRUE(context.copy_to_host(back, moved.address(), 5).ok());
  EXPECT_EQ(text, back);
}

}  // namespace
}  // namespace nibble
