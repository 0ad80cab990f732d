/* QUIC and HTTP/3 of one worker: TLS that records what it wants (`Tls`), and connections (`Connection`) that apply it.
 *
 * Theory of operation. libngtcp2 has the packets, streams and timers of QUIC, libnghttp3 has the frames of HTTP/3. Both
 * only compute: this file gives them datagrams and time, and keeps what they say as a list of events, which Python takes
 * after each call. The only call that goes from here to Python in the middle of a packet is `crypto_received` of the
 * owner: a client's Finished has to be read before the rest of its packet.
 *
 * TLS. An SSL of CPython's `_ssl` gets callbacks instead of a record layer (`SSL_set_quic_tls_cbs`). They touch nothing
 * but the recorder of that SSL, so a step may run in any thread. What OpenSSL wants is written down as records of
 * the form of TLS (type, version, length): those with the type of TLS hold what they hold there in the clear, the private
 * types below hold the rest. So whatever drives a handshake over TCP drives this one, and a flight of a token that has
 * failed is thrown away as a whole: nothing of it has reached the connection.
 *
 * As in `proxy/tls/openssl/_native.c`, no header of OpenSSL is read and nothing is linked to it: its functions are found
 * behind the shared object of `_ssl`. Keys and header protection need a context for each key, which ngtcp2 owns.
 *
 * Sent data stays here until its client has acknowledged it, as the very bytes objects that Python gave.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <structmember.h>
#include <sys/socket.h>
#include <time.h>

/* -- OpenSSL */

typedef struct ssl SSL;
typedef struct cipher SSL_CIPHER;
typedef struct evp_cipher EVP_CIPHER;
typedef struct evp_context EVP_CIPHER_CTX;
typedef struct mac EVP_MAC;
typedef struct mac_context EVP_MAC_CTX;
typedef struct key EVP_PKEY;
typedef struct {
    int id;
    void (*function)(void);
} Dispatch;
typedef struct { /* OSSL_PARAM(3) */
    const char *name;
    unsigned type;
    void *data;
    size_t size, returned;
} Parameter;

enum {
    SSL_ERROR_WANT_READ = 2,
    SSL_CTRL_GET_PEER_TMP_KEY = 109,
    CRYPTO_EX_INDEX_SSL = 0,
    EVP_CTRL_AEAD_SET_IVLEN = 0x9,
    EVP_CTRL_AEAD_GET_TAG = 0x10,
    EVP_CTRL_AEAD_SET_TAG = 0x11,
    NID_X25519 = 1034,
    OSSL_PARAM_UTF8_STRING = 4,
    TAG = 16,
    IV = 12,
};

#define FUNCTIONS(F)                                                                                           \
    F(int, SSL_do_handshake, (SSL *))                                                                          \
    F(int, SSL_get_error, (const SSL *, int))                                                                  \
    F(const char *, SSL_state_string, (const SSL *))                                                           \
    F(int, SSL_new_session_ticket, (SSL *))                                                                    \
    F(long, SSL_ctrl, (SSL *, int, long, void *))                                                              \
    F(int, SSL_set_quic_tls_cbs, (SSL *, const Dispatch *, void *))                                            \
    F(int, SSL_set_quic_tls_transport_params, (SSL *, const unsigned char *, size_t))                          \
    F(int, SSL_set_ex_data, (SSL *, int, void *))                                                              \
    F(void *, SSL_get_ex_data, (const SSL *, int))                                                             \
    F(int, CRYPTO_get_ex_new_index, (int, long, void *, void *, void *, void (*)(void *, void *, void *, int, long, void *))) \
    F(const SSL_CIPHER *, SSL_get_current_cipher, (const SSL *))                                               \
    F(const SSL_CIPHER *, SSL_get_pending_cipher, (const SSL *))                                               \
    F(uint16_t, SSL_CIPHER_get_protocol_id, (const SSL_CIPHER *))                                              \
    F(int, EVP_PKEY_set_type, (EVP_PKEY *, int))                                                               \
    F(void, EVP_PKEY_free, (EVP_PKEY *))                                                                       \
    F(unsigned long, ERR_peek_error, (void))                                                                   \
    F(void, ERR_clear_error, (void))                                                                           \
    F(int, RAND_bytes, (unsigned char *, int))                                                                 \
    F(EVP_MAC *, EVP_MAC_fetch, (void *, const char *, const char *))                                          \
    F(EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC *))                                                             \
    F(int, EVP_MAC_init, (EVP_MAC_CTX *, const unsigned char *, size_t, const Parameter *))                    \
    F(int, EVP_MAC_update, (EVP_MAC_CTX *, const unsigned char *, size_t))                                     \
    F(int, EVP_MAC_final, (EVP_MAC_CTX *, unsigned char *, size_t *, size_t))                                  \
    F(const EVP_CIPHER *, EVP_aes_128_gcm, (void))                                                             \
    F(const EVP_CIPHER *, EVP_aes_256_gcm, (void))                                                             \
    F(const EVP_CIPHER *, EVP_chacha20_poly1305, (void))                                                       \
    F(const EVP_CIPHER *, EVP_aes_128_ecb, (void))                                                             \
    F(const EVP_CIPHER *, EVP_aes_256_ecb, (void))                                                             \
    F(const EVP_CIPHER *, EVP_chacha20, (void))                                                                \
    F(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void))                                                            \
    F(void, EVP_CIPHER_CTX_free, (EVP_CIPHER_CTX *))                                                           \
    F(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX *, int, int, void *))                                          \
    F(int, EVP_CIPHER_CTX_set_padding, (EVP_CIPHER_CTX *, int))                                                \
    F(int, EVP_CipherInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *, int)) \
    F(int, EVP_CipherUpdate, (EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int))           \
    F(int, EVP_CipherFinal_ex, (EVP_CIPHER_CTX *, unsigned char *, int *))

#define DECLARE(result, name, arguments) static result(*name) arguments;
FUNCTIONS(DECLARE)

static PyTypeObject *tls_type; /* _ssl._SSLSocket */
static PyObject *memory_bio, *ssl_error, *handshake_name, *crypto_name;
static int recorder_index; /* of the recorder among the extra data of an SSL */

/* A hash, and what computes its HMACs. To look that up by name takes as long as five of them, so it is made once. */
typedef struct {
    char *name;
    size_t bytes;
    EVP_MAC_CTX *keyed;
} Hash;

static Hash sha256 = {"SHA256", 32, NULL}, sha384 = {"SHA384", 48, NULL};

/* Returns 0 without memory. The interpreter is held. */
static int hmac(Hash *hash, const unsigned char *key, size_t key_bytes, const unsigned char *data, size_t count, unsigned char *to)
{
    size_t made;
    Parameter digest[] = {{"digest", OSSL_PARAM_UTF8_STRING, hash->name, strlen(hash->name), (size_t)-1}, {0}};
    const Parameter *further = NULL;
    if (hash->keyed == NULL) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL); /* for good */
        if (mac == NULL || (hash->keyed = EVP_MAC_CTX_new(mac)) == NULL)
            return 0;
        further = digest;
    }
    return EVP_MAC_init(hash->keyed, key, key_bytes, further) == 1 && EVP_MAC_update(hash->keyed, data, count) == 1 &&
           EVP_MAC_final(hash->keyed, to, &made, hash->bytes) == 1;
}

static void fill_randomly(uint8_t *to, size_t count)
{
    if (RAND_bytes(to, (int)count) != 1)
        abort(); /* predictable identifiers and challenges would be worse */
}

/* -- what a step of TLS wants: records */

enum { LEVEL_INITIAL = 0, LEVEL_HANDSHAKE = 2, LEVEL_APPLICATION = 3, LEVELS = 4 };
enum {
    RECORD_ALERT = 21,
    RECORD_INITIAL = 22,   /* CRYPTO of Initial packets */
    RECORD_HANDSHAKE = 23, /* CRYPTO of Handshake packets */
    RECORD_APPLICATION = 0xE0,
    RECORD_SECRET = 0xE1,     /* level, direction, cipher suite, secret */
    RECORD_PARAMETERS = 0xE2, /* transport parameters of the client */
    RECORD_HEAD = 5,
    RECORD_MOST = 0x4000,
};

typedef struct {
    unsigned char *data;
    size_t length, room, taken;
} Buffer;

static int add(Buffer *buffer, const void *data, size_t count)
{
    if (count > buffer->room - buffer->length) {
        size_t room = 2 * buffer->length + count;
        unsigned char *grown = realloc(buffer->data, room);
        if (grown == NULL)
            return 0;
        buffer->data = grown;
        buffer->room = room;
    }
    if (count > 0)
        memcpy(buffer->data + buffer->length, data, count);
    buffer->length += count;
    return 1;
}

static void drop(Buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

static int record(Buffer *to, int type, const unsigned char *data, size_t count)
{
    do {
        size_t part = count > RECORD_MOST ? RECORD_MOST : count;
        unsigned char head[RECORD_HEAD] = {(unsigned char)type, 3, 3, (unsigned char)(part >> 8), (unsigned char)part};
        if (!add(to, head, sizeof head) || !add(to, data, part))
            return 0;
        data += part;
        count -= part;
    } while (count > 0);
    return 1;
}

typedef struct {
    SSL *ssl;
    Buffer in[LEVELS], out, parameters;
    int reads, writes; /* levels */
    Buffer ours;       /* transport parameters: OpenSSL keeps a pointer to them */
} Recorder;

static int wants_to_send(SSL *ssl, const unsigned char *data, size_t count, size_t *taken, void *argument)
{
    static const int types[LEVELS] = {RECORD_INITIAL, RECORD_INITIAL, RECORD_HANDSHAKE, RECORD_APPLICATION};
    Recorder *self = argument;
    (void)ssl;
    *taken = count;
    return record(&self->out, types[self->writes], data, count);
}

static int wants_data(SSL *ssl, const unsigned char **data, size_t *count, void *argument)
{
    Recorder *self = argument;
    Buffer *in = &self->in[self->reads];
    (void)ssl;
    *data = in->data + in->taken;
    *count = in->length - in->taken;
    return 1;
}

static int took_data(SSL *ssl, size_t count, void *argument)
{
    Recorder *self = argument;
    (void)ssl;
    self->in[self->reads].taken += count;
    return 1;
}

static int has_secret(SSL *ssl, uint32_t level, int is_ours, const unsigned char *secret, size_t count, void *argument)
{
    Recorder *self = argument;
    unsigned char data[4 + 64];
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);
    if (cipher == NULL)
        cipher = SSL_get_current_cipher(ssl);
    if (level >= LEVELS || count > 64 || cipher == NULL)
        return 0;
    uint16_t suite = SSL_CIPHER_get_protocol_id(cipher);
    data[0] = (unsigned char)level;
    data[1] = (unsigned char)is_ours;
    data[2] = (unsigned char)(suite >> 8);
    data[3] = (unsigned char)suite;
    memcpy(data + 4, secret, count);
    if (is_ours)
        self->writes = (int)level;
    else
        self->reads = (int)level;
    return record(&self->out, RECORD_SECRET, data, 4 + count);
}

static int has_parameters(SSL *ssl, const unsigned char *data, size_t count, void *argument)
{
    Recorder *self = argument;
    (void)ssl;
    self->parameters.length = 0;
    return add(&self->parameters, data, count);
}

static int has_alert(SSL *ssl, unsigned char code, void *argument)
{
    Recorder *self = argument;
    unsigned char data[2] = {2, code};
    (void)ssl;
    return record(&self->out, RECORD_ALERT, data, sizeof data);
}

/* openssl/core_dispatch.h: OSSL_FUNC_SSL_QUIC_TLS_... */
static const Dispatch callbacks_of_tls[] = {
    {2001, (void (*)(void))wants_to_send}, {2002, (void (*)(void))wants_data},     {2003, (void (*)(void))took_data},
    {2004, (void (*)(void))has_secret},    {2005, (void (*)(void))has_parameters}, {2006, (void (*)(void))has_alert},
    {0, NULL},
};

static void recorder_free(void *ssl, void *pointer, void *data, int index, long number, void *argument)
{
    Recorder *self = pointer;
    (void)ssl, (void)data, (void)index, (void)number, (void)argument;
    if (self == NULL)
        return;
    for (int level = 0; level < LEVELS; level++)
        drop(&self->in[level]);
    drop(&self->out);
    drop(&self->parameters);
    drop(&self->ours);
    free(self);
}

/* -- Tls: a `TlsDriver` for the handshakes of one connection, in any thread */

typedef struct {
    PyObject_HEAD
    PyObject *unused; /* CPython wants a memory BIO to make an object */
    PyObject *parameters;
} Tls;

static PyObject *tls_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *parameters;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "S", &parameters))
        return NULL;
    Tls *self = (Tls *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->parameters = Py_NewRef(parameters);
    if ((self->unused = PyObject_CallNoArgs(memory_bio)) == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void tls_dealloc(Tls *self)
{
    Py_XDECREF(self->unused);
    Py_XDECREF(self->parameters);
    Py_TYPE(self)->tp_free(self);
}

/* The SSL of CPython's object: `PySSLSocket` begins with the socket and the SSL. */
static Recorder *recorder_of(PyObject *tls)
{
    if (!Py_IS_TYPE(tls, tls_type)) {
        PyErr_Format(PyExc_TypeError, "no TLS object: %.100s", Py_TYPE(tls)->tp_name);
        return NULL;
    }
    Recorder *found = SSL_get_ex_data(((SSL **)(tls + 1))[1], recorder_index);
    if (found == NULL)
        PyErr_SetString(PyExc_ValueError, "the TLS object has a record layer");
    return found;
}

static PyObject *tls_server_side(Tls *self, PyObject *context)
{
    PyObject *tls = PyObject_CallMethod(context, "_wrap_bio", "OOO", self->unused, self->unused, Py_True);
    if (tls == NULL || !Py_IS_TYPE(tls, tls_type))
        return tls;
    Recorder *made = calloc(1, sizeof *made);
    SSL *ssl = ((SSL **)(tls + 1))[1];
    if (made == NULL || SSL_set_ex_data(ssl, recorder_index, made) != 1) {
        free(made);
        Py_DECREF(tls);
        return PyErr_NoMemory();
    }
    made->ssl = ssl;
    if (!add(&made->ours, PyBytes_AS_STRING(self->parameters), (size_t)PyBytes_GET_SIZE(self->parameters)) ||
        SSL_set_quic_tls_cbs(ssl, callbacks_of_tls, made) != 1 ||
        SSL_set_quic_tls_transport_params(ssl, made->ours.data, made->ours.length) != 1) {
        ERR_clear_error();
        Py_DECREF(tls);
        PyErr_SetString(PyExc_RuntimeError, "OpenSSL takes no callbacks for QUIC");
        return NULL;
    }
    return tls;
}

static PyObject *none(PyObject *self, PyObject *tls)
{
    (void)self, (void)tls;
    Py_RETURN_NONE;
}

static PyObject *tls_close_notify(PyObject *self, PyObject *tls)
{
    (void)self, (void)tls;
    return PyBytes_FromStringAndSize(NULL, 0);
}

static PyObject *tls_forget_key_share(PyObject *self, PyObject *tls)
{
    EVP_PKEY *key = NULL;
    Recorder *recorder = recorder_of(tls);
    (void)self;
    if (recorder == NULL)
        return NULL;
    if (SSL_ctrl(recorder->ssl, SSL_CTRL_GET_PEER_TMP_KEY, 0, &key) == 1) {
        EVP_PKEY_set_type(key, NID_X25519); /* a key that is given a type loses what it held */
        EVP_PKEY_free(key);
    }
    Py_RETURN_NONE;
}

/* Sort the records of a client by their level. Returns 0 without memory, or for what is no record. */
static int take_records(Recorder *self, const unsigned char *data, size_t left)
{
    while (left >= RECORD_HEAD) {
        size_t count = (size_t)data[3] << 8 | data[4];
        if (count > left - RECORD_HEAD)
            return 0;
        int level = data[0] == RECORD_INITIAL ? LEVEL_INITIAL : data[0] == RECORD_HANDSHAKE ? LEVEL_HANDSHAKE : LEVEL_APPLICATION;
        if (!add(&self->in[level], data + RECORD_HEAD, count))
            return 0;
        data += RECORD_HEAD + count;
        left -= RECORD_HEAD + count;
    }
    return left == 0;
}

static void make_tickets(Recorder *self, long count)
{
    for (; count > 0; count--)
        SSL_new_session_ticket(self->ssl);
    SSL_do_handshake(self->ssl);
}

static PyObject *taken_output(Recorder *self, size_t from)
{
    PyObject *made = PyBytes_FromStringAndSize((char *)self->out.data + from, (Py_ssize_t)(self->out.length - from));
    self->out.length = from;
    return made;
}

/* CPython's exception for a handshake that has just failed; NULL with another exception. */
static PyObject *error_of(PyObject *tls, SSL *ssl)
{
    if (strcmp(SSL_state_string(ssl), "SSLERR") == 0) {
        PyObject *made = PyObject_CallMethodNoArgs(tls, handshake_name);
        if (made == NULL) {
            if (!PyErr_ExceptionMatches(ssl_error))
                return NULL;
#if PY_VERSION_HEX >= 0x030C0000
            return PyErr_GetRaisedException();
#else
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            PyErr_NormalizeException(&type, &value, &traceback);
            Py_XDECREF(type);
            Py_XDECREF(traceback);
            return value;
#endif
        }
        Py_DECREF(made);
    }
    ERR_clear_error();
    return PyObject_CallFunction(ssl_error, "is", 1, "OpenSSL does not say why");
}

static PyObject *tls_handshake(PyObject *driver, PyObject *args)
{
    PyObject *tls, *error = Py_None;
    const char *data;
    Py_ssize_t length, shortest;
    long tickets;
    (void)driver;
    if (!PyArg_ParseTuple(args, "Oy#ln", &tls, &data, &length, &tickets, &shortest))
        return NULL;
    Recorder *self = recorder_of(tls);
    if (self == NULL)
        return NULL;
    if (!take_records(self, (const unsigned char *)data, (size_t)length)) {
        PyErr_SetString(PyExc_ValueError, "no records of a client");
        return NULL;
    }
    int done, reason;
    size_t flight;
    if (ERR_peek_error() != 0)
        ERR_clear_error(); /* what others have left would pass for ours */
    Py_BEGIN_ALLOW_THREADS
    done = SSL_do_handshake(self->ssl);
    reason = done == 1 ? 0 : SSL_get_error(self->ssl, done);
    flight = self->out.length;
    if (done == 1) {
        for (int level = 0; level < LEVELS; level++)
            drop(&self->in[level]);
        if (tickets > 0)
            make_tickets(self, tickets);
    }
    Py_END_ALLOW_THREADS
    if (done != 1 && reason != SSL_ERROR_WANT_READ) {
        if ((error = error_of(tls, self->ssl)) == NULL)
            return NULL;
        flight = self->out.length;
    } else {
        Py_INCREF(error);
    }
    PyObject *sealed = taken_output(self, flight);
    int is_told = error != Py_None || self->parameters.length == 0 ||
                  record(&self->out, RECORD_PARAMETERS, self->parameters.data, self->parameters.length);
    if (error == Py_None)
        drop(&self->parameters);
    PyObject *sent = is_told ? taken_output(self, 0) : PyErr_NoMemory();
    if (sealed == NULL || sent == NULL) {
        Py_XDECREF(sealed);
        Py_XDECREF(sent);
        Py_DECREF(error);
        return NULL;
    }
    return Py_BuildValue("(NNy#NN)", PyBool_FromLong(done == 1), sent, "", (Py_ssize_t)0, sealed, error);
}

static PyObject *tls_encrypt(PyObject *driver, PyObject *args)
{
    PyObject *tls, *data;
    long tickets;
    (void)driver;
    if (!PyArg_ParseTuple(args, "OOl", &tls, &data, &tickets))
        return NULL;
    Recorder *self = recorder_of(tls);
    if (self == NULL)
        return NULL;
    make_tickets(self, tickets);
    return taken_output(self, 0);
}

static PyMethodDef tls_methods[] = {
    {"server_side", (PyCFunction)tls_server_side, METH_O, NULL},
    {"adopt", none, METH_O, NULL},
    {"release", none, METH_O, NULL},
    {"handshake", tls_handshake, METH_VARARGS, NULL},
    {"encrypt", tls_encrypt, METH_VARARGS, NULL},
    {"close_notify", tls_close_notify, METH_O, NULL},
    {"forget_key_share", tls_forget_key_share, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject tls_driver_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "proxy.quic._native.Tls",
    .tp_basicsize = sizeof(Tls),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = tls_new,
    .tp_dealloc = (destructor)tls_dealloc,
    .tp_methods = tls_methods,
};

/* -- packet protection (RFC 9001 section 5) */

typedef struct {
    const EVP_CIPHER *aead, *header;
    Hash *hash;
    size_t key_bytes;
} Suite;

static Suite suite_of(uint16_t number)
{
    switch (number) {
    case 0x1302:
        return (Suite){EVP_aes_256_gcm(), EVP_aes_256_ecb(), &sha384, 32};
    case 0x1303:
        return (Suite){EVP_chacha20_poly1305(), EVP_chacha20(), &sha256, 32};
    default:
        return (Suite){EVP_aes_128_gcm(), EVP_aes_128_ecb(), &sha256, 16};
    }
}

/* HKDF-Expand-Label (RFC 8446 section 7.1) for no more than the hash has: one HMAC. */
static void expand(const Suite *suite, unsigned char *to, size_t count, const unsigned char *secret, const char *label)
{
    unsigned char info[64], made[64];
    size_t label_bytes = strlen(label), at = 0;
    info[at++] = (unsigned char)(count >> 8);
    info[at++] = (unsigned char)count;
    info[at++] = (unsigned char)(6 + label_bytes);
    memcpy(info + at, "tls13 ", 6);
    at += 6;
    memcpy(info + at, label, label_bytes);
    at += label_bytes;
    info[at++] = 0;
    info[at++] = 1;
    if (!hmac(suite->hash, secret, suite->hash->bytes, info, at, made))
        abort(); /* without memory there are no keys */
    memcpy(to, made, count);
}

enum { WINDOW = 1024, WORD = 64 };

/* One key of packets. Those that were read are remembered as far as the network may reorder them: whoever copies packets of a client
 * could use up its budgets otherwise.
 */
typedef struct {
    EVP_CIPHER_CTX *cipher;
    unsigned char iv[IV];
    uint64_t next; /* behind the largest number that was read */
    uint64_t seen[WINDOW / WORD];
} Key;

static void key_free(Key *key)
{
    if (key != NULL)
        EVP_CIPHER_CTX_free(key->cipher);
    free(key);
}

static Key *key_of(const EVP_CIPHER *cipher, const unsigned char *secret, const unsigned char *iv, int encrypts)
{
    Key *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    memcpy(made->iv, iv, IV);
    made->cipher = EVP_CIPHER_CTX_new();
    if (made->cipher != NULL && EVP_CipherInit_ex(made->cipher, cipher, NULL, NULL, NULL, encrypts) == 1 &&
        EVP_CIPHER_CTX_ctrl(made->cipher, EVP_CTRL_AEAD_SET_IVLEN, IV, NULL) == 1 &&
        EVP_CipherInit_ex(made->cipher, NULL, NULL, secret, NULL, encrypts) == 1)
        return made;
    key_free(made);
    return NULL;
}

/* The number of a packet (RFC 9001 section 5.3). */
static uint64_t number_of(const Key *key, const uint8_t *nonce)
{
    uint64_t number = 0;
    for (size_t at = IV - sizeof number; at < IV; at++)
        number = number << 8 | (nonce[at] ^ key->iv[at]);
    return number;
}

/* Remember a packet that was read. Returns 0 for a copy, and for one that is too old to tell. */
static int is_first(Key *key, uint64_t number)
{
    if (number + WINDOW < key->next)
        return 0;
    if (number >= key->next) {
        uint64_t fresh = number + 1 - key->next;
        for (uint64_t at = 0; at < fresh && at < WINDOW; at++)
            key->seen[(number - at) % WINDOW / WORD] &= ~(1ULL << (number - at) % WORD);
        key->next = number + 1;
    }
    uint64_t *word = &key->seen[number % WINDOW / WORD], bit = 1ULL << number % WORD;
    int is_new = (*word & bit) == 0;
    *word |= bit;
    return is_new;
}

static void free_keys(ngtcp2_crypto_aead_ctx *aead, ngtcp2_crypto_cipher_ctx *header)
{
    key_free(aead->native_handle);
    aead->native_handle = NULL;
    if (header != NULL) {
        EVP_CIPHER_CTX_free(header->native_handle);
        header->native_handle = NULL;
    }
}

/* The keys of one direction. Header protection keys stay as they are when the others change (section 5.4). */
static int keys_of(const Suite *suite, const unsigned char *secret, int encrypts, ngtcp2_crypto_aead_ctx *aead, unsigned char *iv,
                   ngtcp2_crypto_cipher_ctx *header)
{
    unsigned char key[32];
    expand(suite, key, suite->key_bytes, secret, "quic key");
    expand(suite, iv, IV, secret, "quic iv");
    aead->native_handle = key_of(suite->aead, key, iv, encrypts);
    int is_made = aead->native_handle != NULL;
    if (header != NULL) {
        expand(suite, key, suite->key_bytes, secret, "quic hp");
        header->native_handle = EVP_CIPHER_CTX_new();
        is_made = is_made && header->native_handle != NULL && EVP_CipherInit_ex(header->native_handle, suite->header, NULL, key, NULL, 1) == 1 &&
                  EVP_CIPHER_CTX_set_padding(header->native_handle, 0) >= 0;
    }
    if (!is_made)
        free_keys(aead, header);
    return is_made;
}

static ngtcp2_crypto_ctx context_of(const Suite *suite)
{
    ngtcp2_crypto_ctx made;
    memset(&made, 0, sizeof made);
    made.aead.native_handle = (void *)suite->aead;
    made.aead.max_overhead = TAG;
    made.md.native_handle = suite->hash;
    made.hp.native_handle = (void *)suite->header;
    /* RFC 9001 section 6.6; ChaCha20 could do more */
    made.max_encryption = 1ULL << 23;
    made.max_decryption_failure = suite->aead == EVP_chacha20_poly1305() ? 1ULL << 36 : 1ULL << 52;
    return made;
}

typedef struct Connection Connection;

/* The one that reads or writes packets: the interpreter is held, and ngtcp2 does not say for whom packets are protected. */
static Connection *at_work;

enum { LONG_HEADER = 0x80 };

static void numbers_sent(Connection *self, uint64_t number);
static int allows_packet(Connection *self, const uint8_t *data, size_t count, int is_short);

static int encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context, const uint8_t *plain, size_t count,
                   const uint8_t *nonce, size_t nonce_bytes, const uint8_t *about, size_t about_bytes)
{
    Key *key = context->native_handle;
    EVP_CIPHER_CTX *one = key->cipher;
    int length;
    (void)aead, (void)nonce_bytes;
    if (at_work != NULL && !(about[0] & LONG_HEADER))
        numbers_sent(at_work, number_of(key, nonce));
    return EVP_CipherInit_ex(one, NULL, NULL, NULL, nonce, 1) == 1 && EVP_CipherUpdate(one, NULL, &length, about, (int)about_bytes) == 1 &&
                   EVP_CipherUpdate(one, to, &length, plain, (int)count) == 1 && EVP_CipherFinal_ex(one, to + length, &length) == 1 &&
                   EVP_CIPHER_CTX_ctrl(one, EVP_CTRL_AEAD_GET_TAG, TAG, to + count) == 1
               ? 0
               : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int decrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context, const uint8_t *sealed, size_t count,
                   const uint8_t *nonce, size_t nonce_bytes, const uint8_t *about, size_t about_bytes)
{
    Key *key = context->native_handle;
    EVP_CIPHER_CTX *one = key->cipher;
    int length;
    (void)aead, (void)nonce_bytes;
    if (count < TAG)
        return NGTCP2_ERR_DECRYPT;
    count -= TAG;
    if (EVP_CipherInit_ex(one, NULL, NULL, NULL, nonce, 0) != 1 ||
        EVP_CIPHER_CTX_ctrl(one, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(sealed + count)) != 1 ||
        EVP_CipherUpdate(one, NULL, &length, about, (int)about_bytes) != 1 || EVP_CipherUpdate(one, to, &length, sealed, (int)count) != 1 ||
        EVP_CipherFinal_ex(one, to + length, &length) != 1 || !is_first(key, number_of(key, nonce)))
        return NGTCP2_ERR_DECRYPT;
    return at_work == NULL || allows_packet(at_work, to, count, (about[0] & LONG_HEADER) == 0) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int header_mask(uint8_t *to, const ngtcp2_crypto_cipher *cipher, const ngtcp2_crypto_cipher_ctx *context, const uint8_t *sample)
{
    static const unsigned char zeros[NGTCP2_HP_MASKLEN];
    EVP_CIPHER_CTX *one = context->native_handle;
    unsigned char block[32];
    int length;
    if (cipher->native_handle == (void *)EVP_chacha20()) { /* section 5.4.4: the sample is counter and nonce */
        return EVP_CipherInit_ex(one, NULL, NULL, NULL, sample, 1) == 1 &&
                       EVP_CipherUpdate(one, to, &length, zeros, sizeof zeros) == 1
                   ? 0
                   : NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (EVP_CipherUpdate(one, block, &length, sample, NGTCP2_HP_SAMPLELEN) != 1)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    memcpy(to, block, NGTCP2_HP_MASKLEN);
    return 0;
}

/* Both secrets of the Initial packets of a client that has sent its first one to this ID (RFC 9001 section 5.2). */
static void initial_secrets(const Suite *suite, const ngtcp2_cid *id, unsigned char *client, unsigned char *server)
{
    static const unsigned char salt[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                         0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    unsigned char initial[32];
    if (!hmac(suite->hash, salt, sizeof salt, id->data, id->datalen, initial))
        abort(); /* without memory there are no keys */
    expand(suite, client, suite->hash->bytes, initial, "client in");
    expand(suite, server, suite->hash->bytes, initial, "server in");
}

/* -- a connection */

/* The kinds of events; `native.pyi` says what they hold. */
enum {
    EVENT_HEAD = 1,
    EVENT_BODY,
    EVENT_TRAILERS,
    EVENT_END,
    EVENT_RESET,
    EVENT_FAULT,
    EVENT_LEFT,
    EVENT_END_SENT,
    EVENT_CLOSED,
    EVENT_LEAVES,
    EVENT_ID_MADE,
    EVENT_ID_GONE,
};

enum { RECEIVED_BYTES = 2048, ID_BYTES = 18, MOST_PIECES = 64, MOST_TAKEN = 65536, MOST_SEGMENTS = 32, BURST_BYTES = 60000 };

/* How far the fields of a stream were counted; `scan_fields` says why. */
typedef struct {
    int at;              /* a step of `scan_fields` */
    unsigned shift;      /* of a number that goes on */
    uint64_t number;     /* the one that is read, or the bytes of a string that are to come */
    uint64_t type, left; /* of a frame */
    uint64_t bytes;      /* of the section that is read, or was read last */
    size_t lines;        /* its fields */
    int is_long;         /* a name or a value is longer than nghttp3 reads */
    unsigned unknown;    /* frames that say nothing here, and on the control stream all */
    unsigned empty;      /* DATA frames without data */
} Scan;

/* What a client may not send without end; `faults.py` says what each is. A budget fills with time, and with what brings a request further. */
enum {
    FLOOD_PATHS = 1,
    FLOOD_IDS,
    FLOOD_BLOCKED,
    FLOOD_CREDIT,
    FLOOD_CRYPTO,
    FLOOD_FRAGMENTS,
    FLOOD_LATE,
    FLOOD_PINGS,
    FLOOD_IDLE,
    FLOOD_ONE_WAYS,
    FLOOD_UNKNOWN,
    FLOOD_CONTROL,
    FLOOD_EMPTY_DATA,
    FLOOD_ACKS,
    FLOODS,
    ERR_FLOOD = -1000, /* and less: what `receive` answers */
};

typedef struct {
    double left;
    uint64_t since;
} Budget;

/* A stream that a client writes alone; `behind_priority_id` says why it is followed. */
typedef struct OneWay {
    struct OneWay *next;
    int64_t id;
    uint64_t read; /* bytes */
    Scan scan;
    int is_held;
    uint8_t held; /* a byte that nghttp3 gets with the next one */
} OneWay;

typedef struct Stream {
    struct Stream *next;
    int64_t id;
    PyObject *fields; /* of the head or the trailers that arrive */
    PyObject *marked; /* names that are never indexed */
    Py_ssize_t place; /* in the fields of the last request */
    size_t list_bytes, count;
    uint64_t read; /* bytes */
    Scan scan;
    size_t lines; /* fields of the section that nghttp3 has told */
    int has_fault; /* of the client: nothing more is read of it */
    int is_head_complete, is_too_large, has_cookie, is_end_told;
    /* what is sent: pieces[first..given) were given to nghttp3 and are not acknowledged, the rest waits */
    PyObject **pieces;
    size_t first, given, last, room;
    uint64_t acked_of_first; /* bytes of pieces[first] */
    uint64_t taken, told;    /* bytes that left the queue; of which Python knows */
    int has_answer, has_ended;
    PyObject *trailers;
} Stream;

struct Connection {
    PyObject_HEAD
    ngtcp2_conn *quic;
    nghttp3_conn *http;
    PyObject *owner, *events;
    PyObject *before; /* the fields of the last request */
    Stream *streams;
    OneWay *one_ways;
    Suite suite;
    ngtcp2_cid own_id;
    unsigned char prefix[2];
    unsigned char reset_key[32];
    uint64_t unacked, most_unacked;
    size_t most_fields, most_list_bytes, most_field_bytes, most_streams, window, stream_window;
    long incomplete_heads;
    int alert;
    int http_error;
    size_t body_bytes; /* that Python got of the data that nghttp3 reads */
    int is_busy, has_parameters;
    int is_full; /* a stream waits for acknowledgements */
    Budget budgets[FLOODS];
    double burst, per_second;
    int flood;            /* the budget that is used up */
    uint64_t next_number; /* of our packets of 1-RTT */
    int64_t last_stream;  /* the largest number of a request; -1 before the first one */
};

static uint64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * NGTCP2_SECONDS + (uint64_t)at.tv_nsec;
}

/* An event; takes over the references in it. Returns what a callback answers. */
static int happened(Connection *self, PyObject *event)
{
    int failed = event == NULL || PyList_Append(self->events, event) < 0;
    Py_XDECREF(event);
    return failed ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

/* The same for a callback of nghttp3. */
static int told(Connection *self, PyObject *event)
{
    return happened(self, event) ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static Stream *stream_of(Connection *self, int64_t id)
{
    Stream *before = NULL;
    for (Stream *one = self->streams; one != NULL; before = one, one = one->next) {
        if (one->id != id)
            continue;
        if (before != NULL) { /* it comes first: the next question is likely to be the same */
            before->next = one->next;
            one->next = self->streams;
            self->streams = one;
        }
        return one;
    }
    return NULL;
}

enum { FIELD_BYTES = 32 }; /* of each one in a list, beside its octets (RFC 9114 section 4.2.2) */

static void forget_pieces(Connection *self, Stream *stream)
{
    for (size_t at = stream->first; at < stream->last; at++) {
        if (at < stream->given)
            self->unacked -= (uint64_t)PyBytes_GET_SIZE(stream->pieces[at]) - (at == stream->first ? stream->acked_of_first : 0);
        Py_DECREF(stream->pieces[at]);
    }
    free(stream->pieces);
    stream->pieces = NULL;
    stream->first = stream->given = stream->last = stream->room = 0;
}

static void stream_free(Connection *self, Stream *stream)
{
    forget_pieces(self, stream);
    if (!stream->is_head_complete)
        self->incomplete_heads--;
    Py_XDECREF(stream->fields);
    Py_XDECREF(stream->marked);
    Py_XDECREF(stream->trailers);
    free(stream);
}

/* -- what nghttp3 does not tell
 *
 * nghttp3 leaves out a field whose name or value has octets that are not allowed, and serves the rest. Such a request is
 * malformed (RFC 9114 section 4.2). So the fields of each section are counted here, without their meaning, and what nghttp3
 * has told is compared. What is no section at all is an error that it finds itself.
 */

enum {
    IN_TYPE, /* of a frame */
    IN_LENGTH,
    IN_OTHER, /* a frame without fields */
    IN_INSERT_COUNT, /* the prefix of a section (RFC 9204 section 4.5.1) */
    IN_BASE,
    IN_LINE,
    IN_WHOLE_INDEX, /* of a field that is its index alone */
    IN_NAME_INDEX,
    IN_NAME_LENGTH,
    IN_NAME,
    IN_VALUE_LENGTH,
    IN_VALUE,
};

/* The longest name and value that nghttp3 reads (nghttp3_qpack.h): a longer one ends the connection there. */
enum { FRAME_DATA, FRAME_HEADERS, MOST_NAME = 256, MOST_VALUE = 65536 };

/* A number of QPACK with so many bits in its first byte. Returns whether it is complete. */
static int scan_number(Scan *scan, unsigned byte, unsigned bits)
{
    unsigned most = (1U << bits) - 1;
    if (scan->shift == 0) {
        scan->number = byte & most;
        scan->shift = 1;
        return scan->number < most;
    }
    if (scan->shift < 57) /* nghttp3 takes none that is larger */
        scan->number += (uint64_t)(byte & 0x7F) << (scan->shift - 1);
    scan->shift += 7;
    return (byte & 0x80) == 0;
}

/* A number of QUIC (RFC 9000 section 16). */
static int scan_varint(Scan *scan, unsigned byte)
{
    if (scan->shift == 0) {
        scan->number = byte & 0x3F;
        scan->shift = 1U << (byte >> 6);
    } else {
        scan->number = scan->number << 8 | byte;
    }
    return --scan->shift == 0;
}

static void scan_on(Scan *scan, int at)
{
    scan->at = at;
    scan->shift = 0;
}

/* The first byte of a field says its form (RFC 9204 section 4.5). */
static void scan_line(Scan *scan, unsigned byte)
{
    int follows = byte & 0x80 || (byte & 0xF0) == 0x10 ? IN_WHOLE_INDEX : (byte & 0xE0) == 0x20 ? IN_NAME_LENGTH : IN_NAME_INDEX;
    unsigned bits = byte & 0x80 ? 6 : byte & 0x40 ? 4 : byte & 0x20 ? 3 : byte & 0x10 ? 4 : 3;
    scan->lines++;
    scan->at = follows;
    scan->shift = 0;
    if (scan_number(scan, byte, bits))
        scan_on(scan, follows == IN_WHOLE_INDEX ? IN_LINE : follows == IN_NAME_INDEX ? IN_VALUE_LENGTH : scan->number > 0 ? IN_NAME : IN_VALUE_LENGTH);
}

static void scan_byte(Scan *scan, unsigned byte)
{
    switch (scan->at) {
    case IN_INSERT_COUNT:
        if (scan_number(scan, byte, 8))
            scan_on(scan, IN_BASE);
        break;
    case IN_BASE:
        if (scan_number(scan, byte, 7))
            scan_on(scan, IN_LINE);
        break;
    case IN_LINE:
        scan_line(scan, byte);
        break;
    case IN_WHOLE_INDEX:
        if (scan_number(scan, byte, 6))
            scan_on(scan, IN_LINE);
        break;
    case IN_NAME_INDEX:
        if (scan_number(scan, byte, 4))
            scan_on(scan, IN_VALUE_LENGTH);
        break;
    case IN_NAME_LENGTH:
        if (scan_number(scan, byte, 3)) {
            scan->is_long = scan->number > MOST_NAME;
            scan_on(scan, scan->number > 0 ? IN_NAME : IN_VALUE_LENGTH);
        }
        break;
    case IN_VALUE_LENGTH:
        if (scan_number(scan, byte, 7)) {
            scan->is_long = scan->number > MOST_VALUE;
            scan_on(scan, scan->number > 0 ? IN_VALUE : IN_LINE);
        }
        break;
    default:
        break;
    }
}

/* Count the fields of a section in the data of a stream. Returns the bytes up to its end or to what is too long, or all. */
static size_t scan_fields(Scan *scan, const uint8_t *data, size_t count)
{
    size_t at = 0;
    while (at < count) {
        if (scan->at == IN_TYPE) {
            if (scan_varint(scan, data[at++])) {
                scan->type = scan->number;
                scan->unknown += scan->type > FRAME_HEADERS;
                scan_on(scan, IN_LENGTH);
            }
            continue;
        }
        if (scan->at == IN_LENGTH) {
            if (!scan_varint(scan, data[at++]))
                continue;
            scan->left = scan->number;
            scan->empty += scan->type == FRAME_DATA && scan->left == 0;
            scan_on(scan, scan->type == FRAME_HEADERS ? IN_INSERT_COUNT : IN_OTHER);
            if (scan->type == FRAME_HEADERS) {
                scan->bytes = scan->left;
                scan->lines = 0;
            }
        } else {
            size_t part = 1;
            if (scan->at == IN_OTHER || scan->at == IN_NAME || scan->at == IN_VALUE) {
                uint64_t all = scan->at == IN_OTHER || scan->number > scan->left ? scan->left : scan->number;
                part = all < count - at ? (size_t)all : count - at;
                if (scan->at != IN_OTHER && (scan->number -= part) == 0)
                    scan_on(scan, scan->at == IN_NAME ? IN_VALUE_LENGTH : IN_LINE);
            } else {
                scan_byte(scan, data[at]);
                if (scan->is_long)
                    return at;
            }
            at += part;
            scan->left -= part;
        }
        if (scan->left == 0) {
            scan_on(scan, IN_TYPE);
            if (scan->type == FRAME_HEADERS)
                return at;
        }
    }
    return at;
}

/* nghttp3 1.8 aborts the process if data ends between the ID and the value of a PRIORITY_UPDATE (RFC 9218 section 7.2), which a
 * client decides. So it gets the last byte of the ID together with the value.
 */
enum { IN_KIND, IN_CONTROL_TYPE, IN_CONTROL_LENGTH, IN_PRIORITY_ID, IN_PRIORITY_VALUE, IN_REST, IN_NO_CONTROL };
enum { KIND_CONTROL = 0, FRAME_PRIORITY_UPDATE = 0xF0700 }; /* and the same for a push */

/* Follow the frames of a stream. Returns whether its data ends behind the ID of a PRIORITY_UPDATE whose value is to come. */
static int behind_priority_id(Scan *scan, const uint8_t *data, size_t count)
{
    int is_behind = 0;
    for (size_t at = 0; at < count && scan->at != IN_NO_CONTROL; at++) {
        is_behind = 0;
        if (scan->at == IN_PRIORITY_ID || scan->at == IN_PRIORITY_VALUE || scan->at == IN_REST)
            scan->left--;
        if (scan->at == IN_PRIORITY_VALUE || scan->at == IN_REST) {
            if (scan->left == 0)
                scan_on(scan, IN_CONTROL_TYPE);
        } else if (scan_varint(scan, data[at])) {
            if (scan->at == IN_KIND) {
                scan_on(scan, scan->number == KIND_CONTROL ? IN_CONTROL_TYPE : IN_NO_CONTROL);
            } else if (scan->at == IN_CONTROL_TYPE) {
                scan->type = scan->number;
                scan->unknown++;
                scan_on(scan, IN_CONTROL_LENGTH);
            } else if (scan->at == IN_CONTROL_LENGTH) {
                scan->left = scan->number;
                scan_on(scan, scan->left == 0 ? IN_CONTROL_TYPE : (scan->type | 1) == (FRAME_PRIORITY_UPDATE | 1) ? IN_PRIORITY_ID : IN_REST);
            } else {
                is_behind = scan->left > 0;
                scan_on(scan, scan->left > 0 ? IN_PRIORITY_VALUE : IN_CONTROL_TYPE);
            }
        } else if (scan->at == IN_PRIORITY_ID && scan->left == 0) {
            scan_on(scan, IN_NO_CONTROL); /* nghttp3 refuses the frame */
        }
    }
    return is_behind;
}

/* -- callbacks of nghttp3: what the client asks for */

static int begins_fields(nghttp3_conn *http, int64_t id, void *user, void *of_stream)
{
    Connection *self = user;
    Stream *stream = stream_of(self, id);
    (void)http, (void)of_stream;
    if (stream == NULL)
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    nghttp3_conn_set_stream_user_data(http, id, stream);
    Py_XSETREF(stream->fields, PyList_New(0));
    stream->list_bytes = stream->count = stream->lines = 0;
    stream->place = 0;
    stream->has_cookie = stream->is_too_large = 0;
    return stream->fields == NULL ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int is_equal(PyObject *bytes, nghttp3_vec text)
{
    return (size_t)PyBytes_GET_SIZE(bytes) == text.len && memcmp(PyBytes_AS_STRING(bytes), text.base, text.len) == 0;
}

/* How many fields of the last request may be missing in a row: `proxy/http2/fields/request_lines.py` allows as many. */
enum { LEFT_OUT = 2 };

/* A field as a pair. One that the last request had there too is the same object, by which Python knows that it was judged. */
static PyObject *pair_of(Connection *self, Stream *stream, nghttp3_vec name, nghttp3_vec value)
{
    PyObject *known_name = NULL;
    Py_ssize_t known = self->before == NULL ? 0 : PyList_GET_SIZE(self->before);
    for (Py_ssize_t at = stream->place; at < known && at <= stream->place + LEFT_OUT; at++) {
        PyObject *pair = PyList_GET_ITEM(self->before, at);
        if (!is_equal(PyTuple_GET_ITEM(pair, 0), name))
            continue;
        stream->place = at + 1;
        if (is_equal(PyTuple_GET_ITEM(pair, 1), value))
            return Py_NewRef(pair);
        known_name = PyTuple_GET_ITEM(pair, 0);
        break;
    }
    PyObject *key = known_name != NULL ? Py_NewRef(known_name) : PyBytes_FromStringAndSize((char *)name.base, (Py_ssize_t)name.len);
    PyObject *content = PyBytes_FromStringAndSize((char *)value.base, (Py_ssize_t)value.len);
    PyObject *pair = key == NULL || content == NULL ? NULL : PyTuple_Pack(2, key, content);
    Py_XDECREF(key);
    Py_XDECREF(content);
    return pair;
}

static int has_field(nghttp3_conn *http, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value, uint8_t flags, void *user,
                     void *of_stream)
{
    Connection *self = user;
    Stream *stream = of_stream;
    nghttp3_vec key = nghttp3_rcbuf_get_buf(name), content = nghttp3_rcbuf_get_buf(value);
    (void)http, (void)id;
    if (stream == NULL || stream->fields == NULL)
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    stream->lines++;
    if (stream->is_too_large)
        return 0;
    if (token != NGHTTP3_QPACK_TOKEN_COOKIE || !stream->has_cookie) /* all crumbs of it are one field */
        stream->count++;
    stream->has_cookie |= token == NGHTTP3_QPACK_TOKEN_COOKIE;
    stream->list_bytes += key.len + content.len + FIELD_BYTES;
    if (stream->count > self->most_fields || stream->list_bytes > self->most_list_bytes || key.len + content.len > self->most_field_bytes) {
        stream->is_too_large = 1;
        PyList_SetSlice(stream->fields, 0, PyList_GET_SIZE(stream->fields), NULL);
        return 0;
    }
    PyObject *pair = pair_of(self, stream, key, content);
    if (pair == NULL || PyList_Append(stream->fields, pair) < 0) {
        Py_XDECREF(pair);
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    if (flags & NGHTTP3_NV_FLAG_NEVER_INDEX) {
        if (stream->marked == NULL)
            stream->marked = PyList_New(0);
        if (stream->marked == NULL || PyList_Append(stream->marked, PyTuple_GET_ITEM(pair, 0)) < 0) {
            Py_DECREF(pair);
            return NGHTTP3_ERR_CALLBACK_FAILURE;
        }
    }
    Py_DECREF(pair);
    return 0;
}

/* What names and values may have beyond their section: `proxy/http2/hpack/decoder.py` has the same rule, and says why. */
enum { SECTION_FACTOR = 2, TABLE_BYTES = 4096, STATIC_BYTES = 1024 };

static int ends_fields(Connection *self, Stream *stream, int kind, int is_ended)
{
    if (stream == NULL || stream->fields == NULL)
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    if (stream->lines != stream->scan.lines) {
        stream->has_fault = 1;
        return 0;
    }
    if (!stream->is_too_large && stream->list_bytes - FIELD_BYTES * stream->lines > SECTION_FACTOR * stream->scan.bytes + TABLE_BYTES + STATIC_BYTES) {
        stream->is_too_large = 1;
        PyList_SetSlice(stream->fields, 0, PyList_GET_SIZE(stream->fields), NULL);
    }
    PyObject *fields = stream->fields, *marked = stream->marked;
    stream->fields = stream->marked = NULL;
    stream->is_end_told = is_ended;
    if (kind == EVENT_HEAD)
        Py_XSETREF(self->before, Py_NewRef(fields));
    if (marked == NULL)
        marked = Py_NewRef(Py_None);
    return told(self, Py_BuildValue("(iLNNii)", kind, (long long)stream->id, fields, marked, stream->is_too_large, is_ended));
}

static int has_head(nghttp3_conn *http, int64_t id, int is_ended, void *user, void *of_stream)
{
    Connection *self = user;
    Stream *stream = of_stream;
    (void)http, (void)id;
    int error = ends_fields(self, stream, EVENT_HEAD, is_ended);
    if (error == 0 && !stream->has_fault && !stream->is_head_complete) {
        stream->is_head_complete = 1;
        self->incomplete_heads--;
    }
    return error;
}

static int has_trailers(nghttp3_conn *http, int64_t id, int is_ended, void *user, void *of_stream)
{
    (void)http, (void)id;
    return ends_fields(user, of_stream, EVENT_TRAILERS, is_ended);
}

static int has_body(nghttp3_conn *http, int64_t id, const uint8_t *data, size_t count, void *user, void *of_stream)
{
    Connection *self = user;
    (void)http, (void)of_stream;
    self->body_bytes += count;
    return told(self, Py_BuildValue("(iLy#)", EVENT_BODY, (long long)id, (char *)data, (Py_ssize_t)count));
}

static int has_end(nghttp3_conn *http, int64_t id, void *user, void *of_stream)
{
    Stream *stream = of_stream;
    (void)http;
    if (stream != NULL && stream->is_end_told) /* together with its fields */
        return 0;
    return told(user, Py_BuildValue("(iL)", EVENT_END, (long long)id));
}

static int credits(nghttp3_conn *http, int64_t id, size_t count, void *user, void *of_stream)
{
    Connection *self = user;
    (void)http, (void)of_stream;
    ngtcp2_conn_extend_max_stream_offset(self->quic, id, count);
    ngtcp2_conn_extend_max_offset(self->quic, count);
    return 0;
}

/* The client broke a rule that ends the stream. A request without a head is told by the fields that came. */
static int tell_fault(Connection *self, int64_t id, uint64_t code)
{
    Stream *stream = stream_of(self, id);
    PyObject *fields = stream == NULL || stream->is_head_complete || stream->fields == NULL ? Py_None : stream->fields;
    return happened(self, Py_BuildValue("(iLKO)", EVENT_FAULT, (long long)id, (unsigned long long)code, fields));
}

/* nghttp3 asks for both directions, and Python is told of the first. */
static int ends_side(Connection *self, int error, int64_t id, uint64_t code)
{
    return error != 0 || tell_fault(self, id, code) != 0 ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int wants_no_more(nghttp3_conn *http, int64_t id, uint64_t code, void *user, void *of_stream)
{
    Connection *self = user;
    (void)http, (void)of_stream;
    return ends_side(self, ngtcp2_conn_shutdown_stream_read(self->quic, 0, id, code), id, code);
}

static int wants_reset(nghttp3_conn *http, int64_t id, uint64_t code, void *user, void *of_stream)
{
    Connection *self = user;
    (void)http, (void)of_stream;
    return ends_side(self, ngtcp2_conn_shutdown_stream_write(self->quic, 0, id, code), id, code);
}

static int is_acked(nghttp3_conn *http, int64_t id, uint64_t count, void *user, void *of_stream)
{
    Connection *self = user;
    Stream *stream = of_stream;
    (void)http, (void)id;
    if (stream == NULL)
        return 0;
    self->unacked -= count;
    while (count > 0 && stream->first < stream->given) {
        uint64_t left = (uint64_t)PyBytes_GET_SIZE(stream->pieces[stream->first]) - stream->acked_of_first;
        if (count < left) {
            stream->acked_of_first += count;
            return 0;
        }
        count -= left;
        stream->acked_of_first = 0;
        Py_DECREF(stream->pieces[stream->first++]);
    }
    return 0;
}

static int leaves(nghttp3_conn *http, int64_t id, void *user)
{
    (void)http, (void)id;
    return told(user, Py_BuildValue("(i)", EVENT_LEAVES));
}

static int begin_http(Connection *self)
{
    static const nghttp3_callbacks callbacks = {
        .acked_stream_data = is_acked,
        .recv_data = has_body,
        .deferred_consume = credits,
        .begin_headers = begins_fields,
        .recv_header = has_field,
        .end_headers = has_head,
        .begin_trailers = begins_fields,
        .recv_trailer = has_field,
        .end_trailers = has_trailers,
        .stop_sending = wants_no_more,
        .end_stream = has_end,
        .reset_stream = wants_reset,
        .shutdown = leaves,
    };
    nghttp3_settings settings;
    int64_t control, encoder, decoder;
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = self->most_list_bytes;
    settings.qpack_max_dtable_capacity = TABLE_BYTES;
    settings.qpack_encoder_max_dtable_capacity = 4096;
    settings.qpack_blocked_streams = 0; /* blocked requests of curl were never resumed */
    settings.enable_connect_protocol = 1;
    if (nghttp3_conn_server_new(&self->http, &callbacks, &settings, nghttp3_mem_default(), self) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    nghttp3_conn_set_max_client_streams_bidi(self->http, self->most_streams);
    if (ngtcp2_conn_open_uni_stream(self->quic, &control, NULL) != 0 || ngtcp2_conn_open_uni_stream(self->quic, &encoder, NULL) != 0 ||
        ngtcp2_conn_open_uni_stream(self->quic, &decoder, NULL) != 0) /* RFC 9114 section 6.2 lets a client allow fewer */
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return nghttp3_conn_bind_control_stream(self->http, control) != 0 || nghttp3_conn_bind_qpack_streams(self->http, encoder, decoder) != 0
               ? NGTCP2_ERR_CALLBACK_FAILURE
               : 0;
}

/* -- callbacks of ngtcp2 */

static int has_initial(ngtcp2_conn *quic, const ngtcp2_cid *id, void *user)
{
    Suite suite = suite_of(0x1301);
    unsigned char client[32], server[32], client_iv[IV], server_iv[IV];
    ngtcp2_crypto_ctx context = context_of(&suite);
    ngtcp2_crypto_aead_ctx reads = {0}, writes = {0};
    ngtcp2_crypto_cipher_ctx read_header = {0}, write_header = {0};
    (void)user;
    context.max_encryption = context.max_decryption_failure = UINT64_MAX;
    initial_secrets(&suite, id, client, server);
    ngtcp2_conn_set_initial_crypto_ctx(quic, &context);
    if (keys_of(&suite, client, 0, &reads, client_iv, &read_header) && keys_of(&suite, server, 1, &writes, server_iv, &write_header) &&
        ngtcp2_conn_install_initial_key(quic, &reads, client_iv, &read_header, &writes, server_iv, &write_header, IV) == 0)
        return 0;
    free_keys(&reads, &read_header);
    free_keys(&writes, &write_header);
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Python reads the handshake, and applies what it wants by `apply` before this returns, or later. */
static int has_crypto(ngtcp2_conn *quic, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data, size_t count, void *user)
{
    Connection *self = user;
    int number = level == NGTCP2_ENCRYPTION_LEVEL_INITIAL ? LEVEL_INITIAL
                 : level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE ? LEVEL_HANDSHAKE
                                                              : LEVEL_APPLICATION;
    (void)quic, (void)offset;
    if (self->owner == NULL)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    PyObject *number_of = PyLong_FromLong(number), *bytes = PyBytes_FromStringAndSize((char *)data, (Py_ssize_t)count);
    PyObject *done = number_of == NULL || bytes == NULL ? NULL : PyObject_CallMethodObjArgs(self->owner, crypto_name, number_of, bytes, NULL);
    Py_XDECREF(number_of);
    Py_XDECREF(bytes);
    if (done == NULL)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    Py_DECREF(done);
    return self->alert >= 0 ? NGTCP2_ERR_CRYPTO : 0;
}

static int updates_keys(ngtcp2_conn *quic, uint8_t *read_secret, uint8_t *write_secret, ngtcp2_crypto_aead_ctx *reads, uint8_t *read_iv,
                        ngtcp2_crypto_aead_ctx *writes, uint8_t *write_iv, const uint8_t *read_now, const uint8_t *write_now, size_t count,
                        void *user)
{
    const Suite *suite = &((Connection *)user)->suite;
    (void)quic;
    expand(suite, read_secret, count, read_now, "quic ku");
    expand(suite, write_secret, count, write_now, "quic ku");
    if (keys_of(suite, read_secret, 0, reads, read_iv, NULL) && keys_of(suite, write_secret, 1, writes, write_iv, NULL))
        return 0;
    free_keys(reads, NULL);
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

static void random_for(uint8_t *to, size_t count, const ngtcp2_rand_ctx *context)
{
    (void)context;
    fill_randomly(to, count);
}

static void make_id(Connection *self, ngtcp2_cid *id)
{
    id->datalen = ID_BYTES;
    fill_randomly(id->data, ID_BYTES);
    memcpy(id->data, self->prefix, sizeof self->prefix);
}

/* Every worker finds the token of an identifier, also of one that it does not know (RFC 9000 section 10.3.2). */
static void reset_token(const unsigned char *key, const uint8_t *id, size_t count, uint8_t *token)
{
    unsigned char made[32];
    if (!hmac(&sha256, key, 32, id, count, made))
        abort();
    memcpy(token, made, NGTCP2_STATELESS_RESET_TOKENLEN);
}

/* -- floods
 *
 * ngtcp2 1.11 counts no frames, and RFC 9000 section 21 leaves it to servers how many they bear. So what is decrypted is looked
 * through here. What is no frame is an error that ngtcp2 finds itself.
 */

enum { SMALL = 512, BYTES_PER_UPDATE = 256, UPDATES_PER_STREAM = 2, COSTLY = 4 };

/* Returns 0 if the budget is used up. */
static int spend(Connection *self, int flood, unsigned cost)
{
    Budget *one = &self->budgets[flood];
    if (one->left < cost) {
        uint64_t at = now();
        double left = one->left + (double)(at - one->since) / (double)NGTCP2_SECONDS * self->per_second;
        one->left = left < self->burst ? left : self->burst;
        one->since = at;
        if (one->left < cost) {
            self->flood = flood;
            return 0;
        }
    }
    one->left -= cost;
    return 1;
}

static void earn(Connection *self, int flood, double gain)
{
    Budget *one = &self->budgets[flood];
    one->left = one->left + gain < self->burst ? one->left + gain : self->burst;
}

static void numbers_sent(Connection *self, uint64_t number)
{
    self->next_number = number + 1;
    earn(self, FLOOD_IDLE, 1);
    earn(self, FLOOD_PINGS, 1);
}

static void began_request(Connection *self, int64_t id)
{
    if (id > self->last_stream)
        self->last_stream = id;
    earn(self, FLOOD_BLOCKED, 1);
    earn(self, FLOOD_FRAGMENTS, 1);
    earn(self, FLOOD_LATE, UPDATES_PER_STREAM);
    earn(self, FLOOD_ONE_WAYS, 1);
    earn(self, FLOOD_UNKNOWN, 1);
    earn(self, FLOOD_CONTROL, UPDATES_PER_STREAM);
}

static void read_bytes(Connection *self, size_t count)
{
    earn(self, FLOOD_BLOCKED, (double)count / BYTES_PER_UPDATE);
    earn(self, FLOOD_FRAGMENTS, (double)count / BYTES_PER_UPDATE);
}

static Stream *stream_of(Connection *self, int64_t id);
static OneWay **place_of(Connection *self, int64_t id);

/* Whether a STREAM frame may come. One that brings nothing is counted: empty, there already, or a small piece beyond a gap, which takes
 * more memory than it has bytes.
 */
static int allows_piece(Connection *self, int64_t id, uint64_t offset, uint64_t count)
{
    uint64_t read = 0;
    if (ngtcp2_is_bidi_stream(id)) {
        Stream *stream = stream_of(self, id);
        if (stream == NULL && id <= self->last_stream)
            return spend(self, FLOOD_LATE, 1);
        read = stream == NULL ? 0 : stream->read;
    } else {
        OneWay *one = *place_of(self, id);
        read = one == NULL ? 0 : one->read;
    }
    return (count > 0 && offset + count > read && (offset <= read || count >= SMALL)) || spend(self, FLOOD_FRAGMENTS, 1);
}

static int take_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    if (*at == end || end - *at < 1 << (**at >> 6))
        return 0;
    int left = 1 << (**at >> 6);
    *value = *(*at)++ & 0x3F;
    while (--left > 0)
        *value = *value << 8 | *(*at)++;
    return 1;
}

/* The frames that have numbers alone: how many, and what they are counted as. */
static const struct {
    unsigned char numbers, flood;
} plain_frames[] = {
    [0x01] = {0, FLOOD_PINGS},   [0x04] = {3, FLOOD_LATE},    [0x05] = {2, FLOOD_LATE},    [0x10] = {1, FLOOD_CREDIT},
    [0x11] = {2, FLOOD_CREDIT},  [0x12] = {1, FLOOD_CREDIT},  [0x13] = {1, FLOOD_CREDIT},  [0x14] = {1, FLOOD_BLOCKED},
    [0x15] = {2, FLOOD_BLOCKED}, [0x16] = {1, FLOOD_BLOCKED}, [0x17] = {1, FLOOD_BLOCKED}, [0x19] = {1, FLOOD_IDS},
};

/* Whether a packet of the client may come, by its frames (RFC 9000 section 19). */
static int allows_packet(Connection *self, const uint8_t *at, size_t length, int is_short)
{
    const uint8_t *end = at + length;
    int is_idle = 1;
    while (at < end) {
        uint64_t numbers[5];
        uint8_t type = *at++;
        size_t count = 0, bytes = 0;
        int is_allowed = 1, is_stream = (type & 0xF8) == 0x08;
        if (type == 0x00)
            continue;
        is_idle &= type <= 0x03;
        if (type < sizeof plain_frames / sizeof *plain_frames && plain_frames[type].flood != 0) {
            count = plain_frames[type].numbers;
            is_allowed = spend(self, plain_frames[type].flood, 1);
        } else if (type == 0x02 || type == 0x03) {
            count = 4; /* largest, delay, ranges, first */
        } else if (type == 0x06) {
            count = 2;
            is_allowed = spend(self, FLOOD_CRYPTO, COSTLY);
        } else if (is_stream) {
            count = 1 + ((type & 0x04) != 0) + ((type & 0x02) != 0);
        } else if (type == 0x18) {
            count = 2;
            is_allowed = spend(self, FLOOD_IDS, 1);
        } else if (type == 0x1A || type == 0x1B) {
            bytes = NGTCP2_PATH_CHALLENGE_DATALEN;
            is_allowed = spend(self, FLOOD_PATHS, 1);
        } else {
            return 1; /* an end, or an error */
        }
        if (!is_allowed)
            return 0;
        for (size_t one = 0; one < count; one++)
            if (!take_varint(&at, end, &numbers[one]))
                return 1;
        if (type == 0x02 || type == 0x03) {
            if (is_short && numbers[0] >= self->next_number) {
                self->flood = FLOOD_ACKS;
                return 0;
            }
            uint64_t unused, left = 2 * (numbers[2] < length ? numbers[2] : length) + (type == 0x03 ? 3 : 0);
            while (left-- > 0)
                if (!take_varint(&at, end, &unused))
                    return 1;
        } else if (type == 0x06) {
            bytes = numbers[1] < length ? (size_t)numbers[1] : length;
        } else if (is_stream) {
            uint64_t offset = type & 0x04 ? numbers[1] : 0, size = type & 0x02 ? numbers[count - 1] : (uint64_t)(end - at);
            bytes = size < length ? (size_t)size : length;
            if (!allows_piece(self, (int64_t)numbers[0], offset, size))
                return 0;
        } else if (type == 0x18) {
            bytes = at == end ? 1 : 1 + *at + NGTCP2_STATELESS_RESET_TOKENLEN;
        }
        if (bytes > (size_t)(end - at))
            return 1;
        at += bytes;
    }
    return !is_idle || spend(self, FLOOD_IDLE, 1);
}

static int needs_id(ngtcp2_conn *quic, ngtcp2_cid *id, uint8_t *token, size_t count, void *user)
{
    Connection *self = user;
    (void)quic, (void)count; /* all of ours have the same length */
    make_id(self, id);
    reset_token(self->reset_key, id->data, id->datalen, token);
    return happened(self, Py_BuildValue("(iy#)", EVENT_ID_MADE, (char *)id->data, (Py_ssize_t)id->datalen));
}

static int drops_id(ngtcp2_conn *quic, const ngtcp2_cid *id, void *user)
{
    (void)quic;
    return happened(user, Py_BuildValue("(iy#)", EVENT_ID_GONE, (char *)id->data, (Py_ssize_t)id->datalen));
}

static void drops_aead(ngtcp2_conn *quic, ngtcp2_crypto_aead_ctx *context, void *user)
{
    (void)quic, (void)user;
    key_free(context->native_handle);
}

static void drops_cipher(ngtcp2_conn *quic, ngtcp2_crypto_cipher_ctx *context, void *user)
{
    (void)quic, (void)user;
    EVP_CIPHER_CTX_free(context->native_handle);
}

static int needs_challenge(ngtcp2_conn *quic, uint8_t *data, void *user)
{
    (void)quic, (void)user;
    fill_randomly(data, NGTCP2_PATH_CHALLENGE_DATALEN);
    return 0;
}

static int opens_stream(ngtcp2_conn *quic, int64_t id, void *user)
{
    Connection *self = user;
    (void)quic;
    if (!ngtcp2_is_bidi_stream(id)) {
        OneWay *one = spend(self, FLOOD_ONE_WAYS, 1) ? calloc(1, sizeof *one) : NULL;
        if (one == NULL)
            return NGTCP2_ERR_CALLBACK_FAILURE;
        one->id = id;
        one->next = self->one_ways;
        self->one_ways = one;
        return 0;
    }
    Stream *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    made->id = id;
    made->next = self->streams;
    self->streams = made;
    self->incomplete_heads++;
    began_request(self, id);
    return 0;
}

static int fails_by_http(Connection *self, nghttp3_ssize error)
{
    self->http_error = (int)error;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Whether nghttp3 found an error of the stream alone (RFC 9114 section 4.1.2), such as a body that differs from its length. */
static int is_fault_of_stream(const Stream *stream, nghttp3_ssize error)
{
    return stream != NULL && (error == NGHTTP3_ERR_MALFORMED_HTTP_HEADER || error == NGHTTP3_ERR_MALFORMED_HTTP_MESSAGING);
}

static int ends_stream(Connection *self, int64_t id, uint64_t code)
{
    if (ngtcp2_conn_shutdown_stream(self->quic, 0, id, code) != 0 || nghttp3_conn_shutdown_stream_read(self->http, id) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    nghttp3_conn_shutdown_stream_write(self->http, id);
    return tell_fault(self, id, code);
}

/* A field is longer than nghttp3 reads: the rest is not read, and a request without a body is answered as too large. */
static int refuses_field(Connection *self, Stream *stream)
{
    if (stream->is_head_complete)
        return ends_stream(self, stream->id, NGHTTP3_H3_MESSAGE_ERROR);
    stream->is_too_large = 1;
    stream->lines = stream->scan.lines;
    if (stream->fields == NULL || PyList_SetSlice(stream->fields, 0, PyList_GET_SIZE(stream->fields), NULL) < 0 ||
        ngtcp2_conn_shutdown_stream_read(self->quic, 0, stream->id, NGHTTP3_H3_NO_ERROR) != 0 ||
        nghttp3_conn_shutdown_stream_read(self->http, stream->id) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    stream->is_head_complete = 1;
    self->incomplete_heads--;
    return ends_fields(self, stream, EVENT_HEAD, 1);
}

/* Where the list leads to a one-way stream, or its end. */
static OneWay **place_of(Connection *self, int64_t id)
{
    OneWay **place = &self->one_ways;
    while (*place != NULL && (*place)->id != id)
        place = &(*place)->next;
    return place;
}

/* Have nghttp3 read what came on a stream that the client writes alone. Returns the bytes that it has read, or its error. */
static nghttp3_ssize reads_one_way(Connection *self, OneWay *one, const uint8_t *data, size_t count, int ends)
{
    int is_held = count == 0 ? one->is_held : behind_priority_id(&one->scan, data, count);
    if (!spend(self, FLOOD_CONTROL, one->scan.unknown))
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    one->scan.unknown = 0;
    if (ends && is_held)
        return NGHTTP3_ERR_H3_CLOSED_CRITICAL_STREAM;
    if (!one->is_held && !is_held)
        return nghttp3_conn_read_stream(self->http, one->id, data, count, ends);
    uint8_t *joined = malloc(count + 1);
    if (joined == NULL)
        return NGHTTP3_ERR_NOMEM;
    size_t size = 0;
    if (one->is_held)
        joined[size++] = one->held;
    if (count > 0)
        memcpy(joined + size, data, count);
    size += count;
    one->is_held = is_held;
    if (is_held)
        one->held = joined[--size];
    nghttp3_ssize taken = nghttp3_conn_read_stream(self->http, one->id, joined, size, ends);
    free(joined);
    return taken;
}

static int allows_frames(Connection *self, Scan *scan)
{
    int is_allowed = spend(self, FLOOD_UNKNOWN, scan->unknown) && spend(self, FLOOD_EMPTY_DATA, COSTLY * scan->empty);
    scan->unknown = scan->empty = 0;
    return is_allowed;
}

static int has_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data, size_t count, void *user,
                           void *of_stream)
{
    Connection *self = user;
    (void)offset, (void)of_stream;
    if (self->http == NULL)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    int is_last, ends = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;
    OneWay *one = ngtcp2_is_bidi_stream(id) ? NULL : *place_of(self, id);
    Stream *stream = one != NULL ? NULL : stream_of(self, id);
    read_bytes(self, count);
    if (one != NULL)
        one->read += count;
    if (stream != NULL)
        stream->read += count;
    if (stream != NULL && stream->has_fault) {
        ngtcp2_conn_extend_max_offset(quic, count);
        return 0;
    }
    do {
        size_t part = stream == NULL ? count : scan_fields(&stream->scan, data, count);
        if (stream != NULL && !allows_frames(self, &stream->scan))
            return NGTCP2_ERR_CALLBACK_FAILURE;
        is_last = part == count && (stream == NULL || !stream->scan.is_long);
        self->body_bytes = 0;
        nghttp3_ssize taken = one != NULL ? reads_one_way(self, one, data, part, ends)
                                          : nghttp3_conn_read_stream(self->http, id, data, part, is_last && ends);
        if (taken < 0 && !is_fault_of_stream(stream, taken))
            return fails_by_http(self, taken);
        if (taken < 0 || (stream != NULL && stream->scan.is_long))
            stream->has_fault = 1;
        if (stream != NULL && stream->has_fault) { /* what was no body is credited here, and the rest is lost */
            part = count;
            is_last = 1;
            int error = stream->scan.is_long ? refuses_field(self, stream) : ends_stream(self, id, NGHTTP3_H3_MESSAGE_ERROR);
            taken = (nghttp3_ssize)(count - self->body_bytes);
            if (error != 0)
                return NGTCP2_ERR_CALLBACK_FAILURE;
        }
        ngtcp2_conn_extend_max_stream_offset(quic, id, (uint64_t)taken);
        ngtcp2_conn_extend_max_offset(quic, (uint64_t)taken);
        data += part;
        count -= part;
    } while (!is_last);
    return 0;
}

/* Streams that have waited for the acknowledgements of any stream go on. */
static void resume_streams(Connection *self)
{
    if (!self->is_full || self->unacked >= self->most_unacked)
        return;
    self->is_full = 0;
    for (Stream *one = self->streams; one != NULL; one = one->next)
        if (one->given < one->last)
            nghttp3_conn_resume_stream(self->http, one->id);
}

static int has_ack(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t count, void *user, void *of_stream)
{
    Connection *self = user;
    (void)quic, (void)offset, (void)of_stream;
    int error = self->http == NULL ? 0 : nghttp3_conn_add_ack_offset(self->http, id, count);
    resume_streams(self);
    return error == 0 ? 0 : fails_by_http(self, error);
}

static int closes_stream(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user, void *of_stream)
{
    Connection *self = user;
    (void)of_stream;
    if (self->http != NULL) {
        int error = nghttp3_conn_close_stream(self->http, id, flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET ? code : NGHTTP3_H3_NO_ERROR);
        if (error != 0 && error != NGHTTP3_ERR_STREAM_NOT_FOUND)
            return fails_by_http(self, error);
    }
    Stream *stream = stream_of(self, id);
    if (stream != NULL) {
        self->streams = stream->next; /* `stream_of` put it first */
        stream_free(self, stream);
        resume_streams(self);
        return happened(self, Py_BuildValue("(iL)", EVENT_CLOSED, (long long)id));
    }
    OneWay **place = place_of(self, id), *one = *place;
    if (one != NULL) {
        *place = one->next;
        free(one);
        ngtcp2_conn_extend_max_streams_uni(quic, 1);
    }
    return 0;
}

/* The client ended what it says, or does not read what we say; ngtcp2 tells each once. */
static int reads_no_more(Connection *self, int64_t id)
{
    int error = self->http == NULL ? 0 : nghttp3_conn_shutdown_stream_read(self->http, id);
    return error == 0 ? 0 : fails_by_http(self, error);
}

static int has_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code, void *user, void *of_stream)
{
    (void)quic, (void)size, (void)of_stream;
    int error = reads_no_more(user, id);
    if (error != 0 || !ngtcp2_is_bidi_stream(id))
        return error;
    return happened(user, Py_BuildValue("(iLK)", EVENT_RESET, (long long)id, (unsigned long long)code));
}

static int is_unread(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user, void *of_stream)
{
    (void)quic, (void)code, (void)of_stream;
    return reads_no_more(user, id);
}

static int widens(ngtcp2_conn *quic, int64_t id, uint64_t most, void *user, void *of_stream)
{
    Connection *self = user;
    (void)quic, (void)most, (void)of_stream;
    return self->http == NULL || nghttp3_conn_unblock_stream(self->http, id) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static const ngtcp2_callbacks quic_callbacks = {
    .recv_client_initial = has_initial,
    .recv_crypto_data = has_crypto,
    .encrypt = encrypt,
    .decrypt = decrypt,
    .hp_mask = header_mask,
    .recv_stream_data = has_stream_data,
    .acked_stream_data_offset = has_ack,
    .stream_open = opens_stream,
    .stream_close = closes_stream,
    .stream_reset = has_reset,
    .stream_stop_sending = is_unread,
    .extend_max_stream_data = widens,
    .rand = random_for,
    .get_new_connection_id = needs_id,
    .remove_connection_id = drops_id,
    .update_key = updates_keys,
    .delete_crypto_aead_ctx = drops_aead,
    .delete_crypto_cipher_ctx = drops_cipher,
    .get_path_challenge_data = needs_challenge,
};

/* -- making and ending one */

static void release(Py_buffer *buffers, size_t count)
{
    for (size_t at = 0; at < count; at++)
        PyBuffer_Release(&buffers[at]); /* one of None holds nothing */
}

static int id_of(ngtcp2_cid *id, const Py_buffer *from)
{
    if (from->len > NGTCP2_MAX_CIDLEN) {
        PyErr_SetString(PyExc_ValueError, "a connection ID is too long");
        return 0;
    }
    ngtcp2_cid_init(id, from->buf, (size_t)from->len);
    return 1;
}

static int path_of(ngtcp2_path *path, struct sockaddr_storage *to, const Py_buffer *local, const Py_buffer *remote)
{
    const Py_buffer *both[2] = {local, remote};
    ngtcp2_addr *addresses[2] = {&path->local, &path->remote};
    for (int at = 0; at < 2; at++) {
        if (both[at]->len != sizeof(struct sockaddr_in) && both[at]->len != sizeof(struct sockaddr_in6)) {
            PyErr_SetString(PyExc_ValueError, "no socket address");
            return 0;
        }
        memcpy(&to[at], both[at]->buf, (size_t)both[at]->len);
        addresses[at]->addr = (ngtcp2_sockaddr *)&to[at];
        addresses[at]->addrlen = (ngtcp2_socklen)both[at]->len;
    }
    path->user_data = NULL;
    return 1;
}

/* The limits are the client's (RFC 9000 section 18.2); `most_unacked` is ours. */
typedef struct {
    unsigned long long idle, handshake, window, stream_window, window_most, stream_window_most, streams, list_bytes, fields, field_bytes,
        unacked;
    double burst, per_second; /* of floods */
} Limits;

static int begin(Connection *self, unsigned version, const ngtcp2_cid *client, const ngtcp2_cid *original, const ngtcp2_cid *retry,
                 const ngtcp2_path *path, const Py_buffer *token, const Limits *limits)
{
    ngtcp2_settings settings;
    ngtcp2_transport_params parameters;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now();
    settings.token = token->buf;
    settings.tokenlen = (size_t)token->len;
    settings.token_type = token->len == 0 ? NGTCP2_TOKEN_TYPE_UNKNOWN : retry != NULL ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    settings.max_window = limits->window_most;
    settings.max_stream_window = limits->stream_window_most;
    settings.handshake_timeout = limits->handshake;
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_max_stream_data_bidi_remote = limits->stream_window;
    parameters.initial_max_stream_data_uni = 65536; /* of the control stream and those of QPACK, whose frames are small */
    parameters.initial_max_data = limits->window;
    parameters.initial_max_streams_bidi = limits->streams;
    parameters.initial_max_streams_uni = 3; /* RFC 9114 section 6.2 */
    parameters.max_idle_timeout = limits->idle;
    parameters.active_connection_id_limit = 4;
    parameters.max_udp_payload_size = RECEIVED_BYTES;
    parameters.original_dcid = *original;
    parameters.original_dcid_present = 1;
    if (retry != NULL) {
        parameters.retry_scid = *retry;
        parameters.retry_scid_present = 1;
    }
    parameters.stateless_reset_token_present = 1;
    reset_token(self->reset_key, self->own_id.data, self->own_id.datalen, parameters.stateless_reset_token);
    return ngtcp2_conn_server_new(&self->quic, client, &self->own_id, path, version, &quic_callbacks, &settings, &parameters, NULL, self);
}

static PyObject *connection_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"owner", "version", "client", "original", "retry", "prefix", "local", "remote", "token", "key", "limits", NULL};
    PyObject *owner;
    unsigned version;
    enum { CLIENT, ORIGINAL, RETRY, PREFIX, LOCAL, REMOTE, TOKEN, KEY, BUFFERS };
    Py_buffer given[BUFFERS] = {0};
    Limits limits;
    ngtcp2_cid client_id, original_id, retry_id;
    ngtcp2_path path;
    struct sockaddr_storage addresses[2];
    Connection *self = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OIy*y*z*y*y*y*y*y*(KKKKKKKKKKKdd)", names, &owner, &version, &given[CLIENT],
                                     &given[ORIGINAL], &given[RETRY], &given[PREFIX], &given[LOCAL], &given[REMOTE], &given[TOKEN],
                                     &given[KEY], &limits.idle, &limits.handshake, &limits.window, &limits.stream_window,
                                     &limits.window_most, &limits.stream_window_most, &limits.streams, &limits.list_bytes, &limits.fields,
                                     &limits.field_bytes, &limits.unacked, &limits.burst, &limits.per_second))
        return NULL;
    if (given[PREFIX].len != sizeof self->prefix || given[KEY].len != sizeof self->reset_key) {
        PyErr_SetString(PyExc_ValueError, "a prefix of two bytes and a key of 32 are needed");
    } else if (id_of(&client_id, &given[CLIENT]) && id_of(&original_id, &given[ORIGINAL]) &&
               (given[RETRY].buf == NULL || id_of(&retry_id, &given[RETRY])) &&
               path_of(&path, addresses, &given[LOCAL], &given[REMOTE]) && (self = (Connection *)type->tp_alloc(type, 0)) != NULL) {
        self->events = PyList_New(0);
        self->owner = Py_NewRef(owner);
        self->alert = -1;
        memcpy(self->prefix, given[PREFIX].buf, sizeof self->prefix);
        memcpy(self->reset_key, given[KEY].buf, sizeof self->reset_key);
        self->most_unacked = limits.unacked;
        self->most_fields = (size_t)limits.fields;
        self->most_list_bytes = (size_t)limits.list_bytes;
        self->most_field_bytes = (size_t)limits.field_bytes;
        self->most_streams = (size_t)limits.streams;
        self->burst = limits.burst;
        self->per_second = limits.per_second;
        self->last_stream = -1;
        for (int flood = 0; flood < FLOODS; flood++)
            self->budgets[flood] = (Budget){limits.burst, now()};
        make_id(self, &self->own_id);
        const ngtcp2_cid *retry = given[RETRY].buf == NULL ? NULL : &retry_id;
        if (self->events == NULL || begin(self, version, &client_id, &original_id, retry, &path, &given[TOKEN], &limits) != 0) {
            Py_CLEAR(self);
            PyErr_NoMemory();
        }
    }
    release(given, BUFFERS);
    return (PyObject *)self;
}

static void free_all(Connection *self)
{
    if (self->http != NULL)
        nghttp3_conn_del(self->http);
    if (self->quic != NULL)
        ngtcp2_conn_del(self->quic);
    self->http = NULL;
    self->quic = NULL;
    while (self->one_ways != NULL) {
        OneWay *one = self->one_ways;
        self->one_ways = one->next;
        free(one);
    }
    while (self->streams != NULL) {
        Stream *one = self->streams;
        self->streams = one->next;
        stream_free(self, one);
    }
    Py_CLEAR(self->owner);
    Py_CLEAR(self->events);
    Py_CLEAR(self->before);
}

static void connection_dealloc(Connection *self)
{
    free_all(self);
    Py_TYPE(self)->tp_free(self);
}

static int is_open(Connection *self)
{
    if (self->quic != NULL)
        return 1;
    PyErr_SetString(PyExc_ValueError, "the connection is freed");
    return 0;
}

/* Whether it is in no call of ngtcp2, whose callbacks may do less. */
static int is_idle(Connection *self)
{
    if (!self->is_busy)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "the connection is in a call");
    return 0;
}

static PyObject *connection_free(Connection *self, PyObject *unused)
{
    (void)unused;
    if (!is_idle(self))
        return NULL;
    free_all(self);
    Py_RETURN_NONE;
}

/* -- the handshake */

static PyObject *connection_parameters(Connection *self, PyObject *unused)
{
    unsigned char made[512];
    (void)unused;
    if (!is_open(self))
        return NULL;
    ngtcp2_transport_params ours = *ngtcp2_conn_get_local_transport_params(self->quic);
    /* what ngtcp2 sets once it knows those of the client, which OpenSSL reads after these */
    ours.initial_scid = self->own_id;
    ours.initial_scid_present = 1;
    ours.version_info.chosen_version = ngtcp2_conn_get_client_chosen_version(self->quic);
    ngtcp2_ssize count = ngtcp2_transport_params_encode(made, sizeof made, &ours);
    if (count < 0)
        return PyErr_NoMemory();
    return PyBytes_FromStringAndSize((char *)made, (Py_ssize_t)count);
}

static int use_secret(Connection *self, const unsigned char *data, size_t count)
{
    unsigned char iv[IV];
    ngtcp2_crypto_aead_ctx aead = {0};
    ngtcp2_crypto_cipher_ctx header = {0};
    if (count < 4)
        return -1;
    int level = data[0], is_ours = data[1];
    self->suite = suite_of((uint16_t)(data[2] << 8 | data[3]));
    if (count - 4 != self->suite.hash->bytes)
        return -1;
    data += 4;
    count -= 4;
    ngtcp2_crypto_ctx context = context_of(&self->suite);
    ngtcp2_conn_set_crypto_ctx(self->quic, &context);
    if (!keys_of(&self->suite, data, is_ours, &aead, iv, &header))
        return -1;
    int error;
    if (level == LEVEL_HANDSHAKE && is_ours)
        error = ngtcp2_conn_install_tx_handshake_key(self->quic, &aead, iv, IV, &header);
    else if (level == LEVEL_HANDSHAKE)
        error = ngtcp2_conn_install_rx_handshake_key(self->quic, &aead, iv, IV, &header);
    else if (is_ours)
        error = ngtcp2_conn_install_tx_key(self->quic, data, count, &aead, iv, IV, &header);
    else
        error = ngtcp2_conn_install_rx_key(self->quic, data, count, &aead, iv, IV, &header);
    if (error != 0)
        free_keys(&aead, &header);
    return error == 0 && level != LEVEL_HANDSHAKE && is_ours ? begin_http(self) : error;
}

static int apply_record(Connection *self, int type, const unsigned char *data, size_t count)
{
    switch (type) {
    case RECORD_INITIAL:
        return ngtcp2_conn_submit_crypto_data(self->quic, NGTCP2_ENCRYPTION_LEVEL_INITIAL, data, count);
    case RECORD_HANDSHAKE:
        return ngtcp2_conn_submit_crypto_data(self->quic, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, data, count);
    case RECORD_APPLICATION:
        return ngtcp2_conn_submit_crypto_data(self->quic, NGTCP2_ENCRYPTION_LEVEL_1RTT, data, count);
    case RECORD_SECRET:
        return use_secret(self, data, count);
    case RECORD_ALERT:
        self->alert = count == 2 ? data[1] : 80; /* internal_error */
        ngtcp2_conn_set_tls_alert(self->quic, (uint8_t)self->alert);
        return 0;
    default:
        return 0;
    }
}

/* Do what a step of TLS wants. The client's parameters come first: keys need them. */
static PyObject *connection_apply(Connection *self, PyObject *records)
{
    char *data;
    Py_ssize_t length;
    int error = 0;
    if (!is_open(self) || PyBytes_AsStringAndSize(records, &data, &length) < 0)
        return NULL;
    for (int turn = 0; turn < 2 && error == 0; turn++) {
        const unsigned char *at = (unsigned char *)data, *end = at + length;
        while (error == 0 && end - at >= RECORD_HEAD) {
            size_t count = (size_t)at[3] << 8 | at[4];
            if (count > (size_t)(end - at) - RECORD_HEAD)
                break;
            if (turn == 0 && at[0] == RECORD_PARAMETERS && !self->has_parameters) {
                self->has_parameters = 1;
                error = ngtcp2_conn_decode_and_set_remote_transport_params(self->quic, at + RECORD_HEAD, count);
            } else if (turn == 1) {
                error = apply_record(self, at[0], at + RECORD_HEAD, count);
            }
            at += RECORD_HEAD + count;
        }
    }
    return PyLong_FromLong(error);
}

static PyObject *connection_completed(Connection *self, PyObject *unused)
{
    (void)unused;
    if (!is_open(self))
        return NULL;
    ngtcp2_conn_tls_handshake_completed(self->quic);
    Py_RETURN_NONE;
}

/* -- datagrams */

static PyObject *connection_receive(Connection *self, PyObject *args)
{
    Py_buffer given[3];
    int ecn, error = 0;
    ngtcp2_path path;
    struct sockaddr_storage addresses[2];
    if (!PyArg_ParseTuple(args, "y*y*y*i", &given[0], &given[1], &given[2], &ecn))
        return NULL;
    if (is_open(self) && is_idle(self) && path_of(&path, addresses, &given[1], &given[2]) && given[0].len > 0) {
        ngtcp2_pkt_info info = {.ecn = (uint8_t)(ecn & 3)};
        Connection *outer = at_work;
        at_work = self;
        self->is_busy = 1;
        error = ngtcp2_conn_read_pkt(self->quic, &path, &info, given[0].buf, (size_t)given[0].len, now());
        self->is_busy = 0;
        at_work = outer;
        if (self->flood != 0)
            error = ERR_FLOOD - self->flood;
    }
    release(given, 3);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(error);
}

static PyObject *connection_take_events(Connection *self, PyObject *unused)
{
    (void)unused;
    if (self->events == NULL)
        return PyList_New(0);
    if (PyList_GET_SIZE(self->events) == 0)
        return Py_NewRef(self->events); /* empty as well: nobody changes what this answers */
    PyObject *taken = self->events;
    self->events = PyList_New(0);
    return taken;
}

/* The datagrams of one send: all of the same size but the last (UDP_SEGMENT). */
typedef struct {
    int socket;
    unsigned char data[65536];
    size_t length, segment;
    uint8_t ecn; /* of all of them (RFC 9000 section 13.4) */
    ngtcp2_path_storage path;
    unsigned long sent, failed;
} Burst;

static void add_control(struct msghdr *message, int level, int type, const void *data, size_t count)
{
    struct cmsghdr *one = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
    one->cmsg_level = level;
    one->cmsg_type = type;
    one->cmsg_len = CMSG_LEN(count);
    memcpy(CMSG_DATA(one), data, count);
    message->msg_controllen += CMSG_SPACE(count);
}

/* Send from the address that the client has used: a socket may be bound to all of them. */
static ssize_t send_from(int socket, const void *data, size_t length, size_t segment, uint8_t ecn, const ngtcp2_addr *local,
                         const ngtcp2_addr *remote)
{
    _Alignas(struct cmsghdr) char control[256] = {0};
    struct iovec piece = {.iov_base = (void *)data, .iov_len = length};
    struct msghdr message = {.msg_name = remote->addr, .msg_namelen = remote->addrlen, .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
    if (local->addrlen == sizeof(struct sockaddr_in)) {
        struct in_pktinfo info = {.ipi_spec_dst = ((struct sockaddr_in *)local->addr)->sin_addr};
        if (info.ipi_spec_dst.s_addr != INADDR_ANY)
            add_control(&message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_addr = ((struct sockaddr_in6 *)local->addr)->sin6_addr};
        if (!IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
            add_control(&message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (ecn != NGTCP2_ECN_NOT_ECT) {
        int bits = ecn;
        if (remote->addrlen == sizeof(struct sockaddr_in))
            add_control(&message, IPPROTO_IP, IP_TOS, &bits, sizeof bits);
        else
            add_control(&message, IPPROTO_IPV6, IPV6_TCLASS, &bits, sizeof bits);
    }
    if (length > segment) {
        uint16_t size = (uint16_t)segment;
        add_control(&message, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
    }
    if (message.msg_controllen == 0)
        message.msg_control = NULL;
    return sendmsg(socket, &message, MSG_DONTWAIT);
}

/* What the kernel does not take is lost, as it may be on the way: QUIC sends it again. */
static void send_burst(Burst *burst)
{
    if (burst->length == 0)
        return;
    const ngtcp2_path *path = &burst->path.path;
    if (send_from(burst->socket, burst->data, burst->length, burst->segment, burst->ecn, &path->local, &path->remote) < 0) {
        if (errno == EIO || errno == EINVAL || errno == EMSGSIZE) { /* no offload on this way, or a probe that is too large */
            for (size_t at = 0; at < burst->length; at += burst->segment) {
                size_t count = burst->length - at < burst->segment ? burst->length - at : burst->segment;
                if (send_from(burst->socket, burst->data + at, count, count, burst->ecn, &path->local, &path->remote) < 0)
                    burst->failed++;
            }
        } else {
            burst->failed++;
        }
    }
    burst->sent += burst->length;
    burst->length = burst->segment = 0;
}

static int submit_trailers(Connection *self, int64_t id, PyObject *fields);

/* Take the next pieces of a body (`nghttp3_read_data_callback`). */
static nghttp3_ssize takes_body(nghttp3_conn *http, int64_t id, nghttp3_vec *to, size_t most, uint32_t *flags, void *user, void *of_stream)
{
    Connection *self = user;
    Stream *stream = of_stream;
    size_t count = 0, bytes = 0;
    (void)http;
    while (stream->given < stream->last && count < most && bytes < MOST_TAKEN && self->unacked < self->most_unacked) {
        PyObject *piece = stream->pieces[stream->given++];
        to[count].base = (uint8_t *)PyBytes_AS_STRING(piece);
        to[count].len = (size_t)PyBytes_GET_SIZE(piece);
        bytes += to[count].len;
        self->unacked += to[count].len;
        count++;
    }
    stream->taken += bytes;
    if (stream->given == stream->last && stream->has_ended) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        if (stream->trailers != NULL) {
            *flags |= NGHTTP3_DATA_FLAG_NO_END_STREAM;
            if (submit_trailers(self, id, stream->trailers) != 0)
                return NGHTTP3_ERR_CALLBACK_FAILURE;
        }
    } else if (count == 0) {
        self->is_full |= stream->given < stream->last;
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    return (nghttp3_ssize)count;
}

/* -- answers */

/* The fields of a head, `parts` of which are lists of pairs. The caller frees the result; NULL without one. */
static nghttp3_nv *fields_of(PyObject *parts, PyObject *marked, size_t *count)
{
    size_t total = 0, at = 0;
    for (Py_ssize_t part = 0; part < PyList_GET_SIZE(parts); part++) {
        PyObject *list = PyList_GET_ITEM(parts, part);
        if (!PyList_Check(list)) {
            PyErr_SetString(PyExc_TypeError, "the parts of a head are lists");
            return NULL;
        }
        total += (size_t)PyList_GET_SIZE(list);
    }
    nghttp3_nv *made = calloc(total + 1, sizeof *made);
    if (made == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t part = 0; part < PyList_GET_SIZE(parts); part++) {
        PyObject *list = PyList_GET_ITEM(parts, part);
        for (Py_ssize_t place = 0; place < PyList_GET_SIZE(list); place++, at++) {
            PyObject *pair = PyList_GET_ITEM(list, place);
            if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(pair, 0)) ||
                !PyBytes_Check(PyTuple_GET_ITEM(pair, 1))) {
                free(made);
                PyErr_SetString(PyExc_TypeError, "a field is a pair of bytes");
                return NULL;
            }
            PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
            made[at].name = (uint8_t *)PyBytes_AS_STRING(name);
            made[at].namelen = (size_t)PyBytes_GET_SIZE(name);
            made[at].value = (uint8_t *)PyBytes_AS_STRING(value);
            made[at].valuelen = (size_t)PyBytes_GET_SIZE(value);
            int is_marked = marked == NULL ? 0 : PySet_Contains(marked, name);
            if (is_marked < 0) {
                free(made);
                return NULL;
            }
            made[at].flags = is_marked ? NGHTTP3_NV_FLAG_NEVER_INDEX : NGHTTP3_NV_FLAG_NONE;
        }
    }
    *count = total;
    return made;
}

static int submit_trailers(Connection *self, int64_t id, PyObject *fields)
{
    size_t count;
    PyObject *parts = PyList_New(0);
    if (parts == NULL || PyList_Append(parts, fields) < 0)
        return -1;
    nghttp3_nv *pairs = fields_of(parts, NULL, &count);
    int error = pairs == NULL ? -1 : nghttp3_conn_submit_trailers(self->http, id, pairs, count);
    free(pairs);
    Py_DECREF(parts);
    return error;
}

enum { HEAD_INTERIM, HEAD_BODY_FOLLOWS, HEAD_ENDS };

static PyObject *connection_send_head(Connection *self, PyObject *args)
{
    static const nghttp3_data_reader reader = {.read_data = takes_body};
    PyObject *parts, *marked;
    long long id;
    int kind;
    size_t count;
    if (!PyArg_ParseTuple(args, "LO!Oi", &id, &PyList_Type, &parts, &marked, &kind))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    Stream *stream = stream_of(self, id);
    if (stream == NULL || self->http == NULL || (stream->has_answer && kind != HEAD_INTERIM))
        Py_RETURN_NONE; /* its client has given it up */
    nghttp3_nv *pairs = fields_of(parts, marked, &count);
    if (pairs == NULL)
        return NULL;
    int error = 0;
    if (kind == HEAD_INTERIM) {
        error = nghttp3_conn_submit_info(self->http, id, pairs, count);
    } else {
        stream->has_answer = 1;
        stream->has_ended = kind == HEAD_ENDS;
        nghttp3_conn_set_stream_user_data(self->http, id, stream);
        error = nghttp3_conn_submit_response(self->http, id, pairs, count, kind == HEAD_ENDS ? NULL : &reader);
    }
    free(pairs);
    if (error != 0 && error != NGHTTP3_ERR_STREAM_NOT_FOUND && error != NGHTTP3_ERR_CONN_CLOSING && error != NGHTTP3_ERR_INVALID_STATE) {
        PyErr_Format(PyExc_RuntimeError, "nghttp3 does not take a head: %s", nghttp3_strerror(error));
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *connection_send_data(Connection *self, PyObject *args)
{
    PyObject *data;
    long long id;
    if (!PyArg_ParseTuple(args, "LS", &id, &data))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    Stream *stream = stream_of(self, id);
    if (stream == NULL || !stream->has_answer || stream->has_ended || PyBytes_GET_SIZE(data) == 0)
        Py_RETURN_NONE;
    if (stream->last == stream->room) {
        if (stream->first > 0) {
            size_t kept = stream->last - stream->first;
            memmove(stream->pieces, stream->pieces + stream->first, kept * sizeof *stream->pieces);
            stream->given -= stream->first;
            stream->last = kept;
            stream->first = 0;
        } else {
            size_t room = stream->room == 0 ? 4 : 2 * stream->room;
            PyObject **grown = realloc(stream->pieces, room * sizeof *grown);
            if (grown == NULL)
                return PyErr_NoMemory();
            stream->pieces = grown;
            stream->room = room;
        }
    }
    stream->pieces[stream->last++] = Py_NewRef(data);
    nghttp3_conn_resume_stream(self->http, id);
    Py_RETURN_NONE;
}

static PyObject *connection_send_end(Connection *self, PyObject *args)
{
    PyObject *trailers;
    long long id;
    if (!PyArg_ParseTuple(args, "LO!", &id, &PyList_Type, &trailers))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    Stream *stream = stream_of(self, id);
    if (stream == NULL || !stream->has_answer || stream->has_ended)
        Py_RETURN_NONE;
    stream->has_ended = 1;
    if (PyList_GET_SIZE(trailers) > 0)
        stream->trailers = Py_NewRef(trailers);
    nghttp3_conn_resume_stream(self->http, id);
    Py_RETURN_NONE;
}

static PyObject *connection_credit(Connection *self, PyObject *args)
{
    long long id, of_stream, of_connection;
    if (!PyArg_ParseTuple(args, "LLL", &id, &of_stream, &of_connection))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    if (of_stream > 0)
        ngtcp2_conn_extend_max_stream_offset(self->quic, id, (uint64_t)of_stream);
    if (of_connection > 0)
        ngtcp2_conn_extend_max_offset(self->quic, (uint64_t)of_connection);
    Py_RETURN_NONE;
}

static PyObject *connection_reset(Connection *self, PyObject *args)
{
    long long id;
    unsigned long long code;
    if (!PyArg_ParseTuple(args, "LK", &id, &code))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    Stream *stream = stream_of(self, id);
    if (stream != NULL) {
        stream->has_answer = stream->has_ended = 1;
        ngtcp2_conn_shutdown_stream(self->quic, 0, id, code);
        if (self->http != NULL)
            nghttp3_conn_shutdown_stream_write(self->http, id);
    }
    Py_RETURN_NONE;
}

static PyObject *connection_stop(Connection *self, PyObject *args)
{
    long long id;
    unsigned long long code;
    if (!PyArg_ParseTuple(args, "LK", &id, &code))
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    ngtcp2_conn_shutdown_stream_read(self->quic, 0, id, code);
    Py_RETURN_NONE;
}

static PyObject *connection_allow_streams(Connection *self, PyObject *count)
{
    size_t more = PyLong_AsSize_t(count);
    if (PyErr_Occurred())
        return NULL;
    if (self->quic != NULL) /* it has not ended */
        ngtcp2_conn_extend_max_streams_bidi(self->quic, more);
    Py_RETURN_NONE;
}

/* Have the client hear from us so often; 0: not by itself. */
static PyObject *connection_keep_alive(Connection *self, PyObject *seconds)
{
    double each = PyFloat_AsDouble(seconds);
    if (PyErr_Occurred())
        return NULL;
    if (self->quic != NULL)
        ngtcp2_conn_set_keep_alive_timeout(self->quic, each > 0.0 ? (ngtcp2_duration)(each * (double)NGTCP2_SECONDS) : UINT64_MAX);
    Py_RETURN_NONE;
}

static PyObject *connection_go_away(Connection *self, PyObject *is_final)
{
    int final = PyObject_IsTrue(is_final);
    if (final < 0)
        return NULL;
    if (self->quic == NULL)
        Py_RETURN_NONE; /* it has ended */
    if (self->http != NULL && (final ? nghttp3_conn_shutdown(self->http) : nghttp3_conn_submit_shutdown_notice(self->http)) != 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *connection_new_token(Connection *self, PyObject *token)
{
    if (!is_open(self) || !PyBytes_Check(token))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "a token is bytes");
    ngtcp2_conn_submit_new_token(self->quic, (uint8_t *)PyBytes_AS_STRING(token), (size_t)PyBytes_GET_SIZE(token));
    Py_RETURN_NONE;
}

/* -- sending */

static int tell_progress(Connection *self)
{
    for (Stream *one = self->streams; one != NULL; one = one->next) {
        if (one->taken == one->told)
            continue;
        if (happened(self, Py_BuildValue("(iLK)", EVENT_LEFT, (long long)one->id, (unsigned long long)(one->taken - one->told))))
            return NGTCP2_ERR_CALLBACK_FAILURE;
        one->told = one->taken;
    }
    return 0;
}

/* One packet. Returns its bytes, 0 if nothing may be sent now, or an error. */
static ngtcp2_ssize write_packet(Connection *self, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *to, size_t room, uint64_t at)
{
    for (;;) {
        int64_t id = -1;
        int ends = 0;
        nghttp3_vec pieces[16];
        nghttp3_ssize count = 0;
        ngtcp2_ssize taken = -1;
        if (self->http != NULL && ngtcp2_conn_get_max_data_left(self->quic) > 0) {
            count = nghttp3_conn_writev_stream(self->http, &id, &ends, pieces, 16);
            if (count < 0)
                return fails_by_http(self, count);
        }
        uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (ends ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
        ngtcp2_ssize made =
            ngtcp2_conn_writev_stream(self->quic, path, info, to, room, &taken, flags, id, (ngtcp2_vec *)pieces, (size_t)count, at);
        if (made == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
            nghttp3_conn_block_stream(self->http, id);
            continue;
        }
        if (made == NGTCP2_ERR_STREAM_SHUT_WR || made == NGTCP2_ERR_STREAM_NOT_FOUND) {
            nghttp3_conn_shutdown_stream_write(self->http, id);
            if (happened(self, Py_BuildValue("(iLK)", EVENT_RESET, (long long)id, (unsigned long long)NGHTTP3_H3_REQUEST_CANCELLED)))
                return NGTCP2_ERR_CALLBACK_FAILURE;
            continue;
        }
        if (taken >= 0) {
            size_t offered = 0;
            for (nghttp3_ssize one = 0; one < count; one++)
                offered += pieces[one].len;
            int error = nghttp3_conn_add_write_offset(self->http, id, (size_t)taken);
            if (error != 0)
                return fails_by_http(self, error);
            if (ends && (size_t)taken == offered && happened(self, Py_BuildValue("(iL)", EVENT_END_SENT, (long long)id)))
                return NGTCP2_ERR_CALLBACK_FAILURE;
        }
        if (made != NGTCP2_ERR_WRITE_MORE)
            return made;
    }
}

static Burst burst; /* of whichever connection sends: the interpreter is held */

static PyObject *connection_transmit(Connection *self, PyObject *socket)
{
    int descriptor = PyObject_AsFileDescriptor(socket);
    if (descriptor < 0 || !is_open(self) || !is_idle(self))
        return NULL;
    uint64_t at = now();
    size_t most = ngtcp2_conn_get_send_quantum(self->quic), total = 0;
    ngtcp2_ssize made = 0;
    burst.socket = descriptor;
    burst.length = burst.segment = burst.sent = burst.failed = 0;
    Connection *outer = at_work;
    at_work = self;
    self->is_busy = 1;
    while (total < (most < BURST_BYTES ? BURST_BYTES : most)) {
        ngtcp2_path_storage path;
        ngtcp2_pkt_info info = {0};
        uint8_t *to = burst.data + burst.length;
        ngtcp2_path_storage_zero(&path);
        size_t room = ngtcp2_conn_get_path_max_tx_udp_payload_size(self->quic);
        size_t probe = ngtcp2_conn_get_max_tx_udp_payload_size(self->quic);
        if (probe > room)
            room = probe;
        made = write_packet(self, &path.path, &info, to, room, at);
        if (made <= 0)
            break;
        total += (size_t)made;
        int is_other = (size_t)made > burst.segment || info.ecn != burst.ecn || !ngtcp2_path_eq(&path.path, &burst.path.path);
        if (burst.length > 0 && is_other) { /* it begins a burst of its own */
            uint8_t *from = to;
            send_burst(&burst);
            memmove(burst.data, from, (size_t)made);
        }
        if (burst.length == 0) {
            burst.segment = (size_t)made;
            burst.ecn = info.ecn;
            ngtcp2_path_storage_zero(&burst.path);
            ngtcp2_path_copy(&burst.path.path, &path.path);
        }
        burst.length += (size_t)made;
        if ((size_t)made < burst.segment || burst.length / burst.segment >= MOST_SEGMENTS || burst.length > sizeof burst.data - 4096)
            send_burst(&burst);
    }
    self->is_busy = 0;
    at_work = outer;
    earn(self, FLOOD_CREDIT, (double)total / BYTES_PER_UPDATE);
    send_burst(&burst);
    if (made >= 0)
        ngtcp2_conn_update_pkt_tx_time(self->quic, at);
    if (tell_progress(self) != 0 && !PyErr_Occurred())
        return PyErr_NoMemory();
    return PyErr_Occurred() ? NULL : Py_BuildValue("(li)", (long)(made < 0 ? made : 0), made > 0);
}

static PyObject *connection_expiry(Connection *self, PyObject *unused)
{
    (void)unused;
    if (!is_open(self))
        return NULL;
    uint64_t due = ngtcp2_conn_get_expiry(self->quic), at = now();
    return PyFloat_FromDouble(due == UINT64_MAX ? 86400.0 : due <= at ? 0.0 : (double)(due - at) / (double)NGTCP2_SECONDS);
}

static PyObject *connection_expired(Connection *self, PyObject *unused)
{
    (void)unused;
    return is_open(self) && is_idle(self) ? PyLong_FromLong(ngtcp2_conn_handle_expiry(self->quic, now())) : NULL;
}

/* The packet that ends the connection for `error` of ngtcp2 (0: by `code` of HTTP/3). */
static PyObject *connection_close(Connection *self, PyObject *args)
{
    int error;
    unsigned long long code;
    ngtcp2_ccerr fault;
    ngtcp2_path_storage path;
    unsigned char packet[1280];
    if (!PyArg_ParseTuple(args, "iK", &error, &code) || !is_open(self) || !is_idle(self))
        return NULL;
    ngtcp2_ccerr_default(&fault);
    if (self->alert >= 0)
        ngtcp2_ccerr_set_tls_alert(&fault, (uint8_t)self->alert, NULL, 0);
    else if (self->flood == FLOOD_ACKS) /* RFC 9000 section 13.1 */
        ngtcp2_ccerr_set_liberr(&fault, NGTCP2_ERR_PROTO, NULL, 0);
    else if (self->flood == FLOOD_CRYPTO) /* section 7.5 */
        ngtcp2_ccerr_set_liberr(&fault, NGTCP2_ERR_CRYPTO_BUFFER_EXCEEDED, NULL, 0);
    else if (self->flood != 0)
        ngtcp2_ccerr_set_application_error(&fault, NGHTTP3_H3_EXCESSIVE_LOAD, NULL, 0);
    else if (self->http_error != 0)
        ngtcp2_ccerr_set_application_error(&fault, nghttp3_err_infer_quic_app_error_code(self->http_error), NULL, 0);
    else if (error != 0)
        ngtcp2_ccerr_set_liberr(&fault, error, NULL, 0);
    else
        ngtcp2_ccerr_set_application_error(&fault, code, NULL, 0);
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize made = ngtcp2_conn_write_connection_close(self->quic, &path.path, NULL, packet, sizeof packet, &fault, now());
    return PyBytes_FromStringAndSize((char *)packet, (Py_ssize_t)(made > 0 ? made : 0));
}

static PyObject *connection_pto(Connection *self, PyObject *unused)
{
    (void)unused;
    return is_open(self) ? PyFloat_FromDouble((double)ngtcp2_conn_get_pto(self->quic) / (double)NGTCP2_SECONDS) : NULL;
}

static PyObject *connection_peer(Connection *self, PyObject *unused)
{
    (void)unused;
    if (!is_open(self))
        return NULL;
    const ngtcp2_path *path = ngtcp2_conn_get_path(self->quic);
    return Py_BuildValue("(y#y#)", (char *)path->local.addr, (Py_ssize_t)path->local.addrlen, (char *)path->remote.addr,
                         (Py_ssize_t)path->remote.addrlen);
}

static PyObject *connection_own_id(Connection *self, PyObject *unused)
{
    (void)unused;
    return PyBytes_FromStringAndSize((char *)self->own_id.data, (Py_ssize_t)self->own_id.datalen);
}

static PyMethodDef connection_methods[] = {
    {"own_id", (PyCFunction)connection_own_id, METH_NOARGS, NULL},
    {"parameters", (PyCFunction)connection_parameters, METH_NOARGS, NULL},
    {"apply", (PyCFunction)connection_apply, METH_O, NULL},
    {"completed", (PyCFunction)connection_completed, METH_NOARGS, NULL},
    {"receive", (PyCFunction)connection_receive, METH_VARARGS, NULL},
    {"take_events", (PyCFunction)connection_take_events, METH_NOARGS, NULL},
    {"send_head", (PyCFunction)connection_send_head, METH_VARARGS, NULL},
    {"send_data", (PyCFunction)connection_send_data, METH_VARARGS, NULL},
    {"send_end", (PyCFunction)connection_send_end, METH_VARARGS, NULL},
    {"credit", (PyCFunction)connection_credit, METH_VARARGS, NULL},
    {"reset", (PyCFunction)connection_reset, METH_VARARGS, NULL},
    {"stop", (PyCFunction)connection_stop, METH_VARARGS, NULL},
    {"allow_streams", (PyCFunction)connection_allow_streams, METH_O, NULL},
    {"go_away", (PyCFunction)connection_go_away, METH_O, NULL},
    {"keep_alive", (PyCFunction)connection_keep_alive, METH_O, NULL},
    {"new_token", (PyCFunction)connection_new_token, METH_O, NULL},
    {"transmit", (PyCFunction)connection_transmit, METH_O, NULL},
    {"expiry", (PyCFunction)connection_expiry, METH_NOARGS, NULL},
    {"expired", (PyCFunction)connection_expired, METH_NOARGS, NULL},
    {"close", (PyCFunction)connection_close, METH_VARARGS, NULL},
    {"pto", (PyCFunction)connection_pto, METH_NOARGS, NULL},
    {"path", (PyCFunction)connection_peer, METH_NOARGS, NULL},
    {"free", (PyCFunction)connection_free, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef connection_members[] = {
    {"unacked", T_ULONGLONG, offsetof(Connection, unacked), READONLY, NULL},
    {"incomplete_heads", T_LONG, offsetof(Connection, incomplete_heads), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject connection_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "proxy.quic._native.Connection",
    .tp_basicsize = sizeof(Connection),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = connection_new,
    .tp_dealloc = (destructor)connection_dealloc,
    .tp_methods = connection_methods,
    .tp_members = connection_members,
};

/* -- datagrams without a connection */

enum { RECEIVED_AT_ONCE = 32 };

/* The address that the client has used, with the port of the socket. */
static size_t local_of(const struct msghdr *message, const struct sockaddr_storage *bound, struct sockaddr_storage *to, int *ecn)
{
    *to = *bound;
    *ecn = 0;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR((struct msghdr *)message, one)) {
        if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO)
            ((struct sockaddr_in *)to)->sin_addr = ((struct in_pktinfo *)CMSG_DATA(one))->ipi_addr;
        else if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO)
            ((struct sockaddr_in6 *)to)->sin6_addr = ((struct in6_pktinfo *)CMSG_DATA(one))->ipi6_addr;
        else if ((one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_TOS) || (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_TCLASS))
            *ecn = *(unsigned char *)CMSG_DATA(one);
    }
    return bound->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* The address that a socket is bound to, for `receive`. */
static PyObject *bound(PyObject *module, PyObject *socket)
{
    struct sockaddr_storage address;
    socklen_t count = sizeof address;
    int descriptor = PyObject_AsFileDescriptor(socket);
    (void)module;
    if (descriptor < 0)
        return NULL;
    if (getsockname(descriptor, (struct sockaddr *)&address, &count) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyBytes_FromStringAndSize((char *)&address, (Py_ssize_t)count);
}

static PyObject *receive(PyObject *module, PyObject *args)
{
    static unsigned char data[RECEIVED_AT_ONCE][RECEIVED_BYTES];
    static _Alignas(struct cmsghdr) unsigned char control[RECEIVED_AT_ONCE][128];
    static struct sockaddr_storage remote[RECEIVED_AT_ONCE];
    static struct iovec pieces[RECEIVED_AT_ONCE];
    static struct mmsghdr messages[RECEIVED_AT_ONCE];
    static int used = RECEIVED_AT_ONCE; /* so many have to be made ready for the kernel */
    struct sockaddr_storage bound = {0}, local;
    PyObject *socket, *address;
    (void)module;
    if (!PyArg_ParseTuple(args, "OS", &socket, &address))
        return NULL;
    int descriptor = PyObject_AsFileDescriptor(socket);
    if (descriptor < 0)
        return NULL;
    if ((size_t)PyBytes_GET_SIZE(address) > sizeof bound)
        return PyErr_Format(PyExc_ValueError, "no socket address");
    memcpy(&bound, PyBytes_AS_STRING(address), (size_t)PyBytes_GET_SIZE(address));
    for (int at = 0; at < used; at++) {
        pieces[at] = (struct iovec){data[at], RECEIVED_BYTES};
        messages[at].msg_hdr = (struct msghdr){.msg_name = &remote[at],
                                               .msg_namelen = sizeof remote[at],
                                               .msg_iov = &pieces[at],
                                               .msg_iovlen = 1,
                                               .msg_control = control[at],
                                               .msg_controllen = sizeof control[at]};
    }
    /* below 0: nothing is there, or ICMP reports what happened to a datagram of ours */
    int count = recvmmsg(descriptor, messages, RECEIVED_AT_ONCE, MSG_DONTWAIT, NULL);
    used = count < 0 ? 0 : count;
    PyObject *made = PyList_New(0);
    for (int at = 0; made != NULL && at < count; at++) {
        int ecn;
        struct msghdr *header = &messages[at].msg_hdr;
        if (header->msg_flags & MSG_TRUNC)
            continue; /* larger than we said to take */
        size_t local_bytes = local_of(header, &bound, &local, &ecn);
        PyObject *one = Py_BuildValue("(y#y#y#i)", (char *)data[at], (Py_ssize_t)messages[at].msg_len, (char *)&local, (Py_ssize_t)local_bytes,
                                      (char *)&remote[at], (Py_ssize_t)header->msg_namelen, ecn);
        if (one == NULL || PyList_Append(made, one) < 0)
            Py_CLEAR(made);
        Py_XDECREF(one);
    }
    return made;
}

static PyObject *send_one(PyObject *module, PyObject *args)
{
    PyObject *socket;
    Py_buffer given[3];
    ngtcp2_path path;
    struct sockaddr_storage addresses[2];
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*y*y*", &socket, &given[0], &given[1], &given[2]))
        return NULL;
    int descriptor = PyObject_AsFileDescriptor(socket);
    if (descriptor >= 0 && path_of(&path, addresses, &given[1], &given[2]))
        send_from(descriptor, given[0].buf, (size_t)given[0].len, (size_t)given[0].len, NGTCP2_ECN_NOT_ECT, &path.local, &path.remote);
    release(given, 3);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* The version and both connection IDs of a packet, and whether that version is not ours; None if it cannot be read, or is too short for an
 * answer to its version (RFC 9000 section 6.1).
 */
static PyObject *identifiers(PyObject *module, PyObject *datagram)
{
    ngtcp2_version_cid found;
    (void)module;
    if (!PyBytes_Check(datagram))
        return PyErr_Format(PyExc_TypeError, "a datagram is bytes");
    size_t size = (size_t)PyBytes_GET_SIZE(datagram);
    if (size == 0) /* ngtcp2 aborts */
        Py_RETURN_NONE;
    int error = ngtcp2_pkt_decode_version_cid(&found, (uint8_t *)PyBytes_AS_STRING(datagram), size, ID_BYTES);
    if (error != 0 && error != NGTCP2_ERR_VERSION_NEGOTIATION)
        Py_RETURN_NONE;
    int is_unknown = found.version != 0 && found.version != NGTCP2_PROTO_VER_V1; /* ngtcp2 knows version 2 as well */
    if (is_unknown && size < NGTCP2_MAX_UDP_PAYLOAD_SIZE)
        Py_RETURN_NONE;
    const char *from = found.scid == NULL ? "" : (char *)found.scid; /* a short header has one ID */
    return Py_BuildValue("(Iy#y#i)", found.version, (char *)found.dcid, (Py_ssize_t)found.dcidlen, from, (Py_ssize_t)found.scidlen,
                         is_unknown);
}

/* The token of an Initial packet that may begin a connection; None if it is not one. */
static PyObject *token_of_initial(PyObject *module, PyObject *datagram)
{
    ngtcp2_pkt_hd found;
    (void)module;
    if (!PyBytes_Check(datagram))
        return PyErr_Format(PyExc_TypeError, "a datagram is bytes");
    if (PyBytes_GET_SIZE(datagram) == 0 || ngtcp2_accept(&found, (uint8_t *)PyBytes_AS_STRING(datagram), (size_t)PyBytes_GET_SIZE(datagram)) != 0)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((char *)found.token, (Py_ssize_t)found.tokenlen);
}

static PyObject *version_negotiation(PyObject *module, PyObject *args)
{
    Py_buffer to, from;
    unsigned char made[1 + 4 + 2 * 256 + 4], random; /* IDs of unknown versions have up to 255 bytes (RFC 8999 section 5.1) */
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*", &to, &from))
        return NULL;
    fill_randomly(&random, 1);
    ngtcp2_ssize count = ngtcp2_pkt_write_version_negotiation(made, sizeof made, random, to.buf, (size_t)to.len, from.buf, (size_t)from.len, versions, 1);
    PyBuffer_Release(&to);
    PyBuffer_Release(&from);
    return PyBytes_FromStringAndSize((char *)made, (Py_ssize_t)(count > 0 ? count : 0));
}

static PyObject *retry_packet(PyObject *module, PyObject *args)
{
    /* RFC 9001 section 5.8 */
    static const unsigned char key[] = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e};
    unsigned version;
    enum { CLIENT, OWN_ID, ORIGINAL, TOKEN, BUFFERS };
    Py_buffer given[BUFFERS];
    ngtcp2_cid to, from, first;
    unsigned char made[1200];
    ngtcp2_ssize count = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "Iy*y*y*y*", &version, &given[CLIENT], &given[OWN_ID], &given[ORIGINAL], &given[TOKEN]))
        return NULL;
    if (id_of(&to, &given[CLIENT]) && id_of(&from, &given[OWN_ID]) && id_of(&first, &given[ORIGINAL])) {
        Suite suite = suite_of(0x1301);
        ngtcp2_crypto_ctx context = context_of(&suite);
        ngtcp2_crypto_aead_ctx aead = {.native_handle = key_of(suite.aead, key, key, 1)};
        if (aead.native_handle != NULL)
            count = ngtcp2_pkt_write_retry(made, sizeof made, version, &to, &from, &first, given[TOKEN].buf, (size_t)given[TOKEN].len, encrypt, &context.aead, &aead);
        key_free(aead.native_handle);
    }
    release(given, BUFFERS);
    return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize((char *)made, (Py_ssize_t)(count > 0 ? count : 0));
}

/* An Initial packet that ends a connection which was not begun, for an error of QUIC. `own` is the ID that the packet of the client was for. */
static PyObject *closing_packet(PyObject *module, PyObject *args)
{
    unsigned version;
    unsigned long long code;
    enum { CLIENT, OWN_ID, BUFFERS };
    Py_buffer given[BUFFERS];
    ngtcp2_cid to, from;
    unsigned char made[128], secrets[2][32], iv[IV]; /* with the longest IDs it takes less than 100 */
    ngtcp2_ssize count = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "Iy*y*K", &version, &given[CLIENT], &given[OWN_ID], &code))
        return NULL;
    if (id_of(&to, &given[CLIENT]) && id_of(&from, &given[OWN_ID])) {
        Suite suite = suite_of(0x1301);
        ngtcp2_crypto_ctx context = context_of(&suite);
        ngtcp2_crypto_aead_ctx aead = {0};
        ngtcp2_crypto_cipher_ctx header = {0};
        initial_secrets(&suite, &from, secrets[0], secrets[1]);
        if (keys_of(&suite, secrets[1], 1, &aead, iv, &header))
            count = ngtcp2_pkt_write_connection_close(made, sizeof made, version, &to, &from, code, NULL, 0, encrypt, &context.aead, &aead, iv,
                                                      header_mask, &context.hp, &header);
        free_keys(&aead, &header);
    }
    release(given, BUFFERS);
    return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize((char *)made, (Py_ssize_t)(count > 0 ? count : 0));
}

/* The answer to a packet of `length` bytes for an identifier that nobody knows; empty if it would be no shorter. */
static PyObject *stateless_reset(PyObject *module, PyObject *args)
{
    Py_buffer key, id;
    Py_ssize_t length;
    unsigned char token[NGTCP2_STATELESS_RESET_TOKENLEN], random[22], made[64];
    ngtcp2_ssize count = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*n", &key, &id, &length))
        return NULL;
    if (key.len == 32 && length > (Py_ssize_t)sizeof random + NGTCP2_STATELESS_RESET_TOKENLEN) {
        reset_token(key.buf, id.buf, (size_t)id.len, token);
        fill_randomly(random, sizeof random);
        count = ngtcp2_pkt_write_stateless_reset(made, sizeof made, token, random, sizeof random);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&id);
    return PyBytes_FromStringAndSize((char *)made, (Py_ssize_t)(count > 0 ? count : 0));
}

static PyObject *versions(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return Py_BuildValue("(ss)", ngtcp2_version(0)->version_str, nghttp3_version(0)->version_str);
}

static PyMethodDef functions[] = {
    {"bound", bound, METH_O, NULL},
    {"receive", receive, METH_VARARGS, NULL},
    {"send", send_one, METH_VARARGS, NULL},
    {"identifiers", identifiers, METH_O, NULL},
    {"token_of_initial", token_of_initial, METH_O, NULL},
    {"version_negotiation", version_negotiation, METH_VARARGS, NULL},
    {"retry_packet", retry_packet, METH_VARARGS, NULL},
    {"closing_packet", closing_packet, METH_VARARGS, NULL},
    {"stateless_reset", stateless_reset, METH_VARARGS, NULL},
    {"versions", versions, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* Find the functions behind the shared object of `_ssl`. Returns the name of one that is not there. */
static const char *missing_function(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL)
        return "the library";
#define FIND(result, name, arguments)        \
    *(void **)&name = dlsym(library, #name); \
    if (name == NULL)                        \
        return #name;
    FUNCTIONS(FIND)
    return NULL;
}

static struct PyModuleDef module_definition = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *ssl = PyImport_ImportModule("_ssl");
    PyObject *file = ssl == NULL ? NULL : PyObject_GetAttrString(ssl, "__file__");
    const char *path = file == NULL ? NULL : PyUnicode_AsUTF8(file);
    if (path == NULL) {
        PyErr_SetString(PyExc_ImportError, "the ssl module is no shared object");
        return NULL;
    }
    const char *missing = missing_function(path);
    if (missing != NULL)
        return PyErr_Format(PyExc_ImportError, "the OpenSSL of this Python has no %s; QUIC needs OpenSSL 3.5", missing);
    tls_type = (PyTypeObject *)PyObject_GetAttrString(ssl, "_SSLSocket");
    memory_bio = PyObject_GetAttrString(ssl, "MemoryBIO");
    ssl_error = PyObject_GetAttrString(ssl, "SSLError");
    handshake_name = PyUnicode_InternFromString("do_handshake");
    crypto_name = PyUnicode_InternFromString("crypto_received");
    recorder_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, recorder_free);
    Py_DECREF(file);
    Py_DECREF(ssl);
    if (tls_type == NULL || memory_bio == NULL || ssl_error == NULL || recorder_index < 0 || PyType_Ready(&tls_driver_type) < 0 ||
        PyType_Ready(&connection_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module_definition);
    if (made != NULL && (PyModule_AddObjectRef(made, "Tls", (PyObject *)&tls_driver_type) < 0 ||
                         PyModule_AddObjectRef(made, "Connection", (PyObject *)&connection_type) < 0))
        Py_CLEAR(made);
    return made;
}
