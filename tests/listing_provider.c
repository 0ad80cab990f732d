/* An OpenSSL provider that lists groups with which no hello of TLS 1.3 can be made, as oqs-provider lists those of BIKE: there are
 * keys of the kind, and the least version of TLS is none (-1). It computes nothing. */

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <string.h>

static int NEVER = -1;
static unsigned int BITS = 128, IS_KEM = 1;

#define GROUP(name, id)                                                                        \
    {                                                                                          \
        {OSSL_CAPABILITY_TLS_GROUP_NAME, OSSL_PARAM_UTF8_STRING, name, sizeof name, 0},        \
        {OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, OSSL_PARAM_UTF8_STRING, name, sizeof name, 0}, \
        {OSSL_CAPABILITY_TLS_GROUP_ALG, OSSL_PARAM_UTF8_STRING, name, sizeof name, 0},         \
        {OSSL_CAPABILITY_TLS_GROUP_ID, OSSL_PARAM_UNSIGNED_INTEGER, id, sizeof *id, 0},        \
        {OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, OSSL_PARAM_UNSIGNED_INTEGER, &BITS, sizeof BITS, 0}, \
        {OSSL_CAPABILITY_TLS_GROUP_IS_KEM, OSSL_PARAM_UNSIGNED_INTEGER, &IS_KEM, sizeof IS_KEM, 0}, \
        {OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},      \
        {OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},      \
        {OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},     \
        {OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, OSSL_PARAM_INTEGER, &NEVER, sizeof NEVER, 0},     \
        {NULL, 0, NULL, 0, 0},                                                                 \
    }

static unsigned int FIRST = 0xfe30, SECOND = 0xfe31;
static const OSSL_PARAM GROUPS[][11] = {GROUP("bikel1", &FIRST), GROUP("p256_bikel1", &SECOND)};

static int capabilities(void *context, const char *capability, OSSL_CALLBACK *callback, void *argument) {
    (void)context;
    if (strcmp(capability, "TLS-GROUP") != 0)
        return 1;
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++)
        if (!callback(GROUPS[i], argument))
            return 0;
    return 1;
}

static void *no_key(void *context) {
    (void)context;
    return NULL;
}

static void forget(void *key) { (void)key; }

static int has(const void *key, int selection) {
    (void)key;
    (void)selection;
    return 0;
}

static const OSSL_DISPATCH KEYS[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))no_key},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))forget},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))has},
    {0, NULL},
};

static const OSSL_ALGORITHM KINDS[] = {
    {"bikel1", "provider=listing", KEYS, NULL},
    {"p256_bikel1", "provider=listing", KEYS, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache) {
    (void)context;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? KINDS : NULL;
}

static const OSSL_DISPATCH PROVIDER[] = {
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
