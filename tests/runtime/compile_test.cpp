// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every template compiles with NVRTC for every target that has a kernel, in all or a sample of its
// specs (specs_of); without warnings; those that are to be fast without spills or local memory;
// gemm's binaries have at most 64 KiB.
// Needs no GPU and no driver.
#include <gtest/gtest.h>

#include "runtime/families/gemm_spec.h"
#include "runtime/jit/family.h"
#include "runtime/jit/kernel_image.h"
#include "runtime/jit/nvrtc.h"
#include "runtime/jit/template_library.h"
#include "tests/runtime/spec_sample.h"

namespace nibble {
namespace {

bool is_trusted(const Family& family) { return family.name.ends_with("_trusted"); }

// Families of few combinations: all of them. Others: each two values of any two constants on
// sm_100a, each value elsewhere.
std::vector<KernelSpec> specs_of(const Family& family, const Arch& arch) {
  constexpr size_t kManyCombinations = 300;
  if (find_variant(default_spec(family, arch)) == nullptr) return {};
  if (test::problem_combinations(family) <= kManyCombinations) {
    return test::every_spec(family, arch);
  }
  if (arch.name == "sm_100a" && !is_trusted(family)) return test::pair_sample(family, arch).specs;
  return test::value_sample(family, arch);
}

class Compile : public testing::TestWithParam<std::string_view> {};

TEST_P(Compile, EverySpec) {
  const Arch& arch = *find_arch(GetParam());
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string() << "\n" << nvrtc.status().detail();
  const Status supported = nvrtc.value()->check_target(arch);
  ASSERT_TRUE(supported.ok()) << supported.to_string();
  const TemplateLibrary templates("");
  int compiled = 0;
  for (const Family* family : all_families()) {
    for (const KernelSpec& spec : specs_of(*family, arch)) {
      SCOPED_TRACE(label(spec));
      const Variant* variant = find_variant(spec);
      ASSERT_NE(variant, nullptr);
      auto includes = templates.closure(variant->include);
      ASSERT_TRUE(includes.ok());
      const auto output =
          nvrtc.value()->compile({label(spec), render(spec), std::move(includes).value(),
                                  compile_options(arch, ImageKind::kCubin)});
      ASSERT_TRUE(output.ok()) << output.status().to_string() << "\n" << output.status().detail();
      EXPECT_EQ(output->log.find("warning"), std::string::npos) << output->log;
      const KernelResources resources = parse_resources(output->log);
      EXPECT_GT(resources.registers, 0) << output->log;
      if (!is_trusted(*family)) {
        EXPECT_EQ(resources.spill_store_bytes, 0);
        EXPECT_EQ(resources.spill_load_bytes, 0);
        EXPECT_EQ(resources.stack_bytes, 0);
      }
      EXPECT_NE(output->ptx.find(".entry kernel"), std::string::npos);
      if (family == &kGemmFamily) {
        EXPECT_LE(output->cubin.size(), 65536u);
      }
      ++compiled;
    }
  }
  std::printf("%s: %d kernels compiled\n", std::string(arch.name).c_str(), compiled);
}

std::vector<std::string_view> arch_names() {
  std::vector<std::string_view> names;
  for (const Arch& arch : all_archs()) names.push_back(arch.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Targets, Compile, testing::ValuesIn(arch_names()),
                         [](const auto& info) { return std::string(info.param); });

TEST(Nvrtc, ErrorShowsTheRenderedLineAndTheLog) {
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string();
  const auto output = nvrtc.value()->compile(
      {"broken",
       "// broken sm_100a\nextern \"C\" __global__ void kernel() { oops(); }\n",
       {},
       compile_options(*find_arch("sm_100a"), ImageKind::kCubin)});
  EXPECT_EQ(output.status().code(), Code::kCompileFailed);
  EXPECT_NE(output.status().message().find("// broken sm_100a"), std::string::npos);
  EXPECT_NE(output.status().message().find("oops"), std::string::npos);
  EXPECT_NE(output.status().detail().find("2  extern \"C\""), std::string::npos);
}

TEST(Nvrtc, ReadsNoFile) {
  const auto nvrtc = Nvrtc::load("");
  ASSERT_TRUE(nvrtc.ok()) << nvrtc.status().to_string();
  const auto output =
      nvrtc.value()->compile({"include",
                              "// x\n#include \"quantize/amax.cuh\"\n",
                              {},
                              compile_options(*find_arch("sm_100a"), ImageKind::kPtx)});
  EXPECT_EQ(output.status().code(), Code::kCompileFailed);
}

TEST(KernelImage, RoundTripsAndRefusesWhatIsCut) {
  KernelImage image{ImageKind::kCubin, {24, 8, 12, 16, 1024}, "a log\n", std::string("\0ELF\n", 5)};
  const std::string bytes = serialize(image);
  const auto back = deserialize(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->kind, image.kind);
  EXPECT_EQ(back->resources.registers, 24);
  EXPECT_EQ(back->resources.shared_bytes, 1024);
  EXPECT_EQ(back->log, image.log);
  EXPECT_EQ(back->code, image.code);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(deserialize(bytes.substr(0, length)).has_value()) << length;
  }
  EXPECT_FALSE(deserialize(bytes + "x").has_value());
  EXPECT_FALSE(deserialize("registers 1\n").has_value());
}

TEST(KernelImage, ResourcesAreReadOffTheLog) {
  const KernelResources resources = parse_resources(
      "ptxas info    : Function properties for kernel\n"
      "    48 bytes stack frame, 44 bytes spill stores, 40 bytes spill loads\n"
      "ptxas info    : Used 255 registers, used 1 barriers, 4096 bytes smem\n");
  EXPECT_EQ(resources.registers, 255);
  EXPECT_EQ(resources.stack_bytes, 48);
  EXPECT_EQ(resources.spill_store_bytes, 44);
  EXPECT_EQ(resources.spill_load_bytes, 40);
  EXPECT_EQ(resources.shared_bytes, 4096);
}

}  // namespace
}  // namespace nibble
