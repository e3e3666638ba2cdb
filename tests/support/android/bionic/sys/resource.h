#pragma once
#include <sys/time.h>
#define RUSAGE_SELF 0
struct rusage {
  struct timeval ru_utime, ru_stime;
  long ru_maxrss, ru_ixrss, ru_idrss, ru_isrss, ru_minflt, ru_majflt, ru_nswap, ru_inblock, ru_oublock, ru_msgsnd;
  long ru_msgrcv, ru_nsignals, ru_nvcsw, ru_nivcsw;
};
#ifdef __cplusplus
extern "C" {
#endif
int getrusage(int, struct rusage*);
#ifdef __cplusplus
}
#endif
