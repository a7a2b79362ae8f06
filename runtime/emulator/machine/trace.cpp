// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/trace.h"

#include <algorithm>
#include <utility>

#include "runtime/emulator/machine/inst_class.h"
#include "runtime/emulator/machine/json_writer.h"

namespace nibble::emulator {

namespace {

bool is_shown(InstClass kind) {
  return kind >= InstClass::kWarpBarrier && kind != InstClass::kFence && kind != InstClass::kOther;
}

std::string name_of_thread(uint32_t thread) {
  if (thread == Trace::kCopies) return "copies";
  if (thread == Trace::kTensorCore) return "tensor core";
  return "warp " + std::to_string(thread);
}

void write_name(JsonWriter& json, std::string_view kind, uint32_t process, uint32_t thread,
                const std::string& name) {
  json.begin_object();
  json.text("name", kind);
  json.text("ph", "M");
  json.number("pid", process);
  json.number("tid", thread);
  json.begin_object("args");
  json.text("name", name);
  json.end_object();
  json.end_object();
}

// The begin of an event, and of an operation its end as well.
struct Mark {
  uint64_t time = 0, length = 0;
  size_t event = 0;
  bool is_end = false;
};

void write_mark(JsonWriter& json, const Mark& mark, const Trace::Event& event) {
  json.begin_object();
  json.text("name", *event.name);
  json.text("cat", event.is_operation ? "operation" : "warp");
  json.text("ph", !event.is_operation ? "X" : mark.is_end ? "e" : "b");
  json.number("ts", mark.time);
  if (event.is_operation) {
    json.number("id", uint64_t{mark.event});
  } else {
    json.number("dur", mark.length);
  }
  json.number("pid", event.process);
  json.number("tid", event.thread);
  json.end_object();
}

}  // namespace

Trace& Trace::all() {
  static auto* const kTrace = new Trace;  // never destroyed: written while exiting
  return *kTrace;
}

uint32_t Trace::add_process(std::string name) {
  const std::lock_guard lock(mutex_);
  if (!is_cut_) processes_.push_back(std::move(name));
  return static_cast<uint32_t>(processes_.size()) - 1;
}

const std::string* Trace::intern(std::string_view text) {
  const std::lock_guard lock(mutex_);
  return &*names_.emplace(text).first;
}

void Trace::add(const Event& event) {
  const std::lock_guard lock(mutex_);
  if (events_.size() < kMostEvents) {
    events_.push_back(event);
  } else {
    is_cut_ = true;
  }
}

bool Trace::is_cut() const {
  const std::lock_guard lock(mutex_);
  return is_cut_;
}

// Interned names stay: others may hold them.
void Trace::clear() {
  const std::lock_guard lock(mutex_);
  events_.clear();
  processes_.clear();
  is_cut_ = false;
}

std::string Trace::json() const {
  const std::lock_guard lock(mutex_);
  std::vector<Mark> marks;
  std::set<std::pair<uint32_t, uint32_t>> threads;
  for (size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    threads.emplace(event.process, event.thread);
    marks.push_back({event.begin, event.end - event.begin, i, false});
    if (event.is_operation) marks.push_back({event.end, 0, i, true});
  }
  // In time; what encloses others first.
  std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
    return a.time != b.time ? a.time < b.time : a.length > b.length;
  });
  JsonWriter json;
  json.begin_object();
  json.text("displayTimeUnit", "ns");
  json.begin_object("otherData");
  json.text("time", "warp instructions executed so far");
  json.boolean("cut", is_cut_);
  json.end_object();
  json.begin_array("traceEvents");
  for (uint32_t process = 0; process < processes_.size(); ++process) {
    write_name(json, "process_name", process, 0, processes_[process]);
  }
  for (const auto& [process, thread] : threads) {
    write_name(json, "thread_name", process, thread, name_of_thread(thread));
  }
  for (const Mark& mark : marks) write_mark(json, mark, events_[mark.event]);
  json.end_array();
  json.end_object();
  return json.take();
}

void TraceNames::find(Site& site, std::string_view text) {
  const std::string_view opcode = opcode_of(text);
  if (is_shown(class_of(opcode))) site.name = Trace::all().intern(opcode);
  site.is_known = true;
}

}  // namespace nibble::emulator
