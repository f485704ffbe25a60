from __future__ import annotations

import json
import logging

from shipfit.core import log


def test_json_lines_carry_what_the_call_gave(capsys) -> None:
    log.configure(as_json=True)
    logging.getLogger("shipfit.serve").warning("replica %s died", "r0", extra={"replica": "r0", "code": -9})
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("shipfit").exception("failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time") > 0
    expected = {
        "level": "warning",
        "logger": "shipfit.serve",
        "message": "replica r0 died",
        "replica": "r0",
        "code": -9,
    }
    assert first == expected
    assert "ValueError: x" in second["exception"]


def test_people_get_a_line_and_only_what_matters(capsys) -> None:
    log.configure()
    logging.getLogger("shipfit").info("details")
    logging.getLogger("shipfit").warning("careful")
    assert capsys.readouterr().err.endswith("WARNING shipfit: careful\n")
