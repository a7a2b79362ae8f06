// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A shared library opened at run time.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/status.hpp"

namespace nibble {

// Never closed: a driver or compiler with threads of its own does not survive dlclose.
class SharedLibrary {
 public:
  // Opens the first of `candidates` (paths or sonames) that loads. kLibraryMissing lists what was
  // tried and why each failed; `what` names the library and `setting` the variable that overrides.
  static Result<SharedLibrary> open(std::span<const std::string> candidates, std::string_view what,
                                    std::string_view setting);

  void* find(const char* symbol) const;              // null when absent
  const std::string& path() const { return path_; }  // of the file that was mapped
  // What tells one build of this library from another: its ELF build id, else a digest of its file.
  std::string identity() const;

 private:
  SharedLibrary(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void* handle_;
  std::string path_;
};

// Folder of the library that holds nibble itself, where its siblings are looked for first.
std::string own_folder();

}  // namespace nibble
