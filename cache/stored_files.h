// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What lies in a store's directory: the names, and which files are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::cache {

// Below the cache directory: one per entry format, so that versions never meet.
constexpr char kVersionFolder[] = "v1";
// Below that: entries as xx/<32 hexadecimal characters>, xx being the first two; and these.
constexpr char kTemporaryFolder[] = ".tmp";
constexpr char kLockFolder[] = ".locks";

struct StoredFile {
  std::string path;  // relative to the version's directory
  std::uint64_t bytes = 0;
  std::uint64_t disk_bytes = 0;
  std::int64_t modified_at = 0;  // seconds since 1970, by the clock of the file system
  std::uint64_t inode = 0;
};

// xx/<name> for the name of an entry.
std::string entry_file(std::string_view name);
// The lock file of the entry's stripe, one of 256.
std::string lock_file(std::string_view name);

// The files with names of entries, sorted by path, whatever they hold and whatever kind they are.
std::vector<StoredFile> entry_files(int directory);
// All temporary files.
std::vector<StoredFile> temporary_files(int directory);

// Removes the file if it is still the one that was seen. True where it is gone.
bool remove_unchanged(int directory, const StoredFile& seen);

}  // namespace nibble::cache
