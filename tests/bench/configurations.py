"""How the servers are set up that are compared: each with the same certificate, groups, header fields, upstream and access log.

Below `/up/` answers a program of our own, everything else comes from files, below `/h2/` by HTTP/2 (not to nginx, which cannot). `{{` stands for `{`: the texts are formatted.
"""

NGINX = """
daemon off;
pid {directory}/{name}.pid;
error_log stderr notice;
worker_processes 1;
worker_rlimit_nofile 16384;
{user}
events {{ worker_connections 8192; }}
http {{
    keepalive_requests 100000000;
    keepalive_timeout 600;
    client_body_temp_path {directory}/{name}-body;
    proxy_temp_path {directory}/{name}-proxy;
    fastcgi_temp_path {directory}/{name}-fastcgi;
    uwsgi_temp_path {directory}/{name}-uwsgi;
    scgi_temp_path {directory}/{name}-scgi;
{http}
}}
"""

BACKEND = """
    access_log off;
    sendfile on;
    open_file_cache max=16;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        http2 on;
        root {directory}/files;
        default_type application/json;
        location /h2/ {{ alias {directory}/files/; }}
    }}
"""

PROXY = """
    log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","path":"$uri",'
        '"host":"$host","status":$status,"sent":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr",'
        '"group":"$ssl_curve","request_id":"$request_id"}}';
    access_log {directory}/nginx.log json buffer=64k flush=1s;
    map $http_upgrade $connection_upwards {{ default upgrade; "" ""; }}
    upstream files {{ server 127.0.0.1:{files}; keepalive 256; keepalive_requests 100000000; }}
    upstream up {{ server 127.0.0.1:{up}; keepalive 256; keepalive_requests 100000000; }}
    client_max_body_size 0;
    # As guides recommend; measured here: uploads over HTTP/2 cost half of what they do with the default of 16k, since this is the window
    # of a stream, and answers of 64 KiB two thirds. The 4k for ssl_buffer_size, which guides give for a page that is fast to see, would
    # cost 40 % more for such answers, and nothing is gained for small ones: it stays at 16k.
    client_body_buffer_size 1m;
    proxy_buffer_size 16k;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 64k;
    ssl_buffer_size 16k;
    proxy_http_version 1.1;
    proxy_max_temp_file_size 0;
    proxy_read_timeout 600;
    proxy_set_header Connection $connection_upwards;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=https";
    proxy_set_header Via "1.1 nginx";
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header X-TLS-Group $ssl_curve;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096 reuseport;
        http2 on;
        server_name localhost;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519MLKEM768:X25519;
        location / {{ proxy_pass http://files; }}
        location /up/ {{ proxy_pass http://up; }}
        # 100 MB are passed on as they come, as the others do it
        location /up/large {{ proxy_pass http://up; proxy_request_buffering off; }}
    }}
"""

# `$http_host` is empty over HTTP/3 in nginx 1.26. Segmentation by the kernel is off there, and makes downloads cheaper.
PROXY_HTTP3 = PROXY.replace("$http_host", "$host").replace(
    "        http2 on;\n",
    "        http2 on;\n        listen 127.0.0.1:{port} quic reuseport;\n        http3 on;\n        quic_gso on;\n",
)

# A line for each request goes to a file here as well, by way of a ring and a server for logs: a target without a ring would take a
# system call for each line.
HAPROXY = """
global
    nbthread 1
    maxconn 8192
    log ring@requests format raw local0
    ssl-default-bind-options ssl-min-ver TLSv1.3
    # Likewise: the default of 65,535 stops uploads. A larger tune.bufsize costs more for small answers, and gains nothing for large ones.
    tune.h2.fe.initial-window-size 1048576
ring requests
    format raw
    maxlen 2000
    size 1048576
    timeout connect 5s
    timeout server 10s
    server logs 127.0.0.1:{logs}
defaults
    mode http
    log global
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout tunnel 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend public
    bind 127.0.0.1:{port} ssl alpn h2,http/1.1 crt {directory}/haproxy.pem curves X25519MLKEM768:X25519 backlog 4096
    log-format '{{"time":"%Tl","client":"%ci","method":"%HM","path":"%HPO","host":"%[capture.req.hdr(0)]","status":%ST,"sent":%B,"ms":%Ta,"upstream":"%si:%sp","group":"%[ssl_fc_curve]","request_id":"%ID"}}'
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    http-request capture req.hdr(Host) len 64
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header Forwarded "for=%[src];host=\\"%[req.hdr(Host)]\\";proto=https"
    http-request set-header Via "1.1 haproxy"
    http-request set-header X-TLS-Group %[ssl_fc_curve]
    use_backend up if {{ path_beg /up/ }}
    use_backend files-h2 if {{ path_beg /h2/ }}
    default_backend files
backend files
    server files 127.0.0.1:{files}
backend files-h2
    server files 127.0.0.1:{files} proto h2
backend up
    server up 127.0.0.1:{up}
"""

PLEXIGATE = """
workers = 1
admin.socket = "{name}.sock"
[listener.public]
bind = "127.0.0.1:0"
groups = [["X25519MLKEM768"], ["X25519"]]
{listener}
[identity.bench]
names = ["localhost"]
certificate = "server.pem"
key = "server.key"
[upstream.files]
servers = ["http://127.0.0.1:{files}"]
connections = 256
[upstream.files-h2]
servers = ["http://127.0.0.1:{files}"]
http = "h2"
[upstream.up]
servers = ["http://127.0.0.1:{up}"]
connections = 1_000
[[route]]
host = "localhost"
upstream = "files"
[[route]]
host = "localhost"
path = "/h2"
upstream = "files-h2"
[[route]]
host = "localhost"
path = "/up"
upstream = "up"
[limits]
keep_alive_timeout = "10m"
# all of its clients have one address
connections_per_address = 20_000
handshakes_per_second_per_address = 1_000_000.0
handshake_burst_per_address = 1_000_000
# under valgrind an exchange is slow, and clients would get another group than the others' do
slow_groups_rate = 1_000_000.0
slow_groups_burst = 1_000_000
[log]
file = "{name}.log"
{further}
"""
