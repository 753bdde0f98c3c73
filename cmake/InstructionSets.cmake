# Files under src/kernels/<isa>/ are the only ones compiled for more than the
# baseline. They include intrinsics and plain-data headers alone, so no inline
# function compiled for AVX-512 can replace the baseline's copy at link time
# (tests/isa_symbols_test holds that).
set(LANTERN_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(LANTERN_FLAGS_avxvnni ${LANTERN_FLAGS_avx2} -mavxvnni)
set(LANTERN_FLAGS_avx512 ${LANTERN_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC's own intrinsics start from registers undefined on purpose (GCC bug 105593).
  list(APPEND LANTERN_FLAGS_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

function(lantern_instruction_set_flags)
  foreach(source ${ARGN})
    if(source MATCHES "/kernels/(avx2|avxvnni|avx512)/")
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${LANTERN_FLAGS_${CMAKE_MATCH_1}})
      # Kernels are optimised in every build, or tests over whole models would crawl.
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -O3)
    endif()
  endforeach()
endfunction()
