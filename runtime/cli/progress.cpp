// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace nibble::cli {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr int kBarWidth = 24;
constexpr size_t kNameWidth = 32;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[128];
  std::snprintf(text, sizeof(text), pattern, values...);
  return text;
}

}  // namespace

std::string bytes_text(double bytes) {
  static constexpr const char* kUnits[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0) return format("%.0f bytes", bytes);
  const int decimals = bytes < 9.995 ? 2 : bytes < 99.95 ? 1 : 0;
  return format("%.*f %s", decimals, bytes, kUnits[unit]);
}

std::string seconds_text(double seconds) {
  if (seconds < 60) return format("%.2f s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) return format("%lld:%02lld", whole / 60, whole % 60);
  return format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

Progress::Progress(std::ostream& out, bool shown, int64_t total_items, int64_t total_bytes,
                   Unit unit)
    : out_(out), shown_(shown), total_items_(total_items), total_bytes_(total_bytes), unit_(unit) {}

Progress::~Progress() {
  if (shown_) out_ << "\r\x1b[K" << std::flush;
}

void Progress::start_item(const std::string& name) {
  ++items_;
  name_ = name;
  draw();
}

void Progress::advance(int64_t bytes) {
  bytes_ += bytes;
  draw();
}

std::string Progress::line(double seconds) const {
  const double done =
      total_bytes_ > 0 ? static_cast<double>(bytes_) / static_cast<double>(total_bytes_) : 1;
  const int filled = std::clamp(static_cast<int>(done * kBarWidth), 0, kBarWidth);
  std::string text = format("%3.0f%% [", done * 100);
  text.append(static_cast<size_t>(filled), '#')
      .append(static_cast<size_t>(kBarWidth - filled), '-');
  text +=
      format("] %lld/%lld  ", static_cast<long long>(items_), static_cast<long long>(total_items_));
  if (bytes_ > 0 && seconds > 0) {
    const double rate = static_cast<double>(bytes_) / seconds;
    if (unit_ == Unit::kBytes) text += bytes_text(rate) + "/s  ";
    text += seconds_text(static_cast<double>(total_bytes_ - bytes_) / rate) + " left  ";
  }
  // The end of a name tells layers apart better than its start.
  text += name_.size() > kNameWidth ? "..." + name_.substr(name_.size() - kNameWidth + 3) : name_;
  return text;
}

void Progress::draw() {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || now - drawn_ < kInterval) return;
  drawn_ = now;
  out_ << '\r' << line(std::chrono::duration<double>(now - start_).count()) << "\x1b[K"
       << std::flush;
}

}  // namespace nibble::cli
