// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The largest binaries of the gemm family: everything that an epilogue can do at once, in a large
// cluster. (What Compile.EverySpec compiles of it is held to the same size.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "runtime/families/gemm_spec.h"
#include "runtime/jit/kernel_image.h"
#include "runtime/jit/nvrtc.h"
#include "runtime/jit/template_library.h"

namespace nibble {
namespace {

constexpr size_t kMostBytes = 65536;

// All but the shape of the output.
KernelSpec heavy_spec() {
  KernelSpec spec = default_spec(kGemmFamily, *find_arch("sm_100a"));
  auto set = [&](GemmConstant constant, int value) { spec.values[constant] = value; };
  set(kGemmAlpha, 1);
  set(kGemmC, 1);
  set(kGemmBias, 1);
  set(kGemmBiasType, 2);
  set(kGemmActivation, static_cast<int>(Activation::kGeluErf));
  set(kGemmResidual, 1);
  set(kGemmAmax, 1);
  set(kGemmCtaGroup, 2);
  set(kGemmTileN, 192);
  set(kGemmTileK, 256);
  set(kGemmClusterM, 4);
  set(kGemmClusterN, 2);
  set(kGemmStages, 2);
  set(kGemmAccumulators, 1);
  set(kGemmSplit, 2);
  return spec;
}

std::vector<KernelSpec> heaviest() {
  std::vector<KernelSpec> specs;
  for (const int columns : {32, 64}) {
    for (const int output : {0, 1, 2, 3, 4}) {
      for (const int kind : {0, 1, 2, 3}) {  // plain, gated, of single elements, swapped
        for (const int direct : {0, 1}) {
          KernelSpec spec = heavy_spec();
          spec.values[kGemmEpilogueColumns] = columns;
          spec.values[kGemmOutput] = output;
          spec.values[kGemmGated] = kind == 1 ? 1 : 0;
          if (kind >= 2) spec.values[kGemmVectorBytes] = 0;
          spec.values[kGemmSwapped] = kind == 3 ? 1 : 0;
          spec.values[kGemmDirectStore] = direct;
          if (is_legal(spec)) specs.push_back(spec);
        }
      }
    }
  }
  // Just light enough to take all columns of a chunk at a time.
  KernelSpec light = heavy_spec();
  light.values[kGemmFormat] = 1;
  light.values[kGemmBias] = 2;
  light.values[kGemmActivation] = 0;
  light.values[kGemmAmax] = 0;
  light.values[kGemmOutput] = 2;
  light.values[kGemmSwapped] = 1;
  light.values[kGemmAlpha] = 0;
  light.values[kGemmC] = 2;
  specs.push_back(light);
  EXPECT_TRUE(is_legal(light));
  return specs;
}

TEST(GemmSize, HeaviestBinariesAreSmall) {
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string() << "\n" << nvrtc.status().detail();
  const TemplateLibrary templates("");
  const std::vector<KernelSpec> specs = heaviest();
  EXPECT_GE(specs.size(), 25u);
  size_t largest = 0;
  for (const KernelSpec& spec : specs) {
    SCOPED_TRACE(label(spec));
    auto includes = templates.closure(find_variant(spec)->include);
    ASSERT_TRUE(includes.ok());
    const auto output =
        nvrtc.value()->compile({label(spec), render(spec), std::move(includes).value(),
                                compile_options(*spec.arch, ImageKind::kCubin)});
    ASSERT_TRUE(output.ok()) << output.status().to_string() << "\n" << output.status().detail();
    const KernelResources resources = parse_resources(output->log);
    EXPECT_EQ(resources.spill_store_bytes + resources.spill_load_bytes, 0);
    EXPECT_EQ(resources.stack_bytes, 0);
    EXPECT_LE(output->cubin.size(), kMostBytes);
    largest = std::max(largest, output->cubin.size());
  }
  std::printf("%zu kernels, the largest binary has %zu bytes\n", specs.size(), largest);
}

}  // namespace
}  // namespace nibble
