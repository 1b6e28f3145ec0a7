/*
 * Loaded into popa3d (LD_PRELOAD) so that its rate can be measured for longer than a burst; it changes no work that it does.
 *
 * Its listen backlog (5) becomes BACKLOG; its clock for the flood table runs FASTER times as fast, so that a finished
 * session leaves the table after 10 ms instead of 10 s.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/times.h>
#include <unistd.h>

#define BACKLOG 1024
#define FASTER 1000

int listen(int fd, int backlog)
{
    (void)backlog;
    return (int)syscall(SYS_listen, fd, BACKLOG);
}

clock_t times(struct tms *buffer)
{
    return syscall(SYS_times, buffer) * FASTER;
}
