// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whole files: read in one piece or not at all, written so that no reader and no power cut ever
// shows a part of one. Names are relative to an open directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble::cache {

// A system call that failed.
struct FileError {
  const char* step = "";     // "fsync of the file"
  int code = 0;              // errno
  std::string text() const;  // "fsync of the file: Input/output error (errno 5)"
};

struct ReadFile {
  enum class Status {
    kRead,
    kAbsent,
    kUnfit,  // there, but no regular file of a fit size that only its owner can write
    kFailed,
  };
  Status status = Status::kAbsent;
  std::string bytes;             // kRead
  std::int64_t modified_at = 0;  // kRead: seconds since 1970
  const char* reason = "";       // kUnfit
  FileError error;               // kFailed
};

// Never blocks on what is no file, never follows a link in the last component, reads at most
// `largest` bytes. A file that shrinks meanwhile is returned as short as it got.
ReadFile read_file(int directory, const char* path, std::size_t largest);

// Publishes `bytes` as `folder`/`name`: written with mode 0600 to a new file in the folder
// `temporary`, synced, renamed, and the folder synced. Missing folders are made. On an error the
// temporary file is gone and what was published before is unchanged, except where only the last
// step failed: then the new file is there, and a power cut may undo it.
std::optional<FileError> write_file(int directory, const char* temporary, const char* folder,
                                    const std::string& name, std::string_view bytes);

// Makes `name` with mode 0700 whatever the umask; an existing one is success.
std::optional<FileError> make_directory(int parent, const char* name);

}  // namespace nibble::cache
