/* What exchanges.c uses of nghttp2: its own headers are a package of their own. */
#ifndef BENCH_LIBNGHTTP2_H
#define BENCH_LIBNGHTTP2_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct nghttp2_session nghttp2_session;
typedef struct nghttp2_session_callbacks nghttp2_session_callbacks;
typedef struct {
    size_t length;
    int32_t stream_id;
    uint8_t type, flags, reserved;
} nghttp2_frame; /* the beginning of each */
typedef struct {
    uint8_t *name, *value;
    size_t namelen, valuelen;
    uint8_t flags;
} nghttp2_nv;
typedef union {
    int fd;
    void *ptr;
} nghttp2_data_source;
typedef struct {
    nghttp2_data_source source;
    ssize_t (*read)(nghttp2_session *, int32_t, uint8_t *, size_t, uint32_t *, nghttp2_data_source *, void *);
} nghttp2_data_provider;
typedef int (*on_header)(nghttp2_session *, const nghttp2_frame *, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t, void *);
typedef int (*on_data)(nghttp2_session *, uint8_t, int32_t, const uint8_t *, size_t, void *);
typedef int (*on_close)(nghttp2_session *, int32_t, uint32_t, void *);
int nghttp2_session_callbacks_new(nghttp2_session_callbacks **);
void nghttp2_session_callbacks_set_on_header_callback(nghttp2_session_callbacks *, on_header);
void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(nghttp2_session_callbacks *, on_data);
void nghttp2_session_callbacks_set_on_stream_close_callback(nghttp2_session_callbacks *, on_close);
int nghttp2_session_client_new(nghttp2_session **, const nghttp2_session_callbacks *, void *);
int nghttp2_submit_settings(nghttp2_session *, uint8_t, const void *, size_t);
int nghttp2_session_set_local_window_size(nghttp2_session *, uint8_t, int32_t, int32_t);
int32_t nghttp2_submit_request(nghttp2_session *, const void *, const nghttp2_nv *, size_t, const nghttp2_data_provider *, void *);
ssize_t nghttp2_session_mem_send(nghttp2_session *, const uint8_t **);
ssize_t nghttp2_session_mem_recv(nghttp2_session *, const uint8_t *, size_t);
void *nghttp2_session_get_stream_user_data(nghttp2_session *, int32_t);

#define INITIAL_WINDOW_SIZE 4
#define DATA_ENDS 1

#endif
