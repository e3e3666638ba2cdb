#pragma once
#include <stdarg.h>
#include <sys/types.h>
typedef struct android_file FILE;
typedef off_t fpos_t;
#define EOF (-1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define BUFSIZ 1024
#define _IOFBF 0
#define _IOLBF 1
#define _IONBF 2
#ifdef __cplusplus
extern "C" {
#endif
extern FILE *stdin, *stdout, *stderr;
#define stdin stdin
#define stdout stdout
#define stderr stderr
#define ANDROID_PRINTS_(text, words) __attribute__((format(printf, text, words)))
FILE* fopen(const char*, const char*);
FILE* freopen(const char*, const char*, FILE*);
FILE* fdopen(int, const char*);
FILE* tmpfile(void);
char* tmpnam(char*);
int fclose(FILE*), fflush(FILE*), fgetc(FILE*), getc(FILE*), getchar(void), ungetc(int, FILE*), feof(FILE*);
int ferror(FILE*), fileno(FILE*), fputc(int, FILE*), putc(int, FILE*), putchar(int), puts(const char*);
int fputs(const char*, FILE*), remove(const char*), rename(const char*, const char*), fgetpos(FILE*, fpos_t*);
int fsetpos(FILE*, const fpos_t*), fseek(FILE*, long, int), setvbuf(FILE*, char*, int, size_t);
int fseeko(FILE*, off_t, int);
off_t ftello(FILE*);
long ftell(FILE*);
void rewind(FILE*), clearerr(FILE*), perror(const char*), setbuf(FILE*, char*);
char *fgets(char*, int, FILE*), *gets(char*);
size_t fread(void*, size_t, size_t, FILE*), fwrite(const void*, size_t, size_t, FILE*);
int printf(const char*, ...) ANDROID_PRINTS_(1, 2);
int fprintf(FILE*, const char*, ...) ANDROID_PRINTS_(2, 3);
int sprintf(char*, const char*, ...) ANDROID_PRINTS_(2, 3);
int snprintf(char*, size_t, const char*, ...) ANDROID_PRINTS_(3, 4);
int dprintf(int, const char*, ...) ANDROID_PRINTS_(2, 3);
int vprintf(const char*, va_list), vfprintf(FILE*, const char*, va_list), vsprintf(char*, const char*, va_list);
int vsnprintf(char*, size_t, const char*, va_list), vasprintf(char**, const char*, va_list);
int scanf(const char*, ...), fscanf(FILE*, const char*, ...), sscanf(const char*, const char*, ...);
int vscanf(const char*, va_list), vfscanf(FILE*, const char*, va_list), vsscanf(const char*, const char*, va_list);
#ifdef __cplusplus
}
#endif
