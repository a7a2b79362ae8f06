// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Blobs on disk under text keys: what was put comes back whole or not at all, whatever happened to
// the files, the disk or the other processes in between. The format and the promises are in
// cache/README.md.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/counters.h"
#include "cache/location.h"
#include "cache/single_flight.h"
#include "cache/stored_files.h"

namespace nibble::cache {

struct StoreOptions {
  std::string directory = default_directory();  // absolute; empty means no disk
  Mode mode = Mode::kReadWrite;
  // Bytes on disk that the entries may take; the least recently used go first. 0 means no limit. It
  // is kept roughly: see "Eviction" in README.md.
  std::uint64_t size_limit = std::uint64_t{1} << 30;
  // The longest that one call waits for another process, and half of the longest that it waits for
  // another thread. Longer than the slowest create, or work is done twice.
  std::chrono::milliseconds lock_timeout{60'000};
  // Gets one line without a newline, from any thread, at most twice per store: once about the
  // directory, once about a failed put. It must not call the store. Empty: the line goes to stderr.
  std::function<void(std::string_view)> warn;
};

// Where the bytes of get_or_create came from.
enum class Origin {
  kDisk,     // an entry that was there
  kCreated,  // this call's create
  kWaited,   // the create of another thread or process that this call waited for
};

struct EntryInfo {
  std::string name;  // 32 hexadecimal characters: the digest of the key text
  std::string key_text;
  std::uint64_t file_bytes = 0;
  std::uint64_t payload_bytes = 0;
  std::chrono::system_clock::time_point last_used;  // to the hour
};

struct DamagedEntry {
  std::string path;
  std::string reason;
};

struct VerifyReport {
  std::uint64_t entries = 0;  // all files looked at, the damaged ones included
  std::uint64_t bytes = 0;    // the sum of their sizes
  std::vector<DamagedEntry> damaged;
};

struct ClearReport {
  std::uint64_t removed = 0;  // entries
  std::uint64_t bytes = 0;    // the sum of their sizes
  std::uint64_t failed = 0;   // entries that could not be removed
};

struct StoreStat {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // the sum of the file sizes
};

// Thread-safe, and usable in a forked child. No call throws, other than what `create` throws and
// std::bad_alloc; no call waits without a bound; no fault of the disk is an error of a call.
class Store {
 public:
  // Never fails. A directory that cannot be used, or is not private, means one warning and a store
  // that finds and keeps nothing.
  explicit Store(StoreOptions options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The verified payload put under exactly `key_text`, or nothing: a miss. One file is read whole;
  // a damaged one is a miss and is left for the next put to replace.
  std::optional<std::string> get(std::string_view key_text);

  // Publishes `payload`: atomically, durably once true is returned, replacing what was there.
  // False, with one warning per store, where it could not; false without one where the mode forbids
  // it.
  bool put(std::string_view key_text, std::string_view payload);

  // The payload from disk; else the one that another thread or process is creating; else what
  // `create` returns, which is then put (a failed put changes nothing for the caller).
  // At most one create per key runs at a time among the threads and processes that share the
  // directory, unless a wait outlasts its deadline or the file system has no locks; then creates
  // are duplicated, never results mixed.
  // Nothing from `create` means failure: it is returned, never stored. A thread that waited for a
  // create which failed or threw runs its own at once, so that each caller sees its own reason.
  // `create` may call this store again; such calls take no lock and wait for nobody.
  std::optional<std::string> get_or_create(
      std::string_view key_text, const std::function<std::optional<std::string>()>& create,
      Origin* origin = nullptr);

  // For tools. They read the directory; entries put or removed meanwhile may be missed.
  std::vector<EntryInfo> list();  // the valid entries, by name
  VerifyReport verify();          // reads and checks every entry, changes nothing
  ClearReport clear();            // removes entries and temporary files; only in kReadWrite
  StoreStat stat();               // without reading the entries

  // The file that holds, or would hold, the entry of `key_text`; empty without a directory.
  std::string entry_path(std::string_view key_text) const;

  const std::string& directory() const { return options_.directory; }
  Mode mode() const { return options_.mode; }
  // True where the directory is in use, so that entries can be found.
  bool has_disk() const { return root_.valid(); }
  const Counters& counters() const { return counters_; }

 private:
  enum class Lookup { kHit, kAbsent, kDamaged, kCollision, kUnreadable };
  using Create = std::function<std::optional<std::string>()>;

  OpenedDirectory open_root() const;
  bool writable() const { return root_.valid() && options_.mode == Mode::kReadWrite; }
  Lookup look_up(std::string_view key_text, const std::string& name, std::string* payload);
  std::optional<std::string> first_look_up(std::string_view key_text, const std::string& name);
  std::optional<std::string> create_alone(std::string_view key_text, const std::string& name,
                                          const Create& create, Origin* origin);
  std::optional<std::string> lead(std::string_view key_text, const std::string& name,
                                  const Create& create, Origin* origin);
  std::optional<std::string> run(const Create& create);
  bool publish(std::string_view key_text, const std::string& name, std::string_view payload);
  void warn(std::atomic<bool>* warned, const std::string& problem);
  bool reopen_root();
  void sweep_if_due();
  void sweep(int lock_file, bool grown);
  void evict(std::vector<StoredFile> files, std::int64_t now);

  StoreOptions options_;
  FileDescriptor root_;  // the version's directory
  Counters counters_;
  SingleFlight flights_;
  std::atomic<bool> warned_directory_{false};
  std::atomic<bool> warned_put_{false};
  std::atomic<std::uint64_t> bytes_since_sweep_{0};
  std::atomic<bool> swept_{false};
};

}  // namespace nibble::cache
