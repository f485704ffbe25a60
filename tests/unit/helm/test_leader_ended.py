"""The script by which a pod of a group waits for its leader's end."""

from __future__ import annotations

import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "helm" / "llm-serving" / "files" / "leader_ended.py"


def test_it_waits_as_long_as_the_connection_stands() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            server.accept()[0] as leaders_end,
            subprocess.Popen([sys.executable, SCRIPT, str(port)]) as waiting,
        ):
            time.sleep(0.5)
            assert waiting.poll() is None
            leaders_end.close()
            assert waiting.wait(timeout=10) == 0


def test_without_a_connection_it_does_not_wait(tmp_path: Path) -> None:
    module = runpy.run_path(str(SCRIPT))  # leaves no bytecode in the chart, as an import does
    table = tmp_path / "tcp"
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    line = "   0: 0100007F:1F40 0A00000A:733D {state} 00000000:00000000\n"
    established, half_closed, listening = "01", "08", "0A"
    for state, connected in ((established, True), (half_closed, False), (listening, False)):
        table.write_text(head + line.format(state=state))
        assert connected is module["connected"](29501, (table, tmp_path / "missing"))
    assert not module["connected"](29502, (table,))
