"""Calls functions of a broach cluster, and serves functions to it, through an HTTP gateway.

One file that needs the standard library only, Python 3.9 or later. It has the face of the original:

    from broach import BroachApply, BroachFramework

    BroachFramework.run("application1.json")

    @BroachApply.rpcRoute()               # served under its own name
    def work00():
        return "hello"

    @BroachApply.rpcCall(name="work01")   # called wherever it is served
    def add(*args, **kwargs):
        pass

    print(add(1, 2))

The configuration is that of the original, of which "name", "params.rpcTimeOut" and "params.threadPool.threadMax" are
looked at, and "params.gateway", the URL of the gateway (http://127.0.0.1:18090). BROACH_GATEWAY in the environment
stands in place of that, and BROACH_GATEWAY_TOKEN is the bearer token, if the gateway wants one.

Arguments are positional; keyword arguments become one map, the last argument. Values are those of JSON, and bytes,
datetime and timedelta, which the gateway turns into what the function takes. A call that fails raises BroachError,
which says whether the function ran. Serving needs the gateway's option Workers for the names.

Everything may be used by many threads at once. Each thread that calls keeps a connection of its own.
"""

import base64
import datetime
import http.client
import json
import logging
import os
import select
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

__all__ = ["BroachApply", "BroachError", "BroachFramework"]

log = logging.getLogger("broach")

IDLE_MOST = 60  # seconds after which a connection is not used again; the gateway closes it after 120
POLL = 30  # seconds that a worker waits for a call
GATHER = 0.05  # seconds in which further functions join the ones that are about to be served
MARGIN = 5  # seconds beyond a deadline that the gateway is given to say that it has passed


class BroachError(Exception):
    """A call that failed. code is a name such as "NotFound", or an int from 1000 up; executed is "yes", "no" or "maybe".

    A function that raises one fails with its code. Any other exception is the code "Application" with its text.
    """

    def __init__(self, code, executed="maybe", message=""):
        super().__init__(f"{code}: {message} (executed: {executed})")
        self.code, self.executed, self.message = code, executed, message


def _plain(value):
    """Turns what JSON has no form for into what a gateway reads."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise TypeError("a datetime without a time zone is no instant")
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.timedelta):
        return f"{value // datetime.timedelta(microseconds=1)}us"
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _encode(value):
    return json.dumps(value, default=_plain, allow_nan=False).encode()


class _Gateway:
    """Requests to the gateway, on one connection for each thread."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"params.gateway: {url!r} is no URL: write it as in http://127.0.0.1:18090")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._make = lambda: kind(parts.hostname, parts.port)
        self._path = parts.path.rstrip("/")
        self._header = {"Authorization": "Bearer " + token} if token else {}
        self._own = threading.local()

    def _connection(self, timeout):
        """Returns a connection that the other end has not closed: a request on one that it has may or may not run."""
        c, used = getattr(self._own, "connection", None), getattr(self._own, "used", 0)
        if c is not None and c.sock is not None:
            if time.monotonic() - used > IDLE_MOST or select.select([c.sock], [], [], 0)[0]:
                c.close()
        if c is None:
            c = self._own.connection = self._make()
        c.timeout = timeout
        if c.sock is not None:
            c.sock.settimeout(timeout)
        return c

    def ask(self, method, path, body=None, header=None, timeout=30):
        """Returns the status, the header and the body of an answer. OSError and HTTPException mean there was none."""
        c = self._connection(timeout)
        header = {**self._header, **(header or {})}
        if body is not None:
            header["Content-Type"] = "application/json"
        try:
            c.request(method, self._path + path, body, header)
            answer = c.getresponse()
            text = answer.read()
        except BaseException:
            c.close()
            raise
        self._own.used = time.monotonic()
        return answer.status, answer.headers, text


def _error(status, text):
    """Makes a BroachError of a problem."""
    try:
        p = json.loads(text)
        code = p.get("code") or p["type"].rpartition(":")[2]
        return BroachError(int(code) if code.isdigit() else code, p.get("executed", "no"), p.get("detail", ""))
    except (ValueError, KeyError, AttributeError):
        return BroachError("Unavailable", "maybe", f"the gateway answered {status}")


def _failure(e):
    """Says what a function raised, which may hold anything."""
    try:
        if isinstance(e, BroachError):
            return _encode({"error": {"code": e.code, "message": str(e.message)}})
        return _encode({"error": {"code": "Application", "message": str(e) or type(e).__name__}})
    except Exception:
        return _encode({"error": {"code": "Application", "message": type(e).__name__}})


class _Call:
    """The call that a function serves: see BroachApply.current."""

    def __init__(self, task):
        self.id, self.meta, self.sender = task["call"], task.get("meta") or {}, task.get("from", "")
        left = task.get("deadline_ms")
        self.deadline = None if left is None else time.monotonic() + left / 1000
        self.canceled = threading.Event()  # nobody waits for the result any more


class _Worker(threading.Thread):
    """Serves some functions: asks the gateway for calls, and has a pool run them."""

    def __init__(self, app, functions):
        super().__init__(name="broach worker", daemon=True)
        self.app, self.functions = app, functions
        self.id = self.token = None
        self.calls, self.mutex = {}, threading.Lock()
        self.pool = ThreadPoolExecutor(app.slots, "broach call")
        self.serving, self.stopping = threading.Event(), threading.Event()

    def run(self):
        pause = 0.1
        while not self.stopping.is_set():
            try:
                if self.id is None:
                    self.enlist()
                self.poll()
                pause = 0.1
            except Exception as e:  # also what is no JSON, of something that stands before the gateway
                log.warning("broach: the gateway does not take %s: %s", ", ".join(self.functions), e)
                self.stopping.wait(pause)
                pause = min(2 * pause, 5)

    def enlist(self):
        functions = [{"name": n, "doc": doc, "idempotent": again} for n, (_, doc, again) in self.functions.items()]
        body = _encode({"name": self.app.name, "slots": self.app.slots, "functions": functions})
        status, _, text = self.app.gateway.ask("POST", "/workers", body)
        if status != 201:
            raise _error(status, text)
        made = json.loads(text)
        self.id, self.token = made["id"], made["token"]
        self.serving.set()

    def ask(self, method, path, body=None, timeout=30):
        return self.app.gateway.ask(method, f"/workers/{self.id}{path}", body, {"Broach-Worker": self.token}, timeout)

    def poll(self):
        status, _, text = self.ask("GET", f"/next?wait={POLL}", timeout=POLL + MARGIN)
        if status == 204 or self.stopping.is_set() and status == 410:
            return
        if status in (404, 410):  # it has forgotten us, as after a restart
            self.id = None
            return
        if status != 200:
            raise _error(status, text)
        task = json.loads(text)
        if "cancel" in task:
            with self.mutex:
                call = self.calls.get(task["cancel"])
            if call is not None:
                call.canceled.set()
            return
        call = _Call(task)
        with self.mutex:
            self.calls[call.id] = call
        self.pool.submit(self.serve, self.id, call, task)

    def serve(self, worker, call, task):
        try:
            body = _encode({"value": self.value(call, task)})
        except BaseException as e:  # also SystemExit: it ends this call only
            log.debug("broach: %s failed", task["function"], exc_info=True)
            body = _failure(e)
        finally:
            with self.mutex:
                self.calls.pop(call.id, None)
        try:
            if worker == self.id:
                self.answer(call, body)
        except (OSError, http.client.HTTPException) as e:
            log.warning("broach: the result of %s did not reach the gateway: %s", task["function"], e)

    def answer(self, call, body):
        """Says what came of a call. A result that the gateway does not take, as one that is too large, is an error."""
        try:
            status, _, text = self.ask("POST", f"/calls/{call.id}", body)
        except (OSError, http.client.HTTPException):
            if len(body) < 1 << 16:
                raise
            status, text = 413, ""  # it ends the connection of who sends too much
        if status in (204, 404, 410):  # taken, or nobody waits any more
            return
        why = _error(status, text).message if text else f"the gateway does not take a result of {len(body)} bytes"
        log.warning("broach: %s", why)
        code = "TooLarge" if status == 413 else "Internal"
        self.ask("POST", f"/calls/{call.id}", _encode({"error": {"code": code, "message": why}}))

    def value(self, call, task):
        if call.canceled.is_set():
            raise BroachError("Canceled", message="the caller gave up")
        _current.call = call
        try:
            return self.functions[task["function"]][0](*task["args"])
        finally:
            _current.call = None

    def stop(self):
        """Serves the calls under way to their end."""
        if self.id is not None and not self.stopping.is_set():
            try:
                self.ask("DELETE", "", timeout=30 + MARGIN)
            except (OSError, http.client.HTTPException) as e:
                log.warning("broach: the gateway was not told that we leave: %s", e)
        self.stopping.set()
        self.pool.shutdown(wait=False)


_current = threading.local()


class BroachFramework:
    """What the configuration says, and the functions that are served. There is one in a process."""

    gateway = None
    name, slots, timeout = "", 15, 6.0
    _mutex = threading.Lock()
    _new, _workers, _timer = {}, [], None

    @classmethod
    def run(cls, config):
        """Reads the configuration, a path or a dict, and returns. Functions with rpcRoute are served from then on."""
        if not isinstance(config, dict):
            with open(config, encoding="utf-8") as f:
                config = json.load(f)
        params = config.get("params", {})
        url = os.environ.get("BROACH_GATEWAY") or params.get("gateway", "http://127.0.0.1:18090")
        cls.name = config.get("name", "")
        cls.timeout = float(params.get("rpcTimeOut", 6))
        cls.slots = int(params.get("threadPool", {}).get("threadMax", 15))
        cls.gateway = _Gateway(url, os.environ.get("BROACH_GATEWAY_TOKEN", ""))
        cls._serve()

    @classmethod
    def stop(cls):
        """Ends serving: no new calls come, and those under way end."""
        with cls._mutex:
            workers, cls._workers = cls._workers, []
        for w in workers:
            w.stop()

    @classmethod
    def wait(cls, timeout=None):
        """Waits until all functions of rpcRoute are known to the gateway; False: not within the seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while until is None or time.monotonic() < until:
            with cls._mutex:
                pending, workers = bool(cls._new), list(cls._workers)
            if not pending and all(w.serving.is_set() for w in workers):
                return True
            time.sleep(GATHER)
        return False

    @classmethod
    def _add(cls, name, entry):
        with cls._mutex:
            cls._new[name] = entry
        if cls.gateway is not None:
            cls._serve()

    @classmethod
    def _serve(cls):
        """Has a worker serve what is new, once no more has come for a moment."""
        with cls._mutex:
            if cls._timer is not None:
                cls._timer.cancel()
            cls._timer = threading.Timer(GATHER, cls._start)
            cls._timer.daemon = True
            cls._timer.start()

    @classmethod
    def _start(cls):
        with cls._mutex:
            functions, cls._new = cls._new, {}
            if functions:
                worker = _Worker(cls, functions)
                cls._workers.append(worker)
                worker.start()


class BroachApply:
    """The decorators."""

    @staticmethod
    def rpcRoute(name=None, doc=None, idempotent=False):
        """Serves a function, under its own name or another. idempotent: it may run twice for one call."""

        def register(fn):
            text = doc if doc is not None else (fn.__doc__ or "").strip()
            BroachFramework._add(name or fn.__name__, (fn, text.encode()[:1024].decode(errors="ignore"), idempotent))
            return fn

        return register

    @staticmethod
    def rpcCall(name=None, timeout=None, key=None):
        """Makes a function call the one of that name in the cluster, within the seconds; its own body is not used.

        Calls with one key go to one provider.
        """

        def replace(fn):
            service = name or fn.__name__

            def call(*args, **kwargs):
                return BroachApply.call(service, *args, timeout=timeout, key=key, params=kwargs or None)

            call.__name__, call.__doc__ = fn.__name__, fn.__doc__
            return call

        return replace

    @staticmethod
    def call(service, *args, timeout=None, key=None, params=None):
        """Calls a function by its name. params, if there are any, are the last argument."""
        gateway = BroachFramework.gateway
        if gateway is None:
            raise BroachError("Closed", "no", "there is no gateway yet: call BroachFramework.run first")
        seconds = BroachFramework.timeout if timeout is None else timeout
        header = {"Broach-Timeout": f"{int(seconds * 1000)}ms", "Accept": "application/json"}
        if key is not None:
            header["Broach-Key"] = str(key)
        try:
            body = _encode([*args, params] if params else list(args))
        except (TypeError, ValueError) as e:
            raise BroachError("InvalidArgument", "no", str(e)) from None
        try:
            path = "/rpc/" + urllib.parse.quote(service, safe="")
            status, _, text = gateway.ask("POST", path, body, header, seconds + MARGIN)
        except ConnectionRefusedError as e:
            raise BroachError("Unreachable", "no", f"nobody listens where the gateway should be: {e}") from e
        except (OSError, http.client.HTTPException) as e:
            raise BroachError("Unreachable", "maybe", f"the gateway did not answer: {e}") from e
        if status != 200:
            raise _error(status, text)
        try:
            return json.loads(text)
        except ValueError:
            raise BroachError("Unavailable", "maybe", "what answered is no gateway: it is no JSON") from None

    @staticmethod
    def current():
        """The call that the function serves in this thread: id, meta, sender, deadline, canceled; None outside of one."""
        return getattr(_current, "call", None)
