// TensorFlow: saved_model.pb (SavedModel) and frozen graphs (GraphDef). Field numbers are of
// tensorflow/core/protobuf/{saved_model,meta_graph}.proto and core/framework/graph.proto.
#include <algorithm>
#include <array>
#include <string>

#include "supply/scan/protobuf.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

struct DangerousOp {
  std::string_view op;
  std::string_view what;
};

constexpr auto kDangerousOps = std::to_array<DangerousOp>({
    {"PyFunc", "calls a Python function"},
    {"PyFuncStateless", "calls a Python function"},
    {"EagerPyFunc", "calls a Python function"},
    {"ReadFile", "reads any file of the machine"},
    {"WriteFile", "writes any file of the machine"},
    {"MatchingFiles", "lists files of the machine"},
    {"DebugIdentity", "sends tensors over the network"},
    {"DebugIdentityV2", "writes tensors to files"},
    {"DebugIdentityV3", "sends tensors over the network"},
    {"RpcCall", "opens network connections"},
    {"RpcClient", "opens network connections"},
    {"RpcServer", "opens network connections"},
});

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() < 200 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./>-^:").find(c) != std::string_view::npos;
  });
}

/// NodeDef: name = 1, op = 2.
bool looks_like_node(std::string_view bytes) {
  ProtoReader reader(bytes);
  const auto name = reader.next();
  if (!name || name->number != 1 || name->wire_type != 2 || !is_identifier(name->bytes))
    return false;
  const auto op = reader.next();
  return op && op->number == 2 && op->wire_type == 2 && is_identifier(op->bytes);
}

enum class Kind { kNone, kSavedModel, kGraph };

Kind kind_of(const Input& input) {
  const std::string_view head = input.head();
  // saved_model_schema_version = 1 (varint), meta_graphs = 2.
  if (head.size() > 4 && head[0] == '\x08' && head[1] == '\x01' && head[2] == '\x12')
    return Kind::kSavedModel;
  if (head.empty() || (head[0] != '\x0a' && head[0] != '\x12')) return Kind::kNone;
  if (input.size() > kProtoBytesMax) return Kind::kNone;
  const std::string start = input.read(0, std::min<uint64_t>(input.size(), 1u << 20));
  ProtoReader reader(start);
  const auto field = reader.next();
  if (!field || field->wire_type != 2) return Kind::kNone;
  if (field->number == 1 && looks_like_node(field->bytes)) return Kind::kGraph;
  // A SavedModel without its version.
  if (field->number == 2) {
    ProtoReader meta(field->bytes);
    const auto first = meta.next();
    if (first && (first->number == 1 || first->number == 2) && first->wire_type == 2) {
      ProtoReader inner(first->bytes);
      const auto node = inner.next();
      if (first->number == 2 && node && node->wire_type == 2 && looks_like_node(node->bytes))
        return Kind::kSavedModel;
    }
  }
  return Kind::kNone;
}

bool matches(const Input& input) { return kind_of(input) != Kind::kNone; }

class GraphWalk : public ProtoWalk {
 public:
  explicit GraphWalk(Scan& scan) : scan_(scan) {}

  void saved_model(std::string_view bytes) {
    each(bytes, [&](const ProtoField& field) {
      if (field.number == 2) meta_graph(field.bytes);
    });
  }
  /// GraphDef: node = 1, library = 2.
  void graph(std::string_view bytes) {
    each(bytes, [&](const ProtoField& field) {
      if (field.number == 1) node(field.bytes);
      if (field.number == 2)
        each(field.bytes, [&](const ProtoField& function) {  // FunctionDefLibrary: function = 1
          if (function.number == 1)
            each(function.bytes, [&](const ProtoField& part) {  // FunctionDef: node_def = 3
              if (part.number == 3) node(part.bytes);
            });
        });
    });
  }

 private:
  void meta_graph(std::string_view bytes) {
    each(bytes, [&](const ProtoField& field) {  // MetaGraphDef: graph_def = 2
      if (field.number == 2) graph(field.bytes);
    });
  }
  void node(std::string_view bytes) {
    std::string_view name, op;
    each(bytes, [&](const ProtoField& field) {
      if (field.number == 1) name = field.bytes;
      if (field.number == 2) op = field.bytes;
    });
    for (const DangerousOp& known : kDangerousOps)
      if (known.op == op)
        scan_.add("tensorflow", "tensorflow-dangerous-op", Verdict::kMalicious,
                  fmt::format("node {} is a {}: running the model {}", name, op, known.what));
  }

  Scan& scan_;
};

void run(const Input& input, Scan& scan) {
  scan.add("tensorflow", "tensorflow-format", Verdict::kUnsupported,
           "a TensorFlow graph: Lantern reads none");
  GraphWalk walk(scan);
  const bool is_saved_model = kind_of(input) == Kind::kSavedModel;
  walk_protobuf(input, scan, "tensorflow", walk, [&](std::string_view bytes) {
    is_saved_model ? walk.saved_model(bytes) : walk.graph(bytes);
  });
}

}  // namespace

extern const Scanner k_tensorflow;
const Scanner k_tensorflow = {.name = "tensorflow", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
