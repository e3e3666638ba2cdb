#pragma once
typedef float float_t;
typedef double double_t;
#define HUGE_VAL __builtin_huge_val()
#define HUGE_VALF __builtin_huge_valf()
#define HUGE_VALL __builtin_huge_vall()
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define FP_INFINITE 1
#define FP_NAN 2
#define FP_NORMAL 4
#define FP_SUBNORMAL 8
#define FP_ZERO 16
#define fpclassify(x) __builtin_fpclassify(FP_NAN, FP_INFINITE, FP_NORMAL, FP_SUBNORMAL, FP_ZERO, x)
#define isfinite(x) __builtin_isfinite(x)
#define isnan(x) __builtin_isnan(x)
#define isnormal(x) __builtin_isnormal(x)
#define isinf(x) __builtin_isinf(x)
#define signbit(x) __builtin_signbit(x)
#define isgreater(x, y) __builtin_isgreater(x, y)
#define isgreaterequal(x, y) __builtin_isgreaterequal(x, y)
#define isless(x, y) __builtin_isless(x, y)
#define islessequal(x, y) __builtin_islessequal(x, y)
#define islessgreater(x, y) __builtin_islessgreater(x, y)
#define isunordered(x, y) __builtin_isunordered(x, y)
#ifdef __cplusplus
extern "C" {
#endif
// The functions of C99: double, float, long double.
#define ONE_(name)      \
  double name(double);  \
  float name##f(float); \
  long double name##l(long double);
#define TWO_(name)             \
  double name(double, double); \
  float name##f(float, float); \
  long double name##l(long double, long double);
#define WHOLE_(type, name) type name(double), name##f(float), name##l(long double);
// clang-format off: a list
ONE_(acos) ONE_(acosh) ONE_(asin) ONE_(asinh) ONE_(atan) ONE_(atanh) ONE_(cbrt) ONE_(ceil) ONE_(cos) ONE_(cosh)
ONE_(erf) ONE_(erfc) ONE_(exp) ONE_(exp2) ONE_(expm1) ONE_(fabs) ONE_(floor) ONE_(lgamma) ONE_(log) ONE_(log10)
ONE_(log1p) ONE_(log2) ONE_(logb) ONE_(nearbyint) ONE_(rint) ONE_(round) ONE_(sin) ONE_(sinh) ONE_(sqrt) ONE_(tan)
ONE_(tanh) ONE_(tgamma) ONE_(trunc)
TWO_(atan2) TWO_(copysign) TWO_(fdim) TWO_(fmax) TWO_(fmin) TWO_(fmod) TWO_(hypot) TWO_(nextafter) TWO_(pow)
TWO_(remainder)
WHOLE_(int, ilogb) WHOLE_(long, lrint) WHOLE_(long, lround) WHOLE_(long long, llrint) WHOLE_(long long, llround)
// clang-format on
#undef ONE_
#undef TWO_
#undef WHOLE_
                        double fma(double, double, double),
    frexp(double, int*), ldexp(double, int), modf(double, double*), nan(const char*);
double nexttoward(double, long double), remquo(double, double, int*), scalbln(double, long), scalbn(double, int);
float fmaf(float, float, float), frexpf(float, int*), ldexpf(float, int), modff(float, float*), nanf(const char*);
float nexttowardf(float, long double), remquof(float, float, int*), scalblnf(float, long), scalbnf(float, int);
long double fmal(long double, long double, long double), frexpl(long double, int*), ldexpl(long double, int);
long double modfl(long double, long double*), nanl(const char*), nexttowardl(long double, long double);
long double remquol(long double, long double, int*), scalblnl(long double, long), scalbnl(long double, int);
#ifdef __cplusplus
}
#endif
