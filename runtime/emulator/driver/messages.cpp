// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/messages.h"

#include <cstdio>
#include <mutex>
#include <string>

#include "runtime/emulator/driver/settings.h"

namespace nibble::emulator::driver {

namespace {

struct LastReport {
  std::mutex mutex;
  std::string text;
};

LastReport& last_report() {
  static auto* const kReport = new LastReport;
  return *kReport;
}

}  // namespace

void say(std::string_view text) {
  const bool quiet = settings().quiet;
  LastReport& report = last_report();
  const std::lock_guard lock(report.mutex);
  report.text = text;
  if (!quiet) {
    std::fprintf(stderr, "nibble emulator: %s%s", report.text.c_str(),
                 text.ends_with('\n') ? "" : "\n");
  }
}

}  // namespace nibble::emulator::driver

// NOLINTNEXTLINE(readability-identifier-naming): an exported name, in the style of the driver's
const char* nibbleEmulatorLastReport(void) {
  using nibble::emulator::driver::last_report;
  thread_local std::string copy;
  try {
    const std::lock_guard lock(last_report().mutex);
    copy = last_report().text;
    return copy.c_str();
  } catch (...) {
    return "";
  }
}
