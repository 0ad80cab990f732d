/* A library with the interface of liboqs, as far as liboqs-python reads it, whose KEMs hide nothing: the secret is the ciphertext
 * beside the public key. It stands for what the machine does not have: that it is found, loaded and told apart by its variants. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#ifndef VERSION
#define VERSION "0.16.0"
#endif
#ifndef CIPHERTEXT
#define CIPHERTEXT 48
#endif
#define KEY 32

typedef struct {
    const char *method_name, *alg_version;
    uint8_t claimed_nist_level;
    bool ind_cca;
    size_t length_public_key, length_secret_key, length_ciphertext, length_shared_secret, length_keypair_seed;
    size_t length_encaps_seed;
} Kem;

static Kem KEMS[] = {
    {"FrodoKEM-976-AES", "toy", 3, true, KEY, KEY, CIPHERTEXT, KEY, 0, 0},
    {"HQC-5", "toy", 5, true, KEY, KEY, CIPHERTEXT, KEY, 0, 0},
};
enum { COUNT = sizeof KEMS / sizeof *KEMS };

void OQS_init(void) {}
const char *OQS_version(void) { return VERSION; }
void OQS_MEM_cleanse(void *at, size_t length) { memset(at, 0, length); }
void OQS_MEM_secure_free(void *at, size_t length) { (void)at, (void)length; }

int OQS_KEM_alg_count(void) { return COUNT; }
const char *OQS_KEM_alg_identifier(size_t i) { return KEMS[i].method_name; }
int OQS_KEM_alg_is_enabled(const char *name) { return name != NULL; }
void OQS_KEM_free(Kem *kem) { (void)kem; }

Kem *OQS_KEM_new(const char *name) {
    for (int i = 0; i < COUNT; i++)
        if (strcmp(KEMS[i].method_name, name) == 0)
            return &KEMS[i];
    return NULL;
}

int OQS_KEM_keypair(const Kem *kem, uint8_t *public, uint8_t *private) {
    (void)kem;
    if (getrandom(public, KEY, 0) != KEY)
        return -1;
    memcpy(private, public, KEY);
    return 0;
}

int OQS_KEM_decaps(const Kem *kem, uint8_t *secret, const uint8_t *ciphertext, const uint8_t *private) {
    memset(secret, 0, KEY);
    for (size_t i = 0; i < kem->length_ciphertext; i++)
        secret[i % KEY] ^= (uint8_t)(ciphertext[i] + i);
    for (int i = 0; i < KEY; i++)
        secret[i] ^= private[i];
    return 0;
}

int OQS_KEM_encaps(const Kem *kem, uint8_t *ciphertext, uint8_t *secret, const uint8_t *public) {
    if (getrandom(ciphertext, kem->length_ciphertext, 0) != (ssize_t)kem->length_ciphertext)
        return -1;
    return OQS_KEM_decaps(kem, secret, ciphertext, public);
}

/* Nothing below is used; the package looks for it at its import. */
#define NONE(kind)                                                                   \
    int kind##_alg_count(void) { return 0; }                                         \
    const char *kind##_alg_identifier(size_t i) { return i ? NULL : NULL; }          \
    int kind##_alg_is_enabled(const char *name) { return name == NULL; }             \
    void *kind##_new(const char *name) { return name ? NULL : NULL; }                \
    void kind##_free(void *it) { (void)it; }
NONE(OQS_SIG)
NONE(OQS_SIG_STFL)
#define LATER(name) \
    int name(void) { return -1; }
LATER(OQS_KEM_keypair_derand)
LATER(OQS_SIG_supports_ctx_str)
LATER(OQS_SIG_STFL_SECRET_KEY_new)
LATER(OQS_SIG_STFL_SECRET_KEY_free)
LATER(OQS_SIG_STFL_SECRET_KEY_serialize)
LATER(OQS_SIG_STFL_SECRET_KEY_deserialize)
LATER(OQS_SIG_STFL_SECRET_KEY_SET_store_cb)
LATER(OQS_SIG_STFL_keypair)
LATER(OQS_SIG_STFL_sign)
LATER(OQS_SIG_STFL_verify)
LATER(OQS_SIG_STFL_sigs_remaining)
LATER(OQS_SIG_STFL_sigs_total)
