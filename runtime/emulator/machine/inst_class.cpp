// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/inst_class.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace nibble::emulator {

namespace {

constexpr std::array<std::string_view, kInstClasses> kNames = {
    "integer",         "logic",         "float",
    "double",          "half",          "special",
    "conversion",      "compare",       "move",
    "load global",     "load shared",   "load local",
    "load parameter",  "load constant", "load generic",
    "store global",    "store shared",  "store local",
    "store parameter", "store generic", "atomic",
    "cache hint",      "control",       "warp exchange",
    "warp barrier",    "barrier",       "cluster barrier",
    "mbarrier",        "fence",         "async copy",
    "bulk copy",       "tensor copy",   "async store",
    "copy group",      "tensor map",    "matrix load",
    "matrix store",    "mma",           "wgmma",
    "wgmma group",     "tcgen05 alloc", "tcgen05 ld",
    "tcgen05 st",      "tcgen05 cp",    "tcgen05 mma",
    "tcgen05 commit",  "tcgen05 wait",  "other"};

struct Start {
  std::string_view opcode;  // with the first of its modifiers
  InstClass kind;
};

// The first that an opcode begins with. Arithmetic comes last: its class is that of its type.
constexpr Start kStarts[] = {
    {"cp.async.bulk.tensor", InstClass::kTensorCopy},
    {"cp.reduce.async.bulk.tensor", InstClass::kTensorCopy},
    {"cp.async.bulk.prefetch", InstClass::kCacheHint},
    {"cp.async.bulk.commit_group", InstClass::kCopyGroup},
    {"cp.async.bulk.wait_group", InstClass::kCopyGroup},
    {"cp.async.bulk", InstClass::kBulkCopy},
    {"cp.reduce.async.bulk", InstClass::kBulkCopy},
    {"cp.async.commit_group", InstClass::kCopyGroup},
    {"cp.async.wait_group", InstClass::kCopyGroup},
    {"cp.async.wait_all", InstClass::kCopyGroup},
    {"cp.async.mbarrier", InstClass::kMbarrier},
    {"cp.async", InstClass::kAsyncCopy},
    {"st.async", InstClass::kAsyncStore},
    {"red.async", InstClass::kAsyncStore},
    {"st.bulk", InstClass::kAsyncStore},
    {"atom", InstClass::kAtomic},
    {"red", InstClass::kAtomic},
    {"prefetch", InstClass::kCacheHint},
    {"prefetchu", InstClass::kCacheHint},
    {"applypriority", InstClass::kCacheHint},
    {"discard", InstClass::kCacheHint},
    {"createpolicy", InstClass::kCacheHint},
    {"bra", InstClass::kControl},
    {"brx", InstClass::kControl},
    {"call", InstClass::kControl},
    {"ret", InstClass::kControl},
    {"exit", InstClass::kControl},
    {"trap", InstClass::kControl},
    {"brkpt", InstClass::kControl},
    {"shfl", InstClass::kWarpExchange},
    {"vote", InstClass::kWarpExchange},
    {"match", InstClass::kWarpExchange},
    {"redux", InstClass::kWarpExchange},
    {"elect", InstClass::kWarpExchange},
    {"activemask", InstClass::kWarpExchange},
    {"bar.warp", InstClass::kWarpBarrier},
    {"barrier.cluster", InstClass::kClusterBarrier},
    {"bar", InstClass::kBarrier},
    {"barrier", InstClass::kBarrier},
    {"mbarrier", InstClass::kMbarrier},
    {"fence", InstClass::kFence},
    {"membar", InstClass::kFence},
    {"tensormap", InstClass::kTensorMap},
    {"ldmatrix", InstClass::kMatrixLoad},
    {"movmatrix", InstClass::kMatrixLoad},
    {"wmma.load", InstClass::kMatrixLoad},
    {"stmatrix", InstClass::kMatrixStore},
    {"wmma.store", InstClass::kMatrixStore},
    {"wmma.mma", InstClass::kMma},
    {"mma", InstClass::kMma},
    {"wgmma.mma_async", InstClass::kWgmma},
    {"wgmma", InstClass::kWgmmaGroup},
    {"tcgen05.alloc", InstClass::kTensorAllocate},
    {"tcgen05.dealloc", InstClass::kTensorAllocate},
    {"tcgen05.relinquish_alloc_permit", InstClass::kTensorAllocate},
    {"tcgen05.ld", InstClass::kTensorLoad},
    {"tcgen05.st", InstClass::kTensorStore},
    {"tcgen05.cp", InstClass::kTensorFill},
    {"tcgen05.shift", InstClass::kTensorFill},
    {"tcgen05.mma", InstClass::kTensorMma},
    {"tcgen05.commit", InstClass::kTensorCommit},
    {"tcgen05", InstClass::kTensorWait},
    {"cvt", InstClass::kConversion},
    {"mov", InstClass::kMove},
    {"cvta", InstClass::kMove},
    {"mapa", InstClass::kMove},
    {"getctarank", InstClass::kMove},
    {"isspacep", InstClass::kCompare},
    {"setp", InstClass::kCompare},
    {"set", InstClass::kCompare},
    {"selp", InstClass::kCompare},
    {"slct", InstClass::kCompare},
    {"testp", InstClass::kCompare},
    {"rcp", InstClass::kSpecial},
    {"sqrt", InstClass::kSpecial},
    {"rsqrt", InstClass::kSpecial},
    {"ex2", InstClass::kSpecial},
    {"lg2", InstClass::kSpecial},
    {"sin", InstClass::kSpecial},
    {"cos", InstClass::kSpecial},
    {"tanh", InstClass::kSpecial},
    {"and", InstClass::kLogic},
    {"or", InstClass::kLogic},
    {"xor", InstClass::kLogic},
    {"not", InstClass::kLogic},
    {"cnot", InstClass::kLogic},
    {"lop3", InstClass::kLogic},
    {"shl", InstClass::kLogic},
    {"shr", InstClass::kLogic},
    {"shf", InstClass::kLogic},
    {"prmt", InstClass::kLogic},
    {"popc", InstClass::kLogic},
    {"clz", InstClass::kLogic},
    {"brev", InstClass::kLogic},
    {"bfe", InstClass::kLogic},
    {"bfi", InstClass::kLogic},
    {"bfind", InstClass::kLogic},
    {"bmsk", InstClass::kLogic},
    {"fns", InstClass::kLogic},
    {"szext", InstClass::kLogic},
    {"clusterlaunchcontrol", InstClass::kOther},
    {"griddepcontrol", InstClass::kOther},
    {"setmaxnreg", InstClass::kOther},
    {"nanosleep", InstClass::kOther},
    {"pmevent", InstClass::kOther},
};

bool begins(std::string_view opcode, std::string_view start) {
  return opcode.starts_with(start) &&
         (opcode.size() == start.size() || opcode[start.size()] == '.');
}

// f(modifier) for each part between dots behind the first, until it returns true.
template <class F>
bool find_modifier(std::string_view opcode, F f) {
  for (size_t at = opcode.find('.'); at != std::string_view::npos;) {
    const size_t next = opcode.find('.', at + 1);
    if (f(opcode.substr(at + 1, next == std::string_view::npos ? next : next - at - 1)))
      return true;
    at = next;
  }
  return false;
}

InstClass class_of_access(std::string_view opcode, bool loads) {
  InstClass kind = loads ? InstClass::kLoadGeneric : InstClass::kStoreGeneric;
  if (opcode.starts_with("ldu")) kind = InstClass::kLoadGlobal;
  find_modifier(opcode, [&](std::string_view modifier) {
    if (modifier.starts_with("global")) {
      kind = loads ? InstClass::kLoadGlobal : InstClass::kStoreGlobal;
    } else if (modifier.starts_with("shared")) {
      kind = loads ? InstClass::kLoadShared : InstClass::kStoreShared;
    } else if (modifier.starts_with("local")) {
      kind = loads ? InstClass::kLoadLocal : InstClass::kStoreLocal;
    } else if (modifier.starts_with("param")) {
      kind = loads ? InstClass::kLoadParameter : InstClass::kStoreParameter;
    } else if (modifier.starts_with("const")) {
      kind = InstClass::kLoadConstant;
    } else {
      return false;
    }
    return true;
  });
  return kind;
}

InstClass class_of_arithmetic(std::string_view opcode) {
  InstClass kind = InstClass::kInteger;
  find_modifier(opcode, [&](std::string_view modifier) {
    if (modifier.starts_with("f16") || modifier.starts_with("bf16")) {
      kind = InstClass::kHalf;
    } else if (modifier.starts_with("f32")) {
      kind = InstClass::kFloat;
    } else if (modifier == "f64") {
      kind = InstClass::kDouble;
    }
    return kind != InstClass::kInteger;
  });
  return kind;
}

// "m64n256k16"; false where it is no shape.
bool parse_shape(std::string_view text, MmaSpelling& spelling) {
  uint32_t* const sizes[] = {&spelling.m, &spelling.n, &spelling.k};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t i = 0; i < 3; ++i) {
    if (at == end || *at != "mnk"[i]) return false;
    const auto [stop, code] = std::from_chars(at + 1, end, *sizes[i]);
    if (code != std::errc()) return false;
    at = stop;
  }
  return at == end;
}

bool is_type(std::string_view text) {
  if (text.starts_with("kind::")) return true;
  const size_t digit = text.find_first_of("0123456789");
  if (digit == std::string_view::npos) return false;
  const std::string_view letters = text.substr(0, digit);
  constexpr std::string_view kLetters[] = {"f", "bf", "tf", "e", "ue", "s", "u", "b"};
  return std::find(std::begin(kLetters), std::end(kLetters), letters) != std::end(kLetters);
}

}  // namespace

std::string_view name_of(InstClass kind) { return kNames[static_cast<size_t>(kind)]; }

InstClass class_of(std::string_view opcode) {
  for (const Start& start : kStarts) {
    if (begins(opcode, start.opcode)) return start.kind;
  }
  if (begins(opcode, "ld") || begins(opcode, "ldu")) return class_of_access(opcode, true);
  if (begins(opcode, "st")) return class_of_access(opcode, false);
  return class_of_arithmetic(opcode);
}

std::string_view opcode_of(std::string_view text) {
  if (text.starts_with('@')) text.remove_prefix(std::min(text.find(' ') + 1, text.size()));
  return text.substr(0, text.find_first_of(" ;"));
}

uint64_t MmaSpelling::b_bytes() const {
  const std::string_view b = std::string_view(types).substr(types.rfind('.') + 1);
  if (b.starts_with('e')) return uint64_t{n} * k;  // e4m3, e5m2
  uint64_t bits = 0;
  const size_t digit = b.find_first_of("0123456789");
  if (digit != std::string_view::npos) {
    std::from_chars(b.data() + digit, b.data() + b.size(), bits);
  }
  return uint64_t{n} * k * bits / 8;
}

MmaSpelling mma_spelling(std::string_view opcode) {
  MmaSpelling spelling;
  find_modifier(opcode, [&](std::string_view modifier) {
    if (MmaSpelling shape; parse_shape(modifier, shape)) {
      spelling.m = shape.m;
      spelling.n = shape.n;
      spelling.k = shape.k;
    } else if (is_type(modifier)) {
      spelling.types.append(spelling.types.empty() ? "" : ".").append(modifier);
    }
    return false;
  });
  return spelling;
}

}  // namespace nibble::emulator
