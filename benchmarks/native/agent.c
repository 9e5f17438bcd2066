/* The agent of the benchmarks: so small that its own start does not drown what is measured.
 *
 *   agent STAMPS KEY idle                stay until a signal ends it
 *   agent STAMPS KEY exit                end at once with status 1
 *   agent STAMPS KEY lines BYTES         write numbered 200-byte lines in 64 kB writes to stdout, then stay
 *   agent STAMPS KEY ticks               write a numbered line every 10 ms, until SIGUSR1; then stay
 *   agent STAMPS KEY grow RATE LIMIT main|child   grow by RATE bytes a second, from the first run on only
 *   agent STAMPS KEY tree CHILDREN       have so many children, then stay
 *
 * With "ticks" the file STAMPS.PID always has the number of the last line that was tried, 8 bytes; an odd key
 * ignores SIGPIPE, as programs in Python do, and an even one dies of it.
 *
 * With "grow" the file STAMPS.grown has when the growing process passed LIMIT, when the first SIGTERM or SIGINT
 * came to the tree, and how many bytes it had at most. A run that finds the file stays as it is.
 *
 * The first thing main() does is to read CLOCK_MONOTONIC and append {nanoseconds, pid, key} to STAMPS in one
 * write, which O_APPEND makes atomic: many agents share one file.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct stamp {
    int64_t nanoseconds;
    int32_t pid;
    int32_t key;
};

enum { LINE = 200, DIGITS = 12, BLOCK = 64 * 1024 };

static void write_all(const char *data, size_t size) {
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, data, size);
        if (written <= 0)
            _exit(3);
        data += written;
        size -= (size_t)written;
    }
}

/* Whole lines are made into a buffer that is a little larger than a block; blocks leave it. */
static void write_lines(long long bytes) {
    static char buffer[BLOCK + LINE];
    size_t filled = 0;
    long long count = bytes / LINE;
    for (long long number = 0; number < count; number++) {
        char *line = buffer + filled, digits[24];
        memset(line, 'x', LINE - 1);
        snprintf(digits, sizeof digits, "%012lld", number);
        memcpy(line, digits, DIGITS);
        line[DIGITS] = ' ';
        line[LINE - 1] = '\n';
        filled += LINE;
        if (filled >= BLOCK) {
            write_all(buffer, BLOCK);
            filled -= BLOCK;
            memmove(buffer, buffer + BLOCK, filled);
        }
    }
    write_all(buffer, filled);
}

/* One agent floods as soon as there is a file STAMPS.go; the others say when they speak, each 10 ms. */
static void write_flood(const char *stamps, int key, long long bytes) {
    char path[4096], line[64];
    struct timespec pause_time = {0, 10 * 1000 * 1000}, now;
    snprintf(path, sizeof path, "%s.go", stamps);
    if (key == 0) {
        while (access(path, F_OK) != 0)
            nanosleep(&pause_time, NULL);
        write_lines(bytes);
        return;
    }
    for (long long number = 0;; number++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        long long nanoseconds = now.tv_sec * 1000000000LL + now.tv_nsec;
        int size = snprintf(line, sizeof line, "at %020lld %012lld\n", nanoseconds, number);
        write_all(line, (size_t)size);
        nanosleep(&pause_time, NULL);
    }
}

static volatile sig_atomic_t is_quiet;

static void become_quiet(int number) {
    (void)number;
    is_quiet = 1;
}

static void write_ticks(const char *stamps, int key) {
    char path[4096], line[64];
    struct timespec pause_time = {0, 10 * 1000 * 1000};
    signal(SIGUSR1, become_quiet);
    signal(SIGPIPE, key % 2 ? SIG_IGN : SIG_DFL);
    snprintf(path, sizeof path, "%s.%d", stamps, (int)getpid());
    int counter = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int64_t number = 1; !is_quiet; number++) {
        if (pwrite(counter, &number, sizeof number, 0) != sizeof number)
            _exit(3);
        int size = snprintf(line, sizeof line, "tick %d %012lld\n", (int)getpid(), (long long)number);
        if (write(STDOUT_FILENO, line, (size_t)size) < 0) {
            /* The line is lost, which is what is counted. */
        }
        nanosleep(&pause_time, NULL);
    }
}

/* What the file STAMPS.grown holds: nanoseconds, nanoseconds, bytes. */
struct growth {
    int64_t passed, told, most;
};

static volatile struct growth *growth;

static int64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void note_and_end(int number) {
    (void)number;
    if (growth->told == 0)
        growth->told = nanoseconds_now();
    _exit(0);
}

static long long resident_now(void) {
    long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lld %lld", &size, &resident) != 2)
        _exit(3);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

/* Follows the clock, so that a busy machine makes it grow in larger steps, and not slower. */
static void grow_to(long long most, long long rate, long long limit) {
    struct timespec pause_time = {0, 1000 * 1000};
    char *memory = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        _exit(3);
    /* Large pages would be resident before they are used. */
    madvise(memory, most, MADV_NOHUGEPAGE);
    long long filled = 0, before = resident_now();
    int64_t begun = nanoseconds_now();
    while (filled < most) {
        long long wanted = (long long)((double)(nanoseconds_now() - begun) / 1e9 * (double)rate);
        if (wanted > most)
            wanted = most;
        memset(memory + filled, 1, wanted - filled);
        filled = wanted;
        growth->most = before + filled;
        if (growth->passed == 0 && before + filled > limit)
            growth->passed = nanoseconds_now();
        nanosleep(&pause_time, NULL);
    }
}

static void grow(const char *stamps, long long rate, long long limit, int is_child) {
    char path[4096];
    snprintf(path, sizeof path, "%s.grown", stamps);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    if (ftruncate(file, sizeof *growth) != 0)
        _exit(3);
    growth = mmap(NULL, sizeof *growth, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (growth == MAP_FAILED)
        _exit(3);
    signal(SIGTERM, note_and_end);
    signal(SIGINT, note_and_end);
    if (is_child && fork() != 0)
        return;
    /* What nobody has stopped at three times its limit grows no more. */
    grow_to(3 * limit, rate, limit);
    for (;;)
        pause();
}

static void have_children(int count) {
    for (int number = 0; number < count; number++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
}

int main(int argc, char **argv) {
    int64_t begun = nanoseconds_now();
    if (argc < 4)
        return 2;
    struct stamp stamp = {begun, getpid(), atoi(argv[2])};
    int file = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0 || write(file, &stamp, sizeof stamp) != sizeof stamp)
        return 3;
    close(file);
    if (strcmp(argv[3], "exit") == 0)
        return 1;
    if (strcmp(argv[3], "lines") == 0 && argc > 4)
        write_lines(atoll(argv[4]));
    if (strcmp(argv[3], "flood") == 0 && argc > 4)
        write_flood(argv[1], stamp.key, atoll(argv[4]));
    if (strcmp(argv[3], "ticks") == 0)
        write_ticks(argv[1], stamp.key);
    if (strcmp(argv[3], "grow") == 0 && argc > 6)
        grow(argv[1], atoll(argv[4]), atoll(argv[5]), strcmp(argv[6], "child") == 0);
    if (strcmp(argv[3], "tree") == 0 && argc > 4)
        have_children(atoi(argv[4]));
    for (;;)
        pause();
}
