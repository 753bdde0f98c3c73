# Flags every target of ours takes, on the interface target lantern_flags.
add_library(lantern_flags INTERFACE)
target_include_directories(lantern_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(lantern_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  # Invariant 3: the compiler must neither contract a*b+c nor assume that
  # rounding mode and traps do not matter.
  -ffp-contract=off -fno-fast-math
  -fstack-protector-strong)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  # g++ 12 and 13 report these inside their own std::string and std::vector once those are
  # inlined (GCC bugs 105329, 105651, 105762).
  target_compile_options(lantern_flags INTERFACE
    -Wno-restrict -Wno-array-bounds -Wno-use-after-free -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  # libstdc++ 12's own std::stable_sort calls what it deprecates.
  target_compile_options(lantern_flags INTERFACE -Wno-deprecated-declarations)
endif()
if(LANTERN_WERROR)
  target_compile_options(lantern_flags INTERFACE -Werror)
endif()
target_compile_definitions(lantern_flags INTERFACE LANTERN_VERSION="${PROJECT_VERSION}")
if(LANTERN_SANITIZE)
  target_compile_options(lantern_flags INTERFACE
    -fsanitize=${LANTERN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    # Instrumented code confuses this warning (GCC's manual says so of -fsanitize).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(lantern_flags INTERFACE -fsanitize=${LANTERN_SANITIZE})
endif()
if(LANTERN_FUZZ)
  # Coverage of our own code, which libFuzzer steers by; the targets add its main().
  target_compile_options(lantern_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(LANTERN_CCACHE ccache)
if(LANTERN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LANTERN_CCACHE})
endif()
find_program(LANTERN_MOLD mold)
if(LANTERN_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
