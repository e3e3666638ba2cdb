# The NDK's place in the check: its compiler's target, the namespace of its libc++, and the flags that its own toolchain
# file gives, all but _FORTIFY_SOURCE, which works in bionic's headers. What is built with it is looked at, never run.
# Environment variables, because cmake's own trials see no others:
#   ANDROID_CHECK_TARGET  such as aarch64-linux-android24     ANDROID_CHECK_HEADERS  of libc++ (built by build.sh)
#   ANDROID_CHECK_STUBS   crt.o, libc.so, libdl.so, libm.so, libc++.so (made by tests/support/android_link.py)
set(CMAKE_SYSTEM_NAME Android)
set(CMAKE_SYSTEM_VERSION 1)  # keeps cmake from looking for an NDK by itself
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_CXX_COMPILER_TARGET $ENV{ANDROID_CHECK_TARGET})
execute_process(COMMAND clang++ -print-resource-dir OUTPUT_VARIABLE resources OUTPUT_STRIP_TRAILING_WHITESPACE)
set(stubs $ENV{ANDROID_CHECK_STUBS})
string(JOIN " " CMAKE_CXX_FLAGS_INIT
  -DANDROID -Werror -Wno-unused-command-line-argument -nostdinc -nostdinc++
  -isystem $ENV{ANDROID_CHECK_HEADERS} -isystem ${resources}/include -isystem ${CMAKE_CURRENT_LIST_DIR}/bionic
  -g -fPIE -fdata-sections -ffunction-sections -funwind-tables -fstack-protector-strong -Wformat
  -Werror=format-security)
string(JOIN " " CMAKE_EXE_LINKER_FLAGS_INIT
  -fuse-ld=lld -nostdlib -pie -Wl,-dynamic-linker,/system/bin/linker64 -Wl,--hash-style=both -Wl,--build-id=sha1
  -Wl,--no-rosegment -Wl,--no-undefined-version -Wl,--no-undefined -Wl,--fatal-warnings ${stubs}/crt.o -L${stubs})
set(CMAKE_CXX_STANDARD_LIBRARIES "-lc++ -lm -ldl -lc")
