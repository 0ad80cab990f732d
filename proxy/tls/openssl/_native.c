/* TLS by one call for each turn of a connection: `driver.TlsDriver` on top of OpenSSL itself.
 *
 * Theory of operation. CPython makes the TLS object (`_ssl._SSLSocket`) from a context of its own, and owns the SSL:
 * settings, certificates, tickets, the answers about a finished handshake and all errors are CPython's. Only the two
 * memory BIOs are replaced by one BIO of a driver, which reads the bytes of this call where they lie, and writes into a
 * buffer that each call empties. So between two calls nothing is in the BIO, and all connections of a loop share it. It
 * is counted by OpenSSL: an SSL that outlives its driver still has it.
 *
 * No header of OpenSSL is read and nothing is linked to it. Its functions are found at run time behind the shared object
 * of `_ssl`, so they are those of the libssl that made the SSL. What is declared here is part of the ABI of OpenSSL 3.
 * `libssl.self_check` proves that the SSL is where this file takes it from, before a driver is made.
 *
 * Errors: a call of OpenSSL that has failed is made once more through CPython's object, which makes its exception of the
 * error: an SSL that has failed for good refuses the call at once, and leaves the queue of errors as it is. One that
 * would go on is not asked again. Another one is asked then, for which the BIO fails with the same error.
 *
 * Threads: a handshake may wait for a token, and releases the interpreter. All else keeps it: it takes microseconds. A
 * driver that is in a call refuses another one.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <structmember.h>

typedef struct ssl SSL;
typedef struct bio BIO;
typedef struct bio_method BIO_METHOD;
typedef struct key EVP_PKEY;

/* openssl/ssl.h, bio.h, obj_mac.h */
enum {
    SSL_ERROR_WANT_READ = 2,
    SSL_ERROR_ZERO_RETURN = 6,
    SSL_CTRL_GET_PEER_TMP_KEY = 109,
    BIO_TYPE_SOURCE_SINK = 0x400,
    BIO_CTRL_PENDING = 10,
    BIO_CTRL_FLUSH = 11,
    BIO_FLAGS_RETRY_READ = 0x1 | 0x8,
    BIO_FLAGS_RETRY = 0x1 | 0x2 | 0x4 | 0x8,
    NID_X25519 = 1034,
};

#define FUNCTIONS(F)                                             \
    F(int, SSL_do_handshake, (SSL *))                            \
    F(int, SSL_read_ex, (SSL *, void *, size_t, size_t *))       \
    F(int, SSL_write_ex, (SSL *, const void *, size_t, size_t *)) \
    F(int, SSL_shutdown, (SSL *))                                \
    F(int, SSL_pending, (const SSL *))                           \
    F(const char *, SSL_state_string, (const SSL *))             \
    F(int, SSL_get_error, (const SSL *, int))                    \
    F(int, SSL_new_session_ticket, (SSL *))                      \
    F(long, SSL_ctrl, (SSL *, int, long, void *))                \
    F(BIO *, SSL_get_rbio, (const SSL *))                        \
    F(void, SSL_set_bio, (SSL *, BIO *, BIO *))                  \
    F(int, EVP_PKEY_set_type, (EVP_PKEY *, int))                 \
    F(void, EVP_PKEY_free, (EVP_PKEY *))                         \
    F(unsigned long, ERR_peek_error, (void))                     \
    F(unsigned long, ERR_peek_last_error, (void))                \
    F(void, ERR_new, (void))                                     \
    F(void, ERR_set_error, (int, int, const char *, ...))        \
    F(void, ERR_clear_error, (void))                             \
    F(int, BIO_get_new_index, (void))                            \
    F(BIO_METHOD *, BIO_meth_new, (int, const char *))           \
    F(int, BIO_meth_set_read, (BIO_METHOD *, int (*)(BIO *, char *, int)))             \
    F(int, BIO_meth_set_write, (BIO_METHOD *, int (*)(BIO *, const char *, int)))      \
    F(int, BIO_meth_set_ctrl, (BIO_METHOD *, long (*)(BIO *, int, long, void *)))      \
    F(int, BIO_meth_set_destroy, (BIO_METHOD *, int (*)(BIO *))) \
    F(BIO *, BIO_new, (const BIO_METHOD *))                      \
    F(int, BIO_free, (BIO *))                                    \
    F(int, BIO_up_ref, (BIO *))                                  \
    F(void, BIO_set_data, (BIO *, void *))                       \
    F(void *, BIO_get_data, (BIO *))                             \
    F(void, BIO_set_init, (BIO *, int))                          \
    F(void, BIO_set_flags, (BIO *, int))                         \
    F(void, BIO_clear_flags, (BIO *, int))

#define DECLARE(result, name, arguments) static result(*name) arguments;
FUNCTIONS(DECLARE)

static BIO_METHOD *turn_method;
static PyTypeObject *tls_type; /* _ssl._SSLSocket */
static PyObject *memory_bio;   /* _ssl.MemoryBIO */
static PyObject *ssl_error;    /* ssl.SSLError */
static PyObject *handshake_name, *read_name, *write_name; /* names of its methods */
static PyObject *one_byte;                           /* 1 */

/* What one call reads and writes. It belongs to its BIO. */
typedef struct {
    const unsigned char *in;
    size_t in_length;
    char *answer; /* the first of what is written goes here, into the bytes that a call answers, the rest into `out` */
    size_t answer_length, answer_room;
    unsigned char *out;
    size_t out_length, out_room;
    unsigned long error; /* what the BIO fails with */
} Turn;

#define RECORD_BYTES 16384 /* of data (RFC 8446 section 5.1) */
#define RECORD_MORE 22     /* on the wire: header 5, content type 1, tag 16 */
#define KEPT_ROOM 131072   /* of `out` between two calls: more than a send of `waiting_data.py` */

static int turn_read(BIO *bio, char *to, int count)
{
    Turn *turn = BIO_get_data(bio);
    BIO_clear_flags(bio, BIO_FLAGS_RETRY);
    if (count <= 0)
        return 0;
    if (turn->error != 0) {
        ERR_new();
        ERR_set_error((int)(turn->error >> 23 & 0xFF), (int)(turn->error & 0x7FFFFF), NULL);
        return -1;
    }
    if (turn->in_length == 0) {
        BIO_set_flags(bio, BIO_FLAGS_RETRY_READ);
        return -1;
    }
    if ((size_t)count > turn->in_length)
        count = (int)turn->in_length;
    memcpy(to, turn->in, (size_t)count);
    turn->in += count;
    turn->in_length -= (size_t)count;
    return count;
}

static int turn_write(BIO *bio, const char *from, int count)
{
    Turn *turn = BIO_get_data(bio);
    BIO_clear_flags(bio, BIO_FLAGS_RETRY);
    if (count <= 0)
        return 0;
    if (turn->out_length == 0 && (size_t)count <= turn->answer_room - turn->answer_length) {
        memcpy(turn->answer + turn->answer_length, from, (size_t)count);
        turn->answer_length += (size_t)count;
        return count;
    }
    if ((size_t)count > turn->out_room - turn->out_length) {
        size_t room = 2 * turn->out_length + (size_t)count;
        unsigned char *out = realloc(turn->out, room);
        if (out == NULL)
            return -1;
        turn->out = out;
        turn->out_room = room;
    }
    memcpy(turn->out + turn->out_length, from, (size_t)count);
    turn->out_length += (size_t)count;
    return count;
}

static long turn_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_PENDING:
        return (long)((Turn *)BIO_get_data(bio))->in_length;
    default:
        return 0;
    }
}

static int turn_destroy(BIO *bio)
{
    Turn *turn = BIO_get_data(bio);
    free(turn->out);
    free(turn);
    return 1;
}

typedef struct {
    PyObject_HEAD
    BIO *bio;
    Turn *turn;
    PyObject *unused; /* CPython wants a memory BIO to make an object */
    int is_busy;
} Driver;

static PyObject *driver_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords;
    Driver *self = (Driver *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->unused = PyObject_CallNoArgs(memory_bio);
    if (self->unused == NULL || (self->turn = calloc(1, sizeof *self->turn)) == NULL || (self->bio = BIO_new(turn_method)) == NULL) {
        free(self->turn);
        Py_DECREF(self);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    BIO_set_data(self->bio, self->turn);
    BIO_set_init(self->bio, 1);
    return (PyObject *)self;
}

static void driver_dealloc(Driver *self)
{
    if (self->bio != NULL)
        BIO_free(self->bio);
    Py_XDECREF(self->unused);
    Py_TYPE(self)->tp_free(self);
}

/* The SSL of CPython's object: `PySSLSocket` begins with the socket and the SSL. */
static SSL *ssl_of(Driver *self, PyObject *tls)
{
    if (self->is_busy) {
        PyErr_SetString(PyExc_RuntimeError, "the driver is in another call");
        return NULL;
    }
    if (!Py_IS_TYPE(tls, tls_type)) {
        PyErr_Format(PyExc_TypeError, "no TLS object: %.100s", Py_TYPE(tls)->tp_name);
        return NULL;
    }
    return ((SSL **)(tls + 1))[1];
}

/* The same, of an object that this driver has. */
static SSL *own_ssl_of(Driver *self, PyObject *tls)
{
    SSL *ssl = ssl_of(self, tls);
    if (ssl != NULL && SSL_get_rbio(ssl) != self->bio) {
        PyErr_SetString(PyExc_ValueError, "the TLS object belongs to another driver");
        return NULL;
    }
    return ssl;
}

static void begin(Driver *self, const void *data, Py_ssize_t length)
{
    self->turn->in = data;
    self->turn->in_length = (size_t)length;
    self->turn->out_length = 0; /* what a call of CPython's object alone would have left is no answer to this one */
    if (ERR_peek_error() != 0)
        ERR_clear_error(); /* what others have left would pass for ours */
}

/* Answer what was written behind `from`, and empty the buffer. */
static PyObject *output(Driver *self, size_t from)
{
    Turn *turn = self->turn;
    PyObject *made = PyBytes_FromStringAndSize((char *)turn->out + from, (Py_ssize_t)(turn->out_length - from));
    turn->out_length = from;
    if (from == 0 && turn->out_room > KEPT_ROOM) {
        free(turn->out);
        turn->out = NULL;
        turn->out_room = 0;
    }
    return made;
}

/* Forget all that a call has left. */
static void end(Driver *self)
{
    self->turn->in = NULL;
    self->turn->in_length = 0;
    self->turn->out_length = 0;
    self->turn->answer_length = self->turn->answer_room = 0;
}

static PyObject *driver_server_side(Driver *self, PyObject *context);

/* CPython's exception for a call of `method` that has just failed; NULL with another exception. */
static PyObject *error_of(Driver *self, PyObject *tls, SSL *ssl, PyObject *method, PyObject *argument)
{
    PyObject *made = NULL;
    self->turn->in_length = 0;
    if (strcmp(SSL_state_string(ssl), "SSLERR") == 0) {
        made = PyObject_CallMethodObjArgs(tls, method, argument, NULL);
    } else {
        unsigned long error = ERR_peek_last_error();
        PyObject *context = PyObject_GetAttrString(tls, "context");
        PyObject *other = context == NULL ? NULL : driver_server_side(self, context);
        self->turn->error = error;
        made = other == NULL ? NULL : PyObject_CallMethodNoArgs(other, handshake_name);
        self->turn->error = 0;
        Py_XDECREF(other);
        Py_XDECREF(context);
    }
    if (made != NULL) {
        Py_DECREF(made);
        return PyObject_CallFunction(ssl_error, "is", 1, "OpenSSL does not say why");
    }
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

static int takes(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, count);
    return 0;
}

static void attach(Driver *self, SSL *ssl)
{
    BIO_up_ref(self->bio); /* SSL_set_bio takes it over, once for both directions */
    SSL_set_bio(ssl, self->bio, self->bio);
}

static PyObject *driver_adopt(Driver *self, PyObject *tls)
{
    SSL *ssl = ssl_of(self, tls);
    if (ssl == NULL)
        return NULL;
    if (SSL_get_rbio(ssl) != NULL) {
        PyErr_SetString(PyExc_ValueError, "another driver has the TLS object");
        return NULL;
    }
    attach(self, ssl);
    Py_RETURN_NONE;
}

static PyObject *driver_release(Driver *self, PyObject *tls)
{
    SSL *ssl = own_ssl_of(self, tls);
    if (ssl == NULL)
        return NULL;
    SSL_set_bio(ssl, NULL, NULL);
    Py_RETURN_NONE;
}

static PyObject *driver_server_side(Driver *self, PyObject *context)
{
    PyObject *tls = PyObject_CallMethod(context, "_wrap_bio", "OOO", self->unused, self->unused, Py_True);
    SSL *ssl = tls == NULL ? NULL : ssl_of(self, tls);
    if (ssl == NULL)
        Py_CLEAR(tls);
    else
        attach(self, ssl);
    return tls;
}

static void request_tickets(SSL *ssl, long count)
{
    for (; count > 0; count--)
        SSL_new_session_ticket(ssl);
}

static PyObject *driver_handshake(Driver *self, PyObject *const *args, Py_ssize_t count)
{
    if (!takes("handshake", count, 4))
        return NULL;
    SSL *ssl = own_ssl_of(self, args[0]);
    char *data;
    Py_ssize_t length;
    if (ssl == NULL || PyBytes_AsStringAndSize(args[1], &data, &length) < 0)
        return NULL;
    long tickets = PyLong_AsLong(args[2]);
    Py_ssize_t shortest = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred())
        return NULL;
    Turn *turn = self->turn;
    size_t flight, rest;
    int done, reason;
    begin(self, data, length);
    self->is_busy = 1;
    Py_BEGIN_ALLOW_THREADS
    done = SSL_do_handshake(ssl);
    reason = done == 1 ? 0 : SSL_get_error(ssl, done);
    flight = turn->out_length;
    rest = turn->in_length;
    if (done == 1 && tickets > 0 && rest >= (size_t)shortest) {
        turn->in_length = 0;
        request_tickets(ssl, tickets);
        SSL_do_handshake(ssl); /* no error of the client is possible: nothing is read */
    }
    Py_END_ALLOW_THREADS
    self->is_busy = 0;
    PyObject *error = Py_None;
    if (done != 1 && reason != SSL_ERROR_WANT_READ) {
        error = error_of(self, args[0], ssl, handshake_name, NULL);
        flight = turn->out_length;
        rest = 0;
        if (error == NULL) {
            end(self);
            return NULL;
        }
    } else {
        Py_INCREF(error);
        if (done != 1)
            rest = 0;
    }
    PyObject *sealed = output(self, flight);
    PyObject *sent = output(self, 0);
    PyObject *left = PyBytes_FromStringAndSize(data + length - rest, (Py_ssize_t)rest);
    end(self);
    if (sealed == NULL || sent == NULL || left == NULL) {
        Py_XDECREF(sealed);
        Py_XDECREF(sent);
        Py_XDECREF(left);
        Py_DECREF(error);
        return NULL;
    }
    return Py_BuildValue("(NNNNN)", PyBool_FromLong(done == 1), sent, left, sealed, error);
}

/* Decrypt into new bytes as far as the wire goes. Returns 0 if there is no memory. */
static int read_all(Turn *turn, SSL *ssl, PyObject **data, Py_ssize_t *got, long *records, int *reason)
{
    Py_ssize_t room = PyBytes_GET_SIZE(*data);
    int is_continued = 0;
    while (turn->in_length > 0 || is_continued) {
        size_t count;
        if (*got == room) {
            room += RECORD_BYTES; /* a record that began in an earlier call */
            if (_PyBytes_Resize(data, room) < 0)
                return 0;
        }
        int done = SSL_read_ex(ssl, PyBytes_AS_STRING(*data) + *got, (size_t)(room - *got), &count);
        if (done != 1) {
            *reason = SSL_get_error(ssl, done);
            return 1;
        }
        *got += (Py_ssize_t)count;
        *records += !is_continued;
        is_continued = *got == room && SSL_pending(ssl) > 0;
    }
    return 1;
}

/* Make `data` as long as what was `got`. A piece that is cut off would stay with malloc and keep the rest from being one
 * again when it is freed: 14 MB after some hundred records. A piece of less than 32 bytes is not cut off. */
static int fit(PyObject **data, Py_ssize_t got)
{
    if (PyBytes_GET_SIZE(*data) - got < 32)
        return _PyBytes_Resize(data, got);
    PyObject *made = PyBytes_FromStringAndSize(PyBytes_AS_STRING(*data), got);
    Py_SETREF(*data, made);
    return made == NULL ? -1 : 0;
}

static PyObject *driver_decrypt(Driver *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer wire;
    if (!takes("decrypt", count, 3))
        return NULL;
    SSL *ssl = own_ssl_of(self, args[0]);
    Py_ssize_t ended = PyLong_AsSsize_t(args[2]);
    if (ssl == NULL || PyErr_Occurred() || PyObject_GetBuffer(args[1], &wire, PyBUF_SIMPLE) < 0)
        return NULL;
    /* exact if whole records came that are not padded */
    Py_ssize_t room = ended >= 0 && ended < wire.len / RECORD_MORE ? wire.len - ended * RECORD_MORE : wire.len;
    PyObject *data = PyBytes_FromStringAndSize(NULL, room), *error = Py_None;
    Py_ssize_t got = 0;
    long records = 0;
    int reason = SSL_ERROR_WANT_READ;
    begin(self, wire.buf, wire.len);
    int is_done = data != NULL && read_all(self->turn, ssl, &data, &got, &records, &reason);
    self->turn->in_length = 0; /* of what is left nothing means anything */
    PyBuffer_Release(&wire);
    if (!is_done || fit(&data, got) < 0) {
        end(self);
        return NULL;
    }
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_ZERO_RETURN)
        error = error_of(self, args[0], ssl, read_name, one_byte);
    else
        Py_INCREF(error);
    PyObject *answer = error == NULL ? NULL : output(self, 0);
    end(self);
    if (answer == NULL) {
        Py_DECREF(data);
        Py_XDECREF(error);
        return NULL;
    }
    PyObject *made = PyTuple_New(5), *counted = PyLong_FromLong(records);
    if (made == NULL || counted == NULL) {
        Py_XDECREF(made);
        Py_XDECREF(counted);
        Py_DECREF(data);
        Py_DECREF(answer);
        Py_DECREF(error);
        return NULL;
    }
    PyTuple_SET_ITEM(made, 0, data);
    PyTuple_SET_ITEM(made, 1, counted);
    PyTuple_SET_ITEM(made, 2, PyBool_FromLong(reason == SSL_ERROR_ZERO_RETURN));
    PyTuple_SET_ITEM(made, 3, answer);
    PyTuple_SET_ITEM(made, 4, error);
    return made;
}

static PyObject *driver_encrypt(Driver *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer data;
    if (!takes("encrypt", count, 3))
        return NULL;
    SSL *ssl = own_ssl_of(self, args[0]);
    long tickets = PyLong_AsLong(args[2]);
    if (ssl == NULL || PyErr_Occurred() || PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t room = data.len + (data.len + RECORD_BYTES - 1) / RECORD_BYTES * RECORD_MORE; /* exact without tickets */
    PyObject *made = PyBytes_FromStringAndSize(NULL, room);
    if (made == NULL) {
        PyBuffer_Release(&data);
        return NULL;
    }
    Turn *turn = self->turn;
    size_t done = 0, written = 0;
    begin(self, NULL, 0);
    turn->answer = PyBytes_AS_STRING(made);
    turn->answer_room = (size_t)room;
    request_tickets(ssl, tickets);
    while (done < (size_t)data.len && SSL_write_ex(ssl, (char *)data.buf + done, (size_t)data.len - done, &written) == 1)
        done += written;
    int is_done = done == (size_t)data.len;
    size_t length = turn->answer_length;
    turn->answer_room = length; /* nothing follows there */
    PyBuffer_Release(&data);
    if (is_done) {
        if (_PyBytes_Resize(&made, (Py_ssize_t)(length + turn->out_length)) == 0 && turn->out_length > 0)
            memcpy(PyBytes_AS_STRING(made) + length, turn->out, turn->out_length);
    } else {
        Py_CLEAR(made);
        PyObject *error = error_of(self, args[0], ssl, write_name, args[1]);
        if (error != NULL)
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_XDECREF(error);
    }
    end(self);
    return made;
}

static PyObject *driver_close_notify(Driver *self, PyObject *tls)
{
    SSL *ssl = own_ssl_of(self, tls);
    if (ssl == NULL)
        return NULL;
    begin(self, NULL, 0);
    if (SSL_shutdown(ssl) < 0)
        ERR_clear_error(); /* the connection has failed before */
    PyObject *made = output(self, 0);
    end(self);
    return made;
}

static PyObject *driver_forget_key_share(Driver *self, PyObject *tls)
{
    EVP_PKEY *key = NULL;
    SSL *ssl = own_ssl_of(self, tls);
    if (ssl == NULL)
        return NULL;
    if (SSL_ctrl(ssl, SSL_CTRL_GET_PEER_TMP_KEY, 0, &key) == 1) {
        EVP_PKEY_set_type(key, NID_X25519); /* a key that is given a type loses what it held */
        EVP_PKEY_free(key);                 /* the reference that the question gave us */
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"server_side", (PyCFunction)driver_server_side, METH_O, NULL},
    {"adopt", (PyCFunction)driver_adopt, METH_O, NULL},
    {"release", (PyCFunction)driver_release, METH_O, NULL},
    {"handshake", (PyCFunction)(void (*)(void))driver_handshake, METH_FASTCALL, NULL},
    {"decrypt", (PyCFunction)(void (*)(void))driver_decrypt, METH_FASTCALL, NULL},
    {"encrypt", (PyCFunction)(void (*)(void))driver_encrypt, METH_FASTCALL, NULL},
    {"close_notify", (PyCFunction)driver_close_notify, METH_O, NULL},
    {"forget_key_share", (PyCFunction)driver_forget_key_share, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject driver_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "proxy.tls.openssl._native.Driver",
    .tp_basicsize = sizeof(Driver),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = driver_new,
    .tp_dealloc = (destructor)driver_dealloc,
    .tp_methods = methods,
};

/* Find the functions behind the shared object of `_ssl`. Returns the name of one that is not there. */
static const char *missing_function(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL)
        return "the library";
#define FIND(result, name, arguments)             \
    *(void **)&name = dlsym(library, #name);      \
    if (name == NULL)                             \
        return #name;
    FUNCTIONS(FIND)
    return NULL;
}

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *ssl = PyImport_ImportModule("_ssl");
    PyObject *file = ssl == NULL ? NULL : PyObject_GetAttrString(ssl, "__file__");
    const char *path = file == NULL ? NULL : PyUnicode_AsUTF8(file);
    if (path == NULL) {
        PyErr_SetString(PyExc_ImportError, "the ssl module is no shared object"); /* `libssl.self_check` says more */
        return NULL;
    }
    const char *missing = missing_function(path);
    if (missing != NULL)
        return PyErr_Format(PyExc_ImportError, "%s has no %s", path, missing);
    tls_type = (PyTypeObject *)PyObject_GetAttrString(ssl, "_SSLSocket");
    memory_bio = PyObject_GetAttrString(ssl, "MemoryBIO");
    ssl_error = PyObject_GetAttrString(ssl, "SSLError");
    handshake_name = PyUnicode_InternFromString("do_handshake");
    read_name = PyUnicode_InternFromString("read");
    write_name = PyUnicode_InternFromString("write");
    one_byte = PyLong_FromLong(1);
    turn_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "turn");
    if (tls_type == NULL || memory_bio == NULL || ssl_error == NULL || one_byte == NULL || turn_method == NULL || PyType_Ready(&driver_type) < 0)
        return NULL;
    BIO_meth_set_read(turn_method, turn_read);
    BIO_meth_set_write(turn_method, turn_write);
    BIO_meth_set_ctrl(turn_method, turn_control);
    BIO_meth_set_destroy(turn_method, turn_destroy);
    Py_DECREF(file);
    Py_DECREF(ssl);
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddObjectRef(made, "Driver", (PyObject *)&driver_type) < 0)
        Py_CLEAR(made);
    return made;
}
