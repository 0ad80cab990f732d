-- The 13 headers of a browser that fetches something for a page.
wrk.headers["Connection"] = "keep-alive"
wrk.headers["sec-ch-ua-platform"] = '"Linux"'
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
wrk.headers["sec-ch-ua"] = '"Chromium";v="156", "Not)A;Brand";v="24"'
wrk.headers["sec-ch-ua-mobile"] = "?0"
wrk.headers["Accept"] = "application/json, text/plain, */*"
wrk.headers["Sec-Fetch-Site"] = "same-origin"
wrk.headers["Sec-Fetch-Mode"] = "cors"
wrk.headers["Sec-Fetch-Dest"] = "empty"
wrk.headers["Referer"] = "https://localhost/channels/1"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8"
-- wrk adds the 13th, Host.
