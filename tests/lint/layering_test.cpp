// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The dependency rules of the folders, read off every #include, and the headers every file carries.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = NIBBLE_SOURCE_DIR;
const std::set<std::string> kSourceSuffixes{".cpp", ".h", ".hpp", ".cuh", ".cu"};

struct Include {
  std::string file;  // from the root
  int line;
  std::string name;
  bool quoted;
};

// Files of the project, from the root; build trees and dot folders left out.
std::vector<std::string> project_files() {
  std::vector<std::string> files;
  for (const char* folder : {"cache", "templates", "runtime", "autotune", "tests", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), kRoot).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool is_source(const std::string& file) {
  return kSourceSuffixes.count(fs::path(file).extension().string()) > 0;
}

std::vector<Include> includes_under(const std::string& prefix) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*(["<])([^">]+)[">])re");
  std::vector<Include> found;
  for (const std::string& file : project_files()) {
    if (!file.starts_with(prefix) || !is_source(file)) continue;
    std::ifstream stream(kRoot / file);
    std::string text;
    for (int line = 1; std::getline(stream, text); ++line) {
      std::smatch match;
      if (std::regex_search(text, match, kInclude)) {
        found.push_back({file, line, match[2], match[1] == "\""});
      }
    }
  }
  return found;
}

bool starts_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

bool is_standard(const std::string& name) {
  static const std::regex kStandard(R"(^[a-z0-9_]+$|^sys/[a-z_]+\.h$|^[a-z_]+\.h$)");
  return std::regex_match(name, kStandard);
}

// Project includes under `folder` must start with one of `allowed`.
void expect_only(const std::string& folder, const std::vector<std::string>& allowed,
                 const std::vector<std::string>& except = {}) {
  const std::vector<Include> includes = includes_under(folder);
  EXPECT_FALSE(includes.empty()) << folder << " has no includes: is the rule still about anything?";
  for (const Include& include : includes) {
    if (starts_with_any(include.file, except)) continue;
    const bool ours = include.quoted || include.name.starts_with("nibble/");
    if (!ours) continue;
    EXPECT_TRUE(starts_with_any(include.name, allowed))
        << include.file << ":" << include.line << " includes " << include.name;
  }
}

TEST(Layering, CacheKnowsOnlyItselfAndXxhash) {
  expect_only("cache/", {"cache/"});
  for (const Include& include : includes_under("cache/")) {
    EXPECT_TRUE(include.quoted || is_standard(include.name))
        << include.file << ":" << include.line << " includes <" << include.name << ">";
  }
}

TEST(Layering, TemplatesIncludeOnlyThemselves) {
  for (const Include& include : includes_under("templates/")) {
    if (include.file == "templates/embedded_templates.h") continue;  // host code
    EXPECT_TRUE(include.quoted && fs::exists(kRoot / "templates" / include.name))
        << include.file << ":" << include.line << " includes " << include.name;
  }
}

TEST(Layering, InlinePtxStandsOnlyInTemplatesPtx) {
  static const std::regex kAssembly(R"(\basm\b)");
  for (const std::string& file : project_files()) {
    if (!file.starts_with("templates/") || !is_source(file) || file.starts_with("templates/ptx/")) {
      continue;
    }
    std::ifstream stream(kRoot / file);
    std::string text;
    for (int line = 1; std::getline(stream, text); ++line) {
      EXPECT_FALSE(std::regex_search(text.substr(0, text.find("//")), kAssembly))
          << file << ":" << line;
    }
  }
}

TEST(Layering, RuntimeKnowsCacheAndTemplatesButNotTheTuner) {
  expect_only("runtime/", {"runtime/", "cache/", "templates/", "nibble/"},
              {"runtime/emulator/", "runtime/cli/"});
}

TEST(Layering, TheCommandMayUseTheTuner) {
  expect_only("runtime/cli/", {"runtime/", "cache/", "templates/", "nibble/", "autotune/"});
}

// What it uses of the runtime is exported from the library for it: it is no part of that.
TEST(Layering, TunerKnowsTheCacheAndLittleOfTheRuntime) {
  expect_only("autotune/", {"autotune/", "cache/", "nibble/", "runtime/trial.h", "runtime/result.h",
                            "runtime/jit/family.h", "runtime/jit/tuning.h"});
}

TEST(Layering, RuntimeKnowsTheEmulatorOnlyByItsFileName) {
  for (const Include& include : includes_under("runtime/")) {
    if (include.file.starts_with("runtime/emulator/")) continue;
    EXPECT_FALSE(include.name.starts_with("runtime/emulator/"))
        << include.file << ":" << include.line << " includes " << include.name;
  }
}

TEST(Layering, EmulatorKnowsOnlyItselfAndTheDriversAbi) {
  expect_only("runtime/emulator/", {"runtime/emulator/", "runtime/driver/cuda_abi.h"});
}

TEST(Layering, PublicHeadersIncludeOnlyPublicHeadersAndTheStandardLibrary) {
  expect_only("runtime/include/", {"nibble/"});
}

TEST(Layering, ReferenceIsIndependent) { expect_only("tests/reference/", {"tests/reference/"}); }

TEST(Layering, EverySourceFileCarriesItsLicense) {
  const std::set<std::string> suffixes{".cpp",   ".h",   ".hpp", ".cuh", ".cu",
                                       ".cmake", ".ptx", ".sh",  ".py"};
  for (const std::string& file : project_files()) {
    if (suffixes.count(fs::path(file).extension().string()) == 0 &&
        fs::path(file).filename() != "CMakeLists.txt") {
      continue;
    }
    std::ifstream stream(kRoot / file);
    std::string head(400, '\0');
    stream.read(head.data(), static_cast<std::streamsize>(head.size()));
    EXPECT_NE(head.find("SPDX-License-Identifier: Apache-2.0"), std::string::npos) << file;
  }
}

TEST(Layering, NoSourceIsCommentedOutOfABuildFile) {
  static const std::regex kCommented(R"(^\s*#.*\b\w+\.cpp\b)");
  for (const std::string& file : project_files()) {
    if (fs::path(file).filename() != "CMakeLists.txt") continue;
    std::ifstream stream(kRoot / file);
    std::string text;
    for (int line = 1; std::getline(stream, text); ++line) {
      EXPECT_FALSE(std::regex_search(text, kCommented) &&
                   text.find("_test.cpp") == std::string::npos)
          << file << ":" << line << ": " << text;
    }
  }
}

}  // namespace
