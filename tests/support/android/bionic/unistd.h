#pragma once
#include <sys/types.h>
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#define _SC_PAGESIZE 0x27
#ifdef __cplusplus
extern "C" {
#endif
ssize_t read(int, void*, size_t), write(int, const void*, size_t), readlink(const char*, char*, size_t);
int close(int), unlink(const char*), fsync(int), access(const char*, int), dup(int), dup2(int, int), pipe(int*),
    pipe2(int*, int);
int ftruncate(int, off_t);
off_t lseek(int, off_t, int);
pid_t getpid(void);
long sysconf(int);
void _exit(int) __attribute__((noreturn));
#ifdef __cplusplus
}
#endif
