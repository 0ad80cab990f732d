/* What the programs here use of OpenSSL: its own headers are a package of their own. */
#ifndef BENCH_LIBSSL_H
#define BENCH_LIBSSL_H

#include <stddef.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
const SSL_METHOD *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
SSL *SSL_new(SSL_CTX *);
long SSL_ctrl(SSL *, int, long, void *);
int SSL_set_fd(SSL *, int);
int SSL_connect(SSL *);
int SSL_read(SSL *, void *, int);
int SSL_write(SSL *, const void *, int);
int SSL_has_pending(const SSL *);
int SSL_shutdown(SSL *);
int SSL_get_error(const SSL *, int);
int SSL_set_alpn_protos(SSL *, const unsigned char *, unsigned);
void SSL_get0_alpn_selected(const SSL *, const unsigned char **, unsigned *);
void SSL_free(SSL *);
unsigned char *SHA1(const unsigned char *, size_t, unsigned char *);
int EVP_EncodeBlock(unsigned char *, const unsigned char *, int);

/* These are macros there. */
#define SET_MODE 33
#define SET_READ_AHEAD 41
#define SET_TLSEXT_HOSTNAME 55
#define SET_GROUPS_LIST 92
#define RELEASE_BUFFERS 0x10
#define WANT_READ 2

#endif
