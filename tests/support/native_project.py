"""A small CMake project in the place of the native runner's sources, which take longer to compile."""

from __future__ import annotations

from pathlib import Path

_CMAKE = """cmake_minimum_required(VERSION 3.18)
project(small LANGUAGES CXX)
foreach(program IN LISTS EDGEVIT_PROGRAMS)
  add_executable(${program} main.cpp)
  if(program STREQUAL "edgevit-runner-executorch")
    target_include_directories(${program} PRIVATE ${EDGEVIT_EXECUTORCH_INCLUDE})
    get_filename_component(folder "${EDGEVIT_EXECUTORCH_LIBRARY}" DIRECTORY)
    get_filename_component(file "${EDGEVIT_EXECUTORCH_LIBRARY}" NAME)
    target_link_libraries(${program} PRIVATE "-L${folder}" "-l:${file}")
    target_compile_definitions(${program} PRIVATE HEADER="executorch/version.h")
  elseif(program STREQUAL "edgevit-runner-torch")
    target_include_directories(${program} PRIVATE ${EDGEVIT_TORCH_DIR}/include)
    target_link_libraries(${program} PRIVATE ${EDGEVIT_TORCH_DIR}/lib/libtorch_cpu.so)
    target_compile_definitions(${program} PRIVATE HEADER="torch/version.h")
  endif()
endforeach()
"""
_MAIN = """#include <cstdio>
#ifdef HEADER
#include HEADER
extern "C" int answer(void);
int main() { std::printf("%d\\n", answer() + MINOR); }
#else
int main() { std::printf("hello\\n"); }
#endif
"""


def small_project(path: Path) -> Path:
    """The project, with the version of the request where the real sources have it."""
    (path / "core").mkdir(parents=True)
    (path / "CMakeLists.txt").write_text(_CMAKE)
    (path / "main.cpp").write_text(_MAIN)
    (path / "core" / "request.h").write_text("constexpr std::int64_t kRequestVersion = 7;  // of the request\n")
    return path
