#pragma once
#include <sys/types.h>
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_BOOTTIME 7
#define CLOCKS_PER_SEC 1000000
#define TIMER_ABSTIME 1
#define TIME_UTC 1
typedef long clock_t;
struct timespec {
  time_t tv_sec;
  long tv_nsec;
};
struct tm {
  int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
  long tm_gmtoff;
  const char* tm_zone;
};
#ifdef __cplusplus
extern "C" {
#endif
int clock_gettime(clockid_t, struct timespec*);
int clock_nanosleep(clockid_t, int, const struct timespec*, struct timespec*);
int nanosleep(const struct timespec*, struct timespec*);
clock_t clock(void);
double difftime(time_t, time_t);
time_t mktime(struct tm*), time(time_t*);
char *asctime(const struct tm*), *ctime(const time_t*);
struct tm *gmtime(const time_t*), *localtime(const time_t*), *gmtime_r(const time_t*, struct tm*);
size_t strftime(char*, size_t, const char*, const struct tm*);
#ifdef __cplusplus
}
#endif
