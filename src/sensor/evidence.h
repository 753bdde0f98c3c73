// What speaks for a process running a model. Evidence is of classes that do not follow from each
// other; within a class the strongest piece counts, so that ten names are no more than one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lantern::sensor {

enum class EvidenceClass {
  kWeights,      // weights that it has mapped, opened or read
  kCode,         // its program or a library of it holds an engine
  kApi,          // it answers as a runtime does, where it was asked
  kAccelerator,  // it has a GPU or an NPU open
  kLabel,        // names, command lines, ports
  kCompute,      // it computes all the time
};
std::string_view evidence_class_name(EvidenceClass value);

/// How an attribute or a piece of evidence is known.
enum class Basis {
  kDeclared,  // somebody says so: a name, a port, a header's own words
  kInferred,  // it follows from what was seen
  kVerified,  // it was read and counted or hashed
};
std::string_view basis_name(Basis value);

struct Evidence {
  EvidenceClass kind = EvidenceClass::kLabel;
  Basis basis = Basis::kDeclared;
  int strength = 0;        // of 100; assess.h says how they add up
  std::string text = {};   // for a person, printable
  std::string where = {};  // where it was read: "/proc/12/maps"
};

// Strengths. An alert needs 50, from two classes, one of them weights, code or an API: mapped
// weights with any second class, an engine's code with weights, an accelerator or a label.
inline constexpr int kAlertScore = 50;
inline constexpr int kSuspectScore = 25;

inline constexpr int kMappedWeights = 50;
inline constexpr int kOpenWeights = 40;
inline constexpr int kDamagedWeights = 25;  // they begin as weights do, and no tensor can be read
inline constexpr int kReadWeights = 25;     // so much memory was filled by reading as a model has
inline constexpr int kEngineCode = 40;      // strings of an engine
inline constexpr int kEngineLibrary = 30;   // a library by its name
inline constexpr int kEmbeddedCode = 10;    // of libraries that many programs carry: browsers do
inline constexpr int kApiAnswer = 40;
inline constexpr int kAcceleratorOpen = 10;
inline constexpr int kKnownName = 15;
inline constexpr int kKnownPort = 10;  // anyone may listen there
inline constexpr int kKnownVariable = 5;
inline constexpr int kSustainedCompute = 5;

}  // namespace lantern::sensor
