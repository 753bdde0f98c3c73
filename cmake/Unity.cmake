# Unity builds: a dozen files of a target are compiled as one, so that what they share (JSON's and
# fmt's templates) is made once, in a fifth of the time. Names in unnamed namespaces of one folder
# must differ for it; folders whose files all say the same names on purpose are left out.
# LANTERN_UNITY=OFF (the preset `dev`) compiles each file by itself.
option(LANTERN_UNITY "Compile a dozen files of a target as one" ON)

set(LANTERN_ALIKE "/(cli/commands|supply/scan/scanners|text/tool_calls|arch/models|sensor/weight_formats|sensor/model_stores)/")

function(lantern_unity target)
  if(NOT LANTERN_UNITY)
    return()
  endif()
  # GCC takes the files that it includes for headers, in which unnamed namespaces are a fault.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX ${LANTERN_ALIKE})
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
