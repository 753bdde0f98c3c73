#include "cli/command.h"

int main(int argc, char** argv) { return lantern::cli::run_program(argc, argv); }
