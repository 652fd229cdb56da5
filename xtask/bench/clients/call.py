"""Makes calls one after the other, as a user's program does, and prints how long each took.

call.py LIBRARY SECONDS URL PROXY|- FIRST fresh|same
prints a JSON list of microseconds. A wrong answer ends it.
"""

import json
import sys
import time

library, seconds, url, proxy, first, numbers = sys.argv[1:]
proxy = None if proxy == "-" else proxy


def sender():
    if library == "httpx":
        import httpx

        client = httpx.Client(proxy=proxy, trust_env=False)
        return lambda body: client.post(url, content=body)
    import requests

    proxies = {"http": proxy} if proxy else {}
    if library == "requests session":
        session = requests.Session()
        session.trust_env, session.proxies = False, proxies
        return lambda body: session.post(url, data=body)
    return lambda body: requests.post(url, data=body, proxies=proxies)


send = sender()
took = []
number = int(first)
end = time.perf_counter() + float(seconds)
while not took or time.perf_counter() < end:
    body = f'{{"call":{number},"pad":"{"x" * 480}"}}'.encode()
    begin = time.perf_counter()
    answer = send(body)
    took.append((time.perf_counter() - begin) * 1e6)
    assert answer.status_code == 200 and answer.content == body, answer.text
    number += numbers == "fresh"
print(json.dumps(took))
