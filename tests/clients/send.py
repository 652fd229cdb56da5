"""One request by urllib, requests, httpx (`httpx-http2`: if the server offers it) or aiohttp, as a user's
program would send it.

send.py LIBRARY METHOD URL BODY [NAME:VALUE ...]: the body as it comes, then a line with the status
and Idempotency-Status. LIBRARY `requests-retrying` retries 5xx itself, also for POST; `aiohttp-trust-env`
is aiohttp with `trust_env`.
"""

import os
import sys

library, method, url, body, *fields = sys.argv[1:]
headers = dict(field.split(":", 1) for field in fields)
data = body.encode() or None
timeout = float(os.environ.get("CLIENT_TIMEOUT", "30"))


def show(pieces, answer):
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    status = answer.headers.get("idempotency-status", "-").split(";")[0]
    print(f"\n{answer.status_code} {status}")


if library.startswith("httpx"):
    import httpx

    http2 = library == "httpx-http2"
    with httpx.Client(timeout=timeout, follow_redirects=True, http2=http2) as client:
        with client.stream(method, url, content=data, headers=headers) as answer:
            show(answer.iter_bytes(), answer)
            print(answer.http_version, file=sys.stderr)
elif library == "urllib":
    import urllib.request

    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        sys.stdout.buffer.write(answer.read())
        print(f"\n{answer.status} {answer.headers.get('idempotency-status', '-').split(';')[0]}")
elif library.startswith("aiohttp"):
    import asyncio

    import aiohttp

    async def main():
        trust_env = library == "aiohttp-trust-env"
        async with aiohttp.ClientSession(trust_env=trust_env) as session:
            async with session.request(method, url, data=data, headers=headers) as answer:
                text = await answer.text()
                print(f"{text}\n{answer.status} {answer.headers.get('idempotency-status', '-').split(';')[0]}")

    asyncio.run(main())
else:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    if library == "requests-retrying":
        retry = Retry(total=3, status_forcelist=[500, 502, 503, 504], allowed_methods=None, backoff_factor=0)
        retry.raise_on_status = False
        session.mount("http://", HTTPAdapter(max_retries=retry))
    answer = session.request(method, url, data=data, headers=headers, timeout=timeout, stream=True)
    show(answer.iter_content(None), answer)
