# Holds "no path to the weights avoids the gate" at compile time: the control in attempts.cc
# compiles, every attempt fails, and fails for the reason it should.
#   cmake -DCOMPILER=g++ -DSOURCE_DIR=... -P check.cmake
set(reason_1 "private")
set(reason_2 "private")
set(reason_3 "deleted")
set(reason_4 "protected")
set(reason_5 "AdmittedModel")
set(reason_6 "protected|abstract")
set(reason_7 "private")
set(failures "")

foreach(attempt RANGE 0 7)
  execute_process(
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I${SOURCE_DIR}/src -DATTEMPT=${attempt}
            ${SOURCE_DIR}/tests/admission/attempts.cc
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(attempt EQUAL 0)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "the control does not compile, so the attempts say nothing:\n${output}")
    endif()
  elseif(status EQUAL 0)
    list(APPEND failures "attempt ${attempt} compiles")
  elseif(NOT output MATCHES "${reason_${attempt}}")
    list(APPEND failures "attempt ${attempt} fails for another reason: ${output}")
  endif()
endforeach()

# format/testing.h has a stand-in for gate::Admission: for tests below gate/ alone.
file(GLOB_RECURSE sources ${SOURCE_DIR}/src/*.cc ${SOURCE_DIR}/src/*.h ${SOURCE_DIR}/tests/*.cc)
set(n_users 0)
foreach(source ${sources})
  file(STRINGS ${source} includes REGEX "#include \"(format|engine|arch)/testing\\.h\"")
  if(includes)
    math(EXPR n_users "${n_users} + 1")
    if(NOT source MATCHES "/src/(format|arch|engine)/(.*_test\\.cc|testing\\.(h|cc))$")
      list(APPEND failures "${source} includes a stand-in for the gate")
    endif()
  endif()
endforeach()
foreach(source ${sources})
  file(STRINGS ${source} makers REGEX "^ *(class|struct) +Admission *(final *)?[{]")
  if(makers AND NOT source MATCHES "/src/(gate/admission|format/testing)\\.h$")
    list(APPEND failures "${source} defines an Admission of its own")
  endif()
endforeach()
if(n_users EQUAL 0)
  list(APPEND failures "no user of format/testing.h found: this check looks in the wrong place")
endif()

if(failures)
  list(JOIN failures "\n" text)
  message(FATAL_ERROR "${text}")
endif()
