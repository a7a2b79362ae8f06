// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a tuner found, as a text file: one record a line, each with its own digest. A damaged line
// is a record that is not there; nothing on disk is an error.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::cache {

// Texts hold no control characters: encode_tuning_table() makes each a question mark.
struct TuningRecord {
  // What it was found for. A table has one record for each pair of these two.
  std::string gpu;
  std::string problem;
  std::string templates;  // digest of the source of the kernels: of another source it says nothing
  std::string config;     // what was found
  // The evidence.
  double microseconds = 0;
  double default_microseconds = 0;
  double noise = 0;  // half the interquartile range of the times, as a fraction of the median
  std::string date;  // "2026-11-27T09:30:00Z"

  bool operator==(const TuningRecord&) const = default;
};

struct TuningTable {
  std::vector<TuningRecord> records;  // oldest first
  size_t damaged = 0;                 // lines that are no record
  bool known = false;                 // false: no table, or one of another version; then empty
};

// Numbers are kept to six digits.
std::string encode_tuning_table(const std::vector<TuningRecord>& records);
TuningTable decode_tuning_table(std::string_view text);

// Below the cache directory; its name has the version of the format.
constexpr char kTuningFolder[] = "tuning-v1";
constexpr char kTuningFile[] = "table.tsv";
constexpr size_t kLargestTableBytes = size_t{4} << 20;
constexpr size_t kMostRecords = 4096;  // the oldest go first

struct TuningFile {
  TuningTable table;    // empty where there is none
  std::string problem;  // why nothing can be read; empty where there merely is no file
};

// The table in a cache directory, for which the rules of a store's directory hold.
TuningFile read_tuning_table(const std::string& cache_directory);
// A table by its absolute path: a regular file that only its owner, this user or root, can write.
TuningFile read_tuning_file(const std::string& path);

// Puts records into the table of a cache directory, replacing those for the same GPU and problem,
// atomically and durably, under a lock: concurrent writers lose nothing. Returns what went wrong.
std::optional<std::string> record_tuning(
    const std::string& cache_directory, const std::vector<TuningRecord>& records,
    std::chrono::milliseconds lock_timeout = std::chrono::seconds(10));

}  // namespace nibble::cache
