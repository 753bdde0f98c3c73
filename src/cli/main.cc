#include "cli/command.h"
#include "gate/scan.h"
#include "sensor/parser.h"

int main(int argc, char** argv) {
  if (const auto status = lantern::gate::serve_scan_child(argc, argv)) return *status;
  if (const auto status = lantern::sensor::serve_parser_child(argc, argv)) return *status;
  return lantern::cli::run_program(argc, argv);
}
