#pragma once
#include <stddef.h>
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#define RAND_MAX 0x7fffffff
#define MB_CUR_MAX __ctype_get_mb_cur_max()
typedef struct {
  int quot, rem;
} div_t;
typedef struct {
  long quot, rem;
} ldiv_t;
typedef struct {
  long long quot, rem;
} lldiv_t;
#ifdef __cplusplus
extern "C" {
#endif
size_t __ctype_get_mb_cur_max(void);
void *malloc(size_t), *calloc(size_t, size_t), *realloc(void*, size_t);
void free(void*);
int posix_memalign(void**, size_t, size_t);
void abort(void) __attribute__((noreturn));
void exit(int) __attribute__((noreturn));
void _Exit(int) __attribute__((noreturn));
int atexit(void (*)(void)), system(const char*), rand(void), atoi(const char*), abs(int);
void srand(unsigned);
char* getenv(const char*);
int setenv(const char*, const char*, int), unsetenv(const char*);
double atof(const char*), strtod(const char*, char**);
float strtof(const char*, char**);
long double strtold(const char*, char**);
long atol(const char*), strtol(const char*, char**, int), labs(long);
long long atoll(const char*), strtoll(const char*, char**, int), llabs(long long);
unsigned long strtoul(const char*, char**, int);
unsigned long long strtoull(const char*, char**, int);
void* bsearch(const void*, const void*, size_t, size_t, int (*)(const void*, const void*));
void qsort(void*, size_t, size_t, int (*)(const void*, const void*));
div_t div(int, int);
ldiv_t ldiv(long, long);
lldiv_t lldiv(long long, long long);
int mblen(const char*, size_t), mbtowc(wchar_t*, const char*, size_t), wctomb(char*, wchar_t);
size_t mbstowcs(wchar_t*, const char*, size_t), wcstombs(char*, const wchar_t*, size_t);
#ifdef __cplusplus
}
#endif
