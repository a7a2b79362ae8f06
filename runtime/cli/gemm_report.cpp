// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/cli/progress.h"
#include "runtime/cli/quantize_report.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string general(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

Json to_json(const GemmConfig& config) {
  return {{"cta_group", config.cta_group},
          {"tile_n", config.tile_n},
          {"tile_k", config.tile_k},
          {"cluster_m", config.cluster_m},
          {"cluster_n", config.cluster_n},
          {"stages", config.stages},
          {"accumulators", config.accumulators},
          {"raster", config.raster},
          {"split", config.split},
          {"epilogue_columns", config.epilogue_columns},
          {"scheduler", config.scheduler},
          {"swapped", config.swapped}};
}

Json to_json(const GemmExplanation& explanation) {
  return {{"config", to_json(explanation.config)},
          {"tiles", explanation.tiles},
          {"waves", explanation.waves},
          {"microseconds",
           {{"tensor", explanation.tensor},
            {"shared_memory", explanation.shared_memory},
            {"l2", explanation.l2},
            {"hbm", explanation.hbm},
            {"epilogue", explanation.epilogue},
            {"launch", explanation.launch},
            {"total", explanation.total}}},
          {"bound", explanation.bound},
          {"measured", false},
          {"text", explanation.text}};
}

Json to_json(const ProductError& error) {
  return {{"rows", error.rows},
          {"frobenius", error.frobenius()},
          {"largest", error.relative_largest()},
          {"snr_db", error.decibels()}};  // infinite: null
}

void print_json(const GemmReport& report, std::ostream& out) {
  Json json = {{"m", report.m},
               {"n", report.n},
               {"k", report.k},
               {"format", format_name(report.job->operands.format)},
               {"output_type", output_name(report.job->output)},
               {"device",
                {{"name", report.device.name},
                 {"target", report.device.target},
                 {"emulated", report.device.emulated}}}};
  if (report.job->operands.format == OperandFormat::kFp8) {
    json["a_fp8"] = fp8_name(report.job->operands.a_fp8);
    json["b_fp8"] = fp8_name(report.job->operands.b_fp8);
  }
  if (report.answer != nullptr) {
    json["a"] = report.a;
    json["b"] = report.b;
    json["output"] = report.output;
    json["kernel"] = report.answer->label;
    json["compiles"] = report.answer->compiles;
    json["compile_seconds"] = report.answer->compile_seconds;
    json["seconds"] = report.answer->seconds;
    json["error"] = report.error ? to_json(*report.error) : Json();
  }
  if (report.explanation != nullptr) json["explanation"] = to_json(*report.explanation);
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_error(const ProductError& error, int64_t m, std::ostream& out) {
  out << "error     Frobenius " << general(error.frobenius()) << ", largest "
      << general(error.relative_largest()) << " of the largest element, SNR "
      << decibels_text(error.decibels()) << " dB\n"
      << "          against the product of the inputs before they were quantised, in double, ";
  if (error.rows == m) {
    out << "all rows\n";
  } else {
    out << error.rows << " of " << m << " rows\n";
  }
}

void print_answer(const GemmReport& report, std::ostream& out) {
  const GemmAnswer& answer = *report.answer;
  out << report.output << " = " << report.a << " x " << report.b << "^T: " << report.m << " x "
      << report.n << " x " << report.k << ", " << format_name(report.job->operands.format)
      << " operands, " << output_name(report.job->output) << " result\n"
      << "kernel    " << answer.label << '\n'
      << "compiled  ";
  if (answer.compiles == 0) {
    out << "before: found in the cache\n";
  } else {
    out << "now, in " << general(answer.compile_seconds) << " s\n";
  }
  out << "ran       " << general(answer.seconds * 1e3) << " ms on " << report.device.name
      << (report.device.emulated ? ", which says nothing about a GPU" : ", launch included")
      << '\n';
  if (report.error) {
    print_error(*report.error, report.m, out);
  } else {
    out << "error     not known: only the device runs a user's epilogue\n";
  }
}

}  // namespace

void print_report(const GemmReport& report, Session& session) {
  if (session.json) {
    print_json(report, session.out);
    return;
  }
  if (report.answer != nullptr && !session.quiet) print_answer(report, session.out);
  if (report.explanation != nullptr) session.out << report.explanation->text;
}

}  // namespace nibble::cli
