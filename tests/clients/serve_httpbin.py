"""httpbin on a free port, which is printed; /count returns the number of other requests."""

import threading

from httpbin import app
from werkzeug.serving import WSGIRequestHandler, make_server

count = 0
lock = threading.Lock()


def counting(environ, start_response):
    global count
    if environ["PATH_INFO"] == "/count":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(str(count))))])
        return [str(count).encode()]
    with lock:
        count += 1
    return app(environ, start_response)


class Quiet(WSGIRequestHandler):
    def log(self, *args):
        pass


server = make_server("127.0.0.1", 0, counting, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
