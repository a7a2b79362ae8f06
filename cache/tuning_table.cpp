// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "cache/tuning_table.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "cache/atomic_file.h"
#include "cache/digest.h"
#include "cache/file_lock.h"
#include "cache/location.h"
#include "cache/stored_files.h"

namespace nibble::cache {
namespace {

constexpr std::string_view kHead =
    "nibble tuning table, version 1\n"
    "gpu\tproblem\ttemplates\tconfig\tmicroseconds\tdefault\tnoise\tdate\tdigest\n";
constexpr char kLockFile[] = "lock";
constexpr size_t kFields = 8;  // before the digest

std::string number_text(double value) {
  char text[32];
  return {text, static_cast<size_t>(std::snprintf(text, sizeof(text), "%.6g", value))};
}

std::string field_text(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return clean;
}

std::string line_of(const TuningRecord& record) {
  std::string line;
  for (const std::string& field :
       {record.gpu, record.problem, record.templates, record.config,
        number_text(record.microseconds), number_text(record.default_microseconds),
        number_text(record.noise), record.date}) {
    line += field_text(field) + '\t';
  }
  return line + hex(digest(line)) + '\n';
}

bool parse_number(std::string_view text, double* value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end && std::isfinite(*value) && *value >= 0;
}

// The digest first: what follows looks only at bytes that were once written.
std::optional<TuningRecord> parse_line(std::string_view line) {
  const size_t last = line.rfind('\t');
  if (last == std::string_view::npos) return std::nullopt;
  std::string_view body = line.substr(0, last + 1);
  if (line.substr(last + 1) != hex(digest(body))) return std::nullopt;
  std::array<std::string_view, kFields> fields;
  for (std::string_view& field : fields) {
    const size_t tab = body.find('\t');
    if (tab == std::string_view::npos) return std::nullopt;
    field = body.substr(0, tab);
    body.remove_prefix(tab + 1);
  }
  TuningRecord record{std::string(fields[0]),
                      std::string(fields[1]),
                      std::string(fields[2]),
                      std::string(fields[3]),
                      0,
                      0,
                      0,
                      std::string(fields[7])};
  const bool whole = body.empty() && parse_number(fields[4], &record.microseconds) &&
                     parse_number(fields[5], &record.default_microseconds) &&
                     parse_number(fields[6], &record.noise);
  return whole ? std::optional(record) : std::nullopt;
}

TuningFile read_in(int directory, const char* path) {
  const ReadFile file = read_file(directory, path, kLargestTableBytes);
  switch (file.status) {
    case ReadFile::Status::kRead:
      return {decode_tuning_table(file.bytes), {}};
    case ReadFile::Status::kAbsent:
      return {};
    case ReadFile::Status::kUnfit:
      return {{}, std::string("the file is ") + file.reason};
    case ReadFile::Status::kFailed:
      return {{}, file.error.text()};
  }
  return {};
}

// The later of two records for the same thing stays, at the end.
void merge(std::vector<TuningRecord>* all, const std::vector<TuningRecord>& more) {
  for (const TuningRecord& record : more) {
    std::erase_if(*all, [&](const TuningRecord& old) {
      return old.gpu == record.gpu && old.problem == record.problem;
    });
    all->push_back(record);
  }
  if (all->size() > kMostRecords) {
    all->erase(all->begin(), all->end() - static_cast<std::ptrdiff_t>(kMostRecords));
  }
}

}  // namespace

std::string encode_tuning_table(const std::vector<TuningRecord>& records) {
  std::string text(kHead);
  for (const TuningRecord& record : records) text += line_of(record);
  return text;
}

TuningTable decode_tuning_table(std::string_view text) {
  TuningTable table;
  table.known = text.starts_with(kHead);
  if (!table.known) return table;
  text.remove_prefix(kHead.size());
  while (!text.empty()) {
    const size_t end = text.find('\n');
    // A last line without its end may have lost more than that.
    auto record = end == std::string_view::npos ? std::nullopt : parse_line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (record && table.records.size() < kMostRecords) {
      table.records.push_back(*std::move(record));
    } else {
      ++table.damaged;
    }
  }
  return table;
}

TuningFile read_tuning_table(const std::string& cache_directory) {
  const OpenedDirectory root = open_private_directory(cache_directory, false);
  if (!root.directory.valid()) return {};  // the store has said so
  const OpenedDirectory folder =
      open_private_subdirectory(root.directory.get(), kTuningFolder, false);
  if (!folder.directory.valid()) return {};
  return read_in(folder.directory.get(), kTuningFile);
}

TuningFile read_tuning_file(const std::string& path) {
  if (!path.starts_with('/')) return {{}, "the path must be absolute"};
  TuningFile file = read_in(AT_FDCWD, path.c_str());
  if (file.problem.empty() && !file.table.known) file.problem = "no tuning table of this version";
  return file;
}

std::optional<std::string> record_tuning(const std::string& cache_directory,
                                         const std::vector<TuningRecord>& records,
                                         std::chrono::milliseconds lock_timeout) {
  const OpenedDirectory root = open_private_directory(cache_directory, true);
  if (!root.directory.valid()) return root.problem;
  const OpenedDirectory opened =
      open_private_subdirectory(root.directory.get(), kTuningFolder, true);
  if (!opened.directory.valid()) return std::string(kTuningFolder) + ": " + opened.problem;
  const int folder = opened.directory.get();
  FileLock lock;
  const FileLock::Result locked = lock.lock(folder, kLockFile, lock_timeout);
  if (locked == FileLock::Result::kTimeout) {
    return "another process has kept the table locked for " + std::to_string(lock_timeout.count()) +
           " ms";
  }
  // Without locks here, a writer at the same time may be lost: better than no record at all.
  if (locked != FileLock::Result::kUnavailable) {
    for (const StoredFile& left : temporary_files(folder)) remove_unchanged(folder, left);
  }
  TuningFile file = read_in(folder, kTuningFile);
  merge(&file.table.records, records);
  const auto error = write_file(folder, kTemporaryFolder, ".", kTuningFile,
                                encode_tuning_table(file.table.records));
  return error ? std::optional(error->text()) : std::nullopt;
}

}  // namespace nibble::cache
