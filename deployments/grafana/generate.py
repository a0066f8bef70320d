#!/usr/bin/env python3
"""Writes dashboards/*.json from source/: `generate.py`, or `generate.py --check` to see whether they agree.

The classic format, because file provisioning refuses the one that Grafana 13 exports. Change a dashboard
in source/ and run this; what is changed in Grafana is lost."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "source"))
sys.dont_write_bytecode = True

from boards import BOARDS  # noqa: E402
from look import dashboard  # noqa: E402


def main():
    wanted = {f"{board['uid']}.json": json.dumps(dashboard(**board), indent=1) + "\n" for board in BOARDS}
    directory = HERE / "dashboards"
    present = {file.name: file.read_text() for file in directory.glob("*.json")}
    if sys.argv[1:] == ["--check"]:
        wrong = [name for name in sorted(wanted | present) if wanted.get(name) != present.get(name)]
        for name in wrong:
            print(f"dashboards/{name} is not what source/ says; run deployments/grafana/generate.py")
        sys.exit(bool(wrong))
    for name in present.keys() - wanted.keys():
        (directory / name).unlink()
    for name, text in wanted.items():
        (directory / name).write_text(text)


main()
