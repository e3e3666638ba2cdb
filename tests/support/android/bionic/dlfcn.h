#pragma once
#define RTLD_LAZY 1
#define RTLD_NOW 2
#define RTLD_LOCAL 0
#ifdef __LP64__
#define RTLD_GLOBAL 0x100
#endif
#ifdef __cplusplus
extern "C" {
#endif
void* dlopen(const char*, int);
void* dlsym(void*, const char*);
int dlclose(void*);
char* dlerror(void);
#ifdef __cplusplus
}
#endif
