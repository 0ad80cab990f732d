/* Exchanges on TLS connections that stay open: requests that are answered, or WebSocket messages that come back. Connecting is done
 * before anything is measured, so that a period holds exchanges and nothing else.
 *
 * Usage: exchanges PORT KIND CONNECTIONS STREAMS FILE
 *   KIND  "http": FILE has requests of HTTP/1.1 (see messages.h), whose answers are 2xx or 304;
 *         "h2": the same requests over HTTP/2, on so many streams of each connection at a time;
 *         "websocket": FILE has masked messages of 126 to 65,535 octets, which an upgraded connection (/up/echo) sends back.
 *
 * The places of exchanges are the connections, or the streams on them. The messages of one name follow each other on one place, again
 * and again; the places take the names in turn.
 *
 * Prints "ready" when all connections are there. Then reads lines "MILLISECONDS IN_FLIGHT RATE COUNT". So many exchanges are on their
 * way at a time, each on the place that has rested longest. A RATE above 0 starts so many in a second at even distances, and their
 * time counts from the moment when they should have started, however late the server made that. So it is where messages have pauses:
 * then each place keeps its own time. A COUNT above 0 ends the period early. Prints for each line "EXCHANGES P50 P99", the times in
 * microseconds, without what the upstream waited. Ends with 1 and a reason when a server does not do its job.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libnghttp2.h"
#include "libssl.h"
#include "messages.h"

#define LONGEST_HEAD 4096
#define MOST_FIELDS 40
#define MOST_TIMES 4000000
#define SILENCE_SECONDS 10
#define SENT_AT_ONCE 65536
#define WINDOW (8 << 20)

struct connection {
    int descriptor;
    SSL *tls;
    nghttp2_session *session; /* of HTTP/2 */
    int has_begun;            /* streams whose frames wait to be sent */
};

struct place {
    struct connection *connection;
    struct message *script, *current;
    int length, position;   /* of the script */
    long began, due;        /* of the exchange under way, and of the next one, in nanoseconds */
    size_t got, expected;   /* of its answer; how much is expected is unknown (0) until its head is read */
    size_t sent;            /* of its body, over HTTP/2 */
    int is_chunked;
    char end[6];            /* the last of an answer that is chunked */
    size_t head_bytes;
    char head[LONGEST_HEAD + 1];
};

static enum { HTTP, H2, WEBSOCKET } kind;
static struct message *messages;
static int message_count, is_paced;
static struct connection *connections;
static int connection_count, streams;
static struct place *places, **resting; /* a ring: those without an exchange, the longest rested first */
static int place_count, first_resting, resting_count;
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

static void rest(struct place *one)
{
    one->due = now() + one->script[one->position].pause * 1000000L;
    resting[(first_resting + resting_count++) % place_count] = one;
}

static void finish(struct place *one)
{
    long took = now() - one->began - one->current->held * 1000000L;
    if (done_count < MOST_TIMES)
        times[done_count] = took > 4200000000L ? 4200000000U : took < 0 ? 0 : (unsigned)took;
    done_count++;
    one->began = 0;
    rest(one);
}

/* HTTP/2: the requests are turned into fields, the answers come by callbacks. */

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *unused)
{
    struct place *one = source->ptr;
    size_t left = one->current->bytes - one->sent, count = left < room ? left : room;
    (void)session, (void)stream, (void)unused;
    memcpy(buffer, one->current->data + one->sent, count);
    one->sent += count;
    if (count == left)
        *flags |= DATA_ENDS;
    return (ssize_t)count;
}

static nghttp2_nv field(char *name, size_t name_bytes, char *value, char *end)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, name_bytes, (size_t)(end - value), 0};
}

static void begin_stream(struct place *one)
{
    char *line = one->current->data, *end = strstr(line, "\r\n"), *path = strchr(line, ' ') + 1;
    nghttp2_data_provider body = {{.ptr = one}, read_body};
    nghttp2_nv fields[MOST_FIELDS] = {field(":method", 7, line, path - 1), field(":scheme", 7, "https", NULL), {0},
                                      field(":path", 5, path, strchr(path, ' '))};
    size_t count = 4;
    fields[1].valuelen = 5;
    for (line = end + 2; (end = strstr(line, "\r\n")) != line; line = end + 2) {
        char *colon = strchr(line, ':');
        for (char *letter = line; letter < colon; letter++)
            *letter = (char)tolower(*letter);
        if (strncmp(line, "host:", 5) == 0)
            fields[2] = field(":authority", 10, colon + 2, end);
        else if (strncmp(line, "connection:", 11) != 0 && count < MOST_FIELDS)
            fields[count++] = field(line, (size_t)(colon - line), colon + 2, end);
    }
    one->sent = (size_t)(end + 2 - one->current->data);
    int has_body = one->sent < one->current->bytes;
    if (nghttp2_submit_request(one->connection->session, NULL, fields, count, has_body ? &body : NULL, one) < 0)
        fail("a request could not be sent", one->current->data);
    one->connection->has_begun = 1;
}

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes,
                      const uint8_t *value, size_t value_bytes, uint8_t flags, void *unused)
{
    (void)session, (void)frame, (void)value_bytes, (void)flags, (void)unused;
    if (name_bytes == 7 && memcmp(name, ":status", 7) == 0 && value[0] != '2' && memcmp(value, "304", 3) != 0)
        fail("answered", (const char *)value);
    return 0;
}

static int end_stream(nghttp2_session *session, int32_t stream, uint32_t error, void *unused)
{
    struct place *one = nghttp2_session_get_stream_user_data(session, stream);
    (void)unused;
    if (error != 0)
        fail("answered", "by resetting a stream");
    finish(one);
    return 0;
}

/* Send the frames that wait, in as few records as they fit into. */
static void flush(struct connection *one)
{
    static char data[SENT_AT_ONCE];
    const uint8_t *frame;
    ssize_t count;
    size_t held = 0;
    one->has_begun = 0;
    for (;;) {
        count = nghttp2_session_mem_send(one->session, &frame);
        if (held != 0 && (count <= 0 || held + (size_t)count > sizeof data)) {
            if (SSL_write(one->tls, data, (int)held) != (int)held)
                fail("frames could not be sent", strerror(errno));
            held = 0;
        }
        if (count <= 0)
            return;
        memcpy(data + held, frame, (size_t)count);
        held += (size_t)count;
    }
}

static void begin_session(struct connection *one)
{
    static const struct {
        int32_t identifier;
        uint32_t value;
    } window = {INITIAL_WINDOW_SIZE, WINDOW};
    nghttp2_session_callbacks *callbacks;
    const unsigned char *chosen;
    unsigned length;
    SSL_get0_alpn_selected(one->tls, &chosen, &length);
    if (length != 2)
        fail("no HTTP/2", "another protocol was chosen");
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_stream);
    nghttp2_session_client_new(&one->session, callbacks, one);
    nghttp2_submit_settings(one->session, 0, &window, 1);
    nghttp2_session_set_local_window_size(one->session, 0, 0, WINDOW);
    flush(one);
}

static void go_on_with_streams(struct connection *one)
{
    static unsigned char data[65536];
    for (;;) {
        int count = SSL_read(one->tls, data, sizeof data);
        if (count <= 0 && SSL_get_error(one->tls, count) == WANT_READ)
            break;
        if (count <= 0 || nghttp2_session_mem_recv(one->session, data, (size_t)count) != count)
            fail("the connection ended", "over HTTP/2");
    }
    flush(one);
}

/* HTTP/1.1 and WebSocket. */

static void begin(struct place *one, long since)
{
    struct message *message = one->current = &one->script[one->position];
    one->position = (one->position + 1) % one->length;
    one->began = since;
    one->got = one->head_bytes = 0;
    one->is_chunked = 0;
    one->expected = kind == WEBSOCKET ? message->bytes - 4 : 0; /* it comes back without its mask */
    renew(message);
    if (kind == H2)
        begin_stream(one);
    else if (SSL_write(one->connection->tls, message->data, (int)message->bytes) != (int)message->bytes)
        fail("a request could not be sent", strerror(errno));
}

/* How long the answer is, once its head is here. Where it is chunked, its end tells. */
static size_t length_of(struct place *one, const char *data, size_t count)
{
    size_t room = LONGEST_HEAD - one->head_bytes, taken = count < room ? count : room;
    memcpy(one->head + one->head_bytes, data, taken);
    one->head_bytes += taken;
    one->head[one->head_bytes] = 0;
    char *end = strstr(one->head, "\r\n\r\n"), *length;
    if (end == NULL && one->head_bytes < LONGEST_HEAD)
        return 0;
    int is_unchanged = strncmp(one->head, "HTTP/1.1 304 ", 13) == 0;
    if (end == NULL || (strncmp(one->head, "HTTP/1.1 2", 10) != 0 && !is_unchanged))
        fail("answered", one->head);
    end[2] = 0; /* so that what is searched ends here */
    one->is_chunked = strcasestr(one->head, "\r\ntransfer-encoding:") != NULL;
    if (one->is_chunked)
        return (size_t)-1;
    length = strcasestr(one->head, "\r\ncontent-length:");
    if (length == NULL && !is_unchanged)
        fail("answered without a length", one->head);
    return (size_t)(end + 4 - one->head) + (is_unchanged ? 0 : strtoul(length + 17, NULL, 10));
}

/* Look whether these are the last octets of a chunked answer. What the upstreams send has no others that look so. */
static void take_chunks(struct place *one, const char *data, size_t count)
{
    size_t taken = count < 5 ? count : 5;
    memmove(one->end, one->end + taken, 5 - taken);
    memcpy(one->end + 5 - taken, data + count - taken, taken);
    if (memcmp(one->end, "0\r\n\r\n", 5) == 0)
        one->expected = one->got;
}

/* Read what has come; say whether the exchange is done. */
static int go_on(struct place *one)
{
    static char data[65536];
    SSL *tls = one->connection->tls;
    do {
        int count = SSL_read(tls, data, sizeof data);
        if (count <= 0 && SSL_get_error(tls, count) == WANT_READ)
            return one->began && one->expected != 0 && one->got == one->expected; /* behind it was no data, such as a ticket */
        if (count <= 0)
            fail("the connection ended", one->began ? "in an exchange" : "at rest");
        if (kind == WEBSOCKET && one->got == 0 && data[0] != one->current->data[0])
            fail("sent back", "no whole message");
        if (one->expected == 0)
            one->expected = length_of(one, data, (size_t)count);
        one->got += (size_t)count;
        if (one->is_chunked)
            take_chunks(one, data, (size_t)count);
    } while (one->expected == 0 || one->got < one->expected || SSL_has_pending(tls));
    if (one->got > one->expected)
        fail("answered", "more than was asked for");
    return 1;
}

static void upgrade(SSL *tls)
{
    static const char ask[] = "GET /up/echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char answer[LONGEST_HEAD + 1] = "";
    int got = 0;
    if (SSL_write(tls, ask, sizeof ask - 1) <= 0)
        fail("no upgrade", "cannot ask for it");
    while (strstr(answer, "\r\n\r\n") == NULL) {
        int count = SSL_read(tls, answer + got, LONGEST_HEAD - got);
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
    for (int i = 0; i < connection_count; i++) {
        struct connection *one = &connections[i];
        struct epoll_event readable = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        int on = 1;
        one->descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(one->descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (one->descriptor < 0 || connect(one->descriptor, (struct sockaddr *)&server, sizeof server) != 0)
            fail("no connection", strerror(errno));
        one->tls = SSL_new(context);
        SSL_ctrl(one->tls, SET_TLSEXT_HOSTNAME, 0, "localhost");
        if (kind == H2)
            SSL_set_alpn_protos(one->tls, (const unsigned char *)"\2h2", 3);
        SSL_set_fd(one->tls, one->descriptor);
        if (SSL_connect(one->tls) != 1)
            fail("no handshake", strerror(errno));
        if (kind == WEBSOCKET)
            upgrade(one->tls);
        if (kind == H2)
            begin_session(one);
        ioctl(one->descriptor, FIONBIO, &on);
        epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, one->descriptor, &readable);
    }
}

/* Give each place its script: the messages of the next name. */
static void hand_out(void)
{
    for (int i = 0, from = 0; i < place_count; i++) {
        struct place *one = &places[i];
        one->connection = &connections[i / streams];
        one->script = &messages[from];
        while (from + one->length < message_count && strcmp(messages[from + one->length].name, one->script->name) == 0)
            is_paced |= messages[from + one->length++].pause > 0;
        from = from + one->length == message_count ? 0 : from + one->length;
        rest(one);
    }
}

/* Begin what is due on places that keep their own time; answer when the next one is. */
static long begin_paced(long end)
{
    long next = end;
    for (int i = 0; i < place_count; i++) {
        struct place *one = &places[i];
        if (one->began == 0 && one->due <= now() && one->due < end) {
            begin(one, one->due);
            resting_count--;
        } else if (one->began == 0 && one->due < next)
            next = one->due;
    }
    return next;
}

/* Begin what is due; answer when the next one is. */
static long begin_due(long start, long end, int in_flight, double rate, long count, long *begun)
{
    while (resting_count > place_count - in_flight && (count == 0 || *begun < count)) {
        long due = rate > 0 ? start + (long)((double)*begun / rate * 1e9) : now();
        if (due >= end || due > now())
            return due;
        struct place *one = resting[first_resting];
        first_resting = (first_resting + 1) % place_count;
        resting_count--;
        begin(one, due);
        ++*begun;
    }
    return end;
}

/* Where places keep their own time, they begin at different moments of their first pause. */
static void spread(long start)
{
    for (int i = 0; i < place_count; i++)
        places[i].due = start + places[i].script[places[i].position].pause * 1000000L * ((i * 7) % place_count) / place_count;
}

static void run(long milliseconds, int in_flight, double rate, long most)
{
    struct epoll_event events[256];
    long start = now(), end = start + milliseconds * 1000000, begun = 0;
    done_count = 0;
    if (is_paced)
        spread(start);
    for (;;) {
        long due = is_paced ? begin_paced(end) : begin_due(start, end, in_flight, rate, most, &begun), left = due - now();
        int is_over = now() >= end || (most != 0 && begun == most), count;
        for (int i = 0; kind == H2 && i < connection_count; i++)
            if (connections[i].has_begun)
                flush(&connections[i]);
        if (is_over && resting_count == place_count)
            return;
        struct timespec wait = {.tv_sec = SILENCE_SECONDS};
        if (!is_over && left < 1000000000L)
            wait = (struct timespec){.tv_nsec = left > 0 ? left : 0};
        count = epoll_pwait2(poll_descriptor, events, 256, &wait, NULL);
        if (is_over && count == 0)
            fail("did not answer", "for seconds");
        for (int i = 0; i < count; i++) {
            if (kind == H2)
                go_on_with_streams(&connections[events[i].data.u32]);
            else if (go_on(&places[events[i].data.u32]))
                finish(&places[events[i].data.u32]);
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
    if (count != 6)
        return 2;
    message_count = read_messages(words[5], &messages);
    if (message_count < 1)
        fail(words[5], "no messages");
    kind = strcmp(words[2], "websocket") == 0 ? WEBSOCKET : strcmp(words[2], "h2") == 0 ? H2 : HTTP;
    connection_count = atoi(words[3]);
    streams = atoi(words[4]);
    place_count = connection_count * streams;
    connections = calloc((size_t)connection_count, sizeof *connections);
    places = calloc((size_t)place_count, sizeof *places);
    resting = calloc((size_t)place_count, sizeof *resting);
    times = calloc(MOST_TIMES, sizeof *times);
    poll_descriptor = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1); /* else each wait is 50 us too long */
    open_all(atoi(words[1]));
    hand_out();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        long milliseconds = 0, most = 0;
        int in_flight = 0;
        double rate = 0;
        if (sscanf(line, "%ld %d %lf %ld", &milliseconds, &in_flight, &rate, &most) != 4)
            return 2;
        run(milliseconds, in_flight, rate, most);
        long kept = done_count < MOST_TIMES ? done_count : MOST_TIMES;
        qsort(times, (size_t)kept, sizeof *times, compare);
        printf("%ld %.1f %.1f\n", done_count, kept ? times[kept / 2] / 1e3 : 0, kept ? times[kept * 99 / 100] / 1e3 : 0);
        fflush(stdout);
    }
    return 0;
}
