#pragma once
#include <stddef.h>
#include <stdint.h>
typedef __PTRDIFF_TYPE__ ssize_t;
#if defined(__LP64__) || (defined(_FILE_OFFSET_BITS) && _FILE_OFFSET_BITS == 64)
typedef int64_t off_t;
#else
typedef int32_t off_t;
#endif
typedef int64_t off64_t;
typedef int32_t pid_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef uint32_t mode_t;
typedef long time_t;
typedef long suseconds_t;
typedef int32_t clockid_t;
typedef uint64_t dev_t;
typedef unsigned long ino_t;
