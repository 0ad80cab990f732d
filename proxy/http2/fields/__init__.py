"""The fields of requests and responses over HTTP/2, and how those of HTTP/1.1 become them."""
