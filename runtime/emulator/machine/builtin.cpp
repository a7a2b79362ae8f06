// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The functions that device code calls and the driver provides: printf, assert, malloc, free.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

constexpr uint64_t kTextLimit = 1 << 16;  // bytes of a string that is read from the device
constexpr int kWidthLimit = 4096;         // of one directive of printf
// The heap of kernels, of all devices together.
constexpr uint64_t kHeapBytes = 1ull << 30;
constexpr std::string_view kHeapLabel = "device malloc";
std::atomic<uint64_t> heap_used{0};

template <class F>
void for_each_active(const Warp& warp, F f) {
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    f(static_cast<uint32_t>(std::countr_zero(rest)));
  }
}

uint64_t parameter(Warp& warp, const CallSite& site, size_t index, uint32_t lane) {
  if (index >= site.parameters.size()) {
    warp.fault(Fault::Kind::kIllegalInstruction, "a built-in function with too few arguments",
               1u << lane);
  }
  const ParameterStorage& place = site.parameters[index];
  uint64_t value = 0;
  std::memcpy(&value, warp.frame().data + place.offset + size_t{lane} * place.size,
              std::min<size_t>(place.size, sizeof value));
  return value;
}

void return_value(Warp& warp, const CallSite& site, uint32_t lane, uint64_t value) {
  if (site.returns.empty()) return;
  const ParameterStorage& place = site.returns[0];
  std::memcpy(warp.frame().data + place.offset + size_t{lane} * place.size, &value,
              std::min<size_t>(place.size, sizeof value));
}

std::string read_text(Warp& warp, uint64_t address, uint32_t lane) {
  std::string text;
  while (text.size() < kTextLimit) {
    const std::byte* const at = resolve_one(warp, address + text.size(), 1, lane);
    if (at == nullptr) {
      warp.fault(Fault::Kind::kIllegalAddress,
                 "illegal address: a string at " + hexadecimal(address) + " is not terminated",
                 1u << lane);
    }
    const char c = static_cast<char>(*at);
    if (c == '\0') break;
    text += c;
  }
  return text;
}

// One printf call of one thread. Arguments lie one after another, each aligned to its size.
class Printf {
 public:
  Printf(Warp& warp, uint32_t lane, uint64_t arguments)
      : warp_(warp), lane_(lane), arguments_(arguments) {}

  std::string format(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '%') {
        out += text[i++];
      } else if (i + 1 < text.size() && text[i + 1] == '%') {
        out += '%';
        i += 2;
      } else {
        i = directive(text, i, out);
      }
    }
    return out;
  }

 private:
  uint64_t next(uint32_t size) {
    offset_ = (offset_ + size - 1) / size * size;
    const std::byte* const at = resolve_one(warp_, arguments_ + offset_, size, lane_);
    if (at == nullptr) {
      warp_.fault(Fault::Kind::kIllegalAddress,
                  "illegal address: printf reads an argument that "
                  "was not passed",
                  1u << lane_);
    }
    uint64_t value = 0;
    std::memcpy(&value, at, size);
    offset_ += size;
    return value;
  }

  // The directive that begins at text[i]; returns where it ends.
  size_t directive(const std::string& text, size_t i, std::string& out) {
    std::string spec = "%";
    bool is_long = false;
    for (++i; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '*') {
        const auto width = static_cast<int32_t>(next(4));
        spec += std::to_string(std::clamp(width, -kWidthLimit, kWidthLimit));
      } else if (c == 'l' || c == 'j' || c == 'z' || c == 't') {
        is_long = true;
      } else if (std::strchr("0123456789.-+ #h", c) != nullptr) {
        spec += c;  // h: the argument was promoted to int; the host's printf narrows it
      } else {
        out += is_modest(spec) ? convert(spec, c, is_long) : spec + c;
        return i + 1;
      }
    }
    return i;
  }

  // Whether no width or precision is beyond the limit.
  static bool is_modest(const std::string& spec) {
    int number = 0;
    for (const char c : spec) {
      number = c >= '0' && c <= '9' ? 10 * number + (c - '0') : 0;
      if (number > kWidthLimit) return false;
    }
    return true;
  }

  std::string convert(std::string spec, char conversion, bool is_long) {
    char buffer[512];
    buffer[0] = '\0';
    switch (conversion) {
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        if (is_long) {
          spec += std::string("ll") + conversion;
          print(buffer, spec, static_cast<unsigned long long>(next(8)));
        } else {
          spec += conversion;
          print(buffer, spec, static_cast<unsigned>(next(4)));
        }
        break;
      case 'c':
        print(buffer, spec + 'c', static_cast<int>(next(4)));
        break;
      case 'p':
        print(buffer, spec + 'p', reinterpret_cast<void*>(next(8)));
        break;
      case 's':
        return padded(spec, read_text(warp_, next(8), lane_));
      default:
        if (std::strchr("aAeEfFgG", conversion) == nullptr) return spec + conversion;
        print(buffer, spec + conversion, std::bit_cast<double>(next(8)));
    }
    return buffer;
  }

  static std::string padded(const std::string& spec, const std::string& value) {
    std::string out(value.size() + kWidthLimit + 1, '\0');
    const int size = format_into(out.data(), out.size(), spec + 's', value.c_str());
    out.resize(std::min(out.size() - 1, static_cast<size_t>(std::max(size, 0))));
    return out;
  }

  template <class T>
  static void print(char (&buffer)[512], const std::string& spec, T value) {
    format_into(buffer, sizeof buffer, spec, value);
  }

  // The specification is made above, of flags, width, precision and the right length.
  template <class T>
  static int format_into(char* to, size_t size, const std::string& spec, T value) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    return std::snprintf(to, size, spec.c_str(), value);
#pragma GCC diagnostic pop
  }

  Warp& warp_;
  uint32_t lane_;
  uint64_t arguments_;
  uint64_t offset_ = 0;
};

void device_printf(Warp& warp, const CallSite& site) {
  for_each_active(warp, [&](uint32_t lane) {
    const std::string format = read_text(warp, parameter(warp, site, 0, lane), lane);
    const std::string line = Printf(warp, lane, parameter(warp, site, 1, lane)).format(format);
    std::fwrite(line.data(), 1, line.size(), stdout);
    return_value(warp, site, lane, line.size());
  });
  std::fflush(stdout);
}

// __assertfail(message, file, line, function, size of a character)
void assert_fail(Warp& warp, const CallSite& site) {
  const auto lane = static_cast<uint32_t>(std::countr_zero(warp.active));
  const std::string message = read_text(warp, parameter(warp, site, 0, lane), lane);
  const std::string file = read_text(warp, parameter(warp, site, 1, lane), lane);
  const auto line = static_cast<uint32_t>(parameter(warp, site, 2, lane));
  const std::string function = read_text(warp, parameter(warp, site, 3, lane), lane);
  warp.fault(
      Fault::Kind::kAssert,
      file + ":" + std::to_string(line) + ": " + function + ": assertion `" + message + "` failed",
      warp.active);
}

void device_malloc(Warp& warp, const CallSite& site) {
  for_each_active(warp, [&](uint32_t lane) {
    const uint64_t size = parameter(warp, site, 0, lane);
    uint64_t address = 0;
    if (size <= kHeapBytes && heap_used.fetch_add(size) <= kHeapBytes - size) {
      address = warp.block().grid().memory.allocate(size, 16, kHeapLabel);
    }
    if (size <= kHeapBytes && address == 0) heap_used.fetch_sub(size);
    return_value(warp, site, lane, address);
  });
}

void device_free(Warp& warp, const CallSite& site) {
  for_each_active(warp, [&](uint32_t lane) {
    const uint64_t address = parameter(warp, site, 0, lane);
    if (address == 0) return;
    GlobalMemory& memory = warp.block().grid().memory;
    const GlobalMemory::Allocation* const allocation = memory.find(address, 1);
    if (allocation != nullptr && allocation->label == kHeapLabel) {
      const uint64_t size = allocation->size;
      if (memory.free(address)) {
        heap_used.fetch_sub(size);
        return;
      }
    }
    warp.fault(Fault::Kind::kIllegalAddress,
               "illegal address: free of " + hexadecimal(address) + ", which malloc has not given",
               1u << lane);
  });
}

}  // namespace

Builtin find_builtin(std::string_view name) {
  if (name == "vprintf") return device_printf;
  if (name == "__assertfail") return assert_fail;
  if (name == "malloc") return device_malloc;
  if (name == "free") return device_free;
  return nullptr;
}

}  // namespace nibble::emulator
