// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Hostile disks and folders: whatever the fault, the caller gets its payload, with one warning.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "cache/atomic_file.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "tests/cache/scratch.h"

namespace nibble::cache {
namespace {

using testing::kChildSkipped;
using testing::options_for;
using testing::run_child;
using testing::ScratchDirectory;
using Payload = std::optional<std::string>;

constexpr uid_t kNobody = 65534;

void become_nobody(const std::string& directory) {
  if (::geteuid() != 0) return;  // unprivileged already
  ASSERT_EQ(::chown(directory.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::setresgid(kNobody, kNobody, kNobody), 0);
  ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
}

int line_count(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

// Two failing puts: both callers get their payload, and one line names path, errno and variable.
void expect_puts_fail(Store& store, const std::string& warnings, int code) {
  for (const std::string key : {"fails", "fails too"}) {
    const std::string payload(40'000, key.back());
    Origin origin{};
    EXPECT_EQ(store.get_or_create(
                  key, [&] { return Payload(payload); }, &origin),
              payload);
    EXPECT_EQ(origin, Origin::kCreated);
    EXPECT_EQ(store.get(key), std::nullopt);
  }
  EXPECT_EQ(store.counters().snapshot().put_failures, 2U);
  EXPECT_EQ(store.counters().snapshot().corrupt, 0U);
  EXPECT_EQ(line_count(warnings), 1) << warnings;
  for (const std::string& part :
       {"'" + store.directory() + "'", std::string(std::strerror(code)),
        "errno " + std::to_string(code), std::string("NIBBLE_CACHE_DIR")}) {
    EXPECT_NE(warnings.find(part), std::string::npos) << part << " in " << warnings;
  }
  EXPECT_EQ(testing::files_in(store.directory() + "/v1/.tmp"), 0U);
}

TEST(Faults, AnUnwritableDirectoryStillAnswers) {
  const ScratchDirectory scratch;
  EXPECT_EQ(
      run_child([&] {
        become_nobody(scratch.path());
        ASSERT_TRUE(Store(options_for(scratch / "cache")).put("key", "payload"));
        for (const auto& item : std::filesystem::recursive_directory_iterator(scratch / "cache")) {
          const mode_t mode = item.is_directory() ? 0500 : 0600;
          ASSERT_EQ(::chmod(item.path().c_str(), mode), 0);
        }
        std::string warnings;
        Store store(options_for(scratch / "cache", &warnings));
        EXPECT_EQ(store.get("key"), "payload");
        expect_puts_fail(store, warnings, EACCES);
        EXPECT_EQ(store.counters().snapshot().locks_unavailable, 2U);
      }),
      0);
}

TEST(Faults, ADirectoryThatCannotBeMadeIsDoneWithout) {
  const ScratchDirectory scratch;
  EXPECT_EQ(run_child([&] {
              become_nobody(scratch.path());
              ASSERT_EQ(::chmod(scratch.path().c_str(), 0500), 0);
              std::string warnings;
              Store store(options_for(scratch / "home/.cache/nibble", &warnings));
              EXPECT_FALSE(store.has_disk());
              EXPECT_EQ(store.get_or_create("key", [] { return Payload("made"); }), "made");
              EXPECT_EQ(store.get("key"), std::nullopt);
              EXPECT_EQ(line_count(warnings), 1) << warnings;
              EXPECT_NE(warnings.find("mkdir: Permission denied (errno 13)"), std::string::npos);
            }),
            0);
}

TEST(Faults, AnUnreadableEntryIsAnErrorCountedAsAMiss) {
  const ScratchDirectory scratch;
  EXPECT_EQ(run_child([&] {
              become_nobody(scratch.path());
              Store store(options_for(scratch / "cache"));
              ASSERT_TRUE(store.put("key", "payload"));
              ASSERT_EQ(::chmod(store.entry_path("key").c_str(), 0), 0);
              EXPECT_EQ(store.get("key"), std::nullopt);
              EXPECT_EQ(store.counters().snapshot().read_errors, 1U);
              EXPECT_TRUE(store.put("key", "payload"));
              EXPECT_EQ(store.get("key"), "payload");
            }),
            0);
}

// In a mount namespace of its own; `extra` is mount's options of a tmpfs.
int with_tmpfs(const std::string& where, unsigned long flags, const char* extra,
               const std::function<void()>& body) {
  return run_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", where.c_str(), "tmpfs", flags, extra) != 0) {
      ::_exit(kChildSkipped);
    }
    body();
  });
}

TEST(Faults, AFullDisk) {
  const ScratchDirectory scratch;
  const int code = with_tmpfs(scratch.path(), 0, "size=32k,mode=0700", [&] {
    std::string warnings;
    Store store(options_for(scratch / "cache", &warnings));
    EXPECT_TRUE(store.put("small", "payload"));
    expect_puts_fail(store, warnings, ENOSPC);
    EXPECT_EQ(store.get("small"), "payload");
    EXPECT_TRUE(store.put("small", "payload 2"));
  });
  if (code == kChildSkipped) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  EXPECT_EQ(code, 0);
}

TEST(Faults, ADiskWithoutInodes) {
  const ScratchDirectory scratch;
  const int code = with_tmpfs(scratch.path(), 0, "nr_inodes=6,mode=0700", [&] {
    std::string warnings;
    Store store(options_for(scratch / "cache", &warnings));
    expect_puts_fail(store, warnings, ENOSPC);
  });
  if (code == kChildSkipped) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  EXPECT_EQ(code, 0);
}

TEST(Faults, AReadOnlyFileSystem) {
  const ScratchDirectory scratch;
  const int code = with_tmpfs(scratch.path(), 0, "mode=0700", [&] {
    ASSERT_TRUE(Store(options_for(scratch / "cache")).put("key", "payload"));
    ASSERT_EQ(::mount(nullptr, scratch.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr),
              0);
    std::string warnings;
    Store store(options_for(scratch / "cache", &warnings));
    EXPECT_EQ(store.get("key"), "payload");
    expect_puts_fail(store, warnings, EROFS);
  });
  if (code == kChildSkipped) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  EXPECT_EQ(code, 0);
}

TEST(Faults, AFileSizeLimitIsAnErrorNotASignal) {
  const ScratchDirectory scratch;
  EXPECT_EQ(run_child([&] {
              std::string warnings;
              Store store(options_for(scratch / "cache", &warnings));
              const rlimit limit{4096, RLIM_INFINITY};
              ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
              expect_puts_fail(store, warnings, EFBIG);
              EXPECT_TRUE(store.put("small", "payload"));
              sigset_t pending;
              ASSERT_EQ(::sigpending(&pending), 0);
              EXPECT_EQ(::sigismember(&pending, SIGXFSZ), 0);
            }),
            0);
}

TEST(Faults, NoDescriptorsLeft) {
  const ScratchDirectory scratch;
  EXPECT_EQ(run_child([&] {
              std::string warnings;
              Store store(options_for(scratch / "cache", &warnings));
              // The whole path once: the vptr check of UBSan needs descriptors for what it first
              // sees.
              ASSERT_TRUE(store.get_or_create("key", [] { return Payload("payload"); }));
              rlimit limit{};
              ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
              const int next = ::dup(0);
              ASSERT_GE(next, 0);
              ::close(next);
              const rlimit none{static_cast<rlim_t>(next), limit.rlim_max};
              ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
              EXPECT_EQ(store.get("key"), std::nullopt);
              EXPECT_EQ(store.counters().snapshot().read_errors, 1U);
              EXPECT_EQ(store.get_or_create("new", [] { return Payload("made"); }), "made");
              EXPECT_EQ(store.counters().snapshot().locks_unavailable, 1U);
              EXPECT_EQ(store.counters().snapshot().put_failures, 1U);
              EXPECT_NE(warnings.find("Too many open files"), std::string::npos) << warnings;
              ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
              EXPECT_EQ(store.get("key"), "payload");
              EXPECT_TRUE(store.put("new", "made"));
              const int after = ::dup(0);
              EXPECT_EQ(after, next) << "a descriptor leaked";
              ::close(after);
            }),
            0);
}

// Whatever lies where an entry should be is a counted miss; put replaces all but a folder.
TEST(Faults, StrangeThingsInPlaceOfAnEntry) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(Store(options_for(scratch / "elsewhere")).put("key", "payload"));
  const std::string valid = Store(options_for(scratch / "elsewhere")).entry_path("key");
  const std::string target = scratch / "target";
  const std::vector<std::pair<const char*, std::function<void(const char*)>>> cases = {
      {"link to a valid entry",
       [&](const char* path) { ASSERT_EQ(::symlink(valid.c_str(), path), 0); }},
      {"dangling link", [&](const char* path) { ASSERT_EQ(::symlink(target.c_str(), path), 0); }},
      {"FIFO", [&](const char* path) { ASSERT_EQ(::mkfifo(path, 0600), 0); }},
      {"empty file", [&](const char* path) { testing::overwrite_bytes(path, ""); }},
      {"writable by others",
       [&](const char* path) {
         std::filesystem::copy_file(valid, path);
         ASSERT_EQ(::chmod(path, 0666), 0);
       }},
      {"huge sparse file",
       [&](const char* path) {
         testing::overwrite_bytes(path, "");
         ASSERT_EQ(::truncate(path, off_t{1} << 40), 0);
       }},
  };
  for (const auto& [what, make] : cases) {
    SCOPED_TRACE(what);
    std::string warnings;
    Store store(options_for(scratch / "cache", &warnings));
    ASSERT_TRUE(store.put("key", "old"));
    const std::string path = store.entry_path("key");
    std::filesystem::remove(path);
    make(path.c_str());
    EXPECT_EQ(store.get("key"), std::nullopt);
    EXPECT_EQ(store.counters().snapshot().corrupt, 1U);
    EXPECT_EQ(store.verify().damaged.size(), 1U);
    EXPECT_EQ(store.get_or_create("key", [] { return Payload("healed"); }), "healed");
    EXPECT_EQ(store.get("key"), "healed");
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(path)));
    EXPECT_EQ(warnings, "");
  }
  EXPECT_FALSE(std::filesystem::exists(target)) << "written through a link";
  EXPECT_EQ(Store(options_for(scratch / "elsewhere")).get("key"), "payload");

  std::string warnings;
  Store store(options_for(scratch / "cache", &warnings));
  const std::string path = store.entry_path("key");
  std::filesystem::remove(path);
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_EQ(store.get("key"), std::nullopt);
  EXPECT_EQ(store.get_or_create("key", [] { return Payload("made"); }), "made");
  EXPECT_EQ(store.clear().failed, 1U);
  EXPECT_EQ(line_count(warnings), 1) << warnings;
}

TEST(Faults, AnEntryOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give a file away";
  const ScratchDirectory scratch;
  Store store(options_for(scratch / "cache"));
  ASSERT_TRUE(store.put("key", "payload"));
  ASSERT_EQ(::chown(store.entry_path("key").c_str(), kNobody, kNobody), 0);
  EXPECT_EQ(store.get("key"), std::nullopt);
  EXPECT_EQ(store.counters().snapshot().corrupt, 1U);
}

TEST(Faults, APayloadOverTheLimitIsNotKept) {
  const ScratchDirectory scratch;
  std::string warnings;
  Store store(options_for(scratch / "cache", &warnings));
  EXPECT_FALSE(store.put("key", std::string(kLargestEntryBytes, 'x')));
  EXPECT_NE(warnings.find("larger than 256 MiB"), std::string::npos) << warnings;
  EXPECT_EQ(store.counters().snapshot().put_failures, 1U);
}

TEST(AtomicFile, AFailedWriteKeepsTheOldFile) {
  const ScratchDirectory scratch;
  const int directory = ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_FALSE(write_file(directory, ".tmp", "ab", "name", "old").has_value());
  EXPECT_EQ(run_child([&] {
              const rlimit limit{1, RLIM_INFINITY};
              ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
              const auto error = write_file(directory, ".tmp", "ab", "name", "newer");
              ASSERT_TRUE(error.has_value());
              EXPECT_EQ(error->code, EFBIG);
            }),
            0);
  EXPECT_EQ(read_file(directory, "ab/name", 100).bytes, "old");
  EXPECT_EQ(read_file(directory, "ab/name", 2).status, ReadFile::Status::kUnfit);
  EXPECT_EQ(read_file(directory, "ab/none", 100).status, ReadFile::Status::kAbsent);
  EXPECT_EQ(testing::files_in(scratch / ".tmp"), 0U);
  ::close(directory);
}

}  // namespace
}  // namespace nibble::cache
