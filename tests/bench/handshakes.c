/* Full TLS handshakes by many clients of one process, each one after the other: a load that leaves as much of the cores to the
 * server as it can. Two threads lead the clients: with a thread for each of them a handshake takes a tenth more of the processor,
 * and 40 processes of `openssl s_time` take twice as much, most of it for one another's caches.
 *
 * Usage: handshakes PORT CLIENTS SECONDS, with an even number of clients. Prints how many were finished and how many failed; ends
 * with 1 and a reason when there is nobody to shake hands with.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libssl.h"

#define THREADS 2
#define MOST_FAILED 100

struct client {
    int descriptor;
    SSL *tls;
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct timespec end;
static atomic_long finished, failed;
static int clients_of_a_thread;

static int is_over(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static void fail(const char *what, int detail)
{
    fprintf(stderr, "%s: %d\n", what, detail);
    exit(1);
}

static void begin(struct client *one, SSL_CTX *context, int poll)
{
    struct epoll_event readable = {.events = EPOLLIN, .data.ptr = one};
    int nonblocking = 1;
    one->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (one->descriptor < 0 || connect(one->descriptor, (struct sockaddr *)&server, sizeof server) != 0)
        fail("no connection", one->descriptor);
    ioctl(one->descriptor, FIONBIO, &nonblocking);
    one->tls = SSL_new(context); /* a new session each time: none is set */
    SSL_set_fd(one->tls, one->descriptor);
    SSL_connect(one->tls); /* sends the ClientHello */
    epoll_ctl(poll, EPOLL_CTL_ADD, one->descriptor, &readable);
}

/* Read what has come; say whether the handshake is over, one way or the other. */
static int go_on(struct client *one)
{
    int done = SSL_connect(one->tls);
    if (done == 1) {
        atomic_fetch_add(&finished, 1);
        SSL_shutdown(one->tls);
        return 1;
    }
    if (SSL_get_error(one->tls, done) == WANT_READ)
        return 0;
    if (atomic_fetch_add(&failed, 1) >= MOST_FAILED)
        fail("too many handshakes have failed", MOST_FAILED);
    return 1;
}

static void *shake_hands(void *unused)
{
    struct client clients[clients_of_a_thread];
    struct epoll_event events[clients_of_a_thread];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int poll = epoll_create1(0);
    if (SSL_CTX_ctrl(context, SET_GROUPS_LIST, 0, "X25519MLKEM768") != 1)
        fail("no such group", 0);
    for (int i = 0; i < clients_of_a_thread; i++)
        begin(&clients[i], context, poll);
    while (!is_over()) {
        int count = epoll_wait(poll, events, clients_of_a_thread, 1000);
        for (int i = 0; i < count; i++) {
            struct client *one = events[i].data.ptr;
            if (!go_on(one))
                continue;
            SSL_free(one->tls);
            close(one->descriptor);
            begin(one, context, poll);
        }
    }
    return unused;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    pthread_t threads[THREADS];
    clients_of_a_thread = atoi(words[2]) / THREADS;
    server.sin_port = htons(atoi(words[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(words[3]);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, shake_hands, NULL) != 0)
            fail("no thread", i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%ld %ld\n", atomic_load(&finished), atomic_load(&failed));
    return 0;
}
