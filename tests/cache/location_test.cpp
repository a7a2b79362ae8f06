// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Environment rules and the refusal of directories that others could write to.
#include "cache/location.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/cache/scratch.h"

namespace nibble::cache {
namespace {

using testing::ScratchDirectory;

class Location : public ::testing::Test {
 protected:
  Location() {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      saved_.emplace_back(name,
                          value == nullptr ? std::nullopt : std::optional<std::string>(value));
      ::unsetenv(name);
    }
  }
  ~Location() override {
    for (const auto& [name, value] : saved_) {
      value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
    }
  }

 private:
  static constexpr const char* kNames[] = {"NIBBLE_CACHE", "NIBBLE_CACHE_DIR", "XDG_CACHE_HOME",
                                           "HOME"};
  std::vector<std::pair<const char*, std::optional<std::string>>> saved_;
};

TEST_F(Location, FollowsTheOrderOfVariables) {
  const ScratchDirectory home;
  EXPECT_EQ(default_directory(), "");
  ::setenv("HOME", "/nonexistent/home", 1);
  EXPECT_EQ(default_directory(), "");
  ::setenv("HOME", home.path().c_str(), 1);
  EXPECT_EQ(default_directory(), home / ".cache/nibble");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(default_directory(), home / ".cache/nibble");
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(default_directory(), "/xdg/nibble");
  ::setenv("NIBBLE_CACHE_DIR", "/chosen", 1);
  EXPECT_EQ(default_directory(), "/chosen");
  ::setenv("NIBBLE_CACHE_DIR", "", 1);
  EXPECT_EQ(default_directory(), "/xdg/nibble");
}

TEST_F(Location, ReadsTheMode) {
  std::string error;
  EXPECT_EQ(mode_from_environment(&error), Mode::kReadWrite);
  for (const Mode mode : {Mode::kReadWrite, Mode::kReadOnly, Mode::kOff}) {
    ::setenv("NIBBLE_CACHE", to_string(mode), 1);
    EXPECT_EQ(mode_from_environment(&error), mode);
  }
  EXPECT_EQ(error, "");
  ::setenv("NIBBLE_CACHE", "of", 1);
  EXPECT_EQ(mode_from_environment(&error), Mode::kReadWrite);
  EXPECT_EQ(error, "NIBBLE_CACHE is 'of': it must be readwrite, readonly or off");
}

TEST_F(Location, MakesPrivateDirectoriesUnderAnyUmask) {
  for (const mode_t mask : {0000, 0022, 0777}) {
    const ScratchDirectory scratch;
    const mode_t old = ::umask(mask);
    Store store(testing::options_for(scratch / "a/b"));
    const bool put = store.put("key", "payload");
    ::umask(old);
    ASSERT_TRUE(put);
    std::size_t folders = 0;
    for (const auto& item : std::filesystem::recursive_directory_iterator(scratch.path())) {
      const auto mode = static_cast<unsigned>(item.status().permissions());
      const bool lock = item.path().string().find(".locks/") != std::string::npos;
      if (item.is_directory()) {
        EXPECT_EQ(mode, 0700U) << item.path();
        ++folders;
      } else if (!lock) {
        EXPECT_EQ(mode, 0600U) << item.path();
      }
      EXPECT_EQ(mode & 077U, 0U) << item.path();
    }
    EXPECT_EQ(folders, 6U);  // a, b, v1, .locks, .tmp and one of the 256
  }
}

void expect_refused(const std::string& path, const char* reason) {
  for (const Mode mode : {Mode::kReadWrite, Mode::kReadOnly}) {
    std::string warnings;
    StoreOptions options = testing::options_for(path, &warnings);
    options.mode = mode;
    Store store(options);
    EXPECT_FALSE(store.has_disk()) << path;
    EXPECT_NE(warnings.find(reason), std::string::npos) << warnings;
    EXPECT_NE(warnings.find("'" + path + "'"), std::string::npos) << warnings;
    EXPECT_NE(warnings.find("NIBBLE_CACHE_DIR"), std::string::npos) << warnings;
    EXPECT_EQ(std::count(warnings.begin(), warnings.end(), '\n'), 1) << warnings;
    EXPECT_FALSE(store.put("key", "payload"));
    EXPECT_EQ(store.get_or_create("key", [] { return std::optional<std::string>("made"); }),
              "made");
    EXPECT_EQ(store.get("key"), std::nullopt);
    EXPECT_EQ(store.counters().snapshot().misses, 2U);
    EXPECT_EQ(std::count(warnings.begin(), warnings.end(), '\n'), 1) << warnings;
  }
}

TEST_F(Location, RefusesWhatIsNotPrivate) {
  const ScratchDirectory scratch;
  for (const mode_t mode : {0770, 0707, 0777, 01777}) {
    const std::string path = scratch / std::to_string(mode);
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    expect_refused(path, "writable by its owner alone");
  }
  expect_refused("relative/path", "must be absolute");
  expect_refused("", "no directory is known");
  testing::overwrite_bytes(scratch / "file", "x");
  expect_refused(scratch / "file", "Not a directory");
  expect_refused(scratch / "file/below", "Not a directory");
}

TEST_F(Location, RefusesDirectoriesAndLinksOfOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make files of another user";
  const ScratchDirectory scratch;
  ASSERT_EQ(::mkdir((scratch / "foreign").c_str(), 0700), 0);
  ASSERT_EQ(::chown((scratch / "foreign").c_str(), 65534, 65534), 0);
  expect_refused(scratch / "foreign", "belongs to user 65534");
  ASSERT_EQ(::symlink("foreign", (scratch / "to-foreign").c_str()), 0);
  expect_refused(scratch / "to-foreign", "belongs to user 65534");
  ASSERT_EQ(::mkdir((scratch / "own").c_str(), 0700), 0);
  ASSERT_EQ(::symlink("own", (scratch / "foreign-link").c_str()), 0);
  ASSERT_EQ(::lchown((scratch / "foreign-link").c_str(), 65534, 65534), 0);
  expect_refused(scratch / "foreign-link", "symbolic link of user 65534");
  ASSERT_EQ(::symlink("own", (scratch / "own-link").c_str()), 0);
  EXPECT_TRUE(Store(testing::options_for(scratch / "own-link")).put("key", "payload"));
}

}  // namespace
}  // namespace nibble::cache
