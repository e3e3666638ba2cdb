#pragma once
#include <sys/types.h>
#ifdef __LP64__
#define CPU_SETSIZE 1024
#else
#define CPU_SETSIZE 32
#endif
typedef struct {
  unsigned long bits[CPU_SETSIZE / (8 * sizeof(unsigned long))];
} cpu_set_t;
#define CPU_WORD_(cpu) ((cpu) / (8 * sizeof(unsigned long)))
#define CPU_BIT_(cpu) (1UL << ((cpu) % (8 * sizeof(unsigned long))))
#define CPU_ZERO(set) __builtin_memset((set), 0, sizeof(cpu_set_t))
#define CPU_SET(cpu, set) ((void)((set)->bits[CPU_WORD_(cpu)] |= CPU_BIT_(cpu)))
#define CPU_ISSET(cpu, set) (((set)->bits[CPU_WORD_(cpu)] & CPU_BIT_(cpu)) != 0)
#ifdef __cplusplus
extern "C" {
#endif
int sched_yield(void);
int sched_setaffinity(pid_t, size_t, const cpu_set_t*);
int sched_getaffinity(pid_t, size_t, cpu_set_t*);
#ifdef __cplusplus
}
#endif
