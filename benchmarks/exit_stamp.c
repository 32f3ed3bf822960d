/* Sleeps until its parent surely waits, writes the monotonic clock in nanoseconds to stdout, and exits at once. */

#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    struct timespec time = {0, 3000000};
    nanosleep(&time, NULL);
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t nanoseconds = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
    _exit(write(STDOUT_FILENO, &nanoseconds, sizeof nanoseconds) != sizeof nanoseconds);
}
