// Preloaded into a test's adbd and so into all that it starts: aarch64 programs are run by an emulator, as the kernel
// would by binfmt_misc, but for this process tree alone and without root.
//
// FOREIGN_QEMU     the emulator
// FOREIGN_SYSROOT  where the device's own libraries are; unset: it has none, so a program's loader must exist by its name
// FOREIGN_DEVICE   below this directory only aarch64 programs and scripts run: this machine's own are "of another ABI"
// FOREIGN_NOEXEC   below this directory nothing runs, as on a file system mounted noexec
// FOREIGN_DENIED   below this directory scripts run and programs do not, as SELinux may have it
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

typedef int (*execve_function)(const char*, char* const[], char* const[]);
typedef int (*spawn_function)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                              char* const[], char* const[]);

static execve_function real_execve;
static spawn_function real_spawn;
static const char *qemu, *sysroot, *device, *noexec, *denied;

__attribute__((constructor)) static void read_settings(void) {
  real_execve = (execve_function)dlsym(RTLD_NEXT, "execve");
  real_spawn = (spawn_function)dlsym(RTLD_NEXT, "posix_spawn");
  qemu = getenv("FOREIGN_QEMU");
  sysroot = getenv("FOREIGN_SYSROOT");
  device = getenv("FOREIGN_DEVICE");
  noexec = getenv("FOREIGN_NOEXEC");
  denied = getenv("FOREIGN_DENIED");
}

static int is_below(const char* path, const char* directory) {
  size_t length = directory ? strlen(directory) : 0;
  return length && strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

// The kernel's answer where a program's loader does not exist: ENOENT for the program.
static int loader_exists(int fd, const Elf64_Ehdr* head) {
  for (int i = 0; i < head->e_phnum; i++) {
    Elf64_Phdr part;
    if (pread(fd, &part, sizeof part, (off_t)(head->e_phoff + (size_t)i * head->e_phentsize)) != sizeof part) return 1;
    if (part.p_type != PT_INTERP || part.p_filesz >= PATH_MAX) continue;
    char name[PATH_MAX], inside[2 * PATH_MAX];
    if (pread(fd, name, part.p_filesz, (off_t)part.p_offset) != (ssize_t)part.p_filesz) return 1;
    name[part.p_filesz] = 0;
    snprintf(inside, sizeof inside, "%s%s", sysroot ? sysroot : "", name);
    return access(inside, F_OK) == 0 || access(name, F_OK) == 0;
  }
  return 1;
}

enum verdict { OURS, FOREIGN, REFUSED };

// What becomes of a program; with REFUSED, errno says why.
static enum verdict judge(const char* path) {
  char real[PATH_MAX];
  Elf64_Ehdr head;
  if (!qemu || !realpath(path, real) || access(path, X_OK) != 0) return OURS;
  if (is_below(real, noexec)) return errno = EACCES, REFUSED;
  int fd = open(real, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return OURS;
  ssize_t got = pread(fd, &head, sizeof head, 0);
  int elf = got >= EI_NIDENT && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  int foreign = elf && got == sizeof head && head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_machine == EM_AARCH64;
  enum verdict found = foreign ? FOREIGN : OURS;
  if (foreign && !loader_exists(fd, &head)) errno = ENOENT, found = REFUSED;
  if (elf && !foreign && is_below(real, device)) errno = ENOEXEC, found = REFUSED;
  if (elf && is_below(real, denied)) errno = EACCES, found = REFUSED;
  close(fd);
  return found;
}

enum { PREFIX = 10 };

static size_t count(char* const list[]) {
  size_t n = 0;
  while (list && list[n]) n++;
  return n;
}

// qemu -cpu cortex-a72 [-L ROOT] -U LD_PRELOAD -0 NAME PATH ARGUMENTS; `words` has room for them.
static void emulate(char** words, const char* path, char* const argv[]) {
  size_t at = 0;
  words[at++] = (char*)"qemu-aarch64";
  words[at++] = (char*)"-cpu";
  words[at++] = (char*)"cortex-a72";  // `max` takes minutes where this takes seconds
  if (sysroot) words[at++] = (char*)"-L", words[at++] = (char*)sysroot;
  words[at++] = (char*)"-U", words[at++] = (char*)"LD_PRELOAD";
  words[at++] = (char*)"-0", words[at++] = argv && argv[0] ? argv[0] : (char*)path;
  words[at++] = (char*)path;
  for (size_t i = 1; argv && argv[0] && argv[i]; i++) words[at++] = argv[i];
  words[at] = NULL;
}

// No allocation here and below: the caller may be the child of a vfork.
int execve(const char* path, char* const argv[], char* const envp[]) {
  enum verdict found = judge(path);
  if (found == REFUSED) return -1;
  if (found == OURS) return real_execve(path, argv, envp);
  char* words[count(argv) + PREFIX + 2];
  emulate(words, path, argv);
  return real_execve(qemu, words, envp);
}

int execv(const char* path, char* const argv[]) { return execve(path, argv, environ); }

int execvpe(const char* name, char* const argv[], char* const envp[]) {
  const char* places = getenv("PATH");
  if (strchr(name, '/')) return execve(name, argv, envp);
  int refused = 0;
  for (const char* at = places ? places : "/bin:/usr/bin"; at;) {
    const char* end = strchrnul(at, ':');
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s%s%s", (int)(end - at), at, end > at ? "/" : "", name);
    execve(path, argv, envp);
    if (errno == ENOEXEC) return -1;
    if (errno == EACCES) refused = 1;
    at = *end ? end + 1 : NULL;
  }
  errno = refused ? EACCES : ENOENT;
  return -1;
}

int execvp(const char* name, char* const argv[]) { return execvpe(name, argv, environ); }

#define GATHER(first, words, after)                        \
  va_list rest;                                            \
  size_t total = 1;                                        \
  va_start(rest, first);                                   \
  while (va_arg(rest, char*)) total++;                     \
  va_end(rest);                                            \
  char* words[total + 1];                                  \
  words[0] = (char*)(first);                               \
  va_start(rest, first);                                   \
  for (size_t i = 1; i <= total; i++) words[i] = va_arg(rest, char*); \
  after;                                                   \
  va_end(rest)

int execl(const char* path, const char* first, ...) {
  GATHER(first, words, );
  return execve(path, words, environ);
}

int execlp(const char* name, const char* first, ...) {
  GATHER(first, words, );
  return execvpe(name, words, environ);
}

int execle(const char* path, const char* first, ...) {
  GATHER(first, words, char* const* envp = va_arg(rest, char* const*));
  return execve(path, words, envp);
}

int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* how,
                char* const argv[], char* const envp[]) {
  enum verdict found = judge(path);
  if (found == REFUSED) return errno;
  if (found == OURS) return real_spawn(pid, path, actions, how, argv, envp);
  char* words[count(argv) + PREFIX + 2];
  emulate(words, path, argv);
  return real_spawn(pid, qemu, actions, how, words, envp);
}

int posix_spawnp(pid_t* pid, const char* name, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* how,
                 char* const argv[], char* const envp[]) {
  if (strchr(name, '/')) return posix_spawn(pid, name, actions, how, argv, envp);
  const char* places = getenv("PATH");
  int failed = ENOENT;
  for (const char* at = places ? places : "/bin:/usr/bin"; at && failed;) {
    const char* end = strchrnul(at, ':');
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s%s%s", (int)(end - at), at, end > at ? "/" : "", name);
    failed = posix_spawn(pid, path, actions, how, argv, envp);
    at = *end ? end + 1 : NULL;
  }
  return failed;
}
