"""Tests of broach.py against examples/gateway, whose program is in GATEWAY: .ci/python builds and runs it."""

import datetime
import http.server
import math
import os
import re
import subprocess
import sys
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from broach import BroachApply, BroachError, BroachFramework


def start(addr="127.0.0.1:0"):
    """Starts a gateway, and returns its process and URL."""
    process = subprocess.Popen([os.environ["GATEWAY"], "-addr", addr], stdout=subprocess.PIPE, text=True)
    return process, re.match("listening on (.*)", process.stdout.readline()).group(1)


class BroachTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process, cls.url = start()
        BroachFramework.run({"name": "test", "params": {"gateway": cls.url, "threadPool": {"threadMax": 4}}})

    @classmethod
    def tearDownClass(cls):
        BroachFramework.stop()
        cls.process.kill()
        cls.process.wait()
        cls.process.stdout.close()

    def serve(self, fn, name=None):
        BroachApply.rpcRoute(name)(fn)
        self.assertTrue(BroachFramework.wait(10))

    def fails(self, code, executed, service, *args, **kwargs):
        with self.assertRaises(BroachError) as caught:
            BroachApply.call(service, *args, **kwargs)
        self.assertEqual((caught.exception.code, caught.exception.executed), (code, executed), caught.exception)
        return caught.exception

    def test_calls(self):
        @BroachApply.rpcCall(name="add")
        def plus(*args, **kwargs):
            pass

        self.assertEqual(plus(1, 2), 3)
        self.assertEqual(plus(2**62, 1), 2**62 + 1)
        bill = BroachApply.call("total", {"customer": "ann", "prices": [1.25, 2], "within": datetime.timedelta(hours=1)})
        self.assertEqual(bill, {"customer": "ann", "total": 3.25, "due": "2026-12-01T01:00:00Z"})
        with ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(lambda i: plus(i, i), range(200))), [2 * i for i in range(200)])

    def test_errors(self):
        self.fails("NotFound", "no", "nobody offers this")
        self.assertIn("takes 2 arguments", self.fails("InvalidArgument", "no", "add", 1).message)
        with self.assertRaises(BroachError) as caught:
            BroachApply.call("sleep", "5s", timeout=0.05)
        self.assertEqual(caught.exception.code, "DeadlineExceeded")
        self.assertEqual(self.fails("Application", "yes", "fail").message, "no luck today")
        self.assertIn("cannot be sent", self.fails("InvalidArgument", "no", "add", object(), 1).message)
        self.fails("InvalidArgument", "no", "add", math.nan, 1)
        self.assertIn("streams", self.fails("not-acceptable", "no", "count", 2).message)
        self.assertIn("no instant", self.fails("InvalidArgument", "no", "add", datetime.datetime.now()).message)

    def test_serving(self):
        self.serve(lambda *a: list(a), "work echo")
        self.assertEqual(BroachApply.call("work echo"), [])
        values = [None, True, -1, 1.5, "é\n", [1, [2]], {"a": {"b": []}}, 2**63]
        self.assertEqual(BroachApply.call("work echo", *values), values)
        self.assertEqual(BroachApply.call("work echo", b"hi", params={"x": 1}), ["aGk=", {"x": 1}])

        class Mute(Exception):
            def __str__(self):
                raise ValueError

        def fail(what):
            if what == "code":
                raise BroachError(1001, message="sold out")
            if what == "odd":
                raise BroachError(object(), message=object())
            if what == "mute":
                raise Mute
            if what == "exit":
                raise SystemExit
            if what == "value":
                return object()
            return {}[what]

        self.serve(fail, "work fail")
        self.assertEqual(self.fails(1001, "yes", "work fail", "code").message, "sold out")
        self.fails("Application", "yes", "work fail", "key")
        self.fails("Application", "yes", "work fail", "exit")
        self.assertEqual(self.fails("Application", "yes", "work fail", "odd").message, "BroachError")
        self.assertEqual(self.fails("Application", "yes", "work fail", "mute").message, "Mute")
        self.assertIn("cannot be sent", self.fails("Application", "yes", "work fail", "value").message)
        self.fails("Application", "yes", "work fail", "too", "many")

    def test_a_result_that_is_too_large(self):
        self.serve(lambda n: "x" * n, "work large")
        self.assertEqual(len(BroachApply.call("work large", 1000)), 1000)
        self.fails("TooLarge", "yes", "work large", 5 << 20)
        self.assertEqual(len(BroachApply.call("work large", 10)), 10)

    def test_the_call_that_is_served(self):
        ended = threading.Event()

        def wait():
            call = BroachApply.current()
            if call.meta["x-request-id"] and call.canceled.wait(10):
                ended.set()

        self.serve(wait, "work wait")
        self.assertIsNone(BroachApply.current())
        with self.assertRaises(BroachError):
            BroachApply.call("work wait", timeout=0.2)
        self.assertTrue(ended.wait(5), "nobody waits any more, and the function knows it")

    def test_slots(self):
        block = threading.Event()
        begun = threading.Semaphore(0)

        def wait():
            begun.release()
            return block.wait(10)

        self.serve(wait, "work block")
        with ThreadPoolExecutor(5) as pool:
            calls = [pool.submit(BroachApply.call, "work block") for _ in range(4)]
            for _ in calls:
                self.assertTrue(begun.acquire(timeout=10))
            self.fails("Overloaded", "no", "work block")
            block.set()
            self.assertEqual([c.result() for c in calls], [True] * 4)


class StrangerTest(unittest.TestCase):
    """Something else than a gateway answers: a proxy with a page of its own, say."""

    def test_what_is_no_json(self):
        asked = threading.Semaphore(0)

        class Page(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(201 if self.path == "/workers" else 200)
                self.end_headers()
                self.wfile.write(b"<html>")
                asked.release()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        BroachFramework.run({"params": {"gateway": f"http://127.0.0.1:{server.server_port}"}})
        self.addCleanup(BroachFramework.stop)
        with self.assertRaises(BroachError) as caught:
            BroachApply.call("add", 1, 2)
        self.assertEqual((caught.exception.code, caught.exception.executed), ("Unavailable", "maybe"))
        BroachApply.rpcRoute("work strange")(lambda: 1)
        for _ in range(3):
            self.assertTrue(asked.acquire(timeout=10), "it goes on asking")


class RestartTest(unittest.TestCase):
    def test_a_gateway_that_is_started_again(self):
        process, url = start()
        BroachFramework.run({"params": {"gateway": url}})
        BroachApply.rpcRoute("work again")(lambda: "here")
        self.assertTrue(BroachFramework.wait(10))
        self.assertEqual(BroachApply.call("work again"), "here")
        process.kill()
        process.wait()
        process.stdout.close()
        with self.assertRaises(BroachError) as caught:
            BroachApply.call("add", 1, 2)
        self.assertEqual((caught.exception.code, caught.exception.executed), ("Unreachable", "no"))
        process, _ = start(url.removeprefix("http://") if hasattr(url, "removeprefix") else url[7:])
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close()))
        self.addCleanup(BroachFramework.stop)
        until = time.monotonic() + 20
        while True:  # it enlists again within some seconds
            try:
                self.assertEqual(BroachApply.call("work again"), "here")
                return
            except BroachError as e:
                self.assertLess(time.monotonic(), until, e)
                time.sleep(0.1)


PROVIDER = """
import sys, time
from broach import BroachApply, BroachFramework

BroachFramework.run({"params": {"gateway": sys.argv[1]}})

@BroachApply.rpcRoute("work steady")
def steady(me):
    time.sleep(0.005)
    return "killed" if me else "unknown"

BroachFramework.wait(10)
print("serving", flush=True)
time.sleep(600)
"""


class KillTest(unittest.TestCase):
    """One of two providers is killed while eight callers call without a pause."""

    def test_a_provider_is_killed_under_load(self):
        gateway, url = start()
        self.addCleanup(lambda: (gateway.kill(), gateway.wait(), gateway.stdout.close()))
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(__file__)))
        provider = subprocess.Popen([sys.executable, "-c", PROVIDER, url], env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (provider.kill(), provider.wait(), provider.stdout.close()))
        self.assertEqual(provider.stdout.readline(), "serving\n")
        BroachFramework.run({"params": {"gateway": url}})
        self.addCleanup(BroachFramework.stop)
        BroachApply.rpcRoute("work steady")(lambda me: "stays")
        self.assertTrue(BroachFramework.wait(10))

        failed, answers, over = [], {"killed": 0, "stays": 0}, threading.Event()

        def call():
            while not over.is_set():
                try:
                    answers[BroachApply.call("work steady", 1)] += 1
                except BroachError as e:
                    failed.append((time.monotonic(), e))

        with ThreadPoolExecutor(8) as pool:
            self.addCleanup(over.set)
            callers = [pool.submit(call) for _ in range(8)]
            time.sleep(1)
            before = dict(answers)
            killed = time.monotonic()
            provider.kill()
            time.sleep(11)
            over.set()
            for caller in callers:
                caller.result()
        self.assertGreater(before["killed"], 10, "both of them are called")
        self.assertGreater(answers["stays"], before["stays"] + 100, "the other one goes on")
        self.assertLessEqual(len(failed), 8, "each caller fails once: with the call that was under way")
        for at, e in failed:
            self.assertIn(e.code, ("Unreachable", "DeadlineExceeded"), e)
            self.assertIn(e.executed, ("yes", "maybe"), e)
            self.assertLess(at, killed + 10)
        print(f"killed under load: {len(failed)} calls failed, {answers} answered")


if __name__ == "__main__":
    unittest.main()
