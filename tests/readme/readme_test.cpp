// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What README.md says of commands, folders and settings, compared with the tree.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = NIBBLE_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The first group of every match of `pattern` in `text`.
std::set<std::string> all_matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

TEST(Readme, FirstBlockHoldsExactlyTheTwoCommands) {
  const std::string text = read(kRoot / "README.md");
  const size_t open = text.find("```");
  ASSERT_NE(open, std::string::npos);
  const size_t begin = text.find('\n', open) + 1;
  const size_t end = text.find("```", begin);
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(text.substr(begin, end - begin), "sh .ci/main-job\nsh .ci/test\n");
  for (const char* script : {".ci/main-job", ".ci/test"}) {
    EXPECT_EQ(::access((kRoot / script).c_str(), X_OK), 0) << script;
  }
}

TEST(Readme, MapNamesEveryFolder) {
  const std::string text = read(kRoot / "README.md");
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name == "build" || name.starts_with('.')) continue;
    EXPECT_TRUE(text.find("| `" + name + "/`") != std::string::npos ||
                text.find("| [`" + name + "/`]") != std::string::npos)
        << name << "/ has no line in the map of folders";
  }
}

// The variables that the sources read, by their quoted names, are those of the tables of settings.
TEST(Readme, SettingsAreThoseThatTheSourcesRead) {
  static const std::regex kQuoted("\"(NIBBLE_[A-Z_]+)\"");
  static const std::regex kRow("\n\\| `(NIBBLE_[A-Z_]+)` \\|");
  std::set<std::string> read_by_sources;
  for (const char* folder : {"cache", "runtime"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.path().extension() == ".cpp") {
        read_by_sources.merge(all_matches(read(entry.path()), kQuoted));
      }
    }
  }
  EXPECT_EQ(all_matches(read(kRoot / "README.md"), kRow), read_by_sources);
}

TEST(Readme, StatusSaysOnlyTheThreeThings) {
  static const std::regex kRow(R"(\n\| `(amax|quantize|dequantize)` \|([^\n]*))");
  static const std::regex kCells(
      R"(( (run on hardware \([^)]+\)|run on the emulator|compiled only) \|){4})");
  const std::string text = read(kRoot / "README.md");
  std::set<std::string> families;
  for (std::sregex_iterator at(text.begin(), text.end(), kRow), end; at != end; ++at) {
    families.insert((*at)[1]);
    EXPECT_TRUE(std::regex_match((*at)[2].str(), kCells)) << (*at)[0];
  }
  EXPECT_EQ(families, (std::set<std::string>{"amax", "dequantize", "quantize"}));
}

// Links between the files of the project lead somewhere, in every README.
TEST(Readme, LinksLeadSomewhere) {
  static const std::regex kLink(R"(\]\(([^)#\s]+)(#[^)]*)?\))");
  int links = 0;
  std::vector<fs::path> pages{kRoot / "README.md"};
  for (const char* folder : {"cache", "templates", "runtime", "autotune", "tests", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.path().extension() == ".md") pages.push_back(entry.path());
    }
  }
  for (const fs::path& page : pages) {
    for (const std::string& link : all_matches(read(page), kLink)) {
      if (link.starts_with("https://")) continue;
      ++links;
      EXPECT_TRUE(fs::exists(page.parent_path() / link)) << page << " links to " << link;
    }
  }
  EXPECT_GT(links, 0);
}

}  // namespace
