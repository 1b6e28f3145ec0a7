/*
 * A load generator: POP3 sessions (connect, USER, PASS, STAT, QUIT, end of file) of many clients at once, every reply checked.
 *
 *     load HOST PORT CLIENTS SECONDS SESSIONS PASSWORD STAT PATIENCE USER...
 *
 * CLIENTS sessions run at any time, each by a user of its own (so there must be as many), each connection from another
 * address of 127.0.0.0/8 if HOST is one.  It ends after SECONDS or SESSIONS (0: no such end), whichever comes first;
 * sessions that have begun are finished.  STAT is what STAT must answer ("+OK 3 3210").  A session that takes longer than
 * PATIENCE seconds is an error, as is any other reply, and a connection that breaks.  A session lasts from connect() to
 * the end of file behind QUIT's answer; the rate is of those without error, over the time from the first to the last end.
 *
 * One thread and epoll, nothing but libc.  Prints one line of name=value.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 250
#define LINE 600 /* RFC 2449: a status line has 512 octets at most */

enum step { GREETING, USER, PASS, STAT, QUIT, END };
enum fault { NONE, CONNECT, BROKEN, REPLY, SILENT, FAULTS };
static const char *const names[] = {"", "connect", "broken", "reply", "silent"};

struct client {
    int fd; /* -1: between two sessions */
    enum step step;
    double begun;
    const char *user;
    char text[LINE];
    size_t held;
};

static struct sockaddr_in server;
static const char *password, *stat_answer;
static int epoll;
static unsigned long turn;
static struct client *clients;
static char wrong[LINE + 80]; /* the first reply that was not what it must be */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Begin a session; a connection that cannot even be tried is a fault. */
static enum fault open_session(struct client *c)
{
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (ntohl(server.sin_addr.s_addr) >> 24 == 127) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(0x7f000100 + (unsigned)(turn++ % SOURCES));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0)
            die("bind");
    }
    c->step = GREETING;
    c->held = 0;
    c->begun = now();
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        return CONNECT;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    return NONE;
}

static enum fault say(struct client *c, const char *verb, const char *word)
{
    char line[LINE];
    int size = snprintf(line, sizeof line, *word ? "%s %s\r\n" : "%s%s\r\n", verb, word);
    /* A short line to a peer that reads: it fits, or the connection is gone. */
    return send(c->fd, line, (size_t)size, MSG_NOSIGNAL) == size ? NONE : BROKEN;
}

/* Does the line, without its end, answer what was last said? */
static int fits(const struct client *c, const char *line)
{
    if (strncmp(line, "+OK", 3) != 0 || (line[3] != ' ' && line[3] != '\0'))
        return 0;
    size_t size = strlen(stat_answer);
    return c->step != STAT || (strncmp(line, stat_answer, size) == 0 && (line[size] == ' ' || line[size] == '\0'));
}

/* Take one line: check it, say what comes next. */
static enum fault take_line(struct client *c, const char *line)
{
    if (c->step == END || !fits(c, line)) {
        if (!*wrong)
            snprintf(wrong, sizeof wrong, "step %d, user %s: %s", c->step, c->user, line);
        return REPLY;
    }
    switch (c->step++) {
    case GREETING:
        return say(c, "USER", c->user);
    case USER:
        return say(c, "PASS", password);
    case PASS:
        return say(c, "STAT", "");
    case STAT:
        return say(c, "QUIT", "");
    default:
        return NONE;
    }
}

/* Read what is there.  *ended: the session is over, well or with the fault that is returned. */
static enum fault receive(struct client *c, int *ended)
{
    ssize_t got = recv(c->fd, c->text + c->held, sizeof c->text - 1 - c->held, 0);
    *ended = 1;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        *ended = 0;
        return NONE;
    }
    if (got < 0)
        return c->step == GREETING && errno == ECONNREFUSED ? CONNECT : BROKEN;
    if (got == 0)
        return c->step == END && c->held == 0 ? NONE : BROKEN;
    c->held += (size_t)got;
    c->text[c->held] = '\0';
    char *end;
    while ((end = memchr(c->text, '\n', c->held)) != NULL) {
        size_t size = (size_t)(end - c->text) + 1;
        if (size < 2 || end[-1] != '\r')
            return REPLY;
        end[-1] = '\0';
        enum fault fault = take_line(c, c->text);
        if (fault)
            return fault;
        c->held -= size;
        memmove(c->text, end + 1, c->held);
    }
    *ended = c->held == sizeof c->text - 1;
    return *ended ? REPLY : NONE;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double part(const double *times, size_t count, double share)
{
    size_t at = (size_t)((double)count * share);
    return count ? times[at < count ? at : count - 1] * 1000 : 0;
}

static void run(int count, double seconds, unsigned long most, double patience)
{
    unsigned long begun = 0, done = 0, faults[FAULTS] = {0};
    size_t room = 1 << 16;
    double *times = malloc(room * sizeof *times), start = now(), last = start;
    int open = 0;
    if (!times)
        die("malloc");
    while (1) {
        double here = now();
        for (int i = 0; i < count; i++) {
            struct client *c = clients + i;
            enum fault fault = NONE;
            if (c->fd >= 0 && here - c->begun > patience)
                fault = SILENT;
            else if (c->fd < 0 && (!most || begun < most) && (seconds <= 0 || here - start < seconds)) {
                fault = open_session(c);
                begun++;
                open++;
            }
            if (fault) {
                faults[fault]++;
                close(c->fd);
                c->fd = -1;
                open--;
            }
        }
        if (!open)
            break;
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            int ended;
            enum fault fault = receive(c, &ended);
            if (!ended)
                continue;
            close(c->fd);
            c->fd = -1;
            open--;
            last = now();
            if (fault) {
                faults[fault]++;
                continue;
            }
            if (done == room && !(times = realloc(times, (room *= 2) * sizeof *times)))
                die("realloc");
            times[done++] = last - c->begun;
        }
    }
    unsigned long errors = 0;
    for (int i = 1; i < FAULTS; i++)
        errors += faults[i];
    qsort(times, done, sizeof *times, compare);
    printf("sessions=%lu seconds=%.4f rate=%.2f p50=%.3f p90=%.3f p99=%.3f max=%.3f errors=%lu", done, last - start,
           last > start ? (double)done / (last - start) : 0, part(times, done, 0.5), part(times, done, 0.9),
           part(times, done, 0.99), part(times, done, 1), errors);
    for (int i = 1; i < FAULTS; i++)
        printf(" %s=%lu", names[i], faults[i]);
    printf("\n");
    if (errors && *wrong)
        fprintf(stderr, "load: the first wrong reply: %s\n", wrong);
    free(times);
}

int main(int argc, char **argv)
{
    if (argc < 10) {
        fprintf(stderr, "usage: load HOST PORT CLIENTS SECONDS SESSIONS PASSWORD STAT PATIENCE USER...\n");
        return 64;
    }
    int count = atoi(argv[3]);
    double seconds = atof(argv[4]), patience = atof(argv[8]);
    unsigned long most = strtoul(argv[5], NULL, 10);
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    password = argv[6];
    stat_answer = argv[7];
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || count < 1 || count > argc - 9 || (!most && seconds <= 0)) {
        fprintf(stderr, "load: HOST is an IPv4 address, there is a USER for each of the CLIENTS, and an end\n");
        return 64;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc((size_t)count, sizeof *clients);
    if (epoll < 0 || !clients)
        die("epoll_create1");
    for (int i = 0; i < count; i++) {
        clients[i].fd = -1;
        clients[i].user = argv[9 + i];
    }
    run(count, seconds, most, patience);
    return 0;
}
