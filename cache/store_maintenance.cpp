// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The parts of a store that list its directory: reports for tools, the size limit, left-overs.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/file_lock.h"
#include "cache/store.h"

namespace nibble::cache {
namespace {

constexpr std::int64_t kSweepSeconds = 3600;            // between two sweeps for left-overs
constexpr std::int64_t kStaleTemporarySeconds = 86400;  // no put takes a day
constexpr std::int64_t kFreshEntrySeconds = 600;        // never evicted

struct CheckedFile {
  std::string reason;  // empty: valid
  std::string bytes;   // where valid
};

CheckedFile check(int directory, const StoredFile& stored) {
  ReadFile file = read_file(directory, stored.path.c_str(), kLargestEntryBytes);
  if (file.status == ReadFile::Status::kAbsent) return {"removed meanwhile", {}};
  if (file.status == ReadFile::Status::kUnfit) return {file.reason, {}};
  if (file.status == ReadFile::Status::kFailed) return {file.error.text(), {}};
  const EntryView entry = decode_entry(file.bytes);
  if (entry.fault != EntryFault::kNone) return {describe(entry.fault), {}};
  if (entry_file(hex(digest(entry.key_text))) != stored.path) {
    return {"the name is not the digest of the key", {}};
  }
  return {{}, std::move(file.bytes)};
}

std::vector<StoredFile> entries_below(const FileDescriptor& root) {
  return root.valid() ? entry_files(root.get()) : std::vector<StoredFile>();
}

}  // namespace

std::vector<EntryInfo> Store::list() {
  std::vector<EntryInfo> entries;
  for (const StoredFile& stored : entries_below(root_)) {
    const CheckedFile file = check(root_.get(), stored);
    if (!file.reason.empty()) continue;
    const EntryView entry = decode_entry(file.bytes);
    EntryInfo info;
    info.name = stored.path.substr(stored.path.find('/') + 1);
    info.key_text = entry.key_text;
    info.file_bytes = file.bytes.size();
    info.payload_bytes = entry.payload.size();
    info.last_used = std::chrono::system_clock::from_time_t(stored.modified_at);
    entries.push_back(std::move(info));
  }
  return entries;
}

VerifyReport Store::verify() {
  VerifyReport report;
  for (const StoredFile& stored : entries_below(root_)) {
    ++report.entries;
    report.bytes += stored.bytes;
    CheckedFile file = check(root_.get(), stored);
    if (file.reason.empty()) continue;
    report.damaged.push_back(
        {options_.directory + '/' + kVersionFolder + '/' + stored.path, std::move(file.reason)});
  }
  return report;
}

ClearReport Store::clear() {
  ClearReport report;
  if (!writable()) return report;
  for (const StoredFile& stored : entry_files(root_.get())) {
    if (::unlinkat(root_.get(), stored.path.c_str(), 0) == 0) {
      ++report.removed;
      report.bytes += stored.bytes;
    } else if (errno != ENOENT) {
      ++report.failed;
    }
  }
  for (const StoredFile& stored : temporary_files(root_.get())) {
    ::unlinkat(root_.get(), stored.path.c_str(), 0);
  }
  return report;
}

StoreStat Store::stat() {
  StoreStat result;
  for (const StoredFile& stored : entries_below(root_)) {
    ++result.entries;
    result.bytes += stored.bytes;
  }
  return result;
}

// On the first put of a store, and again each time that an eighth of the limit was written. Called
// with no lock held; one process at a time sweeps, the others skip it.
void Store::sweep_if_due() {
  if (!writable() || counters_.puts.load(std::memory_order_relaxed) == 0) return;
  const std::uint64_t written = bytes_since_sweep_.load(std::memory_order_relaxed);
  const bool grown = options_.size_limit != 0 && written > options_.size_limit / 8;
  if (swept_.exchange(true) && !grown) return;
  FileLock lock;
  const std::string path = std::string(kLockFolder) + "/sweep";
  const auto locked = lock.lock(root_.get(), path.c_str(), std::chrono::milliseconds(0));
  if (locked != FileLock::Result::kLocked) return;
  bytes_since_sweep_.store(0, std::memory_order_relaxed);
  sweep(lock.descriptor(), grown);
}

// The time of the lock file tells when the last sweep was, by the clock that dates the entries.
void Store::sweep(int lock_file, bool grown) {
  struct stat before {};
  struct stat after {};
  if (::fstat(lock_file, &before) != 0 || ::futimens(lock_file, nullptr) != 0 ||
      ::fstat(lock_file, &after) != 0) {
    return;
  }
  const std::int64_t now = after.st_mtim.tv_sec;
  if (!grown && now - before.st_mtim.tv_sec < kSweepSeconds) return;
  for (const StoredFile& temporary : temporary_files(root_.get())) {
    if (now - temporary.modified_at < kStaleTemporarySeconds) continue;
    if (remove_unchanged(root_.get(), temporary)) Counters::increment(counters_.temporaries_swept);
  }
  if (options_.size_limit != 0) evict(entry_files(root_.get()), now);
}

// Down to nine tenths of the limit, so that the next put does not evict again.
void Store::evict(std::vector<StoredFile> files, std::int64_t now) {
  std::uint64_t total = 0;
  for (const StoredFile& file : files) total += file.disk_bytes;
  if (total <= options_.size_limit) return;
  std::sort(files.begin(), files.end(),
            [](const StoredFile& a, const StoredFile& b) { return a.modified_at < b.modified_at; });
  for (const StoredFile& file : files) {
    if (total <= options_.size_limit / 10 * 9 || now - file.modified_at < kFreshEntrySeconds) break;
    if (!remove_unchanged(root_.get(), file)) continue;
    Counters::increment(counters_.evictions);
    total -= file.disk_bytes;
  }
}

}  // namespace nibble::cache
