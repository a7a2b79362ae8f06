// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every C++ and CUDA file is as clang-format 14 writes it by .clang-format.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
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

std::string read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The number of the first line where they differ; 0: nowhere.
size_t first_difference(const std::string& a, const std::string& b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (at == a.end() && other == b.end()) return 0;
  return static_cast<size_t>(std::count(a.begin(), at, '\n')) + 1;
}

// The output is compared, as --dry-run also reports replacements of a text by itself.
TEST(Format, EveryFileIsFormatted) {
  const std::string program = find_clang_format();
  if (program.empty()) GTEST_SKIP() << "SKIPPED, needs clang-format 14";
  const std::vector<std::string> files = formatted_files();
  EXPECT_FALSE(files.empty());
  for (const std::string& file : files) {
    const Outcome formatted = run(program + " --style=file '" + file + "'");
    ASSERT_EQ(formatted.status, 0) << formatted.output;
    const size_t line = first_difference(read(file), formatted.output);
    EXPECT_EQ(line, 0U) << file << ":" << line << ": run clang-format-14 -i on it";
  }
}

// The check can fail.
TEST(Format, AnUnformattedTextIsFound) {
  const std::string program = find_clang_format();
  if (program.empty()) GTEST_SKIP() << "SKIPPED, needs clang-format 14";
  const std::string text = "int x;\nint  main ( ) { }\n";
  const Outcome formatted = run("cd '" + kRoot.string() + "' && printf '" + text + "' | " +
                                program + " --style=file --assume-filename=cache/x.cpp");
  EXPECT_EQ(formatted.status, 0) << formatted.output;
  EXPECT_EQ(first_difference(text, formatted.output), 2U) << formatted.output;
}

}  // namespace
