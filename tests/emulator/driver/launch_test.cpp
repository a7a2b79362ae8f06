// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Launch attributes, libraries and their kernels, memory in stream order, captures of two streams.
#include <vector>

#include "tests/emulator/driver/library.h"

namespace nibble::test {
namespace {

// Each block's thread 0 writes blocks of its cluster * 100 + its rank; `pair` demands clusters
// of 2.
constexpr const char* kClusterPtx = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry any(.param .u64 pa)
{
  .reg .b32 %r<5>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [pa];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %cluster_nctarank;
  mov.u32 %r3, %cluster_ctarank;
  mad.lo.u32 %r4, %r2, 100, %r3;
  mul.wide.u32 %rd2, %r1, 4;
  add.u64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r4;
  ret;
}
.visible .entry pair(.param .u64 pa) .reqnctapercluster 2, 1, 1
{
  .reg .b32 %r<5>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [pa];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %cluster_nctarank;
  mov.u32 %r3, %cluster_ctarank;
  mad.lo.u32 %r4, %r2, 100, %r3;
  mul.wide.u32 %rd2, %r1, 4;
  add.u64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r4;
  ret;
}
)";

class LaunchTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    ASSERT_EQ((call<CUmodule*, const void*>("cuModuleLoadData", &module_, kClusterPtx)),
              CUDA_SUCCESS);
    out_ = allocate(64);
  }

  CUresult launch_with(CUfunction kernel, unsigned grid,
                       std::vector<CUlaunchAttribute> attributes) {
    CUlaunchConfig config{};
    config.gridDimX = grid;
    config.gridDimY = config.gridDimZ = 1;
    config.blockDimX = config.blockDimY = config.blockDimZ = 1;
    config.attrs = attributes.data();
    config.numAttrs = static_cast<unsigned>(attributes.size());
    void* parameters[] = {&out_};
    return call<const CUlaunchConfig*, CUfunction, void**, void**>("cuLaunchKernelEx", &config,
                                                                   kernel, parameters, nullptr);
  }
  static CUlaunchAttribute cluster(unsigned x) {
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim.x = x;
    attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
    return attribute;
  }
  static CUlaunchAttribute cooperative() {
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    attribute.value.cooperative = 1;
    return attribute;
  }
  std::vector<unsigned> words(size_t count) {
    std::vector<unsigned> values(count);
    call<void*, CUdeviceptr, size_t>("cuMemcpyDtoH_v2", values.data(), out_, count * 4);
    return values;
  }

  CUdeviceptr out_ = 0;
};

TEST_F(LaunchTest, ClusterAttribute) {
  const CUfunction any = function("any");
  EXPECT_EQ(launch_with(any, 4, {}), CUDA_SUCCESS);
  EXPECT_EQ(words(4), (std::vector<unsigned>{100, 100, 100, 100}));
  EXPECT_EQ(launch_with(any, 4, {cluster(4)}), CUDA_SUCCESS);
  EXPECT_EQ(words(4), (std::vector<unsigned>{400, 401, 402, 403}));
  EXPECT_EQ(launch_with(any, 4, {cluster(3)}), CUDA_ERROR_INVALID_CLUSTER_SIZE);
  EXPECT_EQ(launch_with(any, 16, {cluster(16)}), CUDA_ERROR_INVALID_CLUSTER_SIZE);
  EXPECT_EQ((call<CUfunction, CUfunction_attribute, int>(
                "cuFuncSetAttribute", any, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)),
            CUDA_SUCCESS);
  EXPECT_EQ(launch_with(any, 16, {cluster(16)}), CUDA_SUCCESS);
  EXPECT_EQ(words(16)[15], 1615u);
}

TEST_F(LaunchTest, ClusterThatTheKernelRequires) {
  const CUfunction pair = function("pair");
  EXPECT_EQ(launch_with(pair, 4, {}), CUDA_SUCCESS);
  EXPECT_EQ(words(4), (std::vector<unsigned>{200, 201, 200, 201}));
  EXPECT_EQ(launch_with(pair, 4, {cluster(2)}), CUDA_SUCCESS);
  EXPECT_EQ(launch_with(pair, 4, {cluster(4)}), CUDA_ERROR_INVALID_CLUSTER_SIZE);
  EXPECT_EQ(launch_with(pair, 4, {cluster(1)}), CUDA_ERROR_INVALID_CLUSTER_SIZE);
  EXPECT_EQ(launch_with(pair, 3, {}), CUDA_ERROR_INVALID_CLUSTER_SIZE);
  EXPECT_EQ((call<CUfunction, CUfunction_attribute, int>(
                "cuFuncSetAttribute", pair, CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 4)),
            CUDA_ERROR_INVALID_VALUE);
  int width = 0;
  call<int*, CUfunction_attribute, CUfunction>("cuFuncGetAttribute", &width,
                                               CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, pair);
  EXPECT_EQ(width, 2);
  EXPECT_EQ(synchronize(), CUDA_SUCCESS);
}

TEST_F(LaunchTest, CooperativeAttribute) {
  const CUfunction any = function("any");
  EXPECT_EQ(launch_with(any, 8, {cooperative()}), CUDA_SUCCESS);
  EXPECT_EQ(words(8)[7], 100u);
  EXPECT_EQ(launch_with(any, 1u << 20, {cooperative()}), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
}

TEST_F(LaunchTest, LibraryKernels) {
  CUlibrary library = nullptr;
  ASSERT_EQ(
      (call<CUlibrary*, const void*, void*, void*, unsigned, void*, void*, unsigned>(
          "cuLibraryLoadData", &library, kClusterPtx, nullptr, nullptr, 0, nullptr, nullptr, 0)),
      CUDA_SUCCESS);
  unsigned count = 0;
  EXPECT_EQ((call<unsigned*, CUlibrary>("cuLibraryGetKernelCount", &count, library)), CUDA_SUCCESS);
  EXPECT_EQ(count, 2u);
  CUkernel kernel = nullptr;
  EXPECT_EQ((call<CUkernel*, CUlibrary, const char*>("cuLibraryGetKernel", &kernel, library, "no")),
            CUDA_ERROR_NOT_FOUND);
  ASSERT_EQ(
      (call<CUkernel*, CUlibrary, const char*>("cuLibraryGetKernel", &kernel, library, "pair")),
      CUDA_SUCCESS);
  CUfunction pair = nullptr;
  ASSERT_EQ((call<CUfunction*, CUkernel>("cuKernelGetFunction", &pair, kernel)), CUDA_SUCCESS);
  EXPECT_EQ(launch_with(pair, 2, {}), CUDA_SUCCESS);
  EXPECT_EQ(words(2), (std::vector<unsigned>{200, 201}));
  // A kernel is launched without a function too.
  EXPECT_EQ(launch_with(reinterpret_cast<CUfunction>(kernel), 4, {}), CUDA_SUCCESS);
  EXPECT_EQ(words(4)[3], 201u);
  EXPECT_EQ(call<CUlibrary>("cuLibraryUnload", library), CUDA_SUCCESS);
  EXPECT_EQ(launch_with(reinterpret_cast<CUfunction>(kernel), 4, {}), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(LaunchTest, MemoryInStreamOrder) {
  CUstream stream = nullptr;
  ASSERT_EQ((call<CUstream*, unsigned>("cuStreamCreate", &stream, 1)), CUDA_SUCCESS);
  CUdeviceptr address = 0;
  ASSERT_EQ((call<CUdeviceptr*, size_t, CUstream>("cuMemAllocAsync", &address, 1 << 20, stream)),
            CUDA_SUCCESS);
  EXPECT_EQ(
      (call<CUdeviceptr, unsigned, size_t, CUstream>("cuMemsetD32Async", address, 77, 4, stream)),
      CUDA_SUCCESS);
  unsigned value = 0;
  EXPECT_EQ((call<void*, CUdeviceptr, size_t, CUstream>("cuMemcpyDtoHAsync_v2", &value, address, 4,
                                                        stream)),
            CUDA_SUCCESS);
  EXPECT_EQ((call<CUdeviceptr, CUstream>("cuMemFreeAsync", address, stream)), CUDA_SUCCESS);
  EXPECT_EQ(call<CUstream>("cuStreamSynchronize", stream), CUDA_SUCCESS);
  EXPECT_EQ(value, 77u);
  EXPECT_EQ((call<CUdeviceptr, CUstream>("cuMemFreeAsync", address, stream)),
            CUDA_ERROR_INVALID_VALUE);
}

// The second stream joins through an event, and the first waits for it before the capture ends.
TEST_F(LaunchTest, CapturesTwoStreams) {
  CUstream first = nullptr, second = nullptr;
  CUevent fork = nullptr, join = nullptr;
  for (CUstream* stream : {&first, &second}) call<CUstream*, unsigned>("cuStreamCreate", stream, 1);
  for (CUevent* event : {&fork, &join}) call<CUevent*, unsigned>("cuEventCreate", event, 0);
  const auto set = [&](unsigned value, CUstream stream) {
    return call<CUdeviceptr, unsigned, size_t, CUstream>("cuMemsetD32Async", out_, value, 1,
                                                         stream);
  };
  const auto wait = [&](CUstream stream, CUevent event) {
    return call<CUstream, CUevent, unsigned>("cuStreamWaitEvent", stream, event, 0);
  };
  ASSERT_EQ((call<CUdeviceptr, unsigned, size_t>("cuMemsetD32_v2", out_, 1, 1)), CUDA_SUCCESS);
  const auto capture = [&](bool joins, CUgraph* graph) {
    EXPECT_EQ((call<CUstream, CUstreamCaptureMode>("cuStreamBeginCapture_v2", first,
                                                   CU_STREAM_CAPTURE_MODE_RELAXED)),
              CUDA_SUCCESS);
    EXPECT_EQ(set(2, first), CUDA_SUCCESS);
    EXPECT_EQ((call<CUevent, CUstream>("cuEventRecord", fork, first)), CUDA_SUCCESS);
    EXPECT_EQ(wait(second, fork), CUDA_SUCCESS);
    EXPECT_EQ(set(3, second), CUDA_SUCCESS);
    EXPECT_EQ((call<CUevent, CUstream>("cuEventRecord", join, second)), CUDA_SUCCESS);
    EXPECT_EQ(joins ? wait(first, join) : CUDA_SUCCESS, CUDA_SUCCESS);
    return call<CUstream, CUgraph*>("cuStreamEndCapture", first, graph);
  };
  CUgraph graph = nullptr;
  ASSERT_EQ(capture(true, &graph), CUDA_SUCCESS);
  EXPECT_EQ(words(1)[0], 1u);  // nothing ran
  size_t nodes = 0;
  EXPECT_EQ((call<CUgraph, void*, size_t*>("cuGraphGetNodes", graph, nullptr, &nodes)),
            CUDA_SUCCESS);
  EXPECT_EQ(nodes, 2u);
  CUgraphExec exec = nullptr;
  ASSERT_EQ((call<CUgraphExec*, CUgraph, unsigned long long>("cuGraphInstantiateWithFlags", &exec,
                                                             graph, 0)),
            CUDA_SUCCESS);
  EXPECT_EQ((call<CUgraphExec, CUstream>("cuGraphLaunch", exec, second)), CUDA_SUCCESS);
  EXPECT_EQ(words(1)[0], 3u);
  // Not joined: refused, and both streams work again.
  EXPECT_EQ(capture(false, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  EXPECT_EQ(set(9, second), CUDA_SUCCESS);
  EXPECT_EQ(words(1)[0], 9u);
}

}  // namespace
}  // namespace nibble::test
