/* Says to callgrind, from inside the program that runs under it, where it begins and ends to count.
   callgrind_control does the same from outside, but needs ptrace. */
#include <valgrind/callgrind.h>

void begin(void);
void turn(void);
void end(void);

void begin(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

/* What follows is counted no more, or again. */
void turn(void) { CALLGRIND_TOGGLE_COLLECT; }

void end(void) {
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
}
