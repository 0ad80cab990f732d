/* Messages that are sent one after the other, from a file of records: a line "PAUSE HELD BYTES NAME", then so many octets.
 *
 * A run of '#' in a message is a value that is new each time the message is sent, in hexadecimal. The first second of 1970 in it is
 * the time at which it is sent, as in a Date field (RFC 9110 5.6.7).
 */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST_NAME 256
#define MOST_VALUES 16
#define FEWEST_DIGITS 8
#define MOST_DIGITS 16
#define ANY_TIME "Thu, 01 Jan 1970 00:00:00 GMT"

struct message {
    char name[LONGEST_NAME];
    int pause, held; /* milliseconds: before it is sent; for which whoever answers it waits */
    int turn;        /* which of those with this name comes next, where one of them is asked for */
    size_t bytes;
    char *data, *date;
    struct {
        char *at;
        int digits;
    } values[MOST_VALUES];
    int value_count;
};

static void find_values(struct message *one)
{
    for (char *at = one->data, *end = at + one->bytes; at < end; at++) {
        int digits = (int)strspn(at, "#");
        if (digits >= FEWEST_DIGITS && digits <= MOST_DIGITS && one->value_count < MOST_VALUES) {
            one->values[one->value_count].at = at;
            one->values[one->value_count++].digits = digits;
        }
        at += digits;
    }
    one->date = memmem(one->data, one->bytes, ANY_TIME, sizeof ANY_TIME - 1);
}

/* Answers how many there are; -1 if the file cannot be read. */
static int read_messages(const char *path, struct message **all)
{
    int count = 0;
    struct message one = {0};
    FILE *file = fopen(path, "rb");
    *all = NULL;
    if (file == NULL)
        return -1;
    while (fscanf(file, "%d %d %zu %255[^\n]", &one.pause, &one.held, &one.bytes, one.name) == 4) {
        one.data = calloc(1, one.bytes + 1);
        fgetc(file);
        if (fread(one.data, 1, one.bytes, file) != one.bytes)
            return -1;
        *all = realloc(*all, (size_t)(count + 1) * sizeof one);
        (*all)[count] = one;
        find_values(&(*all)[count++]);
    }
    fclose(file);
    return count;
}

/* Give a message its next values. */
static void renew(struct message *one)
{
    static const char digits[] = "0123456789abcdef";
    static unsigned long counter;
    static time_t second;
    static char date[sizeof ANY_TIME];
    for (int i = 0; i < one->value_count; i++) {
        /* The multiples of the golden section differ in their first digits already. */
        unsigned long value = ++counter * 0x9E3779B97F4A7C15UL;
        for (int place = 0; place < one->values[i].digits; place++)
            one->values[i].at[place] = digits[value >> (60 - 4 * place) & 15];
    }
    if (one->date != NULL) {
        time_t now = time(NULL);
        if (now != second)
            strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
        second = now;
        memcpy(one->date, date, sizeof date - 1);
    }
}

#endif
