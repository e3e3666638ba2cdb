#pragma once
#include <stdio.h>
#include <time.h>
#define WEOF ((wint_t) - 1)
typedef __WINT_TYPE__ wint_t;
typedef struct {
  unsigned char bytes[sizeof(long)];
} mbstate_t;
#ifdef __cplusplus
extern "C" {
#endif
int fwprintf(FILE*, const wchar_t*, ...), fwscanf(FILE*, const wchar_t*, ...),
    swprintf(wchar_t*, size_t, const wchar_t*, ...);
int swscanf(const wchar_t*, const wchar_t*, ...), wprintf(const wchar_t*, ...), wscanf(const wchar_t*, ...);
int vfwprintf(FILE*, const wchar_t*, va_list), vfwscanf(FILE*, const wchar_t*, va_list);
int vswprintf(wchar_t*, size_t, const wchar_t*, va_list), vswscanf(const wchar_t*, const wchar_t*, va_list);
int vwprintf(const wchar_t*, va_list), vwscanf(const wchar_t*, va_list), fputws(const wchar_t*, FILE*);
int fwide(FILE*, int), wcscoll(const wchar_t*, const wchar_t*), wcscmp(const wchar_t*, const wchar_t*);
int wcsncmp(const wchar_t*, const wchar_t*, size_t), wmemcmp(const wchar_t*, const wchar_t*, size_t), wctob(wint_t);
int mbsinit(const mbstate_t*);
wint_t fgetwc(FILE*), fputwc(wchar_t, FILE*), getwc(FILE*), putwc(wchar_t, FILE*), ungetwc(wint_t, FILE*);
wint_t getwchar(void), putwchar(wchar_t), btowc(int);
wchar_t *fgetws(wchar_t*, int, FILE*), *wcscpy(wchar_t*, const wchar_t*), *wcsncpy(wchar_t*, const wchar_t*, size_t);
wchar_t *wcscat(wchar_t*, const wchar_t*), *wcsncat(wchar_t*, const wchar_t*, size_t), *wcschr(const wchar_t*, wchar_t);
wchar_t *wcspbrk(const wchar_t*, const wchar_t*), *wcsrchr(const wchar_t*, wchar_t),
    *wcsstr(const wchar_t*, const wchar_t*);
wchar_t *wmemchr(const wchar_t*, wchar_t, size_t), *wcstok(wchar_t*, const wchar_t*, wchar_t**);
wchar_t *wmemcpy(wchar_t*, const wchar_t*, size_t), *wmemmove(wchar_t*, const wchar_t*, size_t),
    *wmemset(wchar_t*, wchar_t, size_t);
double wcstod(const wchar_t*, wchar_t**);
float wcstof(const wchar_t*, wchar_t**);
long double wcstold(const wchar_t*, wchar_t**);
long wcstol(const wchar_t*, wchar_t**, int);
long long wcstoll(const wchar_t*, wchar_t**, int);
unsigned long wcstoul(const wchar_t*, wchar_t**, int);
unsigned long long wcstoull(const wchar_t*, wchar_t**, int);
size_t wcsxfrm(wchar_t*, const wchar_t*, size_t), wcscspn(const wchar_t*, const wchar_t*), wcslen(const wchar_t*);
size_t wcsspn(const wchar_t*, const wchar_t*), wcsftime(wchar_t*, size_t, const wchar_t*, const struct tm*);
size_t mbrlen(const char*, size_t, mbstate_t*), mbrtowc(wchar_t*, const char*, size_t, mbstate_t*);
size_t wcrtomb(char*, wchar_t, mbstate_t*), mbsrtowcs(wchar_t*, const char**, size_t, mbstate_t*);
size_t wcsrtombs(char*, const wchar_t**, size_t, mbstate_t*);
size_t mbsnrtowcs(wchar_t*, const char**, size_t, size_t, mbstate_t*),
    wcsnrtombs(char*, const wchar_t**, size_t, size_t, mbstate_t*);
#ifdef __cplusplus
}
#endif
