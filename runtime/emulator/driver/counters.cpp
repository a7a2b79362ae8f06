// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/counters.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/settings.h"
#include "runtime/emulator/machine/counter_table.h"
#include "runtime/emulator/machine/trace.h"

namespace nibble::emulator::driver {

namespace {

std::atomic<bool>& is_enabled() {
  static std::atomic<bool> enabled{settings().machine.counters};
  return enabled;
}

void write_file(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written &= std::fclose(file) == 0;
  if (!written) say("cannot write " + path);
}

}  // namespace

bool counts_launches() { return is_enabled().load(std::memory_order_relaxed); }

void report_counters() {
  const EnvironmentSettings& wanted = settings();
  if (!wanted.counters_file.empty()) {
    write_file(wanted.counters_file, CounterTable::all().json());
  } else if (wanted.machine.counters) {
    std::fputs(CounterTable::all().text().c_str(), stderr);
  }
  if (wanted.trace_file.empty()) return;
  const Trace& trace = Trace::all();
  write_file(wanted.trace_file, trace.json());
  if (trace.is_cut()) {
    say(wanted.trace_file + " ends after " + std::to_string(Trace::kMostEvents) +
        " events; later ones are left out");
  }
}

}  // namespace nibble::emulator::driver

NIBBLE_ENTRY void nibble_emulator_counters_enable(int enabled) {
  nibble::emulator::driver::is_enabled().store(enabled != 0, std::memory_order_relaxed);
}

NIBBLE_ENTRY void nibble_emulator_counters_reset(void) {
  nibble::emulator::CounterTable::all().clear();
}

NIBBLE_ENTRY size_t nibble_emulator_counters_json(char* buffer, size_t size) {
  try {
    const std::string text = nibble::emulator::CounterTable::all().json();
    if (size != 0) {
      const size_t copied = std::min(text.size(), size - 1);
      std::memcpy(buffer, text.data(), copied);
      buffer[copied] = 0;
    }
    return text.size();
  } catch (...) {
    return 0;
  }
}
