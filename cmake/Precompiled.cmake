# Precompiled headers: half of a translation unit's time goes into the standard library, nlohmann's
# JSON, GoogleTest and CLI11. One header a group, shared by the group's targets, which take the same
# flags. The kernels have none: their files must include intrinsics and plain data alone
# (cmake/InstructionSets.cmake). Sources still include what they use; LANTERN_PCH=OFF (the preset
# `dev`) shows where one does not.
option(LANTERN_PCH "Precompile the headers of the standard library and of the large dependencies" ON)

set(LANTERN_PRECOMPILED_rooms
  <algorithm> <array> <charconv> <chrono> <filesystem> <functional> <map> <memory> <optional> <set>
  <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>
  <fmt/format.h> <nlohmann/json.hpp>)
set(LANTERN_PRECOMPILED_cli ${LANTERN_PRECOMPILED_rooms} <CLI/CLI.hpp>)
set(LANTERN_PRECOMPILED_replays ${LANTERN_PRECOMPILED_rooms})
set(LANTERN_PRECOMPILED_tests ${LANTERN_PRECOMPILED_rooms} <fstream> <random> <sstream>
  <gmock/gmock.h> <gtest/gtest.h>)

# lantern_precompile(TARGET GROUP): the group's first target makes the header, the others use it.
function(lantern_precompile target group)
  if(NOT LANTERN_PCH)
    return()
  endif()
  get_property(first GLOBAL PROPERTY LANTERN_PRECOMPILED_BY_${group})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    set_property(GLOBAL PROPERTY LANTERN_PRECOMPILED_BY_${group} ${target})
    target_precompile_headers(${target} PRIVATE ${LANTERN_PRECOMPILED_${group}})
  endif()
endfunction()
