// ONNX: tensors kept in other files, operators that are code. Field numbers are of onnx.proto3.
#include <algorithm>
#include <string>

#include "format/zip.h"
#include "supply/scan/protobuf.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

constexpr int kGraphDepthMax = 16;  // graphs within nodes (If, Loop)

/// ModelProto: ir_version = 1 (varint), then strings, graph = 7 and opset_import = 8.
bool matches(const Input& input) {
  const std::string_view head = input.head();
  if (head.size() < 8 || head[0] != '\x08' || head[1] < 1 || head[1] > 32) return false;
  ProtoReader reader(head);
  for (int i = 0; i < 12; ++i) {
    const auto field = reader.next();
    if (!field) break;
    if ((field->number == 7 || field->number == 8) && field->wire_type == 2) return true;
    if (field->number > 25) return false;
  }
  // A graph larger than the head: its tag follows the short fields.
  for (const std::string_view mark : {"pytorch", "onnx", "skl2onnx", "tf2onnx", "keras2onnx"})
    if (head.substr(0, 64).find(mark) != head.npos && head[2] == '\x12') return true;
  return false;
}

class OnnxWalk : public ProtoWalk {
 public:
  explicit OnnxWalk(Scan& scan) : scan_(scan) {}

  void model(std::string_view bytes) {
    each(bytes, [&](const ProtoField& field) {
      if (field.number == 7) graph(field.bytes, 0);
      if (field.number == 25)  // functions: FunctionProto.node = 7
        each(field.bytes, [&](const ProtoField& part) {
          if (part.number == 7) node(part.bytes, 0);
        });
    });
  }

 private:
  void graph(std::string_view bytes, int depth) {
    if (depth > kGraphDepthMax) {
      fail();
      return;
    }
    each(bytes, [&](const ProtoField& field) {  // node = 1, initializer = 5, sparse = 15
      if (field.number == 1) node(field.bytes, depth);
      if (field.number == 5) tensor(field.bytes);
      if (field.number == 15)
        each(field.bytes, [&](const ProtoField& part) { tensor(part.bytes); });
    });
  }
  void node(std::string_view bytes, int depth) {
    std::string_view op, domain;
    each(bytes, [&](const ProtoField& field) {
      if (field.number == 4) op = field.bytes;
      if (field.number == 7) domain = field.bytes;
      if (field.number == 5)  // AttributeProto: t = 5, g = 6, tensors = 10, graphs = 11
        each(field.bytes, [&](const ProtoField& part) {
          if (part.number == 5 || part.number == 10) tensor(part.bytes);
          if (part.number == 6 || part.number == 11) graph(part.bytes, depth + 1);
        });
    });
    if (op == "PyOp" || op == "PyCustomOp" || op == "PythonOp" || op == "ATenOp")
      scan_.add(
          "onnx", "onnx-python-op", Verdict::kMalicious,
          fmt::format("an operator {} of {}: running the model calls Python code", op, domain));
    else if (!domain.empty() && !domain.starts_with("ai.onnx") &&
             !domain.starts_with("com.microsoft") && !domain.starts_with("org.pytorch") &&
             !domain.starts_with("pkg.onnxscript") && !domain.starts_with("pkg.torch"))
      scan_.add("onnx", "onnx-custom-op", Verdict::kWarn,
                fmt::format("operator {} of domain {}: needs a library of its own", op, domain));
  }
  /// TensorProto: external_data = 13, key = 1 and value = 2.
  void tensor(std::string_view bytes) {
    each(bytes, [&](const ProtoField& field) {
      if (field.number != 13) return;
      std::string_view key, value;
      each(field.bytes, [&](const ProtoField& part) {
        if (part.number == 1) key = part.bytes;
        if (part.number == 2) value = part.bytes;
      });
      if (key != "location" || value.empty()) return;
      if (value.starts_with("./")) value.remove_prefix(2);
      if (!format::is_safe_path(value))
        scan_.add(
            "onnx", "onnx-external-path", Verdict::kMalicious,
            fmt::format("a tensor's data is to be read from {}: out of the model's folder", value));
    });
  }

  Scan& scan_;
};

void run(const Input& input, Scan& scan) {
  scan.add("onnx", "onnx-format", Verdict::kUnsupported, "an ONNX model: Lantern reads none");
  OnnxWalk walk(scan);
  walk_protobuf(input, scan, "onnx", walk, [&](std::string_view bytes) { walk.model(bytes); });
}

}  // namespace

extern const Scanner k_onnx;
const Scanner k_onnx = {.name = "onnx", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
