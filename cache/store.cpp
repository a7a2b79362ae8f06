// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The path of a request: disk, then one thread per process, then one process per key, then create.
#include "cache/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <utility>

#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/file_lock.h"

namespace nibble::cache {
namespace {

// A hit marks its entry as used at most this often.
constexpr std::int64_t kTouchSeconds = 3600;

// True in a thread that is inside a create: it may hold a lock and lead a flight.
thread_local bool inside_create = false;

std::int64_t seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec;
}

}  // namespace

Store::Store(StoreOptions options) : options_(std::move(options)) {
  if (options_.mode == Mode::kOff) return;
  OpenedDirectory opened = open_root();
  if (opened.directory.valid()) {
    root_ = std::move(opened.directory);
  } else {
    warn(&warned_directory_, "not used: " + opened.problem);
  }
}

std::optional<std::string> Store::get(std::string_view key_text) {
  return first_look_up(key_text, hex(digest(key_text)));
}

bool Store::put(std::string_view key_text, std::string_view payload) {
  if (!publish(key_text, hex(digest(key_text)), payload)) return false;
  sweep_if_due();
  return true;
}

std::optional<std::string> Store::get_or_create(std::string_view key_text, const Create& create,
                                                Origin* origin) {
  Origin ignored{};
  Origin* const from = origin != nullptr ? origin : &ignored;
  const std::string name = hex(digest(key_text));
  if (auto payload = first_look_up(key_text, name)) {
    *from = Origin::kDisk;
    return payload;
  }
  if (inside_create) return create_alone(key_text, name, create, from);

  const SingleFlight::Ticket ticket = flights_.join(key_text);
  if (ticket.leads) {
    std::optional<std::string> result;
    struct Landing {
      SingleFlight& flights;
      std::string_view key_text;
      const SingleFlight::Ticket& ticket;
      const std::optional<std::string>& result;
      ~Landing() { flights.finish(key_text, ticket, result); }
    };
    {
      const Landing landing{flights_, key_text, ticket, result};
      result = lead(key_text, name, create, from);
    }
    sweep_if_due();
    return result;
  }

  Counters::increment(counters_.flight_waits);
  std::string payload;
  // Twice, for the leader may itself wait once before it creates.
  const auto outcome = flights_.wait(ticket, 2 * options_.lock_timeout, &payload);
  if (outcome == SingleFlight::Outcome::kResult) {
    *from = Origin::kWaited;
    return payload;
  }
  if (outcome == SingleFlight::Outcome::kTimeout) Counters::increment(counters_.flight_timeouts);
  return create_alone(key_text, name, create, from);
}

std::string Store::entry_path(std::string_view key_text) const {
  if (options_.directory.empty()) return {};
  return options_.directory + '/' + kVersionFolder + '/' + entry_file(hex(digest(key_text)));
}

OpenedDirectory Store::open_root() const {
  const bool create = options_.mode == Mode::kReadWrite;
  OpenedDirectory top = open_private_directory(options_.directory, create);
  if (!top.directory.valid()) return top;
  OpenedDirectory opened = open_private_subdirectory(top.directory.get(), kVersionFolder, create);
  // Where the folder of locks cannot be made, each lock is counted as unavailable.
  if (opened.directory.valid() && create) make_directory(opened.directory.get(), kLockFolder);
  return opened;
}

Store::Lookup Store::look_up(std::string_view key_text, const std::string& name,
                             std::string* payload) {
  if (!root_.valid()) return Lookup::kAbsent;
  const std::string path = entry_file(name);
  ReadFile file = read_file(root_.get(), path.c_str(), kLargestEntryBytes);
  if (file.status == ReadFile::Status::kAbsent) return Lookup::kAbsent;
  if (file.status == ReadFile::Status::kUnfit) return Lookup::kDamaged;
  if (file.status == ReadFile::Status::kFailed) return Lookup::kUnreadable;
  const EntryView entry = decode_entry(file.bytes);
  if (entry.fault != EntryFault::kNone) return Lookup::kDamaged;
  if (entry.key_text != key_text) return Lookup::kCollision;
  if (writable() && seconds_now() - file.modified_at > kTouchSeconds) {
    ::utimensat(root_.get(), path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  }
  // The buffer becomes the payload: no second allocation.
  const std::size_t payload_bytes = entry.payload.size();
  file.bytes.erase(0, kEntryHeaderBytes + key_text.size());
  file.bytes.resize(payload_bytes);
  *payload = std::move(file.bytes);
  return Lookup::kHit;
}

std::optional<std::string> Store::first_look_up(std::string_view key_text,
                                                const std::string& name) {
  std::string payload;
  const Lookup outcome = look_up(key_text, name, &payload);
  if (outcome == Lookup::kHit) {
    Counters::increment(counters_.hits);
    return payload;
  }
  Counters::increment(counters_.misses);
  if (outcome == Lookup::kDamaged) Counters::increment(counters_.corrupt);
  if (outcome == Lookup::kCollision) Counters::increment(counters_.collisions);
  if (outcome == Lookup::kUnreadable) Counters::increment(counters_.read_errors);
  return std::nullopt;
}

// Creates without waiting for anyone.
std::optional<std::string> Store::create_alone(std::string_view key_text, const std::string& name,
                                               const Create& create, Origin* origin) {
  std::optional<std::string> result = run(create);
  *origin = Origin::kCreated;
  if (result) publish(key_text, name, *result);
  return result;
}

// Creates as the only one of this process, and of all processes where there are locks.
std::optional<std::string> Store::lead(std::string_view key_text, const std::string& name,
                                       const Create& create, Origin* origin) {
  FileLock lock;
  if (writable()) {
    const auto locked = lock.lock(root_.get(), lock_file(name).c_str(), options_.lock_timeout);
    const bool timed_out = locked == FileLock::Result::kTimeout;
    const bool waited = timed_out || locked == FileLock::Result::kLockedAfterWait;
    if (waited) Counters::increment(counters_.lock_waits);
    if (timed_out) Counters::increment(counters_.lock_timeouts);
    if (locked == FileLock::Result::kUnavailable) {
      Counters::increment(counters_.locks_unavailable);
    }
    std::string payload;
    if (look_up(key_text, name, &payload) == Lookup::kHit) {
      Counters::increment(counters_.hits);
      *origin = waited ? Origin::kWaited : Origin::kDisk;
      return payload;
    }
  }
  return create_alone(key_text, name, create, origin);
}

std::optional<std::string> Store::run(const Create& create) {
  struct Inside {
    bool before = std::exchange(inside_create, true);
    ~Inside() { inside_create = before; }
  };
  struct FailureCount {
    Counters& counters;
    bool succeeded = false;
    ~FailureCount() {
      if (!succeeded) Counters::increment(counters.create_failures);
    }
  };
  Counters::increment(counters_.creates);
  const Inside inside;
  FailureCount failure{counters_};
  std::optional<std::string> result = create();
  failure.succeeded = result.has_value();
  return result;
}

bool Store::publish(std::string_view key_text, const std::string& name, std::string_view payload) {
  if (!writable()) return false;
  std::optional<FileError> error;
  // The sizes are compared one by one, for their sum could wrap.
  if (key_text.size() > kLargestEntryBytes || payload.size() > kLargestEntryBytes ||
      entry_bytes(key_text.size(), payload.size()) > kLargestEntryBytes) {
    error = FileError{"an entry larger than 256 MiB", EFBIG};
  } else {
    const std::string bytes = encode_entry(key_text, payload);
    const std::string folder = name.substr(0, 2);
    error = write_file(root_.get(), kTemporaryFolder, folder.c_str(), name, bytes);
    // Someone removed the whole directory, or emptied it under the writer.
    if (error && error->code == ENOENT && reopen_root()) {
      error = write_file(root_.get(), kTemporaryFolder, folder.c_str(), name, bytes);
    }
  }
  if (error) {
    Counters::increment(counters_.put_failures);
    warn(&warned_put_, "cannot keep new entries: " + error->text());
    return false;
  }
  Counters::increment(counters_.puts);
  bytes_since_sweep_.fetch_add(entry_bytes(key_text.size(), payload.size()),
                               std::memory_order_relaxed);
  return true;
}

// Puts the directory that now has the path behind the descriptor that every thread uses.
bool Store::reopen_root() {
  const OpenedDirectory opened = open_root();
  return opened.directory.valid() &&
         ::dup3(opened.directory.get(), root_.get(), O_CLOEXEC) == root_.get();
}

void Store::warn(std::atomic<bool>* warned, const std::string& problem) {
  if (warned->exchange(true)) return;
  const std::string line = "nibble: cache directory '" + options_.directory + "' " + problem +
                           "; going on without (NIBBLE_CACHE_DIR names another directory)";
  if (options_.warn) {
    options_.warn(line);
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
}

}  // namespace nibble::cache
