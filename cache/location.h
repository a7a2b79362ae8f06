// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Where a cache lives and whether it may be used: environment rules, and directories that must be
// private because what they hold will be executed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/file_descriptor.h"

namespace nibble::cache {

enum class Mode {
  kReadWrite,
  kReadOnly,  // entries are read; nothing is written, locked or touched
  kOff,       // the disk is not used at all
};

// "readwrite", "readonly" or "off"; anything else gives nothing.
std::optional<Mode> parse_mode(std::string_view text);
const char* to_string(Mode mode);

// NIBBLE_CACHE; unset or empty means kReadWrite. An unknown value means kReadWrite too, and then
// `error`, where given, gets a sentence that names the value and the rule.
Mode mode_from_environment(std::string* error = nullptr);

// NIBBLE_CACHE_DIR, else XDG_CACHE_HOME/nibble, else HOME/.cache/nibble, else empty (no disk).
// XDG_CACHE_HOME and HOME count only where absolute, HOME only where it is a directory. In a
// program that gained privileges (set-user-ID) the environment is ignored and the result is empty.
std::string default_directory();

struct OpenedDirectory {
  FileDescriptor directory;  // invalid where there is a problem
  std::string problem;       // a sentence without the path
};

// Opens the directory at `path`, an absolute path; with `create`, missing components are made with
// mode 0700. It is refused unless owned by the effective user or by root and writable by the owner
// alone; a symbolic link to it must be owned by one of the two as well.
OpenedDirectory open_private_directory(const std::string& path, bool create);

// The same for the directory `name` in `parent`; a symbolic link is refused.
OpenedDirectory open_private_subdirectory(int parent, const char* name, bool create);

}  // namespace nibble::cache
