/* Exchanges on TLS connections that stay open: requests that are answered, or WebSocket messages that come back. Connecting is done
 * before anything is measured, so that a period holds exchanges and nothing else.
 *
 * Usage: exchanges PORT KIND CONNECTIONS FILE
 *   KIND  "http": FILE is a request, whose answer is 200 and has a Content-Length;
 *         "websocket": FILE is a masked message of 126 to 65,535 octets, which an upgraded connection (/up/echo) sends back.
 *
 * Prints "ready" when all connections are there. Then reads lines "MILLISECONDS IN_FLIGHT RATE". So many exchanges are on their way
 * at a time, each on the connection that has rested longest. A RATE above 0 starts so many in a second at even distances, and their
 * time counts from the moment when they should have started, however late the server made that. Prints for each line
 * "EXCHANGES P50 P99", the times in microseconds. Ends with 1 and a reason when a server does not do its job.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libssl.h"

#define LONGEST_HEAD 1024
#define LONGEST_REQUEST 65536
#define MOST_TIMES 4000000
#define SILENCE_SECONDS 10

struct client {
    int descriptor;
    SSL *tls;
    long began;           /* of the exchange under way, in nanoseconds */
    size_t got, expected; /* of its answer; how much is expected is unknown (0) until its head is read */
    size_t head_bytes;
    char head[LONGEST_HEAD + 1];
};

static char request[LONGEST_REQUEST];
static size_t request_bytes;
static int is_websocket;
static struct client *clients, **resting; /* a ring: those without an exchange, the longest rested first */
static int client_count, first_resting, resting_count;
static int poll_descriptor;
static unsigned *times; /* in nanoseconds, at most 4.2 s */
static long done_count;

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void rest(struct client *one)
{
    resting[(first_resting + resting_count++) % client_count] = one;
}

static void begin(long since)
{
    struct client *one = resting[first_resting];
    first_resting = (first_resting + 1) % client_count;
    resting_count--;
    one->began = since;
    one->got = one->head_bytes = 0;
    one->expected = is_websocket ? request_bytes - 4 : 0; /* it comes back without its mask */
    if (SSL_write(one->tls, request, (int)request_bytes) != (int)request_bytes)
        fail("a request could not be sent", strerror(errno));
}

/* How long the answer is, once its head is here. */
static size_t length_of(struct client *one, const char *data, size_t count)
{
    size_t room = LONGEST_HEAD - one->head_bytes, taken = count < room ? count : room;
    memcpy(one->head + one->head_bytes, data, taken);
    one->head_bytes += taken;
    one->head[one->head_bytes] = 0;
    char *end = strstr(one->head, "\r\n\r\n"), *length;
    if (end == NULL && one->head_bytes < LONGEST_HEAD)
        return 0;
    if (end == NULL || strncmp(one->head, "HTTP/1.1 200 ", 13) != 0)
        fail("answered", one->head);
    length = strcasestr(one->head, "\r\ncontent-length:");
    if (length == NULL || length > end)
        fail("answered without a length", one->head);
    return (size_t)(end + 4 - one->head) + strtoul(length + 17, NULL, 10);
}

/* Read what has come; say whether the exchange is done. */
static int go_on(struct client *one)
{
    static char data[65536];
    do {
        int count = SSL_read(one->tls, data, sizeof data);
        if (count <= 0 && SSL_get_error(one->tls, count) == WANT_READ)
            return one->began && one->expected != 0 && one->got == one->expected; /* behind it was no data, such as a ticket */
        if (count <= 0)
            fail("the connection ended", one->began ? "in an exchange" : "at rest");
        if (is_websocket && one->got == 0 && (data[0] & 0xff) != 0x82)
            fail("sent back", "no whole binary message");
        if (one->expected == 0)
            one->expected = length_of(one, data, (size_t)count);
        one->got += (size_t)count;
    } while (one->expected == 0 || one->got < one->expected || SSL_has_pending(one->tls));
    if (one->got > one->expected)
        fail("answered", "more than was asked for");
    return 1;
}

static void upgrade(struct client *one)
{
    static const char ask[] = "GET /up/echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char answer[LONGEST_HEAD + 1] = "";
    int got = 0;
    if (SSL_write(one->tls, ask, sizeof ask - 1) <= 0)
        fail("no upgrade", "cannot ask for it");
    while (strstr(answer, "\r\n\r\n") == NULL) {
        int count = SSL_read(one->tls, answer + got, LONGEST_HEAD - got);
        if (count <= 0)
            fail("no upgrade", answer);
        got += count;
        answer[got] = 0;
    }
    if (strncmp(answer, "HTTP/1.1 101 ", 13) != 0)
        fail("no upgrade", answer);
}

static void open_all(int port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = SILENCE_SECONDS};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SSL_CTX_ctrl(context, SET_READ_AHEAD, 1, NULL);
    SSL_CTX_ctrl(context, SET_MODE, RELEASE_BUFFERS, NULL);
    for (int i = 0; i < client_count; i++) {
        struct client *one = &clients[i];
        struct epoll_event readable = {.events = EPOLLIN, .data.ptr = one};
        int on = 1;
        one->descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(one->descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (one->descriptor < 0 || connect(one->descriptor, (struct sockaddr *)&server, sizeof server) != 0)
            fail("no connection", strerror(errno));
        one->tls = SSL_new(context);
        SSL_ctrl(one->tls, SET_TLSEXT_HOSTNAME, 0, "localhost");
        SSL_set_fd(one->tls, one->descriptor);
        if (SSL_connect(one->tls) != 1)
            fail("no handshake", strerror(errno));
        if (is_websocket)
            upgrade(one);
        ioctl(one->descriptor, FIONBIO, &on);
        epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, one->descriptor, &readable);
        rest(one);
    }
}

static void finish(struct client *one)
{
    long took = now() - one->began;
    if (done_count < MOST_TIMES)
        times[done_count] = took > 4200000000L ? 4200000000U : (unsigned)took;
    done_count++;
    one->began = 0;
    rest(one);
}

/* Begin what is due; answer when the next one is. */
static long begin_due(long start, long end, int in_flight, double rate, long *begun)
{
    while (resting_count > client_count - in_flight) {
        long due = rate > 0 ? start + (long)((double)*begun / rate * 1e9) : now();
        if (due >= end || due > now())
            return due;
        begin(due);
        ++*begun;
    }
    return end;
}

static void run(long milliseconds, int in_flight, double rate)
{
    struct epoll_event events[256];
    long start = now(), end = start + milliseconds * 1000000, begun = 0;
    done_count = 0;
    for (;;) {
        long due = begin_due(start, end, in_flight, rate, &begun), left = due - now();
        int is_over = now() >= end, count;
        if (is_over && resting_count == client_count)
            return;
        struct timespec wait = {.tv_sec = SILENCE_SECONDS};
        if (!is_over && left < 1000000000L)
            wait = (struct timespec){.tv_nsec = left > 0 ? left : 0};
        count = epoll_pwait2(poll_descriptor, events, 256, &wait, NULL);
        if (is_over && count == 0)
            fail("did not answer", "for seconds");
        for (int i = 0; i < count; i++) {
            struct client *one = events[i].data.ptr;
            if (go_on(one))
                finish(one);
        }
    }
}

static int compare(const void *a, const void *b)
{
    unsigned one = *(const unsigned *)a, other = *(const unsigned *)b;
    return (one > other) - (one < other);
}

int main(int count, char **words)
{
    char line[128];
    if (count != 5)
        return 2;
    FILE *file = fopen(words[4], "rb");
    if (file == NULL)
        fail(words[4], strerror(errno));
    request_bytes = fread(request, 1, sizeof request, file);
    is_websocket = strcmp(words[2], "websocket") == 0;
    client_count = atoi(words[3]);
    clients = calloc((size_t)client_count, sizeof *clients);
    resting = calloc((size_t)client_count, sizeof *resting);
    times = calloc(MOST_TIMES, sizeof *times);
    poll_descriptor = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1); /* else each wait is 50 us too long */
    open_all(atoi(words[1]));
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        long milliseconds = 0;
        int in_flight = 0;
        double rate = 0;
        if (sscanf(line, "%ld %d %lf", &milliseconds, &in_flight, &rate) != 3)
            return 2;
        run(milliseconds, in_flight, rate);
        long kept = done_count < MOST_TIMES ? done_count : MOST_TIMES;
        qsort(times, (size_t)kept, sizeof *times, compare);
        printf("%ld %.1f %.1f\n", done_count, kept ? times[kept / 2] / 1e3 : 0, kept ? times[kept * 99 / 100] / 1e3 : 0);
        fflush(stdout);
    }
    return 0;
}
