// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/driver/shared_library.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cache/digest.h"

namespace nibble {

namespace {

std::string mapped_path(void* handle, const std::string& asked) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr || map->l_name[0] == '\0') {
    return asked;
  }
  return map->l_name;
}

struct BuildIdSearch {
  ElfW(Addr) base;
  std::string hex;
};

void read_notes(const char* at, const char* end, std::string& hex) {
  while (end - at >= static_cast<ptrdiff_t>(sizeof(ElfW(Nhdr)))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const char* name = at + sizeof note;
    const char* description = name + ((note.n_namesz + 3) & ~3u);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      constexpr char kDigits[] = "0123456789abcdef";
      for (uint32_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<unsigned char>(description[i]);
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
      }
      return;
    }
    at = description + ((note.n_descsz + 3) & ~3u);
  }
}

int visit_object(dl_phdr_info* info, size_t, void* data) {
  auto& search = *static_cast<BuildIdSearch*>(data);
  if (info->dlpi_addr != search.base) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const char* start = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    read_notes(start, start + segment.p_memsz, search.hex);
  }
  return 1;
}

std::string file_digest(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return cache::hex(cache::digest(bytes));
}

}  // namespace

Result<SharedLibrary> SharedLibrary::open(std::span<const std::string> candidates,
                                          std::string_view what, std::string_view setting) {
  std::string tried;
  for (const std::string& candidate : candidates) {
    if (void* handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      return SharedLibrary(handle, mapped_path(handle, candidate));
    }
    const char* why = dlerror();
    tried += "  " + candidate + ": " + (why ? why : "unknown reason") + "\n";
  }
  return Status(Code::kLibraryMissing,
                std::string(what) + " cannot be loaded (set " + std::string(setting) +
                    " to its path); tried " + std::to_string(candidates.size()) + " places",
                std::move(tried));
}

void* SharedLibrary::find(const char* symbol) const { return dlsym(handle_, symbol); }

std::string SharedLibrary::identity() const {
  link_map* map = nullptr;
  if (dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr) {
    BuildIdSearch search{map->l_addr, {}};
    dl_iterate_phdr(visit_object, &search);
    if (!search.hex.empty()) return "build-id:" + search.hex;
  }
  return "xxh3:" + file_digest(path_);
}

std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) {
    return {};
  }
  std::error_code failed;
  const std::filesystem::path path = std::filesystem::canonical(info.dli_fname, failed);
  return failed ? std::string() : path.parent_path().string();
}

}  // namespace nibble
