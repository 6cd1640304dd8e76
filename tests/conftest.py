"""For all tests: programs started here hear Ctrl-C, also where it is ignored, as behind `&`."""

import signal


def pytest_configure() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
