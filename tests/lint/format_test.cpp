// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every C++ and CUDA file is as clang-format 14 writes it by .clang-format.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = NIBBLE_SOURCE_DIR;

struct Outcome {
  int status;  // of the shell
  std::string output;
};

Outcome run(const std::string& command) {
  FILE* const pipe = ::popen(("exec 2>&1; " + command).c_str(), "r");
  if (pipe == nullptr) return {-1, "no pipe"};
  std::string output;
  std::array<char, 4096> chunk;
  while (const size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
    output.append(chunk.data(), size);
  }
  return {::pclose(pipe), output};
}

// Its output changes from version to version: only 14 counts.
std::string find_clang_format() {
  for (const char* name : {"clang-format-14", "clang-format"}) {
    const Outcome version = run(std::string(name) + " --version");
    if (version.status == 0 && version.output.find("version 14.") != std::string::npos) return name;
  }
  return {};
}

std::vector<std::string> formatted_files() {
  static const std::set<std::string> kSuffixes{".cpp", ".h", ".hpp", ".cuh", ".cu"};
  std::vector<std::string> files;
  for (const char* folder : {"cache", "templates", "runtime", "autotune", "tests", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.is_regular_file() && kSuffixes.count(entry.path().extension().string()) > 0) {
        files.push_back(entry.path().string());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Format, EveryFileIsFormatted) {
  const std::string program = find_clang_format();
  if (program.empty()) GTEST_SKIP() << "SKIPPED, needs clang-format 14";
  const std::vector<std::string> files = formatted_files();
  ASSERT_FALSE(files.empty());
  std::string command = program + " --dry-run -Werror --style=file";
  for (const std::string& file : files) command += " '" + file + "'";
  const Outcome check = run(command);
  EXPECT_EQ(check.status, 0) << check.output;
}

// The check can fail.
TEST(Format, AnUnformattedFileIsFound) {
  const std::string program = find_clang_format();
  if (program.empty()) GTEST_SKIP() << "SKIPPED, needs clang-format 14";
  const Outcome check = run("cd '" + kRoot.string() + "' && echo 'int  main ( ) { }' | " + program +
                            " --dry-run -Werror --assume-filename=cache/x.cpp");
  EXPECT_NE(check.status, 0);
  EXPECT_NE(check.output.find("-Wclang-format-violations"), std::string::npos) << check.output;
}

}  // namespace
