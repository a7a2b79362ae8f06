// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble selftest on emulated GPUs: kernels that are right, and one that was made wrong.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/cli/command.h"
#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

const std::vector<std::string> kCommand{"selftest",         "--device", "emulator:sm_90a",
                                        "--configurations", "2",        "--family"};

Ran selftest(const std::vector<std::string>& more) {
  std::vector<std::string> command = kCommand;
  command.insert(command.end(), more.begin(), more.end());
  return run_command(command);
}

TEST(Selftest, RightKernelsAreRight) {
  const Ran text = selftest({"amax", "--family", "scale_layout"});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("10 problems, 20 configurations: all right"), std::string::npos)
      << text.out;
  const nlohmann::json json = selftest({"hadamard_columns", "--json"}).json();
  EXPECT_EQ(json.at("target"), "sm_90a");
  EXPECT_EQ(json.at("wrong"), 0);
  EXPECT_EQ(json.at("problems").size(), 7u);
  for (const auto& problem : json.at("problems")) {
    EXPECT_TRUE(std::string(problem.at("problem")).starts_with("hadamard_columns sm_90a"));
    EXPECT_EQ(problem.at("configurations"), 2);
  }
}

TEST(Selftest, WhatHasNoKernelIsSaid) {
  const Ran ran = selftest({"gemm"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("no kernel of gemm for this target"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("0 problems, 0 configurations"), std::string::npos) << ran.out;
}

TEST(Selftest, WrongUsageIsNamed) {
  const Ran ran = selftest({"sort"});
  EXPECT_EQ(ran.exit, static_cast<int>(Exit::kUsage));
  EXPECT_NE(ran.err.find("--family sort: must be one of amax, amax_rows"), std::string::npos)
      << ran.err;
  EXPECT_EQ(run_command({"selftest", "--configurations", "0"}).exit,
            static_cast<int>(Exit::kUsage));
  EXPECT_EQ(run_command({"selftest", "--device", "none:sm_90a"}).exit,
            static_cast<int>(Exit::kNoDevice));
}

TEST(Selftest, AWrongKernelIsFound) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const fs::path templates = folder.file("templates");
  fs::copy(fs::path(NIBBLE_SOURCE_DIR) / "templates", templates, fs::copy_options::recursive);
  std::ofstream(templates / "quantize/scale_layout.cuh")
      << "#pragma once\n#include \"params/scale_layout.h\"\nnamespace nibble {\n"
         "template <class Config>\n__device__ void scale_layout(const ScaleLayoutParams& params) "
         "{\n"
         "  if (threadIdx.x == 0) *params.to = 0;\n}\n}\n";
  ::setenv("NIBBLE_TEMPLATE_DIR", templates.c_str(), 1);
  const Ran text = selftest({"scale_layout"});
  const Ran as_json = selftest({"scale_layout", "--json"});
  const nlohmann::json json = as_json.json();
  ::unsetenv("NIBBLE_TEMPLATE_DIR");
  EXPECT_EQ(text.exit, static_cast<int>(Exit::kFailed));
  EXPECT_NE(text.out.find("WRONG: other bytes than the trusted kernel's"), std::string::npos)
      << text.out;
  EXPECT_NE(text.err.find("8 of 8 configurations"), std::string::npos) << text.err;
  EXPECT_NE(text.out.find("scale_layout sm_90a"), std::string::npos) << text.out;
  EXPECT_EQ(as_json.exit, static_cast<int>(Exit::kFailed));
  ASSERT_TRUE(json.is_object()) << as_json.out;
  EXPECT_EQ(json.at("wrong"), 8);
  EXPECT_EQ(json.at("problems")[0].at("wrong")[0].at("verdict"), "WRONG");
}

}  // namespace
}  // namespace nibble::cli
