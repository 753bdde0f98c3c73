# Files under src/kernels/<isa>/ are the only ones compiled for more than the
# baseline. They include intrinsics and plain-data headers alone, so no inline
# function compiled for AVX-512 can replace the baseline's copy at link time
# (tests/include_test.cc holds that).
set(LANTERN_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(LANTERN_FLAGS_avxvnni ${LANTERN_FLAGS_avx2} -mavxvnni)
set(LANTERN_FLAGS_avx512 ${LANTERN_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC's own intrinsics start from registers undefined on purpose (GCC bug 105593).
  list(APPEND LANTERN_FLAGS_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

# Kernels are optimised in every build, or tests over whole models would crawl. Under sanitizers
# their unrolled tiles take minutes to compile with every check in them: there, addresses are
# checked, by a call each, and the stack's are not (the tiles live there, indexed by constants), and
# undefined behaviour is left to the reference kernels, which compute the same.
set(LANTERN_KERNEL_OPTIMISATION -O3)
if(LANTERN_SANITIZE)
  set(LANTERN_KERNEL_OPTIMISATION -O2)
  if(LANTERN_SANITIZE MATCHES undefined)
    list(APPEND LANTERN_KERNEL_OPTIMISATION -fno-sanitize=undefined)
  endif()
  if(LANTERN_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND LANTERN_KERNEL_OPTIMISATION --param=asan-stack=0)
  elseif(LANTERN_SANITIZE MATCHES address)
    list(APPEND LANTERN_KERNEL_OPTIMISATION -mllvm -asan-stack=0
      -mllvm -asan-instrumentation-with-call-threshold=0)
  endif()
endif()

function(lantern_instruction_set_flags)
  foreach(source ${ARGN})
    if(source MATCHES "/kernels/(avx2|avxvnni|avx512)/")
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${LANTERN_FLAGS_${CMAKE_MATCH_1}})
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${LANTERN_KERNEL_OPTIMISATION})
    endif()
  endforeach()
endfunction()
