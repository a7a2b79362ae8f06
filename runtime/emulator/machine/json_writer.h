// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// JSON text, written from the outside in: a key belongs to what is in an object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace nibble::emulator {

class JsonWriter {
 public:
  void begin_object(std::string_view key = {}) { begin(key, '{'); }
  void end_object() { end('}'); }
  void begin_array(std::string_view key = {}) { begin(key, '['); }
  void end_array() { end(']'); }
  void number(std::string_view key, uint64_t value) {
    separate(key);
    text_ += std::to_string(value);
  }
  void number(std::string_view key, uint32_t value) { number(key, uint64_t{value}); }
  void text(std::string_view key, std::string_view value) {
    separate(key);
    quote(value);
  }
  void boolean(std::string_view key, bool value) {
    separate(key);
    text_ += value ? "true" : "false";
  }
  std::string take() { return std::move(text_); }

 private:
  void separate(std::string_view key) {
    if (needs_comma_) text_ += ',';
    needs_comma_ = true;
    if (key.empty()) return;
    quote(key);
    text_ += ':';
  }
  void begin(std::string_view key, char bracket) {
    separate(key);
    text_ += bracket;
    needs_comma_ = false;
  }
  void end(char bracket) {
    text_ += bracket;
    needs_comma_ = true;
  }
  void quote(std::string_view value) {
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        constexpr char kDigits[] = "0123456789abcdef";
        text_ += "\\u00";
        text_ += kDigits[c >> 4];
        text_ += kDigits[c & 15];
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace nibble::emulator
