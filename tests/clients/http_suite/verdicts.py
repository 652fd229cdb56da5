"""A pytest plugin that runs each test with the proxy SUITE_PROXY, and writes verdicts to SUITE_VERDICTS.

The suite's own fixtures clear the proxy variables, so this plugin sets them afterwards.
"""

import json
import os

import pytest

PROXY = os.environ.get("SUITE_PROXY")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if PROXY:
        os.environ["http_proxy"] = os.environ["https_proxy"] = PROXY


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ["SUITE_VERDICTS"], "a", encoding="utf-8") as verdicts:
            verdicts.write(json.dumps([report.nodeid, report.outcome]) + "\n")
