// Renders chat templates for tools/golden/templates.py: one JSON object a line in, one out.
//   in:  {"template": source, "messages": [...], "tools": [...], "documents": [...],
//         "add_generation_prompt": bool, "continue_final_message": bool,
//         "special_tokens": {name: token}, "extra": {...}, "date": [y, m, d, h, min, s],
//         "turn_end": bool, "message_syntax": bool, "tokens": [special tokens]}
//   out: {"text": ...} with the spans as [[kind, text], ...], or {"error": ...}
// With "turn_end" the answer is the text after an assistant's message, with "message_syntax" what
// find_message_syntax() says.
#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/chat_template.h"
#include "text/message/message_syntax.h"

namespace {

using lantern::Result;
using lantern::base::OrderedJson;
using lantern::text::ChatTemplate;
using lantern::text::RenderInput;

RenderInput read_input(const OrderedJson& request) {
  RenderInput input;
  input.messages = request.value("messages", OrderedJson::array());
  if (request.contains("tools") && !request["tools"].is_null()) input.tools = request["tools"];
  if (request.contains("documents") && !request["documents"].is_null())
    input.documents = request["documents"];
  input.add_generation_prompt = request.value("add_generation_prompt", false);
  input.continue_final_message = request.value("continue_final_message", false);
  if (request.contains("special_tokens"))
    for (const auto& [name, token] : request["special_tokens"].items())
      input.special_tokens[name] = token.get<std::string>();
  input.extra = request.value("extra", OrderedJson::object());
  if (request.contains("date")) {
    const auto d = request["date"].get<std::vector<int>>();
    input.date = {d.at(0), d.at(1), d.at(2), d.at(3), d.at(4), d.at(5)};
  }
  return input;
}

Result<OrderedJson> answer(const OrderedJson& request) {
  auto parsed = ChatTemplate::parse(request.at("template").get<std::string>());
  if (!parsed.ok()) return std::move(parsed).error();
  const RenderInput input = read_input(request);
  OrderedJson out;
  if (request.value("turn_end", false)) {
    auto end = parsed->turn_end(input);
    if (!end.ok()) return std::move(end).error();
    out["text"] = *end;
    return out;
  }
  if (request.value("message_syntax", false)) {
    const auto tokens = request.value("tokens", std::vector<std::string>());
    const auto found = lantern::text::find_message_syntax(*parsed, input, [&](std::string_view w) {
      return std::find(tokens.begin(), tokens.end(), w) != tokens.end();
    });
    return OrderedJson{{"calls", found.calls != nullptr ? found.calls->name : found.no_calls},
                       {"writes_calls", found.writes_calls},
                       {"arguments_as_text", found.arguments_as_text},
                       {"several_calls", found.several_calls},
                       {"tools_in_system", found.tools_in_system},
                       {"reasoning", found.reasoning != nullptr ? found.reasoning->open : ""}};
  }
  auto spans = parsed->render(input);
  if (!spans.ok()) return std::move(spans).error();
  out["text"] = lantern::text::to_text(*spans);
  out["spans"] = OrderedJson::array();
  for (const auto& span : *spans)
    out["spans"].push_back(
        {span.kind == lantern::text::SpanKind::kLiteral ? "literal" : "content", span.text});
  return out;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    OrderedJson out;
    auto request = lantern::base::parse_ordered_json(line, "request");
    if (!request.ok()) {
      out["error"] = request.error().message;
    } else if (auto result = answer(*request); result.ok()) {
      out = std::move(result).value();
    } else {
      out["error"] = result.error().message;
      out["code"] = std::string(lantern::error_code_name(result.error().code));
    }
    std::cout << out.dump() << "\n";
  }
  return 0;
}
