#pragma once
#include <locale.h>
#include <time.h>
#include <wctype.h>
#ifdef __cplusplus
extern "C" {
#endif
int isdigit_l(int, locale_t), isxdigit_l(int, locale_t), islower_l(int, locale_t), isupper_l(int, locale_t);
int tolower_l(int, locale_t), toupper_l(int, locale_t), strcoll_l(const char*, const char*, locale_t);
int wcscoll_l(const wchar_t*, const wchar_t*, locale_t);
size_t strxfrm_l(char*, const char*, size_t, locale_t), wcsxfrm_l(wchar_t*, const wchar_t*, size_t, locale_t);
size_t strftime_l(char*, size_t, const char*, const struct tm*, locale_t);
int iswspace_l(wint_t, locale_t), iswprint_l(wint_t, locale_t), iswcntrl_l(wint_t, locale_t),
    iswupper_l(wint_t, locale_t);
int iswlower_l(wint_t, locale_t), iswalpha_l(wint_t, locale_t), iswblank_l(wint_t, locale_t),
    iswdigit_l(wint_t, locale_t);
int iswpunct_l(wint_t, locale_t), iswxdigit_l(wint_t, locale_t);
wint_t towlower_l(wint_t, locale_t), towupper_l(wint_t, locale_t);
long long strtoll_l(const char*, char**, int, locale_t);
unsigned long long strtoull_l(const char*, char**, int, locale_t);
long double strtold_l(const char*, char**, locale_t);
#ifdef __cplusplus
}
#endif
