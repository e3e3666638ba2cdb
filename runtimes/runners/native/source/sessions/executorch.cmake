# edgevit-runner-executorch: linked with ExecuTorch's library, which has no C interface.
#
#   EDGEVIT_EXECUTORCH_LIBRARY   `_core.abi3.so` of PyPI's executorch-numpy-runtime; `libexecutorch.so` of Android's AAR
#   EDGEVIT_EXECUTORCH_INCLUDE   `executorch/include` of PyPI's executorch, of the ExecuTorch that the library is of
set(EDGEVIT_EXECUTORCH_LIBRARY "" CACHE FILEPATH "ExecuTorch's library for the device")
set(EDGEVIT_EXECUTORCH_INCLUDE "" CACHE PATH "ExecuTorch's headers, of the library's version")
if(NOT EXISTS "${EDGEVIT_EXECUTORCH_LIBRARY}")
  message(FATAL_ERROR "EDGEVIT_EXECUTORCH_LIBRARY is no file: '${EDGEVIT_EXECUTORCH_LIBRARY}'")
endif()
if(NOT EXISTS "${EDGEVIT_EXECUTORCH_INCLUDE}/executorch/runtime/executor/program.h")
  message(FATAL_ERROR "EDGEVIT_EXECUTORCH_INCLUDE holds no headers of ExecuTorch: '${EDGEVIT_EXECUTORCH_INCLUDE}'")
endif()

# The library of the wheel is an extension of Python: it wants functions and objects of the interpreter, none of which
# it touches until Python imports it. The program has something of each name to give, whatever the next wheel wants.
# Android's library asks for none.
execute_process(COMMAND ${CMAKE_NM} -D --undefined-only "${EDGEVIT_EXECUTORCH_LIBRARY}"
                OUTPUT_VARIABLE undefined ERROR_VARIABLE trouble RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${CMAKE_NM} cannot read ${EDGEVIT_EXECUTORCH_LIBRARY}: ${trouble}")
endif()
string(REGEX MATCHALL "[Uw] _?Py[A-Za-z0-9_]+" names "${undefined}")
set(definitions "")
foreach(name IN LISTS names)
  string(SUBSTRING "${name}" 2 -1 name)
  string(APPEND definitions "extern \"C\" { __attribute__((visibility(\"default\"))) char ${name}[64]; }\n")
endforeach()
set(executorch_python "${CMAKE_CURRENT_BINARY_DIR}/executorch_python.cpp")
file(GENERATE OUTPUT "${executorch_python}" CONTENT "${definitions}")

# Nothing else may take the place of what the library has itself, above all no template of the standard library.
set(executorch_exports "${CMAKE_CURRENT_BINARY_DIR}/executorch_exports.map")
file(GENERATE OUTPUT "${executorch_exports}" CONTENT "{ global: Py*; _Py*; et_pal_emit_log_message; local: *; };\n")

get_filename_component(executorch_folder "${EDGEVIT_EXECUTORCH_LIBRARY}" DIRECTORY)
get_filename_component(executorch_file "${EDGEVIT_EXECUTORCH_LIBRARY}" NAME)
add_executable(edgevit-runner-executorch main.cpp sessions/executorch.cpp "${executorch_python}")
target_include_directories(edgevit-runner-executorch SYSTEM PRIVATE
  "${EDGEVIT_EXECUTORCH_INCLUDE}"
  "${EDGEVIT_EXECUTORCH_INCLUDE}/executorch/runtime/core/portable_type/c10")
target_compile_definitions(edgevit-runner-executorch PRIVATE C10_USING_CUSTOM_GENERATED_MACROS)
target_link_libraries(edgevit-runner-executorch PRIVATE core "-L${executorch_folder}" "-l:${executorch_file}")
# The standard library is the device's: ExecuTorch's library needs it all the same, and no older one than the program
# does (GLIBCXX_3.4.22). One of its own would only ask for a newer glibc.
target_link_options(edgevit-runner-executorch PRIVATE "-Wl,--version-script,${executorch_exports}" -s)
set_target_properties(edgevit-runner-executorch PROPERTIES LINK_DEPENDS "${EDGEVIT_EXECUTORCH_LIBRARY}")
if(ANDROID)
  # What the library needs for Java comes with the device or lies beside it.
  target_link_options(edgevit-runner-executorch PRIVATE -Wl,--allow-shlib-undefined)
endif()
