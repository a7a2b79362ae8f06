// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Families whose kernels take dynamic shared memory, and families that have no kernel for a target.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "nibble/context.hpp"
#include "runtime/context_state.h"
#include "runtime/driver/current_context.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;
using Origin = Constant::Origin;

// Writes thread i's number to the last word of its part of shared memory, and thread i + 1's to
// the output.
constexpr const char* kTemplate = R"(
namespace nibble {
struct MirrorParams { int* output; };
template <class Config>
__device__ void mirror(const MirrorParams& params) {
  extern __shared__ int words[];
  constexpr int kPart = Config::kKibibytes * 256 / Config::kThreads;
  words[threadIdx.x * kPart + kPart - 1] = threadIdx.x;
  __syncthreads();
  const int next = (threadIdx.x + 1) % Config::kThreads;
  params.output[threadIdx.x] = words[next * kPart + kPart - 1];
}
}
)";

constexpr int kThreadChoices[] = {64};
constexpr int kKibibyteChoices[] = {0, 16, 100, 227, 228};
constexpr Constant kConstants[] = {
    {"kThreads", "threads", "threads", Origin::kTuned, kThreadChoices, {}},
    {"kKibibytes", "kibibytes", "of shared memory", Origin::kTuned, kKibibyteChoices, {}}};
constexpr Variant kVariants[] = {{"mirror.cuh", kTcgen05}};
int dynamic_shared(const KernelSpec& spec) { return spec.values[1] * 1024; }
const Family kFamily{"mirror", "MirrorParams", kConstants, kVariants, dynamic_shared};

class DynamicShared : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nibble-dynamic-shared-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    std::ofstream(folder_ / "mirror.cuh") << kTemplate;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Context create(const std::string& device) {
    Options options;
    options.device = device;
    options.emulator_library = NIBBLE_EMULATOR_LIBRARY;
    options.template_directory = folder_.string();
    options.cache_mode = "off";
    Result<Context> context = Context::create(options);
    EXPECT_TRUE(context.ok()) << context.status().to_string();
    return std::move(context).value();
  }
  static KernelSpec spec(const Context& context, int kibibytes) {
    KernelSpec spec = default_spec(kFamily, *context.state().device.arch);
    spec.values[1] = kibibytes;
    return spec;
  }

  fs::path folder_;
};

TEST_F(DynamicShared, LaunchesHaveWhatTheFamilySays) {
  Context context = create("emulator:sm_100a");
  const ContextState& state = context.state();
  auto output = context.allocate(64 * 4);
  ASSERT_TRUE(output.ok());
  for (int kibibytes : {16, 100, 227}) {
    const auto kernel = context.state().pool.get(spec(context, kibibytes), nullptr);
    ASSERT_TRUE(kernel.ok()) << kernel.status().to_string() << "\n" << kernel.status().detail();
    EXPECT_EQ(kernel.value()->dynamic_shared, kibibytes * 1024);
    const CurrentContext current(state.driver(), state.device.context);
    DevicePointer address = output->address();
    void* parameters[] = {&address};
    ASSERT_EQ(state.driver().cuLaunchKernel(kernel.value()->function, 1, 1, 1, 64, 1, 1,
                                            static_cast<unsigned>(kernel.value()->dynamic_shared),
                                            nullptr, parameters, nullptr),
              CUDA_SUCCESS);
    std::array<int, 64> got{};
    ASSERT_TRUE(context.copy_to_host(got.data(), address, sizeof(got)).ok());
    for (int i = 0; i < 64; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], (i + 1) % 64);
  }
}

TEST_F(DynamicShared, TooMuchNamesKernelBytesAndLimit) {
  Context context = create("emulator:sm_100a");
  const Status status = context.state().pool.get(spec(context, 228), nullptr).status();
  EXPECT_EQ(status.code(), Code::kDriverError);
  for (const char* part : {"mirror sm_100a", "233472", "232448", "cuFuncSetAttribute"}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << part << ": " << status.message();
  }
}

TEST_F(DynamicShared, NoneIsAskedForWhereThereIsNone) {
  EXPECT_EQ(dynamic_shared_bytes(default_spec(kFamily, *find_arch("sm_100a"))), 0);
  for (const Family* family : all_families()) {
    if (family->dynamic_shared != nullptr) continue;
    EXPECT_EQ(dynamic_shared_bytes(default_spec(*family, *find_arch("sm_100a"))), 0);
  }
}

TEST_F(DynamicShared, FamilyWithoutAKernelForATargetSaysSo) {
  Context context = create("emulator:sm_90a");
  EXPECT_EQ(find_variant(spec(context, 16)), nullptr);
  const Status status = context.state().pool.get(spec(context, 16), nullptr).status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("no mirror kernel exists for sm_90a"), std::string::npos)
      << status.message();
}

}  // namespace
}  // namespace nibble
