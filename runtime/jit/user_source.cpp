// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/user_source.h"

#include <charconv>

#include "cache/digest.h"
#include "runtime/jit/family.h"
#include "runtime/jit/kernel_pool.h"
#include "runtime/result.h"

namespace nibble {

namespace {

constexpr int kOneThread[] = {1};
constexpr Constant kProbeConstants[] = {{"kThreads",
                                         "threads",
                                         "threads of a thread block",
                                         Constant::Origin::kProblem,
                                         kOneThread,
                                         {}}};
constexpr Variant kProbeVariants[] = {{"gemm/epilogue_probe.cuh", 0}};
const Family kProbeFamily{"epilogue_probe",
                          "EpilogueProbeParams",
                          kProbeConstants,
                          kProbeVariants,
                          nullptr,
                          nullptr,
                          true};

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// The text with every character of its comments but the ends of lines as a space.
std::string without_comments(std::string_view text) {
  enum class In { kCode, kLine, kBlock, kQuotes };
  std::string plain(text);
  In in = In::kCode;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view two = text.substr(i, 2);
    if (in == In::kCode) {
      if (two == "//") in = In::kLine;
      if (two == "/*") in = In::kBlock;
      if (text[i] == '"' || text[i] == '\'') {
        in = In::kQuotes;
        quote = text[i];
      }
    } else if (in == In::kQuotes) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == quote || text[i] == '\n') {
        in = In::kCode;  // a ' within a number ends with its line
      }
      continue;
    }
    if (in == In::kLine && text[i] == '\n') in = In::kCode;
    if (in == In::kBlock && two == "*/") {
      plain[i] = plain[i + 1] = ' ';
      ++i;
      in = In::kCode;
      continue;
    }
    if (in != In::kCode && in != In::kQuotes && text[i] != '\n') plain[i] = ' ';
  }
  return plain;
}

// What a kernel reads beside its own text would be missing from its key in the cache.
Status check_includes_nothing(std::string_view text) {
  const std::string plain = without_comments(text);
  std::string_view rest = plain;
  for (int number = 1; !rest.empty(); ++number) {
    std::string_view line = take_line(rest);
    const auto skip = [&](std::string_view what) {
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t\f\v")));
      if (!line.starts_with(what)) return false;
      line.remove_prefix(what.size());
      return true;
    };
    if ((skip("#") || skip("%:")) && skip("include")) {
      return {Code::kCompileFailed,
              std::string(kUserSourceName) + "(" + std::to_string(number) +
                  "): error: #include: a user's epilogue may include nothing; CUDA's built-in "
                  "functions need no header"};
    }
  }
  return {};
}

// The compiler's first error. In the user's lines it stands as it is; elsewhere its place means
// nothing to them.
std::string first_error(std::string_view log) {
  constexpr std::string_view kError = "error: ";
  while (!log.empty()) {
    const std::string_view line = take_line(log);
    const size_t at = line.find(kError);
    if (at == std::string_view::npos) continue;
    if (line.starts_with(kUserSourceName)) return std::string(line);
    std::string_view what = line.substr(at + kError.size());
    constexpr std::string_view kAssertion = "static assertion failed with \"";
    if (what.starts_with(kAssertion)) {
      what.remove_prefix(kAssertion.size());
      return std::string(what.substr(0, what.rfind('"')));
    }
    std::string message(what);
    if (what.find("\"Epilogue\"") != std::string_view::npos) {
      message += ": the source must define struct Epilogue, outside of any namespace";
    }
    return message;
  }
  return "the compiler names no error";
}

Status explain(const Status& failure) {
  if (failure.code() != Code::kCompileFailed) return failure;
  // The detail is the rendered source with numbers, an empty line, the log.
  std::string_view log = failure.detail();
  log.remove_prefix(std::min(log.size(), log.find("\n\n") + 2));
  return {Code::kCompileFailed, "the user's epilogue: " + first_error(log), std::string(log)};
}

// The initial value of a variable in PTX; 0 where it has none.
int initial_value(std::string_view ptx, std::string_view variable) {
  int value = 0;
  const size_t at = ptx.find(std::string(variable) + " = ");
  if (at == std::string_view::npos) return 0;
  const char* digits = ptx.data() + at + variable.size() + 3;
  std::from_chars(digits, ptx.data() + ptx.size(), value);
  return value;
}

Status check_room(std::string_view what, int value, int limit) {
  if (value <= limit) return {};
  return {Code::kCompileFailed, "the user's epilogue: struct Epilogue has " + std::string(what) +
                                    " " + std::to_string(value) + ": at most " +
                                    std::to_string(limit) + " is possible"};
}

// Fills in what only the compiler knows.
Status probe(KernelPool& pool, const Arch& arch, UserSource& source) {
  KernelSpec spec = default_spec(kProbeFamily, arch);
  spec.source = &source;
  const Result<KernelImage> image = pool.compiled(spec, ImageKind::kPtx);
  if (!image.ok()) return explain(image.status());
  const std::string& ptx = image.value().code;
  source.argument_bytes = initial_value(ptx, "nibble_epilogue_bytes");
  source.has_members = initial_value(ptx, "nibble_epilogue_is_empty") == 0;
  if (source.argument_bytes == 0) {
    return {Code::kInternal, "the size of the user's Epilogue cannot be read off its PTX", ptx};
  }
  NIBBLE_TRY(check_room("sizeof", source.argument_bytes, kMaxUserArgumentBytes));
  return check_room("alignof", initial_value(ptx, "nibble_epilogue_alignment"),
                    kMaxUserArgumentAlignment);
}

}  // namespace

Status check_argument_bytes(const UserSource& source, int64_t bytes) {
  if (bytes == source.argument_bytes || (bytes == 0 && !source.has_members)) return {};
  return {Code::kInvalidArgument,
          "epilogue.user_argument_bytes = " + std::to_string(bytes) +
              ": must be sizeof(Epilogue) = " + std::to_string(source.argument_bytes)};
}

const UserSource* UserSources::find(std::string_view text) {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(text);
  return found == sources_.end() ? nullptr : found->second.get();
}

Result<const UserSource*> UserSources::intern(KernelPool& pool, const Arch& arch,
                                              std::string_view text) {
  if (const UserSource* known = find(text)) return known;
  if (text.find('\0') != std::string_view::npos) {
    return Status(Code::kCompileFailed, "the user's epilogue: its text has a byte that is 0");
  }
  NIBBLE_TRY(check_includes_nothing(text));
  auto source = std::make_unique<UserSource>();
  source->text = text;
  source->digest = cache::hex(cache::digest(text));
  NIBBLE_TRY(probe(pool, arch, *source));
  const std::lock_guard lock(mutex_);
  return sources_.try_emplace(std::string(text), std::move(source)).first->second.get();
}

}  // namespace nibble
