#pragma once
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void*, const void*, size_t), *memmove(void*, const void*, size_t), *memset(void*, int, size_t);
void* memchr(const void*, int, size_t) __attribute__((pure));
int memcmp(const void*, const void*, size_t), strcmp(const char*, const char*);
int strncmp(const char*, const char*, size_t), strcoll(const char*, const char*);
char *strcpy(char*, const char*), *strncpy(char*, const char*, size_t), *strcat(char*, const char*);
char *strncat(char*, const char*, size_t), *strtok(char*, const char*), *strdup(const char*);
size_t strlen(const char*), strspn(const char*, const char*), strcspn(const char*, const char*);
size_t strxfrm(char*, const char*, size_t);
char *strchr(const char*, int), *strrchr(const char*, int), *strpbrk(const char*, const char*);
char *strstr(const char*, const char*), *strerror(int), *strsignal(int);
#ifdef __cplusplus
}
#endif
