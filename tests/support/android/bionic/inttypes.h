#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __LP64__
#define ANDROID_64_ "l"
#define ANDROID_PTR_ "l"
#else
#define ANDROID_64_ "ll"
#define ANDROID_PTR_ ""
#endif
#define PRId8 "d"
#define PRId16 "d"
#define PRId32 "d"
#define PRId64 ANDROID_64_ "d"
#define PRIdMAX ANDROID_64_ "d"
#define PRIdPTR ANDROID_PTR_ "d"
#define PRIi8 "i"
#define PRIi16 "i"
#define PRIi32 "i"
#define PRIi64 ANDROID_64_ "i"
#define PRIiMAX ANDROID_64_ "i"
#define PRIiPTR ANDROID_PTR_ "i"
#define PRIo8 "o"
#define PRIo16 "o"
#define PRIo32 "o"
#define PRIo64 ANDROID_64_ "o"
#define PRIoMAX ANDROID_64_ "o"
#define PRIoPTR ANDROID_PTR_ "o"
#define PRIu8 "u"
#define PRIu16 "u"
#define PRIu32 "u"
#define PRIu64 ANDROID_64_ "u"
#define PRIuMAX ANDROID_64_ "u"
#define PRIuPTR ANDROID_PTR_ "u"
#define PRIx8 "x"
#define PRIx16 "x"
#define PRIx32 "x"
#define PRIx64 ANDROID_64_ "x"
#define PRIxMAX ANDROID_64_ "x"
#define PRIxPTR ANDROID_PTR_ "x"
#define PRIX8 "X"
#define PRIX16 "X"
#define PRIX32 "X"
#define PRIX64 ANDROID_64_ "X"
#define PRIXMAX ANDROID_64_ "X"
#define PRIXPTR ANDROID_PTR_ "X"
typedef struct {
  intmax_t quot, rem;
} imaxdiv_t;
#ifdef __cplusplus
extern "C" {
#endif
intmax_t imaxabs(intmax_t), strtoimax(const char*, char**, int);
uintmax_t strtoumax(const char*, char**, int);
imaxdiv_t imaxdiv(intmax_t, intmax_t);
intmax_t wcstoimax(const wchar_t*, wchar_t**, int);
uintmax_t wcstoumax(const wchar_t*, wchar_t**, int);
#ifdef __cplusplus
}
#endif
