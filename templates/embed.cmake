# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a C++ file that holds each of TEXTS (paths relative to FOLDER) as a string.
set(out "// Written by templates/embed.cmake.\n#include \"templates/embedded_templates.h\"\n\n")
string(APPEND out "namespace nibble::templates {\n\nnamespace {\n\n")
set(rows "")
set(index 0)
foreach(text IN LISTS TEXTS)
  file(READ ${FOLDER}/${text} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "((......,){16})" "\\1\n" bytes "${bytes}")
  string(APPEND out "constexpr char kText${index}[] = {\n${bytes}'\\0'};\n\n")
  string(APPEND rows "    {\"${text}\", {kText${index}, sizeof kText${index} - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(APPEND out "constexpr EmbeddedTemplate kTemplates[] = {\n${rows}};\n\n}  // namespace\n\n")
string(APPEND out "std::span<const EmbeddedTemplate> embedded_templates() { return kTemplates; }\n\n")
string(APPEND out "}  // namespace nibble::templates\n")
file(WRITE ${OUTPUT} "${out}")
