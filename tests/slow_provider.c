/* An OpenSSL provider with one group of TLS 1.3, whose key exchange costs a server 50 ms of CPU, as that of HQC does. A client
 * pays nothing. It hides nothing either: the secret is the public key and the ciphertext in one. For tests alone. */

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define NAME "x25519_hqcslow"
#define BYTES 32
#define COST_NS 50000000L

typedef struct {
    int has_private, has_public;
    unsigned char bytes[BYTES];
} Key;

static int LEAST = 0x0304, MOST = 0, NEVER = -1;
static unsigned int ID = 0xfe40, BITS = 128, IS_KEM = 1;

static const OSSL_PARAM GROUP[] = {
    {OSSL_CAPABILITY_TLS_GROUP_NAME, OSSL_PARAM_UTF8_STRING, NAME, sizeof NAME, 0},
    {OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, OSSL_PARAM_UTF8_STRING, NAME, sizeof NAME, 0},
    {OSSL_CAPABILITY_TLS_GROUP_ALG, OSSL_PARAM_UTF8_STRING, NAME, sizeof NAME, 0},
    {OSSL_CAPABILITY_TLS_GROUP_ID, OSSL_PARAM_UNSIGNED_INTEGER, &ID, sizeof ID, 0},
    {OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, OSSL_PARAM_UNSIGNED_INTEGER, &BITS, sizeof BITS, 0},
    {OSSL_CAPABILITY_TLS_GROUP_IS_KEM, OSSL_PARAM_UNSIGNED_INTEGER, &IS_KEM, sizeof IS_KEM, 0},
    {OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, OSSL_PARAM_INTEGER, &LEAST, sizeof LEAST, 0},
    {OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, OSSL_PARAM_INTEGER, &MOST, sizeof MOST, 0},
    {OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},
    {OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},
    {NULL, 0, NULL, 0, 0},
};

static int capabilities(void *context, const char *capability, OSSL_CALLBACK *callback, void *argument) {
    (void)context;
    return strcmp(capability, "TLS-GROUP") != 0 || callback(GROUP, argument);
}

/* keys */

static void *new_key(void *context) {
    (void)context;
    return calloc(1, sizeof(Key));
}

static void free_key(void *key) { free(key); }

static int has(const void *key, int selection) {
    const Key *one = key;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) && !one->has_private)
        return 0;
    return !(selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) || one->has_public;
}

static int get_params(void *key, OSSL_PARAM params[]) {
    Key *one = key;
    int bits = 256, strength = 128, size = BYTES;
    OSSL_PARAM *p;
    if ((p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_BITS)) && !OSSL_PARAM_set_int(p, bits))
        return 0;
    if ((p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_SECURITY_BITS)) && !OSSL_PARAM_set_int(p, strength))
        return 0;
    if ((p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_MAX_SIZE)) && !OSSL_PARAM_set_int(p, size))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    return p == NULL || OSSL_PARAM_set_octet_string(p, one->bytes, BYTES);
}

static const OSSL_PARAM *gettable(void *context) {
    static const OSSL_PARAM known[] = {
        {OSSL_PKEY_PARAM_BITS, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_SECURITY_BITS, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_MAX_SIZE, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, OSSL_PARAM_OCTET_STRING, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    (void)context;
    return known;
}

static int set_params(void *key, const OSSL_PARAM params[]) {
    Key *one = key;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    if (p == NULL)
        return 1;
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != BYTES)
        return 0;
    memcpy(one->bytes, p->data, BYTES);
    one->has_public = 1;
    return 1;
}

static const OSSL_PARAM *settable(void *context) {
    static const OSSL_PARAM known[] = {
        {OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, OSSL_PARAM_OCTET_STRING, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    (void)context;
    return known;
}

static void *begin_making(void *context, int selection, const OSSL_PARAM params[]) {
    int *wanted = malloc(sizeof *wanted);
    (void)context;
    (void)params;
    if (wanted != NULL)
        *wanted = selection;
    return wanted;
}

static int set_making(void *making, const OSSL_PARAM params[]) {
    (void)making;
    (void)params;
    return 1; /* the name of the group, and there is one */
}

static const OSSL_PARAM *settable_making(void *making, void *context) {
    static const OSSL_PARAM known[] = {
        {OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PARAM_UTF8_STRING, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    (void)making;
    (void)context;
    return known;
}

static void *make(void *making, OSSL_CALLBACK *callback, void *argument) {
    Key *one = new_key(NULL);
    (void)callback;
    (void)argument;
    if (one != NULL && (*(int *)making & OSSL_KEYMGMT_SELECT_KEYPAIR)) {
        if (getrandom(one->bytes, BYTES, 0) != BYTES) {
            free(one);
            return NULL;
        }
        one->has_private = one->has_public = 1;
    }
    return one;
}

static void end_making(void *making) { free(making); }

static const OSSL_DISPATCH KEYS[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))new_key},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))free_key},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))has},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))gettable},
    {OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))set_params},
    {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))settable},
    {OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))begin_making},
    {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))set_making},
    {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))settable_making},
    {OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))make},
    {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))end_making},
    {0, NULL},
};

/* the exchange */

static void *new_exchange(void *context) {
    (void)context;
    return calloc(1, sizeof(Key *));
}

static void free_exchange(void *exchange) { free(exchange); }

static int begin(void *exchange, void *key, const OSSL_PARAM params[]) {
    (void)params;
    *(Key **)exchange = key;
    return 1;
}

static void combine(const Key *key, const unsigned char *ciphertext, unsigned char *secret) {
    for (int i = 0; i < BYTES; i++)
        secret[i] = key->bytes[i] ^ ciphertext[i];
}

static long long thread_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int encapsulate(void *exchange, unsigned char *out, size_t *out_bytes, unsigned char *secret, size_t *secret_bytes) {
    *out_bytes = BYTES;
    if (secret_bytes != NULL)
        *secret_bytes = BYTES;
    if (out == NULL)
        return 1;
    for (long long end = thread_ns() + COST_NS; thread_ns() < end;)
        ;
    if (getrandom(out, BYTES, 0) != BYTES)
        return 0;
    combine(*(Key **)exchange, out, secret);
    return 1;
}

static int decapsulate(void *exchange, unsigned char *secret, size_t *secret_bytes, const unsigned char *in, size_t in_bytes) {
    *secret_bytes = BYTES;
    if (secret == NULL)
        return 1;
    if (in_bytes != BYTES)
        return 0;
    combine(*(Key **)exchange, in, secret);
    return 1;
}

static const OSSL_DISPATCH EXCHANGE[] = {
    {OSSL_FUNC_KEM_NEWCTX, (void (*)(void))new_exchange},
    {OSSL_FUNC_KEM_FREECTX, (void (*)(void))free_exchange},
    {OSSL_FUNC_KEM_ENCAPSULATE_INIT, (void (*)(void))begin},
    {OSSL_FUNC_KEM_ENCAPSULATE, (void (*)(void))encapsulate},
    {OSSL_FUNC_KEM_DECAPSULATE_INIT, (void (*)(void))begin},
    {OSSL_FUNC_KEM_DECAPSULATE, (void (*)(void))decapsulate},
    {0, NULL},
};

/* the provider */

static const OSSL_ALGORITHM KINDS[] = {{NAME, "provider=slow", KEYS, NULL}, {NULL, NULL, NULL, NULL}};
static const OSSL_ALGORITHM EXCHANGES[] = {{NAME, "provider=slow", EXCHANGE, NULL}, {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache) {
    (void)context;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? KINDS : operation == OSSL_OP_KEM ? EXCHANGES : NULL;
}

static int about(void *context, OSSL_PARAM params[]) {
    OSSL_PARAM *p;
    (void)context;
    if ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION)) && !OSSL_PARAM_set_utf8_ptr(p, "0.12.0"))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO);
    return p == NULL || OSSL_PARAM_set_utf8_ptr(p, "Slow Provider v.0.12.0 (test) based on liboqs v.0.16.0");
}

static const OSSL_DISPATCH PROVIDER[] = {
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))about},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
    {0, NULL},
};

int OSSL_provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context) {
    (void)in;
    *out = PROVIDER;
    *context = (void *)core;
    return 1;
}
