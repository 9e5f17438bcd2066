/* The baseline: a loop of posix_spawn and waitpid, which is the least that a process manager can do.
 *
 *   bare keep|once LOG_FOLDER COUNT AGENT STAMPS MODE [ARGUMENT]
 *
 * It obeys one letter at a time on stdin and answers each with a newline on stdout:
 *   s   spawn COUNT agents (keys 0 to COUNT - 1), each with its stdout in a file of its own
 *   t   send SIGTERM to all of them and wait until they are gone
 *   r   both
 *   q   the end: SIGKILL to all
 * With "keep", an agent that ends is spawned again at once, between two letters.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *log_folder, *agent, *stamps, *mode, *argument;
static int count;
static pid_t *pids;

static void spawn(int key) {
    char number[12], path[4096];
    snprintf(number, sizeof number, "%d", key);
    snprintf(path, sizeof path, "%s/%d.log", log_folder, key);
    char *arguments[] = {(char *)agent, (char *)stamps, number, (char *)mode, (char *)argument, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawn(&pids[key], agent, &actions, &attributes, arguments, environ) != 0)
        exit(3);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
}

static void spawn_all(void) {
    for (int key = 0; key < count; key++)
        spawn(key);
}

static void stop_all(int signal_number) {
    for (int key = 0; key < count; key++)
        if (pids[key] > 0)
            kill(pids[key], signal_number);
    for (int key = 0; key < count; key++)
        if (pids[key] > 0)
            waitpid(pids[key], NULL, 0);
    memset(pids, 0, (size_t)count * sizeof *pids);
}

static void reap(int respawn) {
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (int key = 0; key < count; key++)
            if (pids[key] == pid) {
                pids[key] = 0;
                if (respawn)
                    spawn(key);
                break;
            }
}

static void obey(char order) {
    if (order == 't' || order == 'r')
        stop_all(SIGTERM);
    if (order == 's' || order == 'r')
        spawn_all();
    if (order == 'q') {
        stop_all(SIGKILL);
        exit(0);
    }
    if (write(STDOUT_FILENO, "\n", 1) != 1)
        exit(3);
}

int main(int argc, char **argv) {
    if (argc < 7)
        return 2;
    int respawn = strcmp(argv[1], "keep") == 0;
    log_folder = argv[2];
    count = atoi(argv[3]);
    agent = argv[4];
    stamps = argv[5];
    mode = argv[6];
    argument = argc > 7 ? argv[7] : NULL;
    pids = calloc((size_t)count, sizeof *pids);

    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    int signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    struct pollfd watched[] = {{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0}};
    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return 3;
        if (watched[1].revents) {
            struct signalfd_siginfo information;
            while (read(signals, &information, sizeof information) > 0) {
            }
            reap(respawn);
        }
        if (watched[0].revents) {
            char order;
            if (read(STDIN_FILENO, &order, 1) != 1)
                order = 'q';
            obey(order);
        }
    }
}
