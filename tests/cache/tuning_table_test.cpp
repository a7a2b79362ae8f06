// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tuning table: what was written comes back, what was damaged does not, writers lose nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <thread>

#include "cache/file_lock.h"
#include "cache/tuning_table.h"
#include "tests/cache/scratch.h"

namespace nibble::cache {
namespace {

using testing::overwrite_bytes;
using testing::read_bytes;
using testing::run_child;
using testing::ScratchDirectory;
using testing::start_child;
using testing::wait_for;

TuningRecord record(const std::string& problem, const std::string& config = "threads=128") {
  return {"A GPU, 132 SMs",      problem, "0123abcd", config, 12.5, 15.75, 0.0125,
          "2026-11-27T09:30:00Z"};
}

std::string table_file(const ScratchDirectory& scratch) {
  return scratch / (std::string(kTuningFolder) + '/' + kTuningFile);
}

TEST(TuningTable, RecordsComeBackInTheirOrder) {
  const std::vector<TuningRecord> records{record("b"), record("a"), record("", "")};
  const std::string text = encode_tuning_table(records);
  const TuningTable table = decode_tuning_table(text);
  EXPECT_TRUE(table.known);
  EXPECT_EQ(table.damaged, 0u);
  EXPECT_EQ(table.records, records);
  EXPECT_EQ(encode_tuning_table(table.records), text);
}

TEST(TuningTable, ControlCharactersCannotMakeRecords) {
  const TuningTable table =
      decode_tuning_table(encode_tuning_table({record("one\ttwo\nthree\x7f")}));
  ASSERT_EQ(table.records.size(), 1u);
  EXPECT_EQ(table.records[0].problem, "one?two?three?");
}

// Whatever becomes of a byte, the record that held it is gone and the others are as they were; of
// the head, all are gone.
TEST(TuningTable, DamageOfEachByteIsAMiss) {
  const std::vector<TuningRecord> records{record("first"), record("second"), record("third")};
  const std::string text = encode_tuning_table(records);
  const size_t head = encode_tuning_table({}).size();
  for (size_t at = 0; at < text.size(); ++at) {
    for (const int change : {0x01, 0x20, 0x80, text[at] ^ '\n', text[at] ^ '\t'}) {
      if (change == 0) continue;
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const TuningTable table = decode_tuning_table(damaged);
      EXPECT_EQ(table.known, at >= head);
      EXPECT_LT(table.records.size(), records.size()) << at;
      for (const TuningRecord& one : table.records) {
        EXPECT_NE(std::find(records.begin(), records.end(), one), records.end()) << at;
      }
      // A newline that goes takes the records on both its sides.
      const size_t left = at < head ? 0 : text[at] == '\n' ? 1 : 2;
      EXPECT_GE(table.records.size(), left) << at;
    }
  }
}

TEST(TuningTable, EveryTruncationKeepsOnlyWholeRecords) {
  const std::vector<TuningRecord> records{record("first"), record("second")};
  const std::string text = encode_tuning_table(records);
  for (size_t size = 0; size < text.size(); ++size) {
    const TuningTable table = decode_tuning_table(std::string_view(text).substr(0, size));
    EXPECT_LT(table.records.size(), records.size());
    for (const TuningRecord& one : table.records) EXPECT_EQ(one, records[0]);
  }
}

// Digests find accidents; a line with a right one can still be no record.
TEST(TuningTable, OtherVersionsAndLinesThatAreNoRecords) {
  std::string text = encode_tuning_table({record("a")});
  const size_t version = text.find('1');
  text[version] = '2';
  EXPECT_FALSE(decode_tuning_table(text).known);
  EXPECT_TRUE(decode_tuning_table(text).records.empty());
  for (const char* other : {"", "{}", "nibble tuning table, version 1", "\n\n\n"}) {
    EXPECT_FALSE(decode_tuning_table(other).known) << other;
  }
  TuningRecord odd = record("a");
  odd.noise = std::nan("");
  const TuningTable table = decode_tuning_table(encode_tuning_table({odd, record("b")}));
  EXPECT_EQ(table.damaged, 1u);
  ASSERT_EQ(table.records.size(), 1u);
  EXPECT_EQ(table.records[0].problem, "b");
}

TEST(TuningTable, OnDiskALaterRecordReplacesAnEarlier) {
  const ScratchDirectory scratch;
  EXPECT_FALSE(read_tuning_table(scratch.path()).table.known);
  EXPECT_EQ(record_tuning(scratch.path(), {record("a", "old"), record("b")}), std::nullopt);
  TuningRecord other_gpu = record("a", "its own");
  other_gpu.gpu = "Another";
  EXPECT_EQ(record_tuning(scratch.path(), {record("a", "new"), other_gpu}), std::nullopt);
  const TuningFile file = read_tuning_table(scratch.path());
  EXPECT_EQ(file.problem, "");
  EXPECT_EQ(file.table.records,
            (std::vector<TuningRecord>{record("b"), record("a", "new"), other_gpu}));
  EXPECT_EQ(read_tuning_file(table_file(scratch)).table.records, file.table.records);
}

TEST(TuningTable, DamageOnDiskHealsWithTheNextRecord) {
  const ScratchDirectory scratch;
  EXPECT_EQ(record_tuning(scratch.path(), {record("a"), record("b")}), std::nullopt);
  std::string text = read_bytes(table_file(scratch));
  text[text.size() - 3] ^= 1;  // in the digest of b
  overwrite_bytes(table_file(scratch), text);
  EXPECT_EQ(read_tuning_table(scratch.path()).table.damaged, 1u);
  EXPECT_EQ(record_tuning(scratch.path(), {record("c")}), std::nullopt);
  const TuningTable table = read_tuning_table(scratch.path()).table;
  EXPECT_EQ(table.damaged, 0u);
  EXPECT_EQ(table.records, (std::vector<TuningRecord>{record("a"), record("c")}));
}

TEST(TuningTable, FilesThatAreNotOnesOwnAreRefused) {
  const ScratchDirectory scratch;
  EXPECT_EQ(record_tuning(scratch.path(), {record("a")}), std::nullopt);
  const std::string path = table_file(scratch);
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  EXPECT_TRUE(read_tuning_table(scratch.path()).table.records.empty());
  EXPECT_NE(read_tuning_file(path).problem.find("writable by others"), std::string::npos);
  const std::string link = scratch / "link";
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  std::filesystem::create_symlink(path, link);
  EXPECT_NE(read_tuning_file(link).problem, "");
  EXPECT_NE(read_tuning_file("table.tsv").problem, "");
  EXPECT_NE(read_tuning_file(scratch / "absent").problem, "");
}

TEST(TuningTable, WhatCannotBeWrittenIsSaid) {
  EXPECT_NE(record_tuning("relative", {record("a")}), std::nullopt);
  const ScratchDirectory scratch;
  overwrite_bytes(scratch / kTuningFolder, "a file where the folder should be");
  EXPECT_NE(record_tuning(scratch.path(), {record("a")}), std::nullopt);
}

TEST(TuningTable, ALockThatIsHeldEndsInAMessage) {
  const ScratchDirectory scratch;
  EXPECT_EQ(record_tuning(scratch.path(), {record("a")}), std::nullopt);
  const int folder = ::open((scratch / kTuningFolder).c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(folder, 0);
  {
    FileLock holder;
    ASSERT_EQ(holder.lock(folder, "lock", std::chrono::seconds(1)), FileLock::Result::kLocked);
    const auto problem =
        record_tuning(scratch.path(), {record("b")}, std::chrono::milliseconds(20));
    ASSERT_TRUE(problem.has_value());
    EXPECT_NE(problem->find("locked for 20 ms"), std::string::npos) << *problem;
  }
  ::close(folder);
  EXPECT_EQ(record_tuning(scratch.path(), {record("b")}), std::nullopt);
}

TEST(TuningTable, WritersAtTheSameTimeLoseNothing) {
  constexpr int kProcesses = 6;
  constexpr int kThreads = 2;
  constexpr int kRecords = 8;
  const ScratchDirectory scratch;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(start_child([&] {
      std::vector<std::thread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          for (int i = 0; i < kRecords; ++i) {
            const std::string name =
                std::to_string(process) + '.' + std::to_string(thread) + '.' + std::to_string(i);
            EXPECT_EQ(record_tuning(scratch.path(), {record(name)}), std::nullopt);
            EXPECT_EQ(read_tuning_table(scratch.path()).table.damaged, 0u);
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  const TuningTable table = read_tuning_table(scratch.path()).table;
  EXPECT_EQ(table.damaged, 0u);
  EXPECT_EQ(table.records.size(), static_cast<size_t>(kProcesses * kThreads * kRecords));
}

// A writer that dies leaves at most a temporary file, which the next one sweeps.
TEST(TuningTable, LeftoversOfDeadWritersAreSwept) {
  const ScratchDirectory scratch;
  EXPECT_EQ(record_tuning(scratch.path(), {record("a")}), std::nullopt);
  const std::string leftovers = scratch / (std::string(kTuningFolder) + "/.tmp");
  overwrite_bytes(leftovers + "/table.tsv.dead", "half a tab");
  EXPECT_EQ(record_tuning(scratch.path(), {record("b")}), std::nullopt);
  EXPECT_EQ(testing::files_in(leftovers), 0u);
  EXPECT_EQ(read_tuning_table(scratch.path()).table.records.size(), 2u);
}

TEST(TuningTable, TheOldestRecordsGoFirst) {
  const ScratchDirectory scratch;
  std::vector<TuningRecord> records;
  for (size_t i = 0; i < kMostRecords + 3; ++i) records.push_back(record(std::to_string(i)));
  EXPECT_EQ(record_tuning(scratch.path(), records), std::nullopt);
  const TuningTable table = read_tuning_table(scratch.path()).table;
  ASSERT_EQ(table.records.size(), kMostRecords);
  EXPECT_EQ(table.records.front().problem, "3");
}

}  // namespace
}  // namespace nibble::cache
