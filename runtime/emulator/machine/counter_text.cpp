// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A kernel's counters as JSON and as lines for people.
#include <cinttypes>
#include <cstdio>

#include "runtime/emulator/machine/counter_table.h"
#include "runtime/emulator/machine/json_writer.h"

namespace nibble::emulator {

namespace {

std::string_view name_at(size_t kind) { return name_of(static_cast<InstClass>(kind)); }

// An object of those classes whose count is not zero.
void write_counts(JsonWriter& json, std::string_view key,
                  const std::array<uint64_t, kInstClasses>& counts) {
  json.begin_object(key);
  for (size_t kind = 0; kind < kInstClasses; ++kind) {
    if (counts[kind] != 0) json.number(name_at(kind), counts[kind]);
  }
  json.end_object();
}

// An object of those classes whose counts are of anything at all, each with what `write` gives.
template <class Counts, class F>
void write_classes(JsonWriter& json, std::string_view key,
                   const std::array<Counts, kInstClasses>& all, uint64_t Counts::*number,
                   const F& write) {
  json.begin_object(key);
  for (size_t kind = 0; kind < kInstClasses; ++kind) {
    if (all[kind].*number == 0) continue;
    json.begin_object(name_at(kind));
    write(all[kind]);
    json.end_object();
  }
  json.end_object();
}

void write_global(JsonWriter& json, const KernelSummary& kernel) {
  write_classes(json, "global", kernel.global, &GlobalCounts::requests,
                [&](const GlobalCounts& counts) {
                  json.number("requests", counts.requests);
                  json.number("bytes", counts.bytes);
                  json.number("sectors", counts.sectors);
                  json.number("lines", counts.lines);
                });
}

void write_shared(JsonWriter& json, const KernelSummary& kernel) {
  write_classes(json, "shared", kernel.shared, &SharedCounts::requests,
                [&](const SharedCounts& counts) {
                  json.number("requests", counts.requests);
                  json.number("bytes", counts.bytes);
                  json.number("remote_bytes", counts.remote);
                  json.number("wavefronts", counts.wavefronts);
                  json.number("conflicts", counts.wavefronts - counts.least);
                });
}

void write_async(JsonWriter& json, const KernelSummary& kernel) {
  write_classes(json, "asynchronous", kernel.async, &AsyncCounts::operations,
                [&](const AsyncCounts& counts) {
                  json.number("operations", counts.operations);
                  json.number("global_bytes", counts.global);
                  json.number("shared_read_bytes", counts.shared_read);
                  json.number("shared_written_bytes", counts.shared_written);
                  json.number("tensor_read_bytes", counts.tensor_read);
                  json.number("tensor_written_bytes", counts.tensor_written);
                });
}

void write_mma(JsonWriter& json, const KernelSummary& kernel) {
  json.begin_array("mma");
  for (const KernelSummary::Mma& mma : kernel.mma) {
    json.begin_object();
    json.text("instruction", mma.opcode);
    json.text("types", mma.types);
    json.number("m", mma.m);
    json.number("n", mma.n);
    json.number("k", mma.k);
    json.number("issues", mma.issues);
    json.number("flops", mma.flops());
    json.end_object();
  }
  json.end_array();
}

void write_worst(JsonWriter& json, std::string_view key,
                 const std::vector<KernelSummary::Worst>& all) {
  json.begin_array(key);
  for (const KernelSummary::Worst& one : all) {
    json.begin_object();
    json.number("line", one.line);
    json.text("instruction", one.text);
    json.number("requests", one.requests);
    json.number("excess", one.excess);
    json.end_object();
  }
  json.end_array();
}

void write_kernel(JsonWriter& json, const KernelSummary& kernel) {
  json.begin_object();
  json.text("name", kernel.kernel);
  json.text("target", kernel.target);
  json.number("launches", kernel.launches);
  json.number("blocks", kernel.blocks);
  json.number("threads", kernel.threads);
  json.number("warp_instructions", kernel.warp_instructions);
  write_counts(json, "instructions", kernel.executed);
  write_counts(json, "waits", kernel.waits);
  write_global(json, kernel);
  json.begin_object("l2");
  json.number("read_bytes", kernel.l2.read);
  json.number("written_bytes", kernel.l2.written);
  json.number("atomic_bytes", kernel.l2.atomic);
  json.end_object();
  write_shared(json, kernel);
  write_counts(json, "other_bytes", kernel.other_bytes);
  write_counts(json, "tensor_bytes", kernel.tensor_bytes);
  write_async(json, kernel);
  write_mma(json, kernel);
  write_worst(json, "bank_conflicts", kernel.conflicts);
  write_worst(json, "uncoalesced", kernel.uncoalesced);
  json.end_object();
}

template <class... Values>
void append(std::string& text, const char* format, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  text += line;
}

// "  instructions: integer 12, float 3"
void append_counts(std::string& text, const char* title,
                   const std::array<uint64_t, kInstClasses>& counts) {
  bool any = false;
  for (size_t kind = 0; kind < kInstClasses; ++kind) {
    if (counts[kind] == 0) continue;
    text.append(any ? ", " : title).append(name_at(kind));
    append(text, " %" PRIu64, counts[kind]);
    any = true;
  }
  if (any) text += "\n";
}

void append_memory(std::string& text, const KernelSummary& kernel) {
  for (size_t kind = 0; kind < kInstClasses; ++kind) {
    const std::string name(name_at(kind));
    if (const GlobalCounts& counts = kernel.global[kind]; counts.requests != 0) {
      append(text,
             "  global, %s: %" PRIu64 " bytes in %" PRIu64
             " requests, %.2f sectors a request, "
             "%.0f%% of their bytes used\n",
             name.c_str(), counts.bytes, counts.requests,
             static_cast<double>(counts.sectors) / static_cast<double>(counts.requests),
             100.0 * static_cast<double>(counts.bytes) /
                 static_cast<double>(counts.sectors * kSectorBytes));
    }
    if (const SharedCounts& counts = kernel.shared[kind]; counts.requests != 0) {
      append(text,
             "  shared, %s: %" PRIu64 " bytes in %" PRIu64 " requests, %" PRIu64
             " wavefronts of which %" PRIu64 " for conflicts\n",
             name.c_str(), counts.bytes, counts.requests, counts.wavefronts,
             counts.wavefronts - counts.least);
    }
    if (const AsyncCounts& counts = kernel.async[kind]; counts.operations != 0) {
      append(text,
             "  %s: %" PRIu64 " operations; bytes: global %" PRIu64 ", shared read %" PRIu64
             ", written %" PRIu64 ", tensor memory read %" PRIu64 ", written %" PRIu64 "\n",
             name.c_str(), counts.operations, counts.global, counts.shared_read,
             counts.shared_written, counts.tensor_read, counts.tensor_written);
    }
  }
}

void append_worst(std::string& text, const char* title, const char* unit,
                  const std::vector<KernelSummary::Worst>& all) {
  for (const KernelSummary::Worst& one : all) {
    append(text, "  %s: %" PRIu64 " %s in %" PRIu64 " requests, PTX line %" PRIu32 ": ", title,
           one.excess, unit, one.requests, one.line);
    text.append(one.text).append("\n");
  }
}

}  // namespace

std::string to_json(const std::vector<KernelSummary>& kernels) {
  JsonWriter json;
  json.begin_object();
  json.number("schema", uint64_t{1});
  json.begin_array("kernels");
  for (const KernelSummary& kernel : kernels) write_kernel(json, kernel);
  json.end_array();
  json.end_object();
  return json.take();
}

std::string to_text(const KernelSummary& kernel) {
  std::string text = "kernel " + kernel.kernel + " (" + kernel.target + "): ";
  append(text,
         "%" PRIu64 " launches, %" PRIu64 " blocks, %" PRIu64 " threads, %" PRIu64
         " warp instructions\n",
         kernel.launches, kernel.blocks, kernel.threads, kernel.warp_instructions);
  append_counts(text, "  instructions: ", kernel.executed);
  append_counts(text, "  waits: ", kernel.waits);
  append_memory(text, kernel);
  append(text, "  L2: %" PRIu64 " bytes read, %" PRIu64 " written, %" PRIu64 " atomic\n",
         kernel.l2.read, kernel.l2.written, kernel.l2.atomic);
  append_counts(text, "  bytes of tensor memory: ", kernel.tensor_bytes);
  append_counts(text, "  bytes of local memory, parameters, constants: ", kernel.other_bytes);
  for (const KernelSummary::Mma& mma : kernel.mma) {
    text.append("  ").append(mma.opcode).append(" ").append(mma.types);
    append(text, " m%" PRIu32 "n%" PRIu32 "k%" PRIu32 ": %" PRIu64 " issues, %.4g flops\n", mma.m,
           mma.n, mma.k, mma.issues, static_cast<double>(mma.flops()));
  }
  append_worst(text, "bank conflicts", "more wavefronts", kernel.conflicts);
  append_worst(text, "uncoalesced", "more sectors", kernel.uncoalesced);
  return text;
}

}  // namespace nibble::emulator
