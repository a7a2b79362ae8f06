// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/quantize_report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/cli/table.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Totals {
  int64_t quantized = 0;
  uint64_t bytes_before = 0;  // of the quantised tensors
  uint64_t bytes_after = 0;
  Fidelity fidelity;
};

Totals add_up(const std::vector<PlannedTensor>& tensors) {
  Totals totals;
  for (const PlannedTensor& tensor : tensors) {
    if (!tensor.decision.quantize) continue;
    ++totals.quantized;
    totals.bytes_before += tensor.info->bytes;
    totals.bytes_after += tensor.bytes_after;
    totals.fidelity.signal += tensor.fidelity.signal;
    totals.fidelity.noise += tensor.fidelity.noise;
  }
  return totals;
}

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string general(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

double ratio(uint64_t before, uint64_t after) {
  return static_cast<double>(before) / static_cast<double>(after);
}

Json to_json(const PlannedTensor& tensor) {
  Json json = {{"name", tensor.info->name},          {"shape", tensor.info->shape},
               {"type", tensor.info->type},          {"quantized", tensor.decision.quantize},
               {"bytes_before", tensor.info->bytes}, {"bytes_after", tensor.bytes_after}};
  if (!tensor.decision.quantize) {
    json["reason"] = tensor.decision.reason;
    return json;
  }
  json["amax"] = tensor.amax;
  json["snr_db"] = tensor.fidelity.decibels();  // infinite: null
  json["largest_error"] = tensor.fidelity.largest_error;
  return json;
}

void print_json(const QuantizeReport& report, const std::vector<PlannedTensor>& tensors,
                std::ostream& out) {
  const Totals totals = add_up(tensors);
  Json list = Json::array();
  for (const PlannedTensor& tensor : tensors) list.push_back(to_json(tensor));
  const Json json = {{"input", report.input},
                     {"output", report.output},
                     {"device",
                      {{"name", report.device.name},
                       {"target", report.device.target},
                       {"emulated", report.device.emulated}}},
                     {"tensors", list},
                     {"totals",
                      {{"tensors", tensors.size()},
                       {"quantized", totals.quantized},
                       {"bytes_before", totals.bytes_before},
                       {"bytes_after", totals.bytes_after},
                       {"file_bytes_before", report.file_bytes_before},
                       {"file_bytes_after", report.file_bytes_after},
                       {"snr_db", totals.fidelity.decibels()}}},
                     {"seconds", report.seconds}};
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_text(const QuantizeReport& report, const std::vector<PlannedTensor>& tensors,
                std::ostream& out) {
  Table table({{"tensor"},
               {"shape", true},
               {"type"},
               {"SNR dB", true},
               {"max error", true},
               {"before", true},
               {"after", true}});
  uint64_t vectors = 0;
  uint64_t vector_bytes = 0;
  for (const PlannedTensor& tensor : tensors) {
    const TensorInfo& info = *tensor.info;
    // Biases and norms would drown the rest.
    if (!tensor.decision.quantize && info.shape.size() != 2) {
      ++vectors;
      vector_bytes += info.bytes;
      continue;
    }
    const bool quantized = tensor.decision.quantize;
    table.add(
        {info.name, shape_text(info.shape), info.type,
         quantized ? decibels_text(tensor.fidelity.decibels()) : "copied",
         quantized ? general(tensor.fidelity.largest_error) : "",
         bytes_text(static_cast<double>(info.bytes)),
         quantized ? bytes_text(static_cast<double>(tensor.bytes_after)) : tensor.decision.reason});
  }
  table.print(out);
  if (vectors > 0) {
    out << vectors << " tensors that are no matrices: copied, "
        << bytes_text(static_cast<double>(vector_bytes)) << '\n';
  }
  const Totals totals = add_up(tensors);
  out << totals.quantized << " of " << tensors.size()
      << " tensors quantised: " << bytes_text(static_cast<double>(totals.bytes_before)) << " -> "
      << bytes_text(static_cast<double>(totals.bytes_after)) << " ("
      << fixed(ratio(totals.bytes_before, totals.bytes_after), 2) << "x), SNR "
      << decibels_text(totals.fidelity.decibels()) << " dB\n"
      << report.output << ": " << bytes_text(static_cast<double>(report.file_bytes_before))
      << " -> " << bytes_text(static_cast<double>(report.file_bytes_after)) << " ("
      << fixed(ratio(report.file_bytes_before, report.file_bytes_after), 2) << "x) in "
      << seconds_text(report.seconds) << " on " << report.device.name << '\n';
}

}  // namespace

std::string decibels_text(double decibels) {
  return std::isinf(decibels) ? "exact" : fixed(decibels, 2);
}

void print_report(const QuantizeReport& report, const std::vector<PlannedTensor>& tensors,
                  Session& session) {
  if (session.json) {
    print_json(report, tensors, session.out);
  } else if (!session.quiet) {
    print_text(report, tensors, session.out);
  }
}

}  // namespace nibble::cli
