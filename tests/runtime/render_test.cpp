// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Families as data: specs, labels and rendered sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "runtime/jit/family.h"
#include "runtime/jit/template_library.h"

namespace nibble {
namespace {

const Family& family(std::string_view name) {
  for (const Family* each : all_families()) {
    if (each->name == name) return *each;
  }
  throw std::runtime_error("no such family");
}

TEST(Render, EmitsNamedConstantsOneIncludeAndOneEntry) {
  EXPECT_EQ(render(default_spec(family("amax"), *find_arch("sm_100a"))),
            "// amax sm_100a threads=256 rows=1 blocks=2 input=f32 vector=16\n"
            "struct Config {\n"
            "  enum : int {\n"
            "    kThreads = 256,\n"
            "    kRowsPerTile = 1,\n"
            "    kBlocksPerThread = 2,\n"
            "    kElementType = 0,\n"
            "    kVectorBytes = 16,\n"
            "  };\n"
            "};\n"
            "#include \"quantize/amax.cuh\"\n"
            "extern \"C\" __global__ __launch_bounds__(Config::kThreads) void kernel(\n"
            "    const __grid_constant__ nibble::AmaxParams params) {\n"
            "  nibble::amax<Config>(params);\n"
            "}\n");
}

TEST(Render, TargetConstantsFollowTheFeatures) {
  const std::string hopper = render(default_spec(family("quantize"), *find_arch("sm_90a")));
  const std::string blackwell = render(default_spec(family("quantize"), *find_arch("sm_100a")));
  EXPECT_NE(hopper.find("kHasE2m1Conversion = 0,"), std::string::npos);
  EXPECT_NE(blackwell.find("kHasE2m1Conversion = 1,"), std::string::npos);
}

TEST(Render, LabelIsTheFirstLine) {
  for (const Family* each : all_families()) {
    for (const Arch& arch : all_archs()) {
      const KernelSpec spec = default_spec(*each, arch);
      if (find_variant(spec) == nullptr) continue;
      EXPECT_TRUE(render(spec).starts_with("// " + label(spec) + "\n"));
    }
  }
}

TEST(KernelSpec, EveryValueChangesSourceAndHash) {
  for (const Family* each : all_families()) {
    ASSERT_LE(each->constants.size(), kMaxConstants);
    const KernelSpec base = default_spec(*each, *find_arch("sm_100a"));
    std::set<std::string> sources{render(base)};
    std::set<uint64_t> hashes{base.hash()};
    size_t count = 1;
    for (size_t i = 0; i < each->constants.size(); ++i) {
      for (int value : each->constants[i].values) {
        if (value == base.values[i]) continue;
        KernelSpec changed = base;
        changed.values[i] = value;
        EXPECT_FALSE(changed == base);
        sources.insert(render(changed));
        hashes.insert(changed.hash());
        ++count;
      }
    }
    EXPECT_EQ(sources.size(), count);
    EXPECT_EQ(hashes.size(), count);
  }
}

TEST(Arch, IsFoundByNameAndCapability) {
  EXPECT_EQ(find_arch("sm_100"), nullptr);
  EXPECT_EQ(find_arch(""), nullptr);
  EXPECT_EQ(arch_for_capability(10, 0)->name, "sm_100a");
  EXPECT_EQ(arch_for_capability(10, 3)->name, "sm_103a");
  EXPECT_EQ(arch_for_capability(9, 0)->name, "sm_90a");
  EXPECT_EQ(arch_for_capability(12, 0)->name, "sm_120a");
  EXPECT_EQ(arch_for_capability(12, 1)->name, "sm_120f");  // no exact row: the family's
  EXPECT_EQ(arch_for_capability(8, 0), nullptr);
  EXPECT_EQ(arch_for_capability(9, 1), nullptr);
}

TEST(TemplateLibrary, ClosureHoldsEachIncludeOnce) {
  const TemplateLibrary embedded("");
  const TemplateLibrary folder(std::string(NIBBLE_SOURCE_DIR) + "/templates");
  for (const Family* each : all_families()) {
    for (const Variant& variant : each->variants) {
      const auto from_library = embedded.closure(variant.include);
      const auto from_folder = folder.closure(variant.include);
      ASSERT_TRUE(from_library.ok()) << from_library.status().to_string();
      ASSERT_TRUE(from_folder.ok()) << from_folder.status().to_string();
      std::set<std::string> names;
      ASSERT_EQ(from_library->size(), from_folder->size());
      for (size_t i = 0; i < from_library->size(); ++i) {
        EXPECT_TRUE(names.insert((*from_library)[i].name).second);
        EXPECT_EQ((*from_library)[i].name, (*from_folder)[i].name);
        EXPECT_EQ((*from_library)[i].text, (*from_folder)[i].text);
      }
      EXPECT_TRUE(std::any_of(names.begin(), names.end(),
                              [](const std::string& name) { return name.starts_with("params/"); }));
    }
  }
}

TEST(TemplateLibrary, MissingTemplateIsNamed) {
  EXPECT_NE(TemplateLibrary("").closure("no/such.cuh").status().message().find("no/such.cuh"),
            std::string::npos);
  const Status status = TemplateLibrary("/nonexistent").closure("quantize/amax.cuh").status();
  EXPECT_EQ(status.code(), Code::kIoError);
  EXPECT_NE(status.message().find("/nonexistent/quantize/amax.cuh"), std::string::npos);
}

}  // namespace
}  // namespace nibble
