#pragma once
#include <time.h>
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
struct stat {  // arm64 and other architectures with the kernel's generic layout
  dev_t st_dev;
  ino_t st_ino;
  mode_t st_mode;
  uint32_t st_nlink;
  uid_t st_uid;
  gid_t st_gid;
  dev_t st_rdev;
  unsigned long pad_1;
  off_t st_size;
  int st_blksize, pad_2;
  long st_blocks;
  struct timespec st_atim, st_mtim, st_ctim;
  uint32_t pad_3, pad_4;
};
#ifdef __cplusplus
extern "C" {
#endif
int stat(const char*, struct stat*), fstat(int, struct stat*), mkdir(const char*, mode_t);
#ifdef __cplusplus
}
#endif
