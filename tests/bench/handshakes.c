/* Full TLS handshakes by many clients of one process, each one after the other: a load that leaves as much of the cores to the
 * server as it can. (40 processes of `openssl s_time` take twice the time for each, most of it for one another's caches.)
 *
 * Usage: handshakes PORT CLIENTS SECONDS. Prints how many were finished and how many failed; ends with 1 and a reason when there is
 * nobody to shake hands with.
 *
 * What is used of OpenSSL is declared here: its headers are a package of their own.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
const SSL_METHOD *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
SSL *SSL_new(SSL_CTX *);
int SSL_set_fd(SSL *, int);
int SSL_connect(SSL *);
int SSL_shutdown(SSL *);
void SSL_free(SSL *);

#define SET_GROUPS_LIST 92 /* SSL_CTX_set1_groups_list is a macro */
#define MOST_FAILED 100

static SSL_CTX *context;
static struct sockaddr_in server = {.sin_family = AF_INET};
static struct timespec end;
static atomic_long finished, failed;

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

static void *shake_hands(void *unused)
{
    while (!is_over()) {
        int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&server, sizeof server) != 0)
            fail("no connection", descriptor);
        SSL *tls = SSL_new(context); /* a new session each time: none is set */
        SSL_set_fd(tls, descriptor);
        if (SSL_connect(tls) == 1) {
            atomic_fetch_add(&finished, 1);
            SSL_shutdown(tls);
        } else if (atomic_fetch_add(&failed, 1) >= MOST_FAILED) {
            fail("too many handshakes have failed", MOST_FAILED);
        }
        SSL_free(tls);
        close(descriptor);
    }
    return unused;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    int clients = atoi(words[2]);
    pthread_t threads[clients];
    server.sin_port = htons(atoi(words[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(words[3]);
    context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_ctrl(context, SET_GROUPS_LIST, 0, "X25519MLKEM768") != 1)
        fail("no such group", 0);
    for (int client = 0; client < clients; client++)
        if (pthread_create(&threads[client], NULL, shake_hands, NULL) != 0)
            fail("no thread", client);
    for (int client = 0; client < clients; client++)
        pthread_join(threads[client], NULL);
    printf("%ld %ld\n", atomic_load(&finished), atomic_load(&failed));
    return 0;
}
