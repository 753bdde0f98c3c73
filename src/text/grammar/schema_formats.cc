#include "text/grammar/schema_formats.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace lantern::text::grammar {
namespace {

// RFC 3339, section 5.6, with days that the month has; 29 February in leap years alone.
#define LANTERN_DATE                                                                  \
  "(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|" \
  "02-(0[1-9]|1\\d|2[0-8]))|"                                                         \
  "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define LANTERN_TIME                                                                   \
  "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)|" \
  "23:59:60(\\.\\d+)?[Zz])"
// RFC 3339, appendix A.
#define LANTERN_DURATION                                                                 \
  "P((\\d+D|\\d+M(\\d+D)?|\\d+Y(\\d+M(\\d+D)?)?)(T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|" \
  "\\d+S))?|T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)|\\d+W)"
#define LANTERN_OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define LANTERN_IPV4 "(" LANTERN_OCTET "(\\." LANTERN_OCTET "){3})"
// RFC 3986, section 3.2.2 (as RFC 4291 has it).
#define LANTERN_H16 "[0-9A-Fa-f]{1,4}"
#define LANTERN_LS32 "(" LANTERN_H16 ":" LANTERN_H16 "|" LANTERN_IPV4 ")"
#define LANTERN_IPV6                                                                              \
  "((" LANTERN_H16 ":){6}" LANTERN_LS32 "|::(" LANTERN_H16 ":){5}" LANTERN_LS32 "|(" LANTERN_H16  \
  ")?::(" LANTERN_H16 ":){4}" LANTERN_LS32 "|((" LANTERN_H16 ":){0,1}" LANTERN_H16                \
  ")?::(" LANTERN_H16 ":){3}" LANTERN_LS32 "|((" LANTERN_H16 ":){0,2}" LANTERN_H16                \
  ")?::(" LANTERN_H16 ":){2}" LANTERN_LS32 "|((" LANTERN_H16 ":){0,3}" LANTERN_H16                \
  ")?::" LANTERN_H16 ":" LANTERN_LS32 "|((" LANTERN_H16 ":){0,4}" LANTERN_H16 ")?::" LANTERN_LS32 \
  "|((" LANTERN_H16 ":){0,5}" LANTERN_H16 ")?::" LANTERN_H16 "|((" LANTERN_H16                    \
  ":){0,6}" LANTERN_H16 ")?::)"
// RFC 1123: labels of at most 63.
// With hyphens at the third and fourth place a label is an encoded one (RFC 5891), whose validity
// depends on what it decodes to: none are written.
#define LANTERN_LABEL                                             \
  "([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]{0,1}[A-Za-z0-9]|"         \
  "[A-Za-z0-9][A-Za-z0-9-]([A-Za-z0-9][A-Za-z0-9-]|-[A-Za-z0-9])" \
  "([A-Za-z0-9-]{0,58}[A-Za-z0-9])?)"
#define LANTERN_HOSTNAME LANTERN_LABEL "(\\." LANTERN_LABEL ")*"
// RFC 5321's Mailbox.
#define LANTERN_ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define LANTERN_QUOTED "\"([ !#-\\[\\]-~]|\\\\[ -~])*\""
#define LANTERN_DOMAIN "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
#define LANTERN_EMAIL                                                              \
  "(" LANTERN_ATEXT "(\\." LANTERN_ATEXT ")*|" LANTERN_QUOTED ")@(" LANTERN_DOMAIN \
  "(\\." LANTERN_DOMAIN                                                            \
  ")*|"                                                                            \
  "\\[" LANTERN_IPV4 "\\]|\\[IPv6:" LANTERN_IPV6 "\\])"
// RFC 3986, appendix A.
#define LANTERN_PCT "%[0-9A-Fa-f]{2}"
#define LANTERN_PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|" LANTERN_PCT ")"
#define LANTERN_AUTHORITY                                 \
  "(([A-Za-z0-9._~!$&'()*+,;=:-]|" LANTERN_PCT            \
  ")*@)?"                                                 \
  "(\\[(" LANTERN_IPV6                                    \
  "|[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|" \
  "([A-Za-z0-9._~!$&'()*+,;=-]|" LANTERN_PCT ")*)(:[0-9]*)?"
#define LANTERN_TAIL "(\\?(" LANTERN_PCHAR "|[/?])*)?(#(" LANTERN_PCHAR "|[/?])*)?"
#define LANTERN_URI                                                                 \
  "[A-Za-z][A-Za-z0-9+.-]*:(//" LANTERN_AUTHORITY "(/" LANTERN_PCHAR                \
  "*)*|"                                                                            \
  "/(" LANTERN_PCHAR "+(/" LANTERN_PCHAR "*)*)?|" LANTERN_PCHAR "+(/" LANTERN_PCHAR \
  "*)*|)" LANTERN_TAIL
#define LANTERN_RELATIVE                                                                \
  "(//" LANTERN_AUTHORITY "(/" LANTERN_PCHAR "*)*|/(" LANTERN_PCHAR "+(/" LANTERN_PCHAR \
  "*)*)?|([A-Za-z0-9._~!$&'()*+,;=@-]|" LANTERN_PCT ")+(/" LANTERN_PCHAR "*)*|)" LANTERN_TAIL
#define LANTERN_POINTER "(/([^/~]|~[01])*)*"

constexpr std::array<std::pair<std::string_view, Format>, 16> kFormats = {{
    {"date-time", {LANTERN_DATE "[Tt]" LANTERN_TIME}},
    {"date", {LANTERN_DATE}},
    {"time", {LANTERN_TIME}},
    {"duration", {LANTERN_DURATION}},
    {"ipv4", {LANTERN_IPV4}},
    {"ipv6", {LANTERN_IPV6}},
    {"hostname", {LANTERN_HOSTNAME, 253}},
    {"host-name", {LANTERN_HOSTNAME, 253}},
    {"ip-address", {LANTERN_IPV4}},
    {"email", {LANTERN_EMAIL}},
    {"uuid", {"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"}},
    {"uri", {LANTERN_URI}},
    {"url", {LANTERN_URI}},
    {"uri-reference", {"(" LANTERN_URI "|" LANTERN_RELATIVE ")"}},
    {"json-pointer", {LANTERN_POINTER}},
    {"relative-json-pointer", {"(0|[1-9]\\d*)(#|" LANTERN_POINTER ")"}},
}};

}  // namespace

std::optional<Format> find_format(std::string_view name) {
  for (const auto& [known, format] : kFormats)
    if (known == name) return format;
  return std::nullopt;
}

bool format_says_nothing(std::string_view name) {
  for (const std::string_view known :
       {"int32", "int64", "uint32", "uint64", "float", "double", "decimal", "number", "integer",
        "password", "binary", "byte", "text", "textarea", "string", "markdown", "html"})
    if (known == name) return true;
  return false;
}

}  // namespace lantern::text::grammar
