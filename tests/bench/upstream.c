/* The server behind the proxies for what nginx does not do: it takes bodies of any length, answers with values that are new each time
 * or after a while, and sends WebSocket messages back.
 *
 * Usage: upstream [FILE]. Prints "upstream: ready on PORT" and serves until a signal ends it. A request is answered when its body has
 * come: by a message of FILE (see messages.h) whose name is a pattern that its first line matches, those of one name in turn, after
 * the message's pause; else with how many octets its body had. An upgrade is agreed to. Bodies need a Content-Length, and WebSocket
 * messages have at most 65,535 octets.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libssl.h"
#include "messages.h"

#define BUFFER 16384
#define PIECE 262144
#define MOST_WAITING 1024
#define LARGEST_ANSWER 200000 /* is taken by the system as a whole */

enum state { HEAD, BODY, FRAMES };

struct connection {
    int descriptor;
    enum state state;
    unsigned long body, left; /* octets of the body, and those that have not come */
    int answer;               /* the message that answers; -1 if none does */
    long due;                 /* when it is sent, in milliseconds; 0 if nothing waits */
    size_t held;              /* of a head or a frame */
    char buffer[BUFFER + 1];
};

static struct message *answers;
static int answer_count;
static struct connection *waiting[MOST_WAITING];
static int waiting_count;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(struct connection *one, const char *data, size_t count)
{
    if (send(one->descriptor, data, count, MSG_NOSIGNAL) != (ssize_t)count)
        shutdown(one->descriptor, SHUT_RDWR); /* its peer is gone, or reads nothing: the next read ends it */
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void give(struct connection *one)
{
    renew(&answers[one->answer]);
    say(one, answers[one->answer].data, answers[one->answer].bytes);
    one->due = 0;
}

/* Give the answers that are due; answer how long to wait for the next one, in milliseconds, -1 if there is none. */
static int give_due(void)
{
    long moment = now(), next = -1;
    for (int i = 0; i < waiting_count;) {
        struct connection *one = waiting[i];
        if (one->due > moment) {
            next = next < 0 || one->due - moment < next ? one->due - moment : next;
            i++;
            continue;
        }
        waiting[i] = waiting[--waiting_count];
        give(one);
    }
    return (int)next;
}

static void leave(struct connection *one)
{
    for (int i = 0; i < waiting_count; i++)
        if (waiting[i] == one)
            waiting[i--] = waiting[--waiting_count];
}

static void answer(struct connection *one)
{
    char text[256], body[64];
    one->state = HEAD;
    if (one->answer >= 0 && answers[one->answer].pause > 0 && waiting_count < MOST_WAITING) {
        one->due = now() + answers[one->answer].pause;
        waiting[waiting_count++] = one;
    } else if (one->answer >= 0) {
        give(one);
    } else {
        int length = sprintf(body, "{\"octets\":%lu}", one->body);
        int count = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
        say(one, text, (size_t)count);
    }
}

/* The next message for a request that begins with this line. */
static int find_answer(const char *line)
{
    for (int i = 0, next; i < answer_count; i = next) {
        for (next = i + 1; next < answer_count && strcmp(answers[next].name, answers[i].name) == 0;)
            next++;
        if (fnmatch(answers[i].name, line, 0) == 0)
            return i + answers[i].turn++ % (next - i);
    }
    return -1;
}

static void agree(struct connection *one, const char *key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[20], text[64];
    char asked[128], answer[256];
    while (*key == ' ')
        key++;
    int length = (int)strcspn(key, " \r\n");
    int count = snprintf(asked, sizeof asked, "%.*s%s", length < 64 ? length : 64, key, magic);
    SHA1((unsigned char *)asked, (size_t)count, digest);
    EVP_EncodeBlock(text, digest, 20);
    count = sprintf(answer,
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n",
                    text);
    say(one, answer, (size_t)count);
    one->state = FRAMES;
}

/* Take a head from the buffer, if a whole one is there. */
static size_t take_head(struct connection *one)
{
    char *end = strstr(one->buffer, "\r\n\r\n"), *found;
    if (end == NULL)
        return 0;
    end[2] = 0; /* so that what is searched ends here */
    if ((found = strcasestr(one->buffer, "\r\nsec-websocket-key:")) != NULL) {
        agree(one, found + 20);
    } else {
        found = strcasestr(one->buffer, "\r\ncontent-length:");
        one->body = one->left = found ? strtoul(found + 17, NULL, 10) : 0;
        one->state = BODY;
        *strstr(one->buffer, "\r\n") = 0;
        one->answer = find_answer(one->buffer);
    }
    return (size_t)(end + 4 - one->buffer);
}

static void take_body(struct connection *one, size_t count)
{
    one->left -= count;
    if (one->left == 0)
        answer(one);
}

/* Send a frame back without its mask, if a whole one is there. */
static size_t take_frame(struct connection *one)
{
    unsigned char *data = (unsigned char *)one->buffer;
    size_t head = 2, length;
    if (one->held < 4)
        return 0;
    length = data[1] & 0x7f;
    if (length == 126) {
        length = (size_t)data[2] << 8 | data[3];
        head = 4;
    }
    if (length > BUFFER - 8)
        fail("a message is too long");
    if (one->held < head + 4 + length)
        return 0;
    unsigned char mask[4], *payload = data + head + 4;
    memcpy(mask, data + head, 4);
    for (size_t i = 0; i < length; i++)
        payload[i] ^= mask[i & 3];
    data[1] &= 0x7f;
    memmove(data + 4, data, head); /* the mask's place */
    say(one, (char *)data + 4, head + length);
    return head + 4 + length;
}

static void drop(struct connection *one, size_t count)
{
    memmove(one->buffer, one->buffer + count, one->held - count);
    one->held -= count;
    one->buffer[one->held] = 0;
}

/* Read what has come; say whether the connection lives. */
static int go_on(struct connection *one)
{
    static char piece[PIECE];
    if (one->state == BODY) {
        ssize_t count = recv(one->descriptor, piece, one->left < PIECE ? one->left : PIECE, 0);
        if (count > 0)
            take_body(one, (size_t)count);
        return count > 0 || (count < 0 && errno == EAGAIN);
    }
    ssize_t count = recv(one->descriptor, one->buffer + one->held, BUFFER - one->held, 0);
    if (count <= 0)
        return count < 0 && errno == EAGAIN;
    one->held += (size_t)count;
    one->buffer[one->held] = 0;
    for (;;) {
        enum state before = one->state;
        size_t taken = 0;
        if (before == BODY) {
            taken = one->held < one->left ? one->held : one->left;
            take_body(one, taken);
        } else if (one->held != 0)
            taken = before == HEAD ? take_head(one) : take_frame(one);
        drop(one, taken);
        if (taken == 0 && one->state == before)
            break;
    }
    return one->held < BUFFER;
}

int main(int word_count, char **words)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), on = 1;
    int room = LARGEST_ANSWER;
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    if (word_count > 1 && (answer_count = read_messages(words[1], &answers)) < 0)
        fail(words[1]);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 4096) != 0)
        fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
    printf("upstream: ready on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, 256, give_due());
        for (int i = 0; i < count; i++) {
            struct connection *one = events[i].data.ptr;
            if (one == NULL) {
                one = calloc(1, sizeof *one);
                one->descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                setsockopt(one->descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
                wanted.data.ptr = one;
                epoll_ctl(poll, EPOLL_CTL_ADD, one->descriptor, &wanted);
            } else if (!go_on(one)) {
                close(one->descriptor);
                leave(one);
                free(one);
            }
        }
    }
}
